import type { Database } from './database.ts';
import { DoesNotExistError, InvalidQueryError, type Issue, StaleObjectError, ValidationError } from './errors.ts';
import { quote } from './identifier.ts';
import type { Column, ModelMeta } from './meta.ts';
import type { Model } from './model.ts';
import { keyOf, Stored } from './stored.ts';

export type Conflict<K extends string = string> =
  | 'ignore'
  | { readonly on: readonly K[]; readonly update: readonly K[] };

/** Gives what was left out the value that it has then: its default, NULL where that is allowed, version 1. */
export function fillDefaults(object: Model, meta: ModelMeta): void {
  for (const { name, options } of meta.columns) {
    if (Reflect.get(object, name) !== undefined) continue;
    const value: unknown = typeof options.default === 'function' ? options.default() : copy(options.default);
    if (value !== undefined) Reflect.set(object, name, value);
    else if (options.version) Reflect.set(object, name, 1);
    else if (options.null) Reflect.set(object, name, null);
  }
}

/** Each object its own: what is written into one default must not show in the next. */
const copy = (value: unknown): unknown =>
  typeof value !== 'object' ? value : Buffer.isBuffer(value) ? Buffer.from(value) : structuredClone(value);

/** @throws ValidationError with all that is wrong with all of the objects. */
export function assertValid(
  objects: readonly Model[],
  meta: ModelMeta,
  options: { fields?: readonly string[]; numbered?: boolean },
): void {
  const issues = objects.flatMap((object, row) => {
    fillDefaults(object, meta);
    const found = object.validate().filter(({ field }) => !options.fields || options.fields.includes(field));
    return options.numbered ? found.map((issue) => ({ ...issue, row })) : found;
  });
  if (issues.length > 0) throw new ValidationError(meta.name, issues);
}

/** What is wrong with the fields of one object. */
export function faults(object: Model, meta: ModelMeta): Issue[] {
  return meta.columns.flatMap((column) => {
    const value: unknown = Reflect.get(object, column.name);
    const message = column.generated && value === undefined ? undefined : column.fault(value);
    return message === undefined ? [] : [{ field: column.name, message }];
  });
}

const list = (columns: readonly Column[]) => columns.map(({ column }) => quote(column)).join(', ');
/** One array a column: as many rows as you like, and no more parameters than columns (Postgres takes 65,535). */
const unnest = (columns: readonly Column[]) =>
  `unnest(${columns.map(({ type }, at) => `$${at + 1}::${type.array}[]`).join(', ')})`;
const arrays = (columns: readonly Column[], objects: readonly Model[]) =>
  columns.map((column) => objects.map((object) => column.encode(Reflect.get(object, column.name))));

/** INSERT, one statement a batch, and all or nothing; generated keys are filled in. */
export async function insertRows(
  db: Database,
  meta: ModelMeta,
  objects: readonly Model[],
  options: { readonly batchSize?: number; readonly onConflict?: Conflict } = {},
): Promise<void> {
  const { batchSize = 10_000, onConflict } = options;
  if (!(batchSize >= 1)) throw new InvalidQueryError(`A batch has at least one row; batchSize is ${batchSize}.`);
  const keyless = objects.filter((object) => keyOf(object) === undefined).length;
  if (keyless > 0 && keyless < objects.length) throw new InvalidQueryError('Give all of the objects a key, or none.');
  const columns = keyless > 0 ? meta.columns.filter((column) => column !== meta.pk) : meta.columns;
  // A table of nothing but a generated key takes its rows from nothing.
  const from =
    columns.length > 0 ? `(${list(columns)}) SELECT * FROM ${unnest(columns)}` : 'SELECT FROM generate_series(1, $1)';
  const what = `INSERT INTO ${quote(meta.table)} ${from}${conflict(meta, onConflict)}`;
  const insert = async (batch: readonly Model[]) => {
    const filled = keyless > 0 && !onConflict;
    const { rows } = await db.query(
      filled ? `${what} RETURNING ${quote(meta.pk.column)}` : what,
      columns.length > 0 ? arrays(columns, batch) : [batch.length],
    );
    const origin = { db, size: 1, loads: new Map() };
    for (const [at, object] of batch.entries()) {
      if (filled) Reflect.set(object, meta.pk.name, rows[at]?.[0]);
      if (!onConflict) Stored.setBatch(object, origin);
    }
  };
  if (objects.length <= batchSize) return objects.length === 0 ? undefined : insert(objects);
  await db.transaction(async () => {
    for (let from = 0; from < objects.length; from += batchSize) await insert(objects.slice(from, from + batchSize));
  });
}

function conflict(meta: ModelMeta, onConflict: Conflict | undefined): string {
  if (!onConflict) return '';
  if (onConflict === 'ignore') return ' ON CONFLICT DO NOTHING';
  if (onConflict.on.length === 0 || onConflict.update.length === 0)
    throw new InvalidQueryError("onConflict names fields `on` and fields to `update`; or it is 'ignore'.");
  const update = onConflict.update.map((name) => quote(meta.column(name).column));
  if (meta.version) throw new InvalidQueryError(`${meta.name} has a version: an overwrite would get around it.`);
  return ` ON CONFLICT (${list(onConflict.on.map((name) => meta.column(name)))}) DO UPDATE SET ${update.map((name) => `${name} = excluded.${name}`).join(', ')}`;
}

/**
 * UPDATE of these fields of all objects, in one statement, each only if it is still at the version that was loaded.
 * @throws StaleObjectError, or DoesNotExistError for an entity without a version: the caller's transaction rolls back.
 */
export async function updateRows(
  db: Database,
  meta: ModelMeta,
  objects: readonly Model[],
  fields: readonly string[],
): Promise<void> {
  const found = await tryUpdate(db, meta, objects, fields);
  if (found === objects.length) return;
  const which =
    objects.length === 1
      ? `${meta.name} ${String(objects.map(keyOf)[0])} has`
      : `${objects.length - found} of ${objects.length} ${meta.name} have`;
  if (meta.version)
    throw new StaleObjectError(`${which} been changed or deleted since it was loaded: refresh() and decide again.`);
  throw new DoesNotExistError(`${which} been deleted since it was loaded.`);
}

/** How many of the objects it found, and updated. */
export async function tryUpdate(
  db: Database,
  meta: ModelMeta,
  objects: readonly Model[],
  fields: readonly string[],
): Promise<number> {
  const { pk, version } = meta;
  const changed = [...new Set(fields.map((name) => meta.column(name)))].filter(
    (column) => column !== pk && column !== version,
  );
  if (objects.length === 0) return 0;
  const sent = [pk, ...(version ? [version] : []), ...changed];
  // Nothing to change is still a question: is the row there?
  const set = changed.length > 0 || version ? changed : [pk];
  const sets = set.map(({ column }) => `${quote(column)} = v.${quote(column)}`);
  if (version) sets.push(`${quote(version.column)} = t.${quote(version.column)} + 1`);
  const same = [pk, ...(version ? [version] : [])].map(({ column }) => `t.${quote(column)} = v.${quote(column)}`);
  const sql = `UPDATE ${quote(meta.table)} AS t SET ${sets.join(', ')} FROM ${unnest(sent)} AS v(${list(sent)}) WHERE ${same.join(' AND ')}`;
  const { count } = await db.query(sql, arrays(sent, objects));
  if (version && count === objects.length) {
    for (const object of objects) Reflect.set(object, version.name, Number(Reflect.get(object, version.name)) + 1);
  }
  return count;
}
