import { inspect } from 'node:util';
import { DefinitionError } from './errors.ts';

/** How a value of one column type is checked, sent and received. */
export interface ColumnType {
  readonly sql: string;
  /** For `$1::text[]`: without a length, since an explicit cast to `varchar(3)` cuts off silently. */
  readonly array: string;
  /** What is wrong with `value`, as the end of the sentence "title …", or undefined. */
  check(value: unknown): string | undefined;
  encode?(value: unknown): unknown;
}

const SHORT = { depth: -1, maxStringLength: 40, customInspect: false };
const must = (holds: boolean, what: string, value: unknown) =>
  holds ? undefined : `must be ${what}; it is ${inspect(value, SHORT)}`;

export const int: ColumnType = {
  sql: 'integer',
  array: 'integer',
  check: (value) =>
    must(Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31, 'a whole number within ±2147483647', value),
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
/** `max` counts characters, as Postgres does, not UTF-16 units. Without it: any length. */
export const text = (max?: number): ColumnType => {
  if (max !== undefined) size('max of a char', max, 1, 10_485_760);
  return {
    sql: max === undefined ? 'text' : `character varying(${max})`,
    array: 'text',
    check: (value) => {
      if (typeof value !== 'string') return must(false, 'a string', value);
      if (value.includes('\0')) return 'has a NUL character, which Postgres cannot store';
      if (!value.isWellFormed()) return 'has half of a surrogate pair, which UTF-8 cannot say';
      const length = max === undefined ? 0 : [...value].length;
      return max !== undefined && length > max ? `is ${length} characters long; at most ${max}` : undefined;
    },
  };
};
/** Postgres reads other years otherwise: its year 0 is 1 BC, and it takes no sign. */
const [FIRST, END] = [new Date('0001-01-01T00:00:00Z'), new Date('+010000-01-01T00:00:00Z')];
/** To the millisecond, as a Date is: with Postgres' microseconds a row that was read would not be found again by its time. */
export const timestamp: ColumnType = {
  sql: 'timestamp(3) with time zone',
  array: 'timestamptz',
  check: (value) =>
    must(value instanceof Date && value >= FIRST && value < END, 'a Date of the years 1 to 9999', value),
  // Not left to `pg`: it writes the local time and its offset in whole minutes, and before 1900 offsets had seconds.
  encode: (value) => (value instanceof Date ? value.toISOString() : value),
};
