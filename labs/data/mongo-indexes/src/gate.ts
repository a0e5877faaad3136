import { ExplainFailedError, InvalidArgumentError, NotIndexedError } from './errors.ts';
import { type ExplainSummary, explainSummary, type Verdict } from './explain.ts';
import { shown } from './plan.ts';

/** A cursor of `find` or `aggregate`. It isn't used up: `explain` is a command of its own. */
export interface Explainable {
  explain(verbosity: 'executionStats'): Promise<unknown>;
}

export interface Expectation {
  /** The name of the index that has to be used. Default: any. */
  readonly index?: string;
  /** How many keys, or documents, may be examined for one that is returned. Default: 10. */
  readonly maxPerReturned?: number;
  /** No sort in memory. Default: false. */
  readonly sorted?: boolean;
  /** No document is opened. Default: false. */
  readonly covered?: boolean;
  /** An index may be read from end to end, as a page that is sorted by it does. Default: false. */
  readonly wholeIndex?: boolean;
}

const REASONS: Readonly<Record<Exclude<Verdict, 'ok'>, string>> = {
  scan: 'A collection is read from end to end (COLLSCAN).',
  wholeIndex: 'An index is read from end to end: nothing bounds its first field.',
  nothing: 'Nothing was read: is the collection there, and can a document match?',
  unknown: 'The plan has parts that are not known here:',
};

/**
 * Runs the query under `explain('executionStats')` and refuses it unless it searches an index. For tests, on a collection
 * that holds enough for the figures to mean something (a hundred documents). It costs what the query costs.
 * @throws NotIndexedError with all reasons, ExplainFailedError, InvalidArgumentError
 */
export async function assertIndexed(cursor: Explainable, expected: Expectation = {}): Promise<ExplainSummary> {
  if (typeof cursor?.explain !== 'function') {
    throw new InvalidArgumentError(`${shown(cursor)} is no cursor: hand over what find() or aggregate() returns.`);
  }
  const { maxPerReturned = 10 } = expected;
  if (typeof maxPerReturned !== 'number' || !(maxPerReturned >= 1)) {
    throw new InvalidArgumentError(`maxPerReturned is ${shown(maxPerReturned)}: it is at least 1.`);
  }
  const summary = explainSummary(await explained(cursor));
  const reasons = reasonsAgainst(summary, { ...expected, maxPerReturned });
  if (reasons.length > 0) throw new NotIndexedError(reasons, summary);
  return summary;
}

async function explained(cursor: Explainable): Promise<unknown> {
  try {
    return await cursor.explain('executionStats');
  } catch (error) {
    throw new ExplainFailedError(error);
  }
}

function reasonsAgainst(
  summary: ExplainSummary,
  {
    index,
    maxPerReturned,
    sorted = false,
    covered = false,
    wholeIndex = false,
  }: Expectation & { maxPerReturned: number },
): string[] {
  const { verdict, keys, indexes, stages, figures } = summary;
  const reasons: string[] = [];
  if (verdict !== 'ok' && !(verdict === 'wholeIndex' && wholeIndex)) {
    reasons.push(REASONS[verdict], ...(verdict === 'unknown' ? [`${summary.unknown.join('; ')}.`] : []));
  }
  if (index !== undefined && !indexes.some(({ name }) => name === index)) {
    const used = indexes.map(({ name }) => name).join(', ') || 'none';
    reasons.push(`The index ${index} is not used (used: ${used}).`);
  }
  // What is grouped or counted returns less than it reads, and rightly.
  const counts = stages.some((stage) => stage === 'GROUP' || stage === 'COUNT');
  // Each part for itself: what one of them reads in vain is no better for what another one finds.
  for (const part of counts ? [] : figures) {
    const examined = Math.max(part.keys, part.docs);
    if (examined > maxPerReturned * Math.max(part.returned, 1)) {
      reasons.push(`${examined} were examined to return ${part.returned}: more than ${maxPerReturned} for each.`);
    }
  }
  if (verdict !== 'unknown' && keys === undefined) reasons.push('What the run cost is not told (executionStats).');
  if (sorted && summary.memorySort) reasons.push('It is sorted in memory.');
  if (covered && !summary.covered) reasons.push('Documents are opened.');
  return reasons;
}
