// Flaw: the counters are added up first, so that the restart of one looks like a restart of all, and the rate leaps.
// Seen in: https://github.com/istio/istio.io/issues/10101
// Caught by: a restart of one instance takes nothing from the rate
import { type Queries, type QueryOptions, queries as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function queries(options: QueryOptions): Queries {
  return {
    ...reference(options),
    requestRate: `rate(sum by (job, route) (http_requests_total)[${options.window}:1s])`,
  };
}
