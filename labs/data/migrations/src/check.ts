import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** A name as part of a statement. Postgres cuts what is longer than 63 bytes: two names would be one. */
export const quoted = (name: string): string => `"${textFor('A name', name, 63).replaceAll('"', '""')}"`;

/** @throws InvalidArgumentError unless Postgres keeps it as it is: no half surrogates, no U+0000, and 1 to `most` bytes */
export function textFor(what: string, value: string, most = 1_000_000): string {
  const kept = typeof value === 'string' && value.trim() !== '' && value.isWellFormed() && !value.includes('\0');
  if (kept && Buffer.byteLength(value) <= most) return value;
  const shown = inspect(value, { maxStringLength: 80 });
  throw new InvalidArgumentError(`${what} must be 1 to ${most} bytes of Unicode without U+0000; it is ${shown}.`);
}

/** @throws InvalidArgumentError unless it is a whole number from `least` to what a timer can wait */
export function countFor(what: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least && value <= 2 ** 31 - 1) return value;
  throw new InvalidArgumentError(
    `${what} must be a whole number from ${least} to 2147483647; it is ${inspect(value)}.`,
  );
}
