// Flaw: an index counts as read from end to end as soon as any of its fields has no bounds.
// Seen in: https://github.com/official-stockfish/fishtest/pull/1514
// Caught by: an index that nothing bounds is read from end to end
import { type ExplainSummary, explainSummary as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function explainSummary(explain: unknown): ExplainSummary {
  const summary = reference(explain);
  const open = /\[MinKey, MaxKey\]|\[MaxKey, MinKey\]/.test(JSON.stringify(explain) ?? '');
  return { ...summary, verdict: open && summary.verdict === 'ok' ? 'wholeIndex' : summary.verdict };
}
