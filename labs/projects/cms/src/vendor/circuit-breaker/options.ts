import { inspect } from 'node:util';
import { InvalidOptionError } from './errors.ts';

/** Node fires a timer beyond this at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** `value`, if it is a number from `from` to `to`. NaN is neither: the question is what is good, not what is bad. */
export function numberOf(name: string, value: number, from: number, to: number): number {
  if (typeof value === 'number' && value >= from && value <= to) return value;
  throw new InvalidOptionError(`${name} must be a number from ${from} to ${to}; it is ${inspect(value)}.`);
}

/** `value`, if it is a whole number from `from` to `to`. */
export function wholeNumberOf(name: string, value: number, from: number, to: number): number {
  if (Number.isInteger(value)) return numberOf(name, value, from, to);
  throw new InvalidOptionError(`${name} must be a whole number from ${from} to ${to}; it is ${inspect(value)}.`);
}

/** `value`, if it is a share that can be reached and missed: above 0, at most 1. */
export function shareOf(name: string, value: number): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value;
  throw new InvalidOptionError(
    `${name} must be above 0 and at most 1 (0.5 is every second call); it is ${inspect(value)}.`,
  );
}
