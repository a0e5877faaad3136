import type { Document } from 'mongodb';
import { type ReadPlan, summaryWith, type VerdictOf } from '../src/explain.ts';
import type { Direction, Expectation, Explainable, ExplainSummary, IndexUse, Verdict } from '../src/index.ts';
import { ExplainFailedError, InvalidArgumentError, NotIndexedError } from '../src/index.ts';
import { conditionsOf, isEquality } from '../src/order.ts';
import { indexUse, inputsOf, isTree, type Reading } from '../src/plan.ts';
import { literalsOf } from '../src/regex.ts';

// What is not the idea is given: where an answer keeps its plans and figures (`summaryWith`), what stands below a stage
// (`inputsOf`), what an index is called (`indexUse`), how a filter and an expression are taken apart. You read the plan
// and judge it. `h` in `pnpm lab learn mongo-indexes` gives a hint. src/plan.ts, src/explain.ts, src/regex.ts,
// src/order.ts and src/gate.ts hold solutions.
export {
  type Direction,
  type Expectation,
  type Explainable,
  ExplainFailedError,
  type ExplainSummary,
  IndexError,
  type IndexUse,
  InvalidArgumentError,
  NotIndexedError,
  type Verdict,
} from '../src/index.ts';

/** What a query plan does. Given: the way to the plans; they are read by `readPlan` and judged by `verdictOf`. */
export function explainSummary(explain: unknown): ExplainSummary {
  return summaryWith(explain, readPlan, verdictOf);
}

/**
 * Reads one `winningPlan` into `into`: pushes its stage to `stages`, root first; an index to `indexes` (`indexUse(plan,
 * bounds)`), the name of a COLLSCAN to `scans`, of an EOF (which reads nothing) to `nothing`, whatever isn't understood,
 * in words, to `unknown`. `inputsOf(plan)` is what stands below; an input with a `winningPlan` of its own is a shard: push
 * `{ name: shardName, plan: winningPlan }` to `shards`, and read that plan into the same `into`.
 * A slot-based plan has this tree under `queryPlan`, and no `stage` beside it.
 * Stages that read an index by bounds: IXSCAN, COUNT_SCAN, DISTINCT_SCAN, CLUSTERED_IXSCAN. That go straight to one
 * document: IDHACK, EXPRESS_IXSCAN, EXPRESS_CLUSTERED_IXSCAN. These, CLUSTERED_IXSCAN, COLLSCAN and FETCH open documents:
 * their names go to `opens`, too. Stages that work on others: FETCH, LIMIT, SKIP, SORT, PROJECTION_COVERED,
 * PROJECTION_SIMPLE, PROJECTION_DEFAULT, OR, GROUP, SHARDING_FILTER, SINGLE_SHARD, SHARD_MERGE, SHARD_MERGE_SORT, and more
 * that you'll meet.
 * Its flaws: it looks at the root alone, what it doesn't know it takes for an index, and of no plan it says nothing.
 */
const readPlan: ReadPlan = (plan, into) => {
  if (!isTree(plan)) return;
  into.stages.push(String(plan['stage']));
  if (plan['stage'] === 'COLLSCAN') into.opens.push('COLLSCAN');
  else into.indexes.push(indexUse(plan, boundsOf(plan)));
  if (inputsOf(plan).length > 0) todo('readPlan');
};

/**
 * How an index is read: `bounded`, `whole`, or `untold` where the plan has no `indexBounds`. They are a list of intervals,
 * as texts, for each field: `{ age: ['[25, 25]'], name: ['[MinKey, MaxKey]'] }`. Those of a COUNT_SCAN are two keys:
 * `{ startKey: { age: 25 }, endKey: { age: 25 } }`. A CLUSTERED_IXSCAN has `minRecord` and `maxRecord` in their stead.
 */
function boundsOf(_plan: Readonly<Record<string, unknown>>): IndexUse['bounds'] {
  return 'bounded';
}

/** Judges what was read, of all shards and parts together: the worst that is in it, `ok` only where an index is. */
const verdictOf: VerdictOf = (_reading: Reading): Verdict => 'ok';

/**
 * The text that every match begins with, undefined where there is none. Given: `literalsOf(characters)`, the literal
 * characters at the beginning, without one that may not be there (`a*`); a `^` isn't literal, and ends them.
 * Its flaw: it asks for no anchor, no flags and no alternatives.
 * @throws InvalidArgumentError for what is no RegExp
 */
export function indexedPrefix(regex: RegExp): string | undefined {
  if (!(regex instanceof RegExp)) throw new InvalidArgumentError(`${String(regex)} is no RegExp.`);
  return literalsOf([...regex.source]).join('');
}

/**
 * The fields of an index for a query. Given: `conditionsOf(filter)`, pairs of field and condition, which throws for what
 * no index serves; `isEquality(field, condition, sorted)`. You throw InvalidArgumentError for a direction that isn't 1 or
 * -1, and where there is no field at all. A field stands once: where it comes first.
 * Its flaw: the fields are in the order of the filter.
 */
export function indexFor(filter: Document, sort: Readonly<Record<string, Direction>> = {}): Map<string, Direction> {
  const index = new Map<string, Direction>();
  for (const [field, condition] of conditionsOf(filter)) {
    if (isEquality(field, condition, Object.keys(sort).length > 0)) index.set(field, 1);
    else index.set(field, 1);
  }
  return index;
}

/**
 * Refuses a query by NotIndexedError, with all reasons that there are, unless it searches an index: the verdict (a scan
 * with the word COLLSCAN, `unknown` with what wasn't known), another index than expected (with the names of those that
 * were used), more than `maxPerReturned` (10) examined for each that is returned, of keys or documents, whichever are more
 * ("200 were examined to return 1: more than 10 for each."; each part of `figures` for itself; what returns nothing
 * counts as one; not where GROUP or COUNT counts them), figures that aren't told, a sort in memory where `sorted` was asked for, opened documents where `covered` was. `wholeIndex` lets an
 * index be read from end to end. An error of the driver is an ExplainFailedError; a `maxPerReturned` that is no number from
 * 1 on, an InvalidArgumentError.
 * Its flaw: everything passes.
 */
export async function assertIndexed(cursor: Explainable, expected: Expectation = {}): Promise<ExplainSummary> {
  const { maxPerReturned = 10 } = expected;
  if (!(maxPerReturned >= 1)) throw new InvalidArgumentError(`maxPerReturned is ${String(maxPerReturned)}.`);
  const answer = await cursor.explain('executionStats').catch((error: Error) => {
    throw new ExplainFailedError(error);
  });
  const summary = explainSummary(answer);
  const reasons: string[] = [];
  if (reasons.length > 0) throw new NotIndexedError(reasons, summary);
  return summary;
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
