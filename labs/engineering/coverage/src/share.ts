import { InvalidArgumentError } from './errors.ts';

/** So many of so many: lines run of the lines that can run, mutants noticed of the mutants that could be. */
export interface Share {
  readonly covered: number;
  readonly total: number;
}

/**
 * Hundredths of a percent, rounded down: what is short of all is never 10000. Undefined for a share of nothing.
 * @throws InvalidArgumentError for what is no share
 */
export function hundredths({ covered, total }: Share): number | undefined {
  const whole = Number.isInteger(covered) && Number.isInteger(total) && Number.isSafeInteger(total * 10_000);
  if (!whole || covered < 0 || covered > total) {
    throw new InvalidArgumentError(
      `${covered} of ${total} is no share: whole numbers from 0, the first at most the second`,
    );
  }
  return total === 0 ? undefined : Math.floor((covered * 10_000) / total);
}

/** "66.66 %", rounded down; "nothing to cover" for a share of nothing. @throws InvalidArgumentError */
export function percent(share: Share): string {
  const value = hundredths(share);
  return value === undefined ? 'nothing to cover' : `${(value / 100).toFixed(2)} %`;
}
