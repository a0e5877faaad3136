// Flaw: the quantiles of the instances are averaged: one that serves ten customers weighs as much as one that serves thousands.
// Seen in: https://github.com/sourcegraph/sourcegraph-public-snapshot/pull/9840
// Caught by: the slowest hundredth of two instances is found in the sum of their buckets
import { type Queries, type QueryOptions, queries as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function queries(options: QueryOptions): Queries {
  const buckets = `sum by (job, instance, le) (rate(http_request_duration_seconds_bucket[${options.window}]))`;
  return { ...reference(options), quantile: (q) => `avg by (job) (histogram_quantile(${q}, ${buckets}))` };
}
