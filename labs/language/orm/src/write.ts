import type { Database } from './database.ts';
import { DoesNotExistError, InvalidQueryError, type Issue, StaleObjectError, ValidationError } from './errors.ts';
import { type Column, type ModelMeta, quote } from './meta.ts';
import type { Model } from './model.ts';
import { keyOf, Stored } from './stored.ts';

/** Gives what was left out the value that it has then: its default, NULL where that is allowed, version 1. */
export function fillDefaults(object: Model, meta: ModelMeta): void {
  for (const { name, options } of meta.columns) {
    if (Reflect.get(object, name) !== undefined) continue;
    const value: unknown = typeof options.default === 'function' ? options.default() : structuredClone(options.default);
    if (value !== undefined) Reflect.set(object, name, value);
    else if (options.version) Reflect.set(object, name, 1);
    else if (options.null) Reflect.set(object, name, null);
  }
}

/** @throws ValidationError with all that is wrong with all of the objects. */
export function assertValid(objects: readonly Model[], meta: ModelMeta, numbered = false): void {
  const issues = objects.flatMap((object, row) => {
    fillDefaults(object, meta);
    return numbered ? object.validate().map((issue) => ({ ...issue, row })) : object.validate();
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

const value = (object: Model, column: Column) => column.encode(Reflect.get(object, column.name));

/**
 * One INSERT for all; generated keys are filled in. One array a column: as many rows as you like, and no more parameters
 * than columns (Postgres takes 65,535).
 */
export async function insertRows(db: Database, meta: ModelMeta, objects: readonly Model[]): Promise<void> {
  if (objects.length === 0) return;
  const keyless = objects.filter((object) => keyOf(object) === undefined).length;
  if (keyless > 0 && keyless < objects.length) throw new InvalidQueryError('Give all of the objects a key, or none.');
  const columns = keyless > 0 ? meta.columns.filter((column) => column !== meta.pk) : meta.columns;
  const names = columns.map(({ column }) => quote(column)).join(', ');
  const arrays = columns.map(({ type }, at) => `$${at + 1}::${type.array}[]`).join(', ');
  // A table of nothing but a generated key takes its rows from nothing.
  const from = columns.length > 0 ? `(${names}) SELECT * FROM unnest(${arrays})` : 'SELECT FROM generate_series(1, $1)';
  const sql = `INSERT INTO ${quote(meta.table)} ${from} RETURNING ${quote(meta.pk.column)}`;
  const params = columns.map((column) => objects.map((object) => value(object, column)));
  const { rows } = await db.query(sql, columns.length > 0 ? params : [objects.length]);
  for (const [at, object] of objects.entries()) {
    Reflect.set(object, meta.pk.name, rows[at]?.[0]);
    Stored.setBatch(object, { db, size: 1, loads: new Map() });
  }
}

/** The row of this object, only if it is still at the version that was loaded. */
function sameRow({ pk, version }: ModelMeta, object: Model, params: unknown[]): string {
  const checked = version ? [pk, version] : [pk];
  return checked.map((column) => `${quote(column.column)} = $${params.push(value(object, column))}`).join(' AND ');
}

/** @throws StaleObjectError, or DoesNotExistError for an entity without a version, unless a row was changed. */
function assertFound(meta: ModelMeta, object: Model, count: number): void {
  const which = `${meta.name} ${String(keyOf(object))} has been`;
  if (count > 0) return;
  if (!meta.version) throw new DoesNotExistError(`${which} deleted since it was loaded.`);
  throw new StaleObjectError(`${which} changed or deleted since it was loaded: refresh() and decide again.`);
}

export async function updateRow(db: Database, meta: ModelMeta, object: Model): Promise<void> {
  const { pk, version } = meta;
  const params: unknown[] = [];
  const changed = meta.columns.filter((column) => column !== pk && column !== version);
  const sets = changed.map((column) => `${quote(column.column)} = $${params.push(value(object, column))}`);
  if (version) sets.push(`${quote(version.column)} = ${quote(version.column)} + 1`);
  // Nothing to change is still a question: is the row there?
  if (sets.length === 0) sets.push(`${quote(pk.column)} = ${quote(pk.column)}`);
  const where = sameRow(meta, object, params);
  const { count } = await db.query(`UPDATE ${quote(meta.table)} SET ${sets.join(', ')} WHERE ${where}`, params);
  assertFound(meta, object, count);
  if (version) Reflect.set(object, version.name, Number(Reflect.get(object, version.name)) + 1);
}

export async function deleteRow(db: Database, meta: ModelMeta, object: Model): Promise<void> {
  const params: unknown[] = [];
  const sql = `DELETE FROM ${quote(meta.table)} WHERE ${sameRow(meta, object, params)}`;
  assertFound(meta, object, (await db.query(sql, params)).count);
}
