import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

export interface WaitOptions {
  /** Aborting it ends the wait with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws InvalidArgumentError on what is no whole number, 1 or more. */
export function wholeNumber(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError(`${name} must be a whole number, 1 or more; it is ${inspect(value)}.`);
}
