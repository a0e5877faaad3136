import { random } from '@shared/testkit';
import { BSONRegExp, Double, Int32, Long, MaxKey, MinKey } from 'mongodb';
import { expect, test } from 'vitest';
import { explainSummary, InvalidArgumentError, indexedPrefix, indexFor } from '#lab';
import * as records from './records.ts';

// Laws about what a mongod has answered (test/records.ts) and about what can be said before it is asked. No server.

const SEED = Number(process.env['LAB_SEED'] ?? 20_262);
const { AGGREGATE_COLLSCAN, COVERED, EXPRESS, REGEX_SBE, SHARDED_MIXED } = records;
const planned = (winningPlan: unknown) => ({ queryPlanner: { winningPlan, rejectedPlans: [] } });
const verdict = (explain: unknown) => explainSummary(explain).verdict;

// ── core ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a collection that is read from end to end is told, whatever stands above it', () => {
  const { verdict: said, stages, docs } = explainSummary(AGGREGATE_COLLSCAN);
  expect({ said, docs }, 'LIMIT over COLLSCAN').toEqual({ said: 'scan', docs: undefined });
  expect(stages.slice(0, 2), 'its stages, root first').toEqual(['LIMIT', 'COLLSCAN']);
  const bare = explainSummary(records.LOOKUP.stages[0]?.$cursor);
  expect({ ...bare }, 'COLLSCAN alone').toMatchObject({ verdict: 'scan', keys: 0, docs: 6, returned: 6, indexes: [] });
});

test('the plan that won is judged, never one that was rejected', () => {
  const { verdict: said, indexes, stages, covered } = explainSummary(records.WITH_A_REJECTED_PLAN);
  expect({ said, indexes: indexes.map(({ name }) => name), stages, covered }).toEqual({
    said: 'ok',
    indexes: ['email_1_status_1'],
    stages: ['PROJECTION_COVERED', 'IXSCAN'],
    covered: true,
  });
});

test('an index is found in a slot-based plan and on the express path', () => {
  const counted = explainSummary(records.COUNT_SBE);
  expect({ ...counted }, 'slot-based, under queryPlan').toMatchObject({
    verdict: 'ok',
    stages: ['GROUP', 'COUNT_SCAN', '$project'],
    indexes: [{ name: 'a_1', multikey: true, bounds: 'bounded' }],
    keys: 2,
    docs: 0,
  });
  expect({ ...explainSummary(EXPRESS) }, 'express').toMatchObject({
    verdict: 'ok',
    stages: ['EXPRESS_IXSCAN'],
    indexes: [{ name: 'a_1_b_1', bounds: 'bounded' }],
    covered: false,
  });
  for (const record of [records.EXPRESS_CLUSTERED, records.CLUSTERED]) {
    const { verdict: said, stages, unknown } = explainSummary(record);
    expect(said, `clustered: ${stages.join(' ← ')}; not understood: ${unknown.join() || 'nothing'}`).toBe('ok');
  }
});

test('what is not known is unknown, and never ok', () => {
  const inputStage = COVERED.queryPlanner.winningPlan.inputStage;
  const shapes: Record<string, unknown> = {
    'a stage of tomorrow over an index': planned({ stage: 'VECTOR_SCAN', inputStage }),
    'a stage of tomorrow alone': planned({ stage: 'QUANTUM_IXSCAN', indexName: 'a_1' }),
    'a slot-based plan without its query plan': planned({ slotBasedPlan: { stages: '[1] ixseek s1 s2' } }),
    'FETCH of nothing': planned({ stage: 'FETCH' }),
    'no plan': planned(undefined),
    'no planner': { ok: 1 },
    nothing: {},
    null: null,
    'a text': 'IXSCAN',
    'no shards': { shards: {} },
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const { verdict: said, unknown } = explainSummary(shape);
    expect(said, name).toBe('unknown');
    expect(unknown.join(), `${name}: what wasn't understood, in \`unknown\``).not.toBe('');
  }
});

test('one shard that scans is a scan, however well the others do', () => {
  const { verdict: said, shards, indexes } = explainSummary(SHARDED_MIXED);
  expect(shards, 'each shard').toEqual([
    { name: 'shard01', verdict: 'scan' },
    { name: 'shard02', verdict: 'ok' },
    { name: 'shard03', verdict: 'ok' },
  ]);
  expect({ said, used: [...new Set(indexes.map(({ name }) => name))] }).toEqual({ said: 'scan', used: ['age_1'] });
});

test('an index that nothing bounds is read from end to end', () => {
  const { verdict: said, indexes, keys, returned } = explainSummary(REGEX_SBE);
  expect({ said, keys, returned }, '/png/i by an index: an IXSCAN').toEqual({
    said: 'wholeIndex',
    keys: 479,
    returned: 6,
  });
  expect(indexes).toEqual([{ name: 'abbr_index', multikey: false, bounds: 'whole' }]);
  expect(verdict(records.SORTED_BY_INDEX), '[MinKey, MaxKey] in the first field').toBe('wholeIndex');
  expect(verdict(COVERED), '[MaxKey, MinKey] in the second, after an equality').toBe('ok');
});

test('a regular expression is bounded by the text that every match begins with', () => {
  const prefixes: [RegExp, string | undefined][] = [
    [/^张/, '张'],
    [/^张三/, '张三'],
    [/张/, undefined],
    [/^张/i, undefined],
    [/^张|李/, undefined],
    [/^张*/, undefined],
    [/^张三?/, '张'],
    [/^张.三/, '张'],
    [/^a\.b\d/, 'a.b'],
    [/^.*张/, undefined],
    [/^𠮷?/, undefined],
    [/^$/, undefined],
  ];
  for (const [regex, prefix] of prefixes) expect(indexedPrefix(regex), `the prefix of ${regex}`).toBe(prefix);
});

test('an index has equalities first, then what sorts, then ranges', () => {
  const key = (...of: Parameters<typeof indexFor>) => [...indexFor(...of)].map(([field, way]) => `${field} ${way}`);
  const grown = { age: { $gte: 18 }, gender: '男', city: { $in: ['北京', '上海'] } };
  expect(key(grown, { joined: -1 }), 'age ≥ 18, gender, city, sorted by joined').toEqual([
    'gender 1',
    'city 1',
    'joined -1',
    'age 1',
  ]);
  expect(key({ name: /^张/, age: 30 }), '/^张/ is a range').toEqual(['age 1', 'name 1']);
  expect(key({ age: { $gt: 18 } }, { age: -1 }), 'sorted by the range').toEqual(['age -1']);
  expect(key({ age: { $eq: 18 } }, { age: 1, name: 1 }), 'sorted by an equality').toEqual(['age 1', 'name 1']);
  expect(key({ $and: [{ b: { $ne: 1 } }, { a: null }] }), '$and, $ne').toEqual(['a 1', 'b 1']);
  for (const filter of [{ $where: 'this.a' }, { $expr: { $eq: ['$a', 1] } }, { $or: [{ a: 1 }, { b: 1 }] }, {}]) {
    expect(() => indexFor(filter), JSON.stringify(filter)).toThrow(InvalidArgumentError);
  }
});

// ── hardening ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('a sort in memory is told, and so is an answer from the index alone', () => {
  const memory = (explain: unknown) => explainSummary(explain).memorySort;
  const covered = (explain: unknown) => explainSummary(explain).covered;
  expect([records.SORTED_IN_MEMORY, records.SORTED_BY_INDEX].map(memory)).toEqual([true, false]);
  expect(memory({ stages: [...AGGREGATE_COLLSCAN.stages, { $sort: { at: 1 } }] }), '$sort left over').toBe(true);
  expect([COVERED, records.COUNT_SBE].map(covered), 'covered').toEqual([true, true]);
  const open = [EXPRESS, records.CLUSTERED, records.SORTED_BY_INDEX, SHARDED_MIXED, records.LOOKUP, {}];
  expect(open.map(covered), 'documents are opened').toEqual(open.map(() => false));
});

test('an aggregate on shards is read on each of them, and what merges them reads no collection', () => {
  const { verdict: said, shards, stages } = explainSummary(records.SHARDED_AGGREGATE);
  expect({ said, shards, last: stages.slice(-2) }).toEqual({
    said: 'ok',
    shards: ['shard2', 'shard1'].map((name) => ({ name, verdict: 'ok' })),
    last: ['$group', '$unwind'],
  });
  const { shard1 } = records.SHARDED_AGGREGATE.shards;
  const lost = { ...records.SHARDED_AGGREGATE, shards: { shard1, shard2: { host: 'localhost:8002' } } };
  expect(verdict(lost), 'a shard that says nothing').toBe('unknown');
  for (const splitPipeline of [{}, { mergerPart: {} }, 'merged'])
    expect(verdict({ ...records.SHARDED_AGGREGATE, splitPipeline }), JSON.stringify(splitPipeline)).toBe('unknown');
  const merged = { splitPipeline: { mergerPart: [{ $unionWith: { coll: 'x' } }] } };
  expect(verdict({ ...records.SHARDED_AGGREGATE, ...merged }), 'a merger that reads another one').toBe('unknown');
});

test('a $lookup is judged by what it did, and unknown without it', () => {
  const [cursor, lookup] = records.LOOKUP.stages;
  const indexed = COVERED.queryPlanner.winningPlan;
  const after = (stage: unknown) => ({ stages: [{ $cursor: { ...cursor?.$cursor, ...planned(indexed) } }, stage] });
  expect({ ...explainSummary(after(lookup)) }, 'by _id_').toMatchObject({ verdict: 'ok', covered: false, keys: 5 });
  expect(explainSummary(after(lookup)).indexes.map(({ name }) => name)).toEqual(['user_runs', '_id_']);
  expect(verdict(after({ ...lookup, collectionScans: 1 })), 'one scan').toBe('scan');
  expect(verdict(after(AGGREGATE_COLLSCAN.stages[2])), 'as 5.0.3 tells it, without figures').toBe('unknown');
  const idle = { ...lookup, totalKeysExamined: 0, totalDocsExamined: 0, indexesUsed: [] };
  expect(verdict(after(idle)), 'nothing was there to look up').toBe('unknown');
  const $lookup = { from: 'districts', as: 'district', let: {}, pipeline: [] };
  expect(verdict(after({ ...lookup, $lookup })), 'an index within a pipeline of its own').toBe('unknown');
  const eq = (strategy: string, below: object = { inputStage: indexed }) =>
    verdict(planned({ stage: 'EQ_LOOKUP', strategy, indexName: 'a_1', foreignCollection: 'x', ...below }));
  const joins = ['IndexedLoopJoin', 'NestedLoopJoin', 'HashJoin', 'NonExistentForeignCollection', 'JoinOfTomorrow'];
  expect(joins.map((it) => eq(it))).toEqual(['ok', 'scan', 'scan', 'unknown', 'unknown']);
  expect(eq('IndexedLoopJoin', {}), 'a join of nothing').toBe('unknown');
  for (const stage of ['$graphLookup', '$unionWith', '$facet', '$tomorrow'])
    expect(verdict(after({ [stage]: {} })), stage).toBe('unknown');
});

test('an index whose bounds are not told has to show that every key was an answer', () => {
  const { indexBounds: _, ...inputStage } = COVERED.queryPlanner.winningPlan.inputStage;
  const asked = (keys: number) => ({
    ...planned({ stage: 'FETCH', inputStage }),
    executionStats: { executionSuccess: true, nReturned: 20, totalKeysExamined: keys, totalDocsExamined: 20 },
  });
  expect([20, 21, 22].map((keys) => verdict(asked(keys)))).toEqual(['ok', 'ok', 'unknown']);
  expect(verdict(planned({ stage: 'FETCH', inputStage })), 'planned, not run').toBe('unknown');
  for (const indexBounds of [{}, { a: [] }, { a: '["x", "x"]' }])
    expect(verdict(planned({ ...inputStage, indexBounds })), JSON.stringify(indexBounds)).toBe('unknown');
});

test('bounds of both directions and of a count are understood', () => {
  const scan = (...intervals: string[]) =>
    planned({ stage: 'IXSCAN', indexName: 'a_1', indexBounds: { a: intervals } });
  for (const all of [
    '[MinKey, MaxKey]',
    '[MaxKey, MinKey]',
    '["", {})',
    '({}, ""]',
    '(MinKey, MaxKey]',
    '[MaxKey, MinKey)',
  ])
    expect(verdict(scan('["x", "x"]', all)), all).toBe('wholeIndex');
  expect(verdict(scan('["张", "弡")', '[/^张/, /^张/]')), 'a prefix').toBe('ok');
  const count = (first: unknown) => planned({ stage: 'COUNT_SCAN', indexBounds: { startKey: { a: first, b: 1 } } });
  const starts = [new MinKey(), { $minKey: 1 }, 5, null].map((first) => verdict(count(first)));
  expect(starts).toEqual(['wholeIndex', 'wholeIndex', 'ok', 'ok']);
  const descending = [new MaxKey(), { $maxKey: 1 }].map((first) => verdict(count(first)));
  expect(descending, 'a count by a descending index').toEqual(['wholeIndex', 'wholeIndex']);
  const mixed = (name: string, year: string) =>
    verdict(planned({ stage: 'IXSCAN', indexName: 'n', indexBounds: { name: [name], 2026: [year] } }));
  expect(mixed('[MinKey, MaxKey]', '[1, 1]'), 'a name like a number comes first in any object').toBe('unknown');
  expect(mixed('["x", "x"]', '[1, 1]')).toBe('ok');
  expect(verdict(planned({ stage: 'CLUSTERED_IXSCAN' })), 'clustered, no bounds').toBe('wholeIndex');
});

test('figures are counts of any width, all of them, of a run that was not broken off', () => {
  const { executionStats } = EXPRESS;
  const run = (stats: object) => explainSummary({ ...EXPRESS, executionStats: { ...executionStats, ...stats } });
  expect(run({ totalKeysExamined: Long.fromNumber(7), totalDocsExamined: 8n })).toMatchObject({ keys: 7, docs: 8 });
  expect(run({ totalKeysExamined: new Int32(7), totalDocsExamined: new Double(8) })).toMatchObject({
    keys: 7,
    docs: 8,
  });
  for (const wrong of ['1', -1, 0.5, null, undefined, 2 ** 60, {}])
    expect(run({ nReturned: wrong }), String(wrong)).toMatchObject({ verdict: 'unknown', keys: undefined });
  const failed = run({ executionSuccess: false, errorMessage: 'operation exceeded time limit' });
  expect(failed.verdict).toBe('unknown');
  expect(failed.unknown.join()).toContain('exceeded time limit');
  const shards = [{ executionSuccess: true }, { executionSuccess: false, errorMessage: 'interrupted' }];
  expect(run({ executionStages: { shards } }).verdict, 'one shard of two').toBe('unknown');
  const { verdict: said, keys } = explainSummary({ queryPlanner: EXPRESS.queryPlanner });
  expect({ said, keys }, 'planned, not run').toEqual({ said: 'ok', keys: undefined });
});

test('a query that reads nothing proves nothing', () => {
  expect(verdict(planned({ stage: 'EOF' }))).toBe('nothing');
  expect(verdict(planned({ stage: 'OR', inputStages: [{ stage: 'EOF' }, { stage: 'COLLSCAN' }] }))).toBe('scan');
});

test('a name of all objects is no stage', () => {
  for (const stage of ['constructor', '__proto__', 'toString']) {
    expect(verdict(planned({ stage })), stage).toBe('unknown');
    expect(verdict(JSON.parse(`{"stages":[{"${stage}":{}}]}`)), `pipeline: ${stage}`).toBe('unknown');
  }
});

test('what no server answers is unknown, and no error', () => {
  const bare = Object.create(null);
  const loop: Record<string, unknown> = { stage: 'FETCH' };
  loop['inputStages'] = [loop, loop];
  let deep: unknown = EXPRESS.queryPlanner.winningPlan;
  for (let level = 0; level < 20_000; level++) deep = { stage: 'FETCH', inputStage: deep };
  const { winningPlan } = COVERED.queryPlanner;
  const join = { stage: 'EQ_LOOKUP', strategy: bare, foreignCollection: bare, inputStage: winningPlan };
  const odd = [bare, [bare], Symbol('plan'), { stages: [] }, { stages: [bare] }, { stages: [{ $limit: 1 }] }];
  for (const answer of [...odd, planned(loop), planned(deep), planned(bare), planned([bare]), planned(join)]) {
    const { verdict: said, unknown } = explainSummary(answer);
    expect({ said, told: unknown.join() !== '' }, unknown.join()).toEqual({ said: 'unknown', told: true });
  }
  expect(explainSummary(Buffer.alloc(1_000)).unknown.join().length, 'an answer that is raw').toBeLessThan(100);
});

test('no text that matches lies outside the prefix, for random expressions', () => {
  const dice = random(SEED);
  const parts = ['a', 'b', '张', '𠮷', '.', 'a*', 'b?', '(a|b)', '[ab]', '张{0,2}', 'a+', '\\.', '\\d', '$', '|', '-'];
  const words = ['', 'a', 'b', '张', '𠮷', 'ab', 'ba', '张a', '𠮷b', 'a.b', '1', 'aab', '张张b', 'b-', '.a', '-'];
  const text = () => dice.pick(words) + dice.pick(words) + dice.pick(words);
  let bounded = 0;
  for (let round = 0; round < 2_000; round++) {
    const source = `^${Array.from({ length: dice.int(1, 4) }, () => dice.pick(parts)).join('')}`;
    const regex = new RegExp(source, dice.pick(['', 'u', 's']));
    const prefix = indexedPrefix(regex);
    if (prefix === undefined) continue;
    bounded += 1;
    const outside = Array.from({ length: 20 }, text).filter((it) => regex.test(it) && !it.startsWith(prefix));
    expect(outside, `${regex} is bounded by ${prefix} (seed ${SEED})`).toEqual([]);
  }
  expect(bounded, 'expressions with a prefix').toBeGreaterThan(200);
});

test('an index is refused for what no index can be made of', () => {
  const list = (length: number) => ({ city: { $in: Array.from({ length }, (_, i) => i) } });
  const key = (length: number) => [...indexFor(list(length), { at: 1 }).keys()];
  expect([key(200), key(201)], '$in and a sort: 200 are merged, 201 are a range').toEqual([
    ['city', 'at'],
    ['at', 'city'],
  ]);
  expect([...indexFor(list(500)).keys()]).toEqual(['city']);
  expect([...indexFor({ 1: 'x', name: /a/, 0: 'y' }).keys()], 'names that look like numbers').toEqual([
    '0',
    '1',
    'name',
  ]);
  expect([...indexFor({ address: { city: '北京' }, at: new Date(0) }).keys()], 'documents').toEqual(['address', 'at']);
  expect([...indexFor({ name: { $regex: '^张', $options: 'i' }, a: { $eq: 1, $gt: 0 } }).keys()]).toEqual([
    'a',
    'name',
  ]);
  const bare = Object.assign(Object.create(null), { $gte: 18 });
  const sorted = (condition: unknown) => [...indexFor({ a: condition, $comment: 'page' }, { at: 1 }).keys()];
  for (const range of [new BSONRegExp('^a'), { $in: ['b', /^a/] }, bare])
    expect(sorted(range), "a range that doesn't look like one").toEqual(['at', 'a']);
  // @ts-expect-error: null is no filter
  expect(() => indexFor(null)).toThrow(InvalidArgumentError);
  for (const foreign of [new Map([['a', 1]]), new Date(), Promise.resolve({ a: 1 })])
    expect(() => indexFor(foreign, { at: 1 }), String(foreign)).toThrow(InvalidArgumentError);
  for (const sort of [null, new Map([['a', 1]]), { $natural: 1 }, { a: Object.create(null) }]) {
    // @ts-expect-error: a sort is an object of directions
    expect(() => indexFor({ a: 1 }, sort)).toThrow(InvalidArgumentError);
  }
  for (const filter of [[], { $text: {} }, { a: { $near: [1, 2] } }, { a: { $elemMatch: { b: 1 } } }])
    expect(() => indexFor(filter), JSON.stringify(filter)).toThrow(InvalidArgumentError);
  // @ts-expect-error: a direction is 1 or -1
  expect(() => indexFor({ a: 1 }, { b: 'text' })).toThrow(InvalidArgumentError);
  // @ts-expect-error: a text is no RegExp
  expect(() => indexedPrefix('^张')).toThrow(InvalidArgumentError);
  expect(() => indexedPrefix(Object.create(null))).toThrow(InvalidArgumentError);
  expect(indexedPrefix(new RegExp(`^a${'𠮷'.charAt(0)}`)), 'half a character').toBeUndefined();
});
