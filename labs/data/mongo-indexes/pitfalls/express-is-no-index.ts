// Flaw: IXSCAN is compared letter by letter, so EXPRESS_IXSCAN, the quickest way to one document, is no index.
// Seen in: https://github.com/mongodb-js/compass/pull/6071
// Caught by: an index is found in a slot-based plan and on the express path
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  const summary = reference(explain);
  const express = summary.stages.some((stage) => stage.startsWith('EXPRESS_'));
  return express ? { ...summary, verdict: 'scan', indexes: [] } : summary;
}
