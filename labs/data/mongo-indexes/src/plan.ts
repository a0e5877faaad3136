import { inspect } from 'node:util';

/** A plain object, as the driver makes one of a document. */
export type Tree = { readonly [key: string]: unknown };

export interface IndexUse {
  readonly name: string;
  /** One document may have many keys in it: such an index never covers. Undefined where the plan doesn't say. */
  readonly multikey: boolean | undefined;
  /** `whole`: read from one end to the other, or all that is text; `untold`: the plan has no bounds. */
  readonly bounds: 'bounded' | 'whole' | 'untold';
}

/** What one plan does, collected on the way down. */
export interface Reading {
  /** Root first. */
  readonly stages: string[];
  readonly indexes: IndexUse[];
  /** Collections that are read from end to end. */
  readonly scans: string[];
  /** Plans that read nothing: the collection isn't there, or no document can match. */
  readonly nothing: string[];
  /** Where documents are opened. */
  readonly opens: string[];
  /** Everything that wasn't understood. */
  readonly unknown: string[];
  readonly shards: { readonly name: string; readonly plan: unknown }[];
}

export const newReading = (): Reading => ({
  stages: [],
  indexes: [],
  scans: [],
  nothing: [],
  opens: [],
  unknown: [],
  shards: [],
});

/** A value from outside in a few words. Never throws, unlike a template. */
export const shown = (value: unknown): string =>
  typeof value === 'string'
    ? value.slice(0, 80)
    : inspect(value, { depth: 0, maxArrayLength: 3, breakLength: Infinity });

/** What an object has in it, in a few words. */
export const keysOf = (tree: Tree): string => Object.keys(tree).slice(0, 8).join(', ') || 'nothing';

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Stages that read an index by bounds. */
const BY_BOUNDS = new Set(['IXSCAN', 'DISTINCT_SCAN', 'COUNT_SCAN']);
/** Stages that go to what they look for: an `_id`, a unique key, a place. They open the document, too. */
const STRAIGHT = new Set([
  ...['IDHACK', 'EXPRESS_IXSCAN', 'EXPRESS_CLUSTERED_IXSCAN', 'EXPRESS_UPDATE', 'EXPRESS_DELETE'],
  ...['GEO_NEAR_2D', 'GEO_NEAR_2DSPHERE'],
]);
/** Stages that work on what others have read. Of these FETCH and TEXT_MATCH open documents. */
const WORKS_ON = new Set([
  ...[
    'FETCH',
    'TEXT_MATCH',
    'PROJECTION_COVERED',
    'PROJECTION_SIMPLE',
    'PROJECTION_DEFAULT',
    'PROJECTION',
    'RETURN_KEY',
  ],
  ...['SORT', 'SORT_MERGE', 'SORT_KEY_GENERATOR', 'LIMIT', 'SKIP', 'OR', 'TEXT_OR', 'AND_HASH', 'AND_SORTED'],
  ...['SUBPLAN', 'CACHED_PLAN', 'COUNT', 'GROUP', 'UNIQUE', 'UPDATE', 'DELETE', 'BATCHED_DELETE'],
  ...['SHARDING_FILTER', 'SINGLE_SHARD', 'SHARD_MERGE', 'SHARD_MERGE_SORT'],
]);
const JOINS = new Set(['EQ_LOOKUP', 'EQ_LOOKUP_UNWIND']);

/** Reads a `winningPlan` into `into`: classic, slot-based (`queryPlan`), sharded or express. */
export function readPlan(given: unknown, into: Reading): void {
  const plan = isTree(given) && isTree(given['queryPlan']) ? given['queryPlan'] : given;
  if (!isTree(plan) || typeof plan['stage'] !== 'string') {
    into.unknown.push(isTree(plan) ? `a plan of ${keysOf(plan)}` : `a plan that is ${shown(plan)}`);
    return;
  }
  const { stage } = plan;
  into.stages.push(stage);
  const inputs = inputsOf(plan);
  if (stage === 'COLLSCAN') {
    into.scans.push(stage);
    into.opens.push(stage);
  } else if (stage === 'EOF') into.nothing.push(stage);
  else if (BY_BOUNDS.has(stage)) into.indexes.push(indexUse(plan, leadingBounds(plan)));
  else if (stage === 'CLUSTERED_IXSCAN') {
    const bounded = 'minRecord' in plan || 'maxRecord' in plan;
    into.indexes.push({ name: '_id', multikey: false, bounds: bounded ? 'bounded' : 'whole' });
    into.opens.push(stage);
  } else if (STRAIGHT.has(stage)) {
    into.indexes.push(indexUse(plan, 'bounded'));
    into.opens.push(stage);
  } else if (JOINS.has(stage)) readJoin(plan, into);
  else if (!WORKS_ON.has(stage)) into.unknown.push(`the stage ${stage}`);
  if (inputs.length === 0 && (JOINS.has(stage) || WORKS_ON.has(stage)))
    into.unknown.push(`${stage} without what it works on`);
  if (stage === 'FETCH' || stage === 'TEXT_MATCH') into.opens.push(stage);
  for (const input of inputs) {
    if (isTree(input) && 'winningPlan' in input) {
      into.shards.push({ name: shown(input['shardName']), plan: input['winningPlan'] });
      readPlan(input['winningPlan'], into);
    } else readPlan(input, into);
  }
}

/** What stands below a stage: one, several, or shards. */
export function inputsOf(plan: Tree): unknown[] {
  const { inputStage, inputStages, shards } = plan;
  const lists = [inputStages, shards].flatMap((list) =>
    Array.isArray(list) ? list : list === undefined ? [] : [list],
  );
  return inputStage === undefined ? lists : [inputStage, ...lists];
}

export function indexUse({ indexName, isMultiKey }: Tree, bounds: IndexUse['bounds']): IndexUse {
  return {
    name: typeof indexName === 'string' ? indexName : '_id_',
    multikey: typeof isMultiKey === 'boolean' ? isMultiKey : undefined,
    bounds,
  };
}

/** All keys, or all that are text: what is left of a regular expression without a prefix. Both directions. */
const WHOLE = /^(?:[[(](?:MinKey, MaxKey|MaxKey, MinKey)[\])]|\["", \{\}\)|\(\{\}, ""\])$/;
/** Objects put such names first: the order of the index is lost. */
const NUMBER_LIKE = /^(?:0|[1-9]\d*)$/;

/** The first field decides: who doesn't bound it reads the index from end to end, whatever comes after. */
function leadingBounds({ indexBounds }: Tree): IndexUse['bounds'] {
  if (!isTree(indexBounds)) return 'untold';
  const { startKey } = indexBounds;
  if (isTree(startKey)) {
    // COUNT_SCAN tells two keys.
    const [first] = Object.values(startKey);
    return isEnd(first) ? 'whole' : 'bounded';
  }
  const fields = Object.entries(indexBounds);
  if (fields.length > 1 && fields.some(([name]) => NUMBER_LIKE.test(name))) {
    return fields.every(([, intervals]) => boundsBy(intervals) === 'bounded') ? 'bounded' : 'untold';
  }
  return boundsBy(fields[0]?.[1]);
}

function boundsBy(intervals: unknown): IndexUse['bounds'] {
  if (!Array.isArray(intervals) || intervals.length === 0) return 'untold';
  if (!intervals.every((interval) => typeof interval === 'string')) return 'untold';
  return intervals.some((interval) => WHOLE.test(interval)) ? 'whole' : 'bounded';
}

/** Where the keys begin or, in a descending index, where they end. */
function isEnd(key: unknown): boolean {
  if (!isTree(key)) return false;
  return key['_bsontype'] === 'MinKey' || key['_bsontype'] === 'MaxKey' || '$minKey' in key || '$maxKey' in key;
}

/** `$lookup` in the slot-based engine says how it joins. */
function readJoin(plan: Tree, into: Reading): void {
  const { strategy, indexName, foreignCollection } = plan;
  into.opens.push('EQ_LOOKUP');
  if (strategy === 'IndexedLoopJoin') {
    into.indexes.push({ name: shown(indexName), multikey: undefined, bounds: 'bounded' });
  } else if (strategy === 'NestedLoopJoin' || strategy === 'HashJoin') {
    into.scans.push(`${strategy} with ${shown(foreignCollection)}`);
  } else if (strategy === 'NonExistentForeignCollection') {
    into.unknown.push(`a join with ${shown(foreignCollection)}, which is not there`);
  } else into.unknown.push(`a join by ${shown(strategy)}`);
}
