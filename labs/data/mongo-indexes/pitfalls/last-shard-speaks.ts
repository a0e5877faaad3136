// Flaw: of a plan on shards one is read, and stands for the others: the shard without the index is not seen.
// Seen in: https://github.com/mongodb-js/mongodb-mcp-server/issues/1490
// Caught by: one shard that scans is a scan, however well the others do
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  const summary = reference(explain);
  return { ...summary, verdict: summary.shards.at(-1)?.verdict ?? summary.verdict };
}
