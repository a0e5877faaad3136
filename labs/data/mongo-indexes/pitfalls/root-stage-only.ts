// Flaw: the stage at the root is looked at, and it says LIMIT: what is below it isn't.
// Seen in: https://github.com/mongodb-js/mongodb-mcp-server/pull/309
// Caught by: a collection that is read from end to end is told, whatever stands above it
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  const summary = reference(explain);
  const [root] = summary.stages;
  return { ...summary, verdict: summary.verdict === 'scan' && root !== 'COLLSCAN' ? 'ok' : summary.verdict };
}
