// Flaw: the p95 of an hour is the mean of its minutes' p95, weighted by their lines.
// Seen in: `avg(quantile)` panels over pre-aggregated quantiles
// Caught by: the p95 of several windows is that of all their lines, and no mean of theirs
export * from '../src/index.ts';

import type { Sketch } from '../src/index.ts';

export function latencyOf(windows: readonly Sketch[], q: number): number | undefined {
  let [sum, count] = [0, 0];
  for (const window of windows) {
    const lines = [...window.bins.values()].reduce((total, n) => total + n, 0);
    sum += lines * (window.quantile(q) ?? 0);
    count += lines;
  }
  return count === 0 ? undefined : sum / count;
}
