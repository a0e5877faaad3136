import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** What every row has: a primary key `id`, and `version`, from 0 to below 2⁵³, an integer or bigint that only this module writes. */
export interface VersionedRow {
  readonly id: number | string;
  readonly version: number;
}

export type Column<Row> = Exclude<keyof Row, 'id' | 'version'> & string;
/**
 * New values for some columns; a column left out stays as it is. As pg sends them: an object as JSON, but an array as one of
 * Postgres's, and [] would arrive in a jsonb column as {}. Wrap it in an object, or give the text that `JSON.stringify` makes.
 */
export type Patch<Row> = { readonly [C in Column<Row>]?: Row[C] };

/** A table whose rows have a version. Names are checked and quoted once; values travel as parameters, always. */
export class VersionedTable<Row extends VersionedRow> {
  /** Quoted, for a statement. */
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  /** `"id", …, "version"`: what a statement selects or returns. A bigint version arrives as a number, too. */
  readonly selection: string;

  /**
   * @param name `lockers` or `shop.lockers`
   * @param columns what is read and may be patched
   * @throws InvalidArgumentError on a name that Postgres would cut, or that is no name; on id and version as columns
   */
  constructor(name: string, columns: readonly Column<Row>[]) {
    this.name = String(name).split('.').map(identifier).join('.');
    this.columns = Object.freeze([...columns]);
    for (const column of this.columns) {
      if (isOurs(column)) throw new InvalidArgumentError(`${column} belongs to every versioned table: leave it out.`);
    }
    this.selection = ['"id"', ...this.columns.map(identifier), '"version"::float8 AS "version"'].join(', ');
  }

  /**
   * The assignments of a patch, `"parcel" = $3, "code" = $4`, and their values.
   *
   * @param first the number of the first parameter
   * @throws InvalidArgumentError on an empty patch, an unknown column, id or version, undefined, and text that UTF-8 can't say
   */
  assign(patch: Patch<Row>, first: number): { readonly sql: string; readonly values: readonly unknown[] } {
    const entries = Object.entries<unknown>(patch ?? {});
    if (entries.length === 0) throw new InvalidArgumentError('The patch is empty: name a column to change.');
    for (const [column, value] of entries) this.#check(column, value);
    const sql = entries.map(([column], index) => `${identifier(column)} = $${first + index}`).join(', ');
    return { sql, values: entries.map(([, value]) => value) };
  }

  #check(column: string, value: unknown): void {
    const what = `${this.name}.${column}`;
    if (!this.columns.some((known) => known === column)) {
      throw new InvalidArgumentError(`${what} can't be patched: give some of ${this.columns.join(', ')}.`);
    }
    if (value === undefined) throw new InvalidArgumentError(`${what} is undefined: leave it out, or give null.`);
    if (isStorable(value)) return;
    throw new InvalidArgumentError(`${what} has half a surrogate pair, U+0000, or what JSON has no words for.`);
  }
}

const isOurs = (column: string) => column === 'id' || column === 'version';

/**
 * UTF-8 makes "�" of half a surrogate pair, so that two texts would be one; `text` can't hold U+0000; an object goes as JSON,
 * and one that JSON has no words for would fail in pg's hands as if the connection were lost.
 */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value !== 'object' || ArrayBuffer.isView(value)) return true;
  try {
    if (Array.isArray(value)) return value.every(isStorable);
    JSON.stringify(value);
    return true;
  } catch {
    return false;
  }
}

/** A name as part of a statement. Postgres cuts what is longer than 63 bytes, so that two names would be one. */
function identifier(name: string): string {
  if (name !== '' && isStorable(name) && Buffer.byteLength(name) <= 63) return `"${name.replaceAll('"', '""')}"`;
  throw new InvalidArgumentError(`${inspect(name, { maxStringLength: 80 })} is no name of 1 to 63 bytes for Postgres.`);
}

/** @throws InvalidArgumentError unless it is a safe integer or a text that Postgres keeps as it is */
export function checkedId(id: number | string): number | string {
  if (Number.isSafeInteger(id)) return id;
  if (typeof id === 'string' && id !== '' && isStorable(id)) return id;
  throw new InvalidArgumentError(`The id is ${inspect(id, { maxStringLength: 80 })}: give a whole number or a text.`);
}

/** A version to expect, several of which one will do (a list in If-Match), or '*': any, as long as the row is there. */
export type Expected = number | readonly number[] | '*';

/** @throws InvalidArgumentError unless it is '*', or one or several versions */
export function checkedExpected(expected: Expected): readonly number[] | '*' {
  if (expected === '*') return expected;
  const versions = typeof expected === 'number' ? [expected] : expected;
  if (Array.isArray(versions) && versions.every((version) => Number.isSafeInteger(version) && version >= 0)) {
    return Object.freeze([...versions]);
  }
  throw new InvalidArgumentError(`The expected version is ${inspect(expected)}: give what was read with the row.`);
}
