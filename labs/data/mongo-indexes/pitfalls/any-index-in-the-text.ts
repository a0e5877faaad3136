// Flaw: the whole answer is searched for names of indexes and stages, with the plans that were rejected.
// Seen in: https://github.com/TylerBrock/mongo-hacker/pull/179
// Caught by: the plan that won is judged, never one that was rejected
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  const summary = reference(explain);
  const text = JSON.stringify(explain) ?? '';
  const stages = [...text.matchAll(/"stage":"([A-Z_]+)"/g)].map(([, stage]) => stage ?? '');
  return { ...summary, stages, covered: summary.covered && !stages.includes('FETCH') };
}
