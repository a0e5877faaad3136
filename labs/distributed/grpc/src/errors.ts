import { inspect } from 'node:util';

/** A value that no call, stream or server can be made from: its name, what it was, and what is wanted. */
export class BadRpcOptionError extends RangeError {
  override readonly name = 'BadRpcOptionError';

  constructor(option: string, value: unknown, wanted: string) {
    super(`${option} is ${inspect(value)}: give ${wanted}.`);
  }
}

/** A timer of Node's fires at once beyond this: 24.8 days. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** @throws BadRpcOptionError unless `value` is a number from `least` to `most`. */
export function numberWithin(option: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new BadRpcOptionError(option, value, `a number from ${least} to ${most}`);
}

/** @throws BadRpcOptionError unless `value` is a whole number from `least` to `most`. */
export function countWithin(option: string, value: unknown, least: number, most: number): number {
  if (Number.isSafeInteger(numberWithin(option, value, least, most))) return Number(value);
  throw new BadRpcOptionError(option, value, `a whole number from ${least} to ${most}`);
}
