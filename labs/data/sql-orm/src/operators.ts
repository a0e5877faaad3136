import { isExpression, type RawBuilder, sql } from 'kysely';
import { InvalidArgumentError, OutOfRangeError } from './errors.ts';

/** What a row is made of. Whole numbers and money are `bigint` (int8, cents): a float is neither. */
export type Value = string | number | bigint | boolean | Date | null;

declare const held: unique symbol;
/** A value when a definition runs over a row, an expression when it runs over columns: only operators can tell. */
export interface Term<V> {
  readonly [held]: V;
}
export type Operand<V> = Term<V | null> | V | null;
type Held<T> = T extends Term<infer V> ? V : T;
/** Over what can't be NULL the result can't be either. */
export type Operator<A extends readonly Value[], V> = <T extends { readonly [K in keyof A]: Operand<A[K]> }>(
  ...operands: T
) => Term<V | Extract<Held<T[number]>, null>>;

type Fragment = RawBuilder<unknown>;
const TYPES = new Map([
  ['bigint', 'int8'],
  ['string', 'text'],
  ['boolean', 'bool'],
  ['number', 'float8'],
  ['object', 'timestamptz'],
]);
/** A constant says its type, or Postgres guesses (42P18); NULL has its neighbour's. */
const fragment = (operand: unknown): Fragment =>
  operand === null
    ? sql`NULL`
    : isExpression(operand)
      ? sql`${operand}`
      : sql`${operand}::${sql.raw(TYPES.get(typeof operand) ?? 'text')}`;

/** Computes with `js` over values; over columns it writes `toSql`, in parentheses of its own. */
export function dual<A extends readonly Value[]>(js: (...values: A) => Value, toSql: (...of: Fragment[]) => Fragment) {
  return (...operands: readonly unknown[]): unknown => {
    if (operands.includes(undefined))
      throw new InvalidArgumentError('An operand is undefined: the row lacks a column.');
    return operands.some(isExpression) ? sql`(${toSql(...operands.map(fragment))})` : js(...(operands as unknown as A));
  };
}

/** NULL is "not known", so what is made of it isn't known either. */
export const strict =
  <A extends readonly Value[], V extends Value>(js: (...values: A) => V) =>
  (...values: A): V | null =>
    values.includes(null) ? null : js(...values);

/** A strict operator: `js` and `toSql` must give the same answer for whatever is not NULL. */
export const operator = <A extends readonly Value[], V extends Value>(
  js: (...values: A) => V,
  toSql: (...of: Fragment[]) => Fragment,
) => dual(strict(js), toSql) as Operator<A, V>;

/** @throws OutOfRangeError where Postgres says 22003 */
function int8(value: bigint): bigint {
  if (BigInt.asIntN(64, value) === value) return value;
  throw new OutOfRangeError(`${value} is beyond int8 (±9.2 × 10^18).`);
}
const sign = (value: bigint) => (value < 0n ? -1n : 1n);

type Two = [a: bigint, b: bigint];
// biome-ignore format: a table is read by its columns
export const { plus, minus, times, atLeast, not, charLength } = {
  plus: operator<Two, bigint>((a, b) => int8(a + b), (a, b) => sql`${a} + ${b}`),
  minus: operator<Two, bigint>((a, b) => int8(a - b), (a, b) => sql`${a} - ${b}`),
  times: operator<Two, bigint>((a, b) => int8(a * b), (a, b) => sql`${a} * ${b}`),
  atLeast: operator<Two, boolean>((a, b) => a >= b, (a, b) => sql`${a} >= ${b}`),
  not: operator<[boolean], boolean>((a) => !a, (a) => sql`NOT ${a}`),
  /** In code points, as Postgres counts; `length` counts an emoji twice. */
  charLength: operator<[string], bigint>((text) => BigInt([...text].length), (text) => sql`char_length(${text})::int8`),
};

// Logic has three values: false decides an AND and true an OR, whatever the unknown side would have been.
const decidedBy = (decisive: boolean) => (a: boolean | null, b: boolean | null) =>
  a === decisive || b === decisive ? decisive : a === null || b === null ? null : !decisive;
type Junction = (a: Operand<boolean>, b: Operand<boolean>) => Term<boolean | null>;
/** JavaScript computes both sides first, SQL may not: what `b` refuses (a division by zero) is an error in JavaScript only. */
export const and = dual(decidedBy(false), (a, b) => sql`${a} AND ${b}`) as Junction;
/** Both sides are computed first in JavaScript, as of `and`. */
export const or = dual(decidedBy(true), (a, b) => sql`${a} OR ${b}`) as Junction;
type Coalesce = <A extends Value, B extends Value>(a: Term<A>, b: Term<B> | B) => Term<Exclude<A, null> | B>;
/** The first that isn't NULL. Both are computed first in JavaScript, as of `and`; SQL stops at the first. */
export const coalesce = dual(
  (a: Value, b: Value) => a ?? b,
  (...all) => sql`coalesce(${sql.join(all)})`,
) as Coalesce;

/**
 * a / b to the nearest whole number, half away from zero: as `round(numeric)` does, and Math.round doesn't (-2.5 is -2).
 * In whole numbers on both sides: `round(a::numeric / b)` rounds twice, since that division stops after some 16 digits.
 */
export const rounded = operator<Two, bigint>(
  (a, b) => {
    if (b === 0n) throw new OutOfRangeError(`${a} / 0: Postgres refuses it too.`);
    return int8((2n * a + sign(a) * sign(b) * b) / (2n * b));
  },
  (a, b) => sql`div(2 * ${a}::numeric + sign(${a}::numeric) * abs(${b}::numeric), 2 * ${b}::numeric)::int8`,
);

const formats = new Map<string, Intl.DateTimeFormat>();
/** By its name: '+02:00' is east of Greenwich to JavaScript, and west of it to Postgres. */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    if (!/^(UTC|[A-Za-z_]+(\/[\w+-]+)+)$/.test(timeZone)) throw new RangeError('That is no name.');
    const parts = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
    const format = formats.get(timeZone) ?? new Intl.DateTimeFormat('en-CA', { timeZone, ...parts });
    formats.set(timeZone, format);
    return format;
  } catch (cause) {
    throw new InvalidArgumentError(`${JSON.stringify(timeZone)}: name a zone, like 'Asia/Shanghai'.`, { cause });
  }
}
const day = operator<[instant: Date, zone: string], string>(
  (instant, zone) => formatOf(zone).format(instant),
  (instant, zone) => sql`to_char(${instant} AT TIME ZONE ${zone}, 'YYYY-MM-DD')`,
);
/** The calendar day ('2026-03-29') of an instant in a named zone, for the years 1970 to 9999. */
export function dayIn<I extends Operand<Date>>(instant: I, zone: string) {
  formatOf(zone);
  return day(instant, zone);
}
