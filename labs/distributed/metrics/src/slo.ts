import { InvalidArgumentError } from './errors.ts';

/**
 * The edges of a histogram, in seconds, chosen from the promise: an eighth of it to sixteen times of it, each twice the one before, and
 * the promise itself among them. How many kept it is then a count, not an estimate.
 *
 * @param sloSeconds What is promised: most answers within so many seconds. 1 ms to an hour.
 * @throws InvalidArgumentError
 */
export function sloBuckets(sloSeconds: number): number[] {
  if (!(sloSeconds >= 0.001 && sloSeconds <= 3600)) {
    throw new InvalidArgumentError(`A promise is 0.001 to 3600 seconds, not ${sloSeconds}.`);
  }
  return [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16].map((factor) => factor * sloSeconds);
}
