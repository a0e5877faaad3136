import type { Pool } from 'pg';
import { ask, migrateBy, type Statement } from './database.ts';
import { InvalidArgumentError, MissingFieldError } from './errors.ts';
import { type Json, type JsonObject, toJson } from './json.ts';
import { storableText, tableName } from './text.ts';

/** A document with its key. */
export interface Card {
  readonly id: string;
  readonly card: JsonObject;
}

/** A value without parts. */
export type Scalar = null | boolean | number | bigint | string;

const ID_BYTES = 200;

/**
 * Documents in one jsonb column, with the index that each kind of question needs. Questions are statements, so that
 * `find` can run them and `planOf` explain them.
 *
 * @see https://www.postgresql.org/docs/current/datatype-json.html#JSON-INDEXING
 */
export class Cards {
  protected readonly pool: Pool;
  protected readonly table: string;

  /** @throws InvalidArgumentError unless `table` is 1 to 30 of a-z, 0-9 and _ */
  constructor(pool: Pool, table: string) {
    this.pool = pool;
    this.table = tableName(table);
  }

  /** Creates the table and the index for `contains` and `atPath`. Can be repeated, by several at once. */
  migrate(): Promise<void> {
    const { table } = this;
    return migrateBy(this.pool, [
      `CREATE TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, card jsonb NOT NULL)`,
      `CREATE INDEX IF NOT EXISTS ${table}_by_content ON ${table} USING gin (card jsonb_path_ops)`,
    ]);
  }

  /**
   * Creates the index for `byField(field, …)`: an index on the very expression that the question asks. Can be repeated.
   * For short texts: a card with one of more than 2,704 bytes in the index is refused from then on (sqlstate 54000).
   *
   * @throws InvalidArgumentError unless the field is 1 to 30 of A-Z, a-z, 0-9 and _
   */
  async indexField(field: string): Promise<void> {
    const [table, key] = [this.table, fieldName(field)];
    // No table has a dot in its name: neither another's index nor `_by_content` is taken for this one.
    await migrateBy(this.pool, [`CREATE INDEX IF NOT EXISTS "${table}.${key}" ON ${table} ((card->>'${key}'))`]);
  }

  /** @throws UnstorableJsonError; QueryRefusedError with sqlstate 23505 when the id is taken */
  async add(id: string, card: JsonObject): Promise<void> {
    object(card);
    const values = [storableText('id', id, ID_BYTES), toJson(card)];
    await ask(this.pool, { text: `INSERT INTO ${this.table} VALUES ($1, $2)`, values });
  }

  /** @returns undefined when there is none */
  async get(id: string): Promise<JsonObject | undefined> {
    const text = `SELECT id, card FROM ${this.table} WHERE id = $1`;
    return (await this.find({ text, values: [storableText('id', id, ID_BYTES)] }))[0]?.card;
  }

  find(question: Statement): Promise<Card[]> {
    return ask<{ id: string; card: JsonObject }>(this.pool, question);
  }

  /**
   * Cards that say all that `part` says, and maybe more; an array contains what has some of its items. A null finds a
   * null, not a missing field.
   *
   * @throws InvalidArgumentError for a part that holds an empty object or array: every card would do
   */
  contains(part: JsonObject): Statement {
    object(part);
    const json = toJson(part);
    if (!isTelling(part)) {
      throw new InvalidArgumentError(
        'An empty object or array is in every card, and no index knows it: say which value.',
      );
    }
    return { text: `SELECT id, card FROM ${this.table} WHERE card @> $1`, values: [json] };
  }

  /**
   * Cards that have this value at this path. Arrays on the way are looked into (the lax mode of jsonpath). It is the
   * operator `@?` that uses the index; the function `jsonb_path_exists` never does.
   *
   * @throws InvalidArgumentError, UnstorableJsonError
   */
  atPath(path: readonly string[], value: Scalar): Statement {
    if (typeof value === 'object' && value !== null) throw new InvalidArgumentError('A path leads to one value.');
    // JSON's strings are jsonpath's strings: nothing that is put in can end one.
    const steps = keys(path).map((key) => `.${JSON.stringify(key)}`);
    const jsonpath = `$${steps.join('')} ? (@ == ${toJson(value)})`;
    return { text: `SELECT id, card FROM ${this.table} WHERE card @? $1`, values: [jsonpath] };
  }

  /** Cards whose top-level field, as text, is `text`. Without `indexField(field)` the whole table is read. */
  byField(field: string, text: string): Statement {
    const condition = `card->>'${fieldName(field)}' = $1`;
    return { text: `SELECT id, card FROM ${this.table} WHERE ${condition}`, values: [storableText('text', text)] };
  }

  /**
   * Writes one field of one card and leaves the others as they are by then: read and written in one statement, under
   * the row's lock. A null is written as a null (for `jsonb_set` a NULL would mean: no card at all).
   *
   * @throws MissingFieldError when there is no such card, or no object at the path's parent: `jsonb_set` would do nothing
   */
  async set(id: string, path: readonly string[], value: Json): Promise<void> {
    const place = keys(path);
    const parent = place.slice(0, -1);
    const rows = await ask(this.pool, {
      text: `UPDATE ${this.table} SET card = jsonb_set(card, $2, $3)
        WHERE id = $1 AND jsonb_typeof(card #> $4) = 'object' RETURNING id`,
      values: [storableText('id', id, ID_BYTES), place, toJson(value, '$', place.length), parent],
    });
    if (rows.length > 0) return;
    throw new MissingFieldError(`There is no card "${id}", or no object at {${parent.join()}} of it: set that first.`);
  }
}

function object(value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new InvalidArgumentError(`A card is an object, and not ${Array.isArray(value) ? 'an array' : String(value)}.`);
}

/** A copy: the caller may use his own again while this one waits for a connection. */
function keys(path: readonly string[]): readonly string[] {
  if (!Array.isArray(path) || path.length === 0) throw new InvalidArgumentError('A path has at least one key.');
  return Array.from(path, (key) => storableText('key', key));
}

function fieldName(field: string): string {
  if (typeof field === 'string' && /^\w{1,30}$/.test(field)) return field;
  throw new InvalidArgumentError(`The field ${JSON.stringify(field)} is not 1 to 30 of A-Z, a-z, 0-9 and _.`);
}

/** Whether every branch ends in a value. */
function isTelling(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const parts: unknown[] = Object.values(value);
  return parts.length > 0 && parts.every(isTelling);
}
