import { Double, Int32, Long } from 'mongodb';
import { type IndexUse, isTree, keysOf, newReading, type Reading, readPlan, shown, type Tree } from './plan.ts';

/**
 * - `ok`: an index, searched between bounds, on every shard and in every part of the pipeline
 * - `wholeIndex`: an index, read from end to end
 * - `scan`: a collection is read from end to end, if only on one shard or for a `$lookup`
 * - `nothing`: nothing was read: the collection isn't there, or nothing can match. That proves nothing.
 * - `unknown`: something wasn't understood; `unknown` of the summary says what
 */
export type Verdict = 'ok' | 'wholeIndex' | 'scan' | 'nothing' | 'unknown';

export interface ExplainSummary {
  readonly verdict: Verdict;
  /** All stages of the winning plan, root first; then those of the pipeline that the planner left over. */
  readonly stages: readonly string[];
  readonly indexes: readonly IndexUse[];
  /** Keys and documents that were examined, and what the plan returned to the rest of the pipeline. Undefined unless the query was run (`executionStats`). */
  readonly keys: number | undefined;
  readonly docs: number | undefined;
  readonly returned: number | undefined;
  /** The same of each part that was run for itself: the query of each shard, each `$lookup` (which returns what it opens). */
  readonly figures: readonly Figures[];
  /** Sorted after reading, not by an index. */
  readonly memorySort: boolean;
  /** Answered by an index alone. */
  readonly covered: boolean;
  readonly shards: readonly { readonly name: string; readonly verdict: Verdict }[];
  readonly unknown: readonly string[];
}

interface Figures {
  readonly keys: number;
  readonly docs: number;
  readonly returned: number;
}

interface Parts extends Reading {
  readonly figures: Figures[];
  /** Parts that were planned without being run. */
  planned: number;
  readonly parts: ExplainSummary['shards'][number][];
  readonly read: ReadPlan;
  readonly judge: VerdictOf;
}

/** Stages of a pipeline that read nothing but their input. */
const OWN_INPUT = new Set([
  ...['$match', '$project', '$set', '$addFields', '$unset', '$replaceRoot', '$replaceWith', '$redact', '$unwind'],
  ...['$group', '$sort', '$limit', '$skip', '$count', '$sortByCount', '$bucket', '$bucketAuto', '$sample'],
  ...['$setWindowFields', '$_internalSetWindowFields', '$densify', '$fill', '$out', '$merge'],
]);

/**
 * What a query plan does, read from the answer to `explain` of a find, count or aggregate: of one node or of shards, by
 * the classic engine, the slot-based one or the express path. Rejected plans are not read.
 * Source: https://www.mongodb.com/docs/manual/reference/explain-results/
 * @param explain as the driver answers; `executionStats` tells more than `queryPlanner`
 */
export function explainSummary(explain: unknown): ExplainSummary {
  return summaryWith(explain, readPlan, verdictOf);
}

export type ReadPlan = (winningPlan: unknown, into: Reading) => void;
export type VerdictOf = (reading: Reading) => Verdict;

/** `explainSummary` by another reader and another judge of plans. */
export function summaryWith(explain: unknown, read: ReadPlan, judge: VerdictOf): ExplainSummary {
  const into: Parts = { ...newReading(), figures: [], planned: 0, parts: [], read, judge };
  if (isBottomless(explain)) into.unknown.push('an answer that is deeper than any document');
  else readAnswer(explain, into);
  if (!(['scans', 'indexes', 'nothing', 'unknown'] as const).some((key) => into[key].length > 0)) {
    into.unknown.push('an answer without a plan');
  }
  const told = into.planned === 0 && into.figures.length > 0;
  const total = (of: keyof Figures) => (told ? into.figures.reduce((sum, each) => sum + each[of], 0) : undefined);
  return {
    verdict: judge(into),
    stages: into.stages,
    indexes: into.indexes,
    keys: total('keys'),
    docs: total('docs'),
    returned: total('returned'),
    figures: into.figures,
    memorySort: into.stages.some((stage) => stage === 'SORT' || stage === '$sort'),
    covered: judge(into) !== 'unknown' && into.indexes.length > 0 && into.opens.length === 0,
    shards: into.parts,
    unknown: into.unknown,
  };
}

/** No document of MongoDB has more levels than 200: what has more was made by hand, or holds itself. */
function isBottomless(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth > 200 || Object.values(value).some((each) => isBottomless(each, depth + 1));
}

function readAnswer(answer: unknown, into: Parts): void {
  if (!isTree(answer)) into.unknown.push(`an answer that is ${shown(answer)}`);
  else if (Array.isArray(answer['stages'])) readPipeline(answer['stages'], into);
  else if (isTree(answer['queryPlanner'])) readQuery(answer, into);
  else if (isTree(answer['shards'])) {
    for (const [name, shard] of Object.entries(answer['shards'])) {
      const part: Parts = { ...into, ...newReading(), figures: [], planned: 0, parts: [] };
      readAnswer(shard, part);
      join(part, into);
      into.parts.push({ name, verdict: into.judge(part) });
    }
    if (into.parts.length === 0) into.unknown.push('an answer of no shards');
    const { splitPipeline } = answer;
    if (isTree(splitPipeline) && Array.isArray(splitPipeline['mergerPart'])) {
      // The merger's own first stage only takes what the shards send.
      readPipeline(
        splitPipeline['mergerPart'].filter((stage) => !(isTree(stage) && '$mergeCursors' in stage)),
        into,
      );
    } else if (splitPipeline !== undefined && splitPipeline !== null) into.unknown.push('what merges the shards');
  } else into.unknown.push(`an answer of ${keysOf(answer)}`);
}

function readPipeline(stages: readonly unknown[], into: Parts): void {
  for (const stage of stages) {
    const [name] = isTree(stage) ? Object.keys(stage) : [];
    const body = isTree(stage) && name !== undefined ? stage[name] : undefined;
    if (!isTree(stage) || name === undefined) into.unknown.push(`a stage that is ${shown(stage)}`);
    else if (name === '$cursor' || name === '$geoNearCursor') readAnswer(body, into);
    else if (name === '$lookup') readLookup(stage, into);
    else if (OWN_INPUT.has(name)) into.stages.push(name);
    else {
      into.stages.push(name);
      into.unknown.push(`the stage ${name}`);
    }
  }
}

/** A query and what the run of it cost. */
function readQuery(answer: Tree, into: Parts): void {
  const { queryPlanner, executionStats } = answer;
  const reading = newReading();
  into.read(isTree(queryPlanner) ? queryPlanner['winningPlan'] : undefined, reading);
  const figures = figuresOf(executionStats, reading);
  if (figures) into.figures.push(figures);
  else into.planned += 1;
  // Who tells no bounds has to show that every key it read was an answer.
  const proven = figures !== undefined && figures.keys <= figures.returned + 1;
  const indexes = reading.indexes.map((use): IndexUse => {
    if (use.bounds !== 'untold') return use;
    if (!proven) reading.unknown.push(`${use.name}: between which bounds it is read`);
    return proven ? { ...use, bounds: 'bounded' } : use;
  });
  join({ ...reading, indexes }, into);
  for (const { name, plan } of reading.shards) {
    const shard = newReading();
    into.read(plan, shard);
    into.parts.push({ name, verdict: into.judge(shard) });
  }
}

function figuresOf(stats: unknown, { unknown }: Reading): Figures | undefined {
  if (!isTree(stats)) return undefined;
  const { executionStages } = stats;
  const shards = isTree(executionStages) && Array.isArray(executionStages['shards']) ? executionStages['shards'] : [];
  for (const run of [stats, ...shards]) {
    if (isTree(run) && run['executionSuccess'] === false) {
      unknown.push(`a run that failed: ${shown(run['errorMessage'])}`);
    }
  }
  const [keys, docs, returned] = ['totalKeysExamined', 'totalDocsExamined', 'nReturned'].map((name) =>
    whole(stats[name]),
  );
  if (keys !== undefined && docs !== undefined && returned !== undefined) return { keys, docs, returned };
  unknown.push('what the run cost');
  return undefined;
}

/** `$lookup` as a stage of its own says what it cost in `executionStats` (since 5.0), not before. */
function readLookup(stage: Tree, into: Parts): void {
  into.stages.push('$lookup');
  into.opens.push('$lookup');
  const { $lookup, indexesUsed } = stage;
  const from = isTree($lookup) ? shown($lookup['from']) : '?';
  const [scans, keys, docs] = ['collectionScans', 'totalKeysExamined', 'totalDocsExamined'].map((name) =>
    whole(stage[name]),
  );
  if (scans === undefined) into.unknown.push(`what $lookup does in ${from}`);
  else if (scans > 0) into.scans.push(`$lookup in ${from}`);
  else if (keys === 0 && docs === 0) into.unknown.push(`what $lookup does in ${from}: it had nothing to look up`);
  // A pipeline of its own may read an index from end to end, and nobody tells. An equality is bounded.
  const bounds = isTree($lookup) && typeof $lookup['localField'] === 'string' ? 'bounded' : 'untold';
  for (const index of Array.isArray(indexesUsed) ? indexesUsed : []) {
    const name = shown(index);
    into.indexes.push({ name, multikey: undefined, bounds });
    if (bounds === 'untold') into.unknown.push(`${name}: between which bounds $lookup reads it`);
  }
  if (keys !== undefined && docs !== undefined) into.figures.push({ keys, docs, returned: docs });
  else into.planned += 1;
}

function verdictOf({ scans, unknown, indexes, nothing }: Reading): Verdict {
  if (scans.length > 0) return 'scan';
  if (unknown.length > 0) return 'unknown';
  if (indexes.some(({ bounds }) => bounds === 'whole')) return 'wholeIndex';
  if (indexes.some(({ bounds }) => bounds === 'untold')) return 'unknown';
  if (indexes.length > 0) return 'ok';
  return nothing.length > 0 ? 'nothing' : 'unknown';
}

function join(part: Reading & Partial<Parts>, into: Parts): void {
  for (const key of ['stages', 'scans', 'nothing', 'opens', 'unknown'] as const) into[key].push(...part[key]);
  into.indexes.push(...part.indexes);
  into.figures.push(...(part.figures ?? []));
  into.planned += part.planned ?? 0;
}

/** A count, as number, bigint, or a number of BSON that wasn't promoted. */
function whole(value: unknown): number | undefined {
  const number =
    typeof value === 'number' ? value : typeof value === 'bigint' || isBsonNumber(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function isBsonNumber(value: unknown): boolean {
  return value instanceof Long || value instanceof Int32 || value instanceof Double;
}
