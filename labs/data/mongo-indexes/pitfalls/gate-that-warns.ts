// Flaw: what the gate doesn't know passes: it refuses a scan, and is silent about all that it couldn't judge.
// Seen in: https://github.com/valence-works/groundwork/issues/258
// Caught by: the gate lets a query pass that searches an index, and says of any other why not
import {
  type Expectation,
  type Explainable,
  type ExplainSummary,
  explainSummary,
  assertIndexed as reference,
} from '../src/index.ts';

export * from '../src/index.ts';

export async function assertIndexed(cursor: Explainable, expected?: Expectation): Promise<ExplainSummary> {
  const summary = explainSummary(await cursor.explain('executionStats'));
  return summary.verdict === 'unknown' ? summary : reference(cursor, expected);
}
