import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

export const LONGEST_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError unless it is a duration that a timer can keep */
export function duration(ms: number, name = 'ms'): number {
  if (typeof ms === 'number' && ms > 0 && ms <= LONGEST_MS) return ms;
  throw new InvalidArgumentError(
    `\`${name}\` is ${inspect(ms)}: give milliseconds, more than 0 and at most ${LONGEST_MS}.`,
  );
}

/** @throws InvalidArgumentError unless V8 can sample at it */
export function interval(us: number): number {
  if (Number.isInteger(us) && us >= 50 && us <= 1_000_000) return us;
  throw new InvalidArgumentError(`\`intervalUs\` is ${inspect(us)}: give whole microseconds, 50 to 1000000.`);
}

const MOST_BYTES = 2 ** 30;

/** @throws InvalidArgumentError unless V8 can sample the heap at it: half a byte ends the whole process. */
export function spacing(bytes: number): number {
  if (Number.isInteger(bytes) && bytes >= 1 && bytes <= MOST_BYTES) return bytes;
  throw new InvalidArgumentError(`\`intervalBytes\` is ${inspect(bytes)}: give whole bytes, 1 to ${MOST_BYTES}.`);
}
