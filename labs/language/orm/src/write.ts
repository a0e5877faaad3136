import type { Database } from './database.ts';
import { InvalidQueryError, type Issue, ValidationError } from './errors.ts';
import { type ModelMeta, quote } from './meta.ts';
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
  const sql = `INSERT INTO ${quote(meta.table)} (${names}) SELECT * FROM unnest(${arrays}) RETURNING ${quote(meta.pk.column)}`;
  const params = columns.map((column) => objects.map((object) => column.encode(Reflect.get(object, column.name))));
  const { rows } = await db.query(sql, params);
  for (const [at, object] of objects.entries()) {
    Reflect.set(object, meta.pk.name, rows[at]?.[0]);
    Stored.setBatch(object, { db, size: 1, loads: new Map() });
  }
}
