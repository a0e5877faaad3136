// Flaw: the share of hits over all instances: with one of two on the new version the mean passes, and no version is named.
// Seen in: https://github.com/nammayatri/nammayatri/issues/769
// Caught by: the alert on the cause names the version whose cache misses, no other, and ends with the roll-back
import { type Queries, type QueryOptions, queries as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function queries(options: QueryOptions): Queries {
  const reads = (selector: string) => `sum by (job, cache) (rate(cache_requests_total${selector}[${options.window}]))`;
  return { ...reference(options), hitRatio: `${reads('{result="hit"}')} / (${reads('')} > 0)` };
}
