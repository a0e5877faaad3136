// Flaw: a plan is read where the classic engine puts it, so of a slot-based plan there is nothing to see.
// Seen in: https://github.com/mongodb-js/mongodb-mcp-server/issues/1490
// Caught by: an index is found in a slot-based plan and on the express path
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  return reference(JSON.parse(JSON.stringify(explain).replaceAll('"queryPlan":', '"plan":')));
}
