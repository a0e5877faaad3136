import { random } from '@shared/testkit';
import { type Document, Long, ObjectId } from 'mongodb';
import { describe, expect, test } from 'vitest';
import {
  type Chunk,
  chunkFor,
  compareKeys,
  evenLayout,
  hashedValue,
  type KeyValue,
  keyOf,
  keyReport,
  layoutOf,
  MAX,
  MIN,
  mayBeUnique,
  placement,
  type ShardKey,
  ShardKeyError,
  shardsFor,
} from '#lab';
import { isExact, matches, parcels, SHAPES, SHARDS } from './parcels.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

/** A shard key of these fields, unhashed. */
const by = (...fields: string[]): ShardKey => fields.map((field) => [field, 1]);

describe('shards', () => {
  /** Chunks that begin at these keys, a shard each: s0, s1, …, and again from s0. */
  const chunksAt = (width: number, starts: readonly (readonly KeyValue[])[], shards = starts.length + 1): Chunk[] => {
    const fill = (value: KeyValue) => Array.from({ length: width }, () => value);
    const edges = [fill(MIN), ...starts, fill(MAX)];
    return edges.slice(1).map((max, i) => ({ min: edges[i] ?? [], max, shard: `s${i % shards}` }));
  };

  // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a key is in the chunk whose lower bound it has reached, and not in the one that ends there', () => {
    const chunks = chunksAt(1, [[10], [20], ['a'], ['m']]);
    const shard = (key: KeyValue) => chunkFor([key], chunks).shard;
    expect(
      [null, -5, 9, 10, 19.5, 20, 1e300, '', 'a', 'l', 'm', '中', true, MIN].map(shard),
      'shards of keys; chunks begin at MIN, 10, 20, "a", "m"',
    ).toEqual(['s0', 's0', 's0', 's1', 's1', 's2', 's2', 's2', 's3', 's3', 's4', 's4', 's4', 's0']);
    const two = chunksAt(2, [
      [1, 'k'],
      [2, MIN],
    ]);
    const shardOf = (...key: KeyValue[]) => chunkFor(key, two).shard;
    expect([shardOf(1, 'a'), shardOf(1, 'k'), shardOf(1, 'z'), shardOf(2, null)], 'two fields').toEqual([
      's0',
      's1',
      's1',
      's2',
    ]);
  });

  test('a query is sent to the shards that can have its documents, and to no other', () => {
    const dice = random(SEED);
    const values = [0, 1, 2, 3];
    // Documents lie between the values that are asked for, too, and below them all.
    const between = [-1, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5];
    const all = between.flatMap((a) => between.flatMap((b) => [0, 3].map((c) => ({ a, b, c }))));
    const keys: ShardKey[] = [
      by('a'),
      by('a', 'b'),
      [['a', 'hashed']],
      [
        ['a', 1],
        ['b', 'hashed'],
      ],
    ];
    for (let round = 0; round < 200; round++) {
      const key = dice.pick(keys);
      const places = values.flatMap((a) => values.map((b) => keyOf(key, { a, b })));
      const starts = Array.from({ length: dice.int(1, 5) }, () => dice.pick(places)).sort(compareKeys);
      const distinct = starts.filter((start, i) => i === 0 || compareKeys(starts[i - 1] ?? [], start) < 0);
      const layout = layoutOf(key, chunksAt(key.length, distinct, 3));
      const shape = dice.pick(SHAPES);
      const filter = shape.filter(() => dice.pick(values));
      // The oracle looks at every document.
      const wanted = all.filter((it) => matches(filter, it));
      const exact = new Set(wanted.map((it) => chunkFor(keyOf(key, it), layout.chunks).shard));
      const said = shardsFor(layout, filter);
      const where = `${JSON.stringify(filter)} by ${JSON.stringify(key)}, chunks after the first begin at ${distinct.map((it) => it.join()).join(' | ')}`;
      expect(
        [...exact].filter((shard) => !said.shards.includes(shard)),
        `shards that were missed: ${where}`,
      ).toEqual([]);
      if (isExact(shape, key)) expect(said.shards, `no shard too many: ${where}`).toEqual([...exact].sort());
    }
    const ten = evenLayout(by('customer', 'at'), parcels(1_000, random(1)), SHARDS);
    const asked = (filter: Document) => ({
      targeted: shardsFor(ten, filter).targeted,
      shards: shardsFor(ten, filter).shards.length,
    });
    expect(asked({ customer: 'c7', at: 5 }), 'the whole key').toEqual({ targeted: true, shards: 1 });
    expect(asked({ at: 5 }), 'its second field alone').toEqual({ targeted: false, shards: 10 });
    expect(asked({ tail: 5 }), 'a field that is not in the key').toEqual({ targeted: false, shards: 10 });
    const hashed = evenLayout([['no', 'hashed']], parcels(1_000, random(1)), SHARDS);
    expect(shardsFor(hashed, { no: { $gte: 3, $lt: 5 } }), 'a range of a hashed field').toMatchObject({
      targeted: false,
    });
    expect(shardsFor(hashed, { no: 3 }), 'a value of a hashed field').toMatchObject({
      targeted: true,
      shards: [expect.any(String)],
    });
  });

  test('a key is judged by where the next documents go', () => {
    const sample = parcels(2_000, random(SEED));
    const growing = keyReport(by('no'), sample, 10);
    expect(growing.busiest, 'share of the newer parcels at the busiest counter, by parcel number').toBe(1);
    expect(growing).toMatchObject({ idle: 9, distinct: 2_000 });
    const hashed = keyReport([['no', 'hashed']], sample, 10);
    expect(hashed.busiest, '… by its hash').toBeLessThan(0.15);
    const tail = keyReport(by('tail'), sample, 11);
    expect(tail, '… by the last digit of the phone, at eleven counters').toMatchObject({ distinct: 10, idle: 1 });
    const shop = keyReport([['shop', 'hashed']], sample, 10);
    expect(shop.mostFrequent, 'one shop sends this share').toBeGreaterThan(0.4);
    expect(shop.busiest, 'and its hash is one hash').toBeGreaterThan(0.4);
  });

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test("a hash is the one of the server's own tests", () => {
    const known: [KeyValue, bigint][] = [
      [42, -944302157085130861n],
      [42.123, -944302157085130861n],
      [42n, -944302157085130861n],
      [Long.fromNumber(42), -944302157085130861n],
      [Long.fromString('18446744073709551615', true), hashedValue(-1)],
      [0, 4854801880128277513n],
      [Number.NaN, 4854801880128277513n],
      [-1.789, 1140205862565771219n],
      [Number.MAX_VALUE, 921523596458303250n],
      [-Number.MAX_VALUE, 4532067210535695462n],
      [-1e20, 4532067210535695462n],
      [1e20, 921523596458303250n],
      [MIN, 7961148599568647290n],
      [MAX, 5504842513779440750n],
      [null, 2338878944348059895n],
      ['abc', 8478485326885698097n],
      ['', 2049396243249673340n],
      [new ObjectId('010203040506070809101112'), -5588663249627035708n],
      [true, 6405873908747105701n],
      [false, 6289544573401934092n],
      [new Date(0), -1178696894582842035n],
    ];
    for (const [value, hash] of known) expect(hashedValue(value), String(value)).toBe(hash);
  });

  test('values are in the order of BSON, whatever the order of JavaScript', () => {
    const order: KeyValue[] = [
      MIN,
      null,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      -1,
      0.5,
      2n,
      2 ** 53,
      2n ** 53n + 1n,
      Long.fromString('9007199254740994'),
      2 ** 60,
      '',
      'Z',
      'a',
      '中',
      '\uffff',
      '😀',
      new ObjectId('0'.repeat(24)),
      new ObjectId('f'.repeat(24)),
      false,
      true,
      new Date(0),
      new Date(1),
      MAX,
    ];
    for (const [i, a] of order.entries()) {
      for (const [j, b] of order.entries())
        expect(Math.sign(compareKeys([a], [b])), `${a} and ${b}`).toBe(Math.sign(i - j));
    }
    expect(compareKeys([1], [Long.fromNumber(1)]), '1 as two kinds of number').toBe(0);
    expect(keyOf(by('a', 'b.c', 'toString', '__proto__.x'), { b: { c: 3 } })).toEqual([null, 3, null, null]);
  });

  test('chunks are even over the documents they were made of, and no value is split', () => {
    const sample = parcels(1_000, random(SEED));
    expect([...placement(evenLayout(by('no'), sample, SHARDS), sample, SHARDS).values()]).toEqual(
      SHARDS.map(() => 100),
    );
    const one = Array.from({ length: 50 }, () => ({ no: 7 }));
    expect(evenLayout(by('no'), one, SHARDS).chunks, 'chunks of one value').toHaveLength(1);
    expect(evenLayout(by('no'), [{ no: 1 }, { no: 2 }], SHARDS).chunks, 'chunks of two values').toHaveLength(2);
    expect(
      evenLayout(
        by('no'),
        [MIN, 1, MAX].map((no) => ({ no })),
        SHARDS,
      ).chunks,
      'of ends',
    ).toHaveLength(2);
    const halves = [0, 10, 0, 10, 0, 0, 0, 10].map((no) => ({ no }));
    expect(keyReport(by('no'), halves, 2).busiest, 'three of the newer four').toBe(0.75);
    expect(evenLayout(by('no'), [], SHARDS).chunks, 'chunks of nothing').toHaveLength(1);
    expect(keyReport(by('no'), one, 3)).toMatchObject({
      distinct: 1,
      mostFrequent: 1,
      busiest: 1,
      idle: 2,
    });
    const many = Array.from({ length: 150_000 }, () => ({ no: 7 }));
    expect(keyReport(by('no'), many, 2), 'many of one value').toMatchObject({ distinct: 1, mostFrequent: 1 });
    expect(keyReport(by('no'), sample.toReversed(), 10)).toMatchObject({ busiest: 1 });
  });

  test('what is no key, no value, no sample and no list of chunks is refused', () => {
    const whole = { min: [MIN], max: [MAX], shard: 's' };
    const wrong: (() => unknown)[] = [
      () => layoutOf([], [whole]),
      () => layoutOf([['', 1]], [whole]),
      () => layoutOf(by('a', 'a'), [{ ...whole, min: [MIN, MIN], max: [MAX, MAX] }]),
      () =>
        layoutOf(
          [
            ['a', 'hashed'],
            ['b', 'hashed'],
          ],
          [{ ...whole, min: [MIN, MIN], max: [MAX, MAX] }],
        ),
      () => layoutOf(by('a'), []),
      () => layoutOf(by('a'), [{ ...whole, max: [5] }]),
      () => layoutOf(by('a'), [{ ...whole, min: [5] }]),
      () =>
        layoutOf(by('a'), [
          { ...whole, max: [5] },
          { ...whole, min: [6] },
        ]),
      () =>
        layoutOf(by('a'), [
          { ...whole, max: [5] },
          { ...whole, min: [4] },
        ]),
      () => layoutOf(by('a', 'b'), [whole]),
      () => chunkFor([1], []),
      () => evenLayout(by('a'), [], []),
      () => keyReport(by('a'), [{ a: 1 }], 2),
      () => keyReport(by('a'), [{ a: 1 }, { a: 2 }], 0),
      ...[[1], { x: 1 }, 'half \ud83d', new Date(Number.NaN), Symbol('a'), 2n ** 63n].map(
        (a) => () => keyOf(by('a'), { a }),
      ),
      () => keyOf(by('a.b'), { a: [{ b: 1 }] }),
    ];
    for (const it of wrong) expect(it, String(it)).toThrow(ShardKeyError);
  });

  test('what a filter says in other ways is no reason to leave a shard out', () => {
    const layout = layoutOf(by('a'), chunksAt(1, [[1], [2], ['a']]));
    const shards = (filter: Document) => shardsFor(layout, filter).shards;
    const all = ['s0', 's1', 's2', 's3'];
    for (const a of [
      { $exists: true },
      /x/,
      { $in: [/x/] },
      { $in: 5 },
      { $regex: 'x' },
      { x: 1 },
      [1],
      { $gt: [1] },
      { $elemMatch: {} },
    ]) {
      expect(shards({ a }), JSON.stringify(a)).toEqual(all);
    }
    expect(shards({ $or: [{ a: 1 }], $nor: [], $where: 'x' })).toEqual(all);
    expect(shards({ $and: [null, 5, { a: 1 }] })).toEqual(['s1']);
    expect(shards({ a: null }), 'a missing field is null').toEqual(['s0']);
    expect(shards({ a: undefined }), 'null, or left out: an option of the driver').toEqual(all);
    for (const a of [MAX, { $gte: MAX }, { $in: [MAX] }]) expect(shards({ a }), 'after all values').toEqual(['s3']);
    expect(shards({ a: { $gt: 5, $lt: 3 } }), 'nothing is both').toEqual([]);
    expect(shards({ a: 1, b: /x/ })).toEqual(['s1']);
    for (const [low, high] of [
      [2, 0],
      [0, 2],
    ]) {
      expect(shards({ $and: [{ a: { $gte: low } }, { a: { $gte: high } }] }), `from ${low}, and ${high}`).toEqual([
        's2',
        's3',
      ]);
      expect(shards({ $and: [{ a: { $lt: low } }, { a: { $lt: high } }] }), `below ${low}, and ${high}`).toEqual([
        's0',
      ]);
    }
    expect(shards({ $and: [{ a: 1 }, { a: 2 }] })).toEqual([]);
    expect(shards({ $and: [{ a: 1 }, { a: { $in: [2, 1] } }] })).toEqual(['s1']);
    expect(shards({ a: { $in: [1, 2], $lt: 2 } })).toEqual(['s1']);
    expect(shards({ a: { $in: [1, 2], $lte: 1, $gte: 1 } })).toEqual(['s1']);
    expect(shards({ a: { $in: [1, 2], $gt: 1 } })).toEqual(['s2']);
    for (const [one, other] of [
      ['$gt', '$gte'],
      ['$gte', '$gt'],
    ] as const) {
      expect(shards({ a: { [one]: 2, [other]: 2, $lte: 2 } }), `${one} and ${other} 2`).toEqual([]);
      const [below, upTo] = [one.replace('g', 'l'), other.replace('g', 'l')];
      expect(shards({ a: { [below]: 2, [upTo]: 2, $gte: 2 } }), `${below} and ${upTo} 2`).toEqual([]);
    }
  });

  test('an index may be unique if it begins with the whole key, unhashed', () => {
    const key: ShardKey = by('a', 'b');
    expect([['a', 'b'], ['a', 'b', 'c'], ['b', 'a'], ['a'], ['c', 'a', 'b']].map((it) => mayBeUnique(it, key))).toEqual(
      [true, true, false, false, false],
    );
    expect(mayBeUnique(['a'], [['a', 'hashed']])).toBe(false);
  });
});
