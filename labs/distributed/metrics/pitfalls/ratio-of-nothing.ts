// Flaw: one sum by the other: without an error there is no series to divide, and the panel is empty while all is well.
// Seen in: https://github.com/prometheus/cloudwatch_exporter/issues/34
// Caught by: no error is a ratio of 0, and no request is no ratio
import { type Queries, type QueryOptions, queries as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function queries(options: QueryOptions): Queries {
  const rate = (selector: string) => `sum by (job) (rate(http_requests_total${selector}[${options.window}]))`;
  return { ...reference(options), errorRatio: `${rate('{status=~"5.."}')} / ${rate('')}` };
}
