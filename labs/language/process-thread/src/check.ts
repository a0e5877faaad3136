import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** @throws InvalidArgumentError unless it is a finite number from `least` to `most`, a whole one if `whole` says so. */
export function checkNumber(name: string, value: unknown, least: number, most: number, whole = false): number {
  if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? 'a whole number' : 'a number';
  throw new InvalidArgumentError(`${name} is ${inspect(value)}: it must be ${kind} from ${least} to ${most}.`);
}
