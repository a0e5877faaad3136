import { describeWith, needsMongod, outcome, random } from '@shared/testkit';
import { type Document, MongoClient, MongoServerError } from 'mongodb';
import { afterAll, expect, test } from 'vitest';
import {
  account,
  causalToken,
  hashedValue,
  insertOnce,
  type Keyed,
  longestGap,
  mayBeUnique,
  measureFailover,
  readLayout,
  resumeCausal,
  shardsFor,
} from '#lab';
import { idsIn, MINUTE, onEachShard, orStandIn, rolesOf, rollBack, sharded } from './clusters.ts';

// These laws need several real mongods. Where there is none, one stand-in answers instead, and each is skipped with that
// reason. They are written after MongoDB's manual and the driver's own tests, and are to be mistrusted until they have run.

await describeWith('a replica set', { mongo: () => orStandIn({ replicaSet: 3 }) }, ({ mongo }) => {
  const client = new MongoClient(mongo.url);
  afterAll(() => client.close());
  test('a primary is killed: writes wait for the election, and none is lost or made twice', {
    timeout: 2 * MINUTE,
  }, async ({ skip }) => {
    skip(mongo.standIn !== undefined, needsMongod('a stand-in elects nobody'));
    const { primary } = await rolesOf(mongo);
    const notes = client.db().collection<Keyed>('election');
    const entries = await measureFailover(
      (_id) => insertOnce(notes, { _id }),
      () => primary.kill(),
    );
    await primary.restart();
    await rolesOf(mongo);
    const told = account(entries, await idsIn(client, 'election'));
    expect(told, 'the book after the election').toMatchObject({ lost: [], ghosts: [], open: { there: 0, gone: 0 } });
    expect(longestGap(entries), 'milliseconds without a write').toBeGreaterThan(100);
    expect(longestGap(entries)).toBeLessThan(30_000);
  });

  test('what one member has acknowledged is rolled back, what a majority has is kept', { timeout: 3 * MINUTE }, async ({
    skip,
  }) => {
    skip(mongo.standIn !== undefined, needsMongod('a stand-in has nobody who could copy it, and rolls nothing back'));
    const { book, told } = await rollBack(mongo, client, 'relay');
    expect(book.at(-1), 'a write without a majority, in time').toMatchObject({
      outcome: expect.not.stringMatching('acknowledged'),
    });
    expect(told.lost.length, 'acknowledged by one member, and gone').toBeGreaterThan(0);
    expect(
      told.lost.filter((id) => id.startsWith('majority')),
      'acknowledged by a majority, and gone',
    ).toEqual([]);
    expect(told.open.there, 'never confirmed, and there').toBe(0);
  });

  test('a secondary that is behind answers with old data, and a causal session waits', { timeout: 2 * MINUTE }, async ({
    skip,
  }) => {
    skip(mongo.standIn !== undefined, needsMongod('a stand-in has no secondary'));
    const { secondaries } = await rolesOf(mongo);
    const [behind] = secondaries;
    if (behind === undefined) throw new Error('a set of three has two secondaries');
    const reader = new MongoClient(behind.url, { readPreference: 'secondary' });
    const notes = client.db().collection<Keyed>('stale');
    const copy = reader.db().collection<Keyed>('stale');
    await notes.insertOne({ _id: 'old' }, { writeConcern: { w: 3 } });
    // A secondary that is locked answers reads, and copies nothing.
    await reader.db('admin').command({ fsync: 1, lock: true });
    try {
      const mine = client.startSession();
      await notes.insertOne({ _id: 'new' }, { writeConcern: { w: 'majority' }, session: mine });
      const token = causalToken(mine);
      await mine.endSession();
      expect(await copy.countDocuments({}), 'documents of two that a plain read finds').toBe(1);
      const theirs = resumeCausal(reader, token);
      const late = await copy
        .findOne({ _id: 'new' }, { session: theirs, maxTimeMS: 500 })
        .catch((error: unknown) => error);
      expect(late, 'a causal read of a member that does not catch up').toMatchObject({ code: 50 });
      await reader.db('admin').command({ fsyncUnlock: 1 });
      expect(await copy.findOne({ _id: 'new' }, { session: theirs }), 'a causal read, once it goes on').toMatchObject({
        _id: 'new',
      });
      await theirs.endSession();
    } finally {
      await reader
        .db('admin')
        .command({ fsyncUnlock: 1 })
        .catch(() => {});
      await reader.close();
    }
  });
});

await describeWith('a sharded cluster', { mongo: () => orStandIn({ shards: 2 }) }, ({ mongo }) => {
  const client = new MongoClient(mongo.url);
  afterAll(() => client.close());
  const admin = client.db('admin');
  const shard = (name: string, key: Document) => admin.command({ shardCollection: `${mongo.database}.${name}`, key });
  const numbers = (count: number) => Array.from({ length: count }, (_, no) => ({ no, other: count - no }));
  const noShards = needsMongod('a stand-in has no shards');

  test('a key that grows fills one shard, its hash fills all', { timeout: MINUTE }, async ({ skip }) => {
    skip(mongo.standIn !== undefined, noShards);
    await sharded(client, 'growing', { no: 1 }, numbers(2_000));
    expect(await onEachShard(client, 'growing'), 'parcels on each shard, by their number').toEqual([2_000, 0]);
    await sharded(client, 'hashed', { no: 'hashed' }, numbers(2_000));
    expect((await onEachShard(client, 'hashed'))[0], 'parcels on the fuller one, by the hash of it').toBeLessThan(
      1_200,
    );
  });

  test("the shards of explain are those that shardsFor names, and hashes are the server's", {
    timeout: MINUTE,
  }, async ({ skip }) => {
    skip(mongo.standIn !== undefined, noShards);
    await shard('asked', { no: 1, other: 1 });
    const namespace = `${mongo.database}.asked`;
    const asked = client.db().collection('asked');
    await asked.insertMany(numbers(1_000));
    await admin.command({ split: namespace, middle: { no: 500, other: 0 } });
    const shards = (await admin.command({ listShards: 1 }))['shards'].map(({ _id }: Document) => String(_id));
    const before = await readLayout(client, namespace);
    const to = shards.find((it: string) => it !== before?.chunks.at(-1)?.shard);
    await admin.command({ moveChunk: namespace, find: { no: 900, other: 0 }, to, _waitForDelete: true });
    const layout = await readLayout(client, namespace);
    if (layout === undefined) throw new Error('it is sharded');
    expect(new Set(layout.chunks.map((it) => it.shard)).size, 'shards with a chunk').toBe(2);
    const filters = [
      { no: 7 },
      { no: 900 },
      { no: { $in: [1, 900] } },
      { no: { $gte: 600 } },
      { other: 3 },
      {},
      { no: 500, other: 1 },
    ];
    for (const filter of filters) {
      const plan = await asked.find(filter).explain('queryPlanner');
      const named = plan['queryPlanner'].winningPlan.shards.map(({ shardName }: Document) => shardName).sort();
      expect(shardsFor(layout, filter).shards, JSON.stringify(filter)).toEqual(named);
    }
    const stages = [{ $limit: 20 }, { $project: { no: 1, hash: { $toHashedIndexKey: '$no' } } }];
    for await (const { no, hash } of asked.aggregate(stages, { useBigInt64: true })) {
      expect(hashedValue(Number(no)), `hash of ${no}`).toBe(hash);
    }
  });

  test('a chunk moves while it is written to, and loses nothing', { timeout: MINUTE }, async ({ skip }) => {
    skip(mongo.standIn !== undefined, noShards);
    await shard('moving', { _id: 1 });
    const namespace = `${mongo.database}.moving`;
    const moving = client.db().collection<Keyed>('moving');
    const dice = random(1);
    const shards = (await admin.command({ listShards: 1 }))['shards'].map(({ _id }: Document) => String(_id));
    const entries = await measureFailover(
      (id) => insertOnce(moving, { _id: `${dice.int(0, 9)} ${id}` }),
      async () => {
        for (const to of [...shards, ...shards]) {
          await admin.command({ moveChunk: namespace, find: { _id: '5' }, to, _waitForDelete: true });
        }
      },
      { withinMs: 45_000 },
    );
    const { lost, ghosts, acknowledged } = account(
      entries,
      (await moving.find().toArray()).map(({ _id }) => _id.slice(2)),
    );
    expect({ lost, ghosts }).toEqual({ lost: [], ghosts: [] });
    expect(await moving.countDocuments({})).toBeGreaterThanOrEqual(acknowledged);
    expect(
      (await onEachShard(client, 'moving')).reduce((all, it) => all + it),
      'on all shards together',
    ).toBe(await moving.countDocuments({}));
  });

  test('an index is unique only if it begins with the whole shard key', { timeout: MINUTE }, async ({ skip }) => {
    skip(mongo.standIn !== undefined, noShards);
    await shard('unique', { no: 1 });
    const unique = client.db().collection('unique');
    for (const fields of [['other'], ['other', 'no'], ['no', 'other']]) {
      const { error } = await outcome(unique.createIndex(fields, { unique: true }), 10_000);
      expect(mayBeUnique(fields, [['no', 1]]), `unique by ${fields}: ${error ?? 'taken'}`).toBe(
        !(error instanceof MongoServerError),
      );
    }
  });
});
