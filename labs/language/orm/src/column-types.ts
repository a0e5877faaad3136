import { DefinitionError } from './errors.ts';

/** How a value of one column type is checked, sent and received. */
export interface ColumnType {
  /** As Postgres' `format_type` spells it, so that a diff can compare. */
  readonly sql: string;
  /** For `$1::text[]`: without a length, since an explicit cast to `varchar(3)` cuts off silently. */
  readonly array: string;
  /** What is wrong with `value`, as the end of the sentence "title …", or undefined. */
  check(value: unknown): string | undefined;
  encode?(value: unknown): unknown;
  readonly textual?: true;
}

const described = (value: unknown) =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : Array.isArray(value) ? 'an array' : String(value);

const must = (holds: boolean, what: string, value: unknown) =>
  holds
    ? undefined
    : `must be ${what}; it is ${typeof value === 'object' && value !== null && !(value instanceof Date) ? 'an object' : described(value)}`;

const text = (value: unknown) =>
  must(typeof value === 'string', 'a string', value) ??
  (String(value).includes('\0') ? 'has a NUL character, which Postgres cannot store' : undefined) ??
  (String(value).isWellFormed() ? undefined : 'has half of a surrogate pair, which UTF-8 cannot say');

export const int: ColumnType = {
  sql: 'integer',
  array: 'integer',
  check: (value) =>
    must(
      typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31,
      'a whole number within ±2147483647',
      value,
    ),
};
/** Lossless: a bigint on both sides. (`pg` gives strings, and a number would round above 2⁵³.) */
export const bigint: ColumnType = {
  sql: 'bigint',
  array: 'bigint',
  check: (value) => must(typeof value === 'bigint' && BigInt.asIntN(64, value) === value, 'a bigint of 64 bits', value),
  encode: String,
};
export const float: ColumnType = {
  sql: 'double precision',
  array: 'double precision',
  check: (value) => must(typeof value === 'number' && Number.isFinite(value), 'a finite number', value),
  encode: (value) => (Object.is(value, -0) ? '-0' : value),
};
/** What a decorator says goes into the DDL as text. */
const size = (what: string, value: number, from: number, to: number) => {
  if (Number.isInteger(value) && value >= from && value <= to) return;
  throw new DefinitionError(`${what} is a whole number from ${from} to ${to}; it is ${value}.`);
};
/** Lossless: a string like `19.90`. More decimals than `scale` are refused, where Postgres would round. */
export const decimal = (digits: number, scale: number): ColumnType => {
  size('digits of a decimal', digits, 1, 1_000);
  size('scale of a decimal', scale, 0, digits);
  const fraction = scale > 0 ? `(\\.\\d{1,${scale}})?` : '';
  const shape = new RegExp(`^-?${digits > scale ? `\\d{1,${digits - scale}}` : '0'}${fraction}$`);
  const what = `a string with at most ${digits - scale} digits before and ${scale} after the point`;
  return {
    sql: `numeric(${digits},${scale})`,
    array: 'numeric',
    check: (value) => must(typeof value === 'string' && shape.test(value), what, value),
  };
};
/** Any decimal: what a sum of them may be. */
export const anyDecimal: ColumnType = {
  sql: 'numeric',
  array: 'numeric',
  check: (value) => must(typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value), 'a string like 19.90', value),
};
/** `max` counts characters, as Postgres does, not UTF-16 units. */
export const char = (max: number): ColumnType => {
  size('max of a char', max, 1, 10_485_760);
  return {
    sql: `character varying(${max})`,
    array: 'text',
    textual: true,
    check: (value) => {
      const fault = text(value);
      if (fault !== undefined) return fault;
      const length = String(value).length <= max ? 0 : [...String(value)].length;
      return length > max ? `is ${length} characters long; at most ${max}` : undefined;
    },
  };
};
export const longText: ColumnType = { sql: 'text', array: 'text', textual: true, check: text };
export const bool: ColumnType = {
  sql: 'boolean',
  array: 'boolean',
  check: (value) => must(typeof value === 'boolean', 'true or false', value),
};
/** To the millisecond, as a Date is: with Postgres' microseconds a row that was read would not be found again by its time. */
export const timestamp: ColumnType = {
  sql: 'timestamp(3) with time zone',
  array: 'timestamptz',
  check: (value) => must(value instanceof Date && !Number.isNaN(value.getTime()), 'a valid Date', value),
  encode: (value) => (value instanceof Date ? utc(value) : value),
};
/** Not left to `pg`: it writes the local time and its offset in whole minutes, and before 1900 offsets had seconds. */
const utc = (date: Date) => {
  const iso = date.toISOString();
  if (iso.length === 24 && !iso.startsWith('0000')) return iso;
  // Postgres takes no sign: beyond four digits as they are, and the year 0 is 1 BC.
  const year = date.getUTCFullYear();
  return `${String(year > 0 ? year : 1 - year).padStart(4, '0')}${iso.slice(-20)}${year > 0 ? '' : ' BC'}`;
};
export const uuid: ColumnType = {
  sql: 'uuid',
  array: 'uuid',
  check: (value) =>
    must(typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value), 'a UUID', value),
};
export const json: ColumnType = {
  sql: 'jsonb',
  array: 'jsonb',
  check(value) {
    let encoded: unknown;
    try {
      encoded = JSON.stringify(value, (_, each) => (typeof each === 'number' && !Number.isFinite(each) ? 0n : each));
    } catch {
      // A cycle, or a bigint; NaN, which would become null.
    }
    if (typeof encoded !== 'string') return 'must be a value that JSON has';
    return /(?<!\\)(\\\\)*\\u(0000|d[89a-f])/.test(encoded)
      ? 'has a NUL character or half of a surrogate pair, which Postgres cannot store'
      : undefined;
  },
  encode: (value) => JSON.stringify(value),
};
export const bytes: ColumnType = {
  sql: 'bytea',
  array: 'bytea',
  check: (value) => must(value instanceof Uint8Array, 'a Buffer', value),
};

/** The types that `@Field()` infers from what the compiler wrote down (`design:type`). */
export const inferred: ReadonlyMap<unknown, ColumnType> = new Map<unknown, ColumnType>([
  [String, longText],
  [Number, float],
  [BigInt, bigint],
  [Boolean, bool],
  [Date, timestamp],
  [Buffer, bytes],
]);
/** What `design:type` may say for a column of this type; a union or an object type says Object. */
export const runtimeType = (type: ColumnType): unknown =>
  type === int
    ? Number
    : type.textual || type === uuid || type.sql.startsWith('numeric')
      ? String
      : [...inferred].find(([, each]) => each === type)?.[0];
