import { type Document, Double } from 'mongodb';
import { InexactAmountError } from './errors.ts';

// Amounts are whole cents, and the books are old: some were written as int, some as long, double or decimal.

/** Beyond this an amount is no int64. */
const BOUND = 9e18;

/** An amount added up, in accumulators of `$group`, `$bucket` and `$setWindowFields`. */
export interface Total {
  /** Cents. An amount that is null or missing is nothing. */
  readonly sum: bigint;
  /** Documents whose amount is no whole number (a text, a fraction, NaN): they are not in the sum, and not forgotten. */
  readonly unread: number;
}

/**
 * The expressions to `$sum`: `sum` in decimals, whose 34 digits are exact where a double's 15 are not.
 * @param path of the amount, as `fieldPath` gives it
 * @param counts an expression: amounts where it is false are nothing. Default: all count.
 */
export function amounts(path: string, counts: unknown = true): { readonly sum: Document; readonly unread: Document } {
  // $cond and not one $and: of that the server may evaluate any part, and `$trunc` of a text is an error.
  const inRange = { $and: [{ $gt: [path, -BOUND] }, { $lt: [path, BOUND] }, { $eq: [path, { $trunc: path }] }] };
  const whole = { $cond: [{ $isNumber: path }, inRange, false] };
  // Missing sorts before null. $toLong first: $toDecimal alone rounds a double to 15 digits.
  return {
    sum: { $cond: [{ $and: [counts, whole] }, { $toDecimal: { $toLong: path } }, 0] },
    unread: { $cond: [{ $or: [{ $not: [counts] }, { $lte: [path, null] }, whole] }, 0, 1] },
  };
}

/**
 * A total as the driver gives it (number, bigint, Long, Int32, Double, Decimal128), in cents.
 * @throws InexactAmountError when it has a fraction, or is a number that JavaScript has rounded
 */
export function readCents(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (value instanceof Double) return readCents(value.value);
  const text = typeof value === 'object' && value !== null && '_bsontype' in value ? String(value) : '';
  if (!/^-?\d{1,34}$/.test(text)) throw new InexactAmountError(value);
  return BigInt(text);
}
