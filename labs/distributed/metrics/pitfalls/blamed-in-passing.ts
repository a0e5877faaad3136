// Flaw: a rate is given to the version that runs now, though its window spans the release: after a roll-back the good one is blamed.
// Seen in: https://github.com/autometrics-dev/autometrics-shared/pull/8
// Caught by: the alert on the cause names the version whose cache misses, no other, and ends with the roll-back
import { type Queries, type QueryOptions, queries as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function queries(options: QueryOptions): Queries {
  const reads = (metric: string) =>
    `sum by (job, cache, version) (rate(${metric}[${options.window}]) * on (job, instance) group_left (version) app_build_info)`;
  return {
    ...reference(options),
    hitRatio: `${reads('cache_requests_total{result="hit"}')} / (${reads('cache_requests_total')} > 0)`,
  };
}
