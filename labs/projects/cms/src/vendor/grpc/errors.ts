import { inspect } from 'node:util';

/** A value that no call, stream or server can be made from: its name, what it was, and what is wanted. */
export class BadRpcOptionError extends RangeError {
  override readonly name = 'BadRpcOptionError';

  constructor(option: string, value: unknown, wanted: string) {
    super(`${option} is ${inspect(value)}: give ${wanted}.`);
  }
}

/** The messages; an error of theirs as `told` tells it. */
export async function* retold<T>(messages: AsyncIterable<T>, told: (error: unknown) => unknown) {
  try {
    yield* messages;
  } catch (error) {
    throw told(error);
  }
}

/** A timer of Node's fires at once beyond this: 24.8 days. */
export const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** `grpc-timeout` has eight digits: 27.7 hours in ms. Connect writes more, which servers refuse with INVALID_ARGUMENT. */
export const LONGEST_TIMEOUT_MS = 99_999_999;

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
