// Flaw: the figure is rounded to the nearest, so 32,847 of 32,848 lines are 100 % and pass for it.
// Seen in: https://github.com/simplecov-ruby/simplecov/issues/679
// Caught by: what is short of all is never 100 %, and of nothing there is no percentage
import { hundredths as reference, type Share } from '../src/index.ts';

export * from '../src/index.ts';

export function hundredths(share: Share): number | undefined {
  return reference(share) === undefined ? undefined : Math.round((share.covered / share.total) * 10_000);
}

export function percent(share: Share): string {
  const value = hundredths(share);
  return value === undefined ? 'nothing to cover' : `${(value / 100).toFixed(2)} %`;
}
