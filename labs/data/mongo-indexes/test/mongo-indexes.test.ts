import { startMongo } from '@shared/services';
import { describeWith, needsMongod, outcome } from '@shared/testkit';
import { type Collection, type Document, MongoClient, MongoServerError } from 'mongodb';
import { afterAll, expect, test } from 'vitest';
import {
  assertIndexed,
  type Expectation,
  type Explainable,
  ExplainFailedError,
  explainSummary,
  IndexError,
  InvalidArgumentError,
  indexFor,
  NotIndexedError,
} from '#lab';
import { COUNT_SBE, COVERED, EXPRESS, REGEX_SBE, SORTED_BY_INDEX, SORTED_IN_MEMORY } from './records.ts';

interface Reader {
  _id: number;
  name: string;
  age: number;
  gender: string;
  tags: string[];
  email?: string;
  at: Date;
}

const COUNT = 200;
const FAMILY = ['张', '李', '王', '赵'];

await describeWith('indexes', { mongo: () => startMongo() }, ({ mongo }) => {
  const client = new MongoClient(mongo.url);
  const db = client.db();
  afterAll(() => client.close());

  let made = 0;
  /** A library's readers: 50 of each family, 4 of each age, half of each gender. */
  const readers = async (): Promise<Collection<Reader>> => {
    const collection = db.collection<Reader>(`readers${++made}`);
    await collection.insertMany(
      Array.from({ length: COUNT }, (_, _id) => ({
        _id,
        name: `${FAMILY[_id % 4]}${_id}`,
        age: 20 + (_id % 50),
        gender: _id % 2 === 0 ? '男' : '女',
        tags: [`a${_id % 5}`, `b${_id % 7}`],
        at: new Date(Date.UTC(2026, 0, 1 + _id)),
        ...(_id % 4 === 0 && { email: `${_id}@library` }),
      })),
    );
    return collection;
  };
  const refused = async (cursor: Explainable, expected?: Expectation) => {
    const { error, value } = await outcome(assertIndexed(cursor, expected));
    expect(
      error,
      `to be refused, expecting ${JSON.stringify(expected ?? {})}; passed: ${JSON.stringify(value)}`,
    ).toBeInstanceOf(NotIndexedError);
    if (!(error instanceof NotIndexedError)) throw error;
    return error;
  };
  /** A cursor whose plan a mongod has recorded. */
  const recorded = (answer: unknown): Explainable => ({ explain: async () => answer });

  // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('the gate lets a query pass that searches an index, and says of any other why not', async () => {
    const users = await readers();
    const zhang = () => users.find({ name: '张8' });
    const { reasons, summary, message } = await refused(zhang());
    expect({ docs: summary.docs, returned: summary.returned }, 'without an index').toEqual({
      docs: COUNT,
      returned: 1,
    });
    expect(reasons.join(' '), 'reasons').toContain('COLLSCAN');
    expect(message).toContain('200 were examined to return 1');
    await users.createIndex({ name: 1 });
    expect({ ...(await assertIndexed(zhang(), { index: 'name_1' })) }, 'with one').toMatchObject({
      verdict: 'ok',
      keys: 1,
      docs: 1,
      returned: 1,
    });
    expect((await refused(zhang(), { index: 'name_2' })).message, 'another index').toContain('name_1');
    await refused(recorded(REGEX_SBE));
    await refused(recorded(REGEX_SBE), { wholeIndex: true });
    expect((await refused(recorded(SORTED_BY_INDEX))).reasons, 'an index from end to end').toHaveLength(1);
    await assertIndexed(recorded(SORTED_BY_INDEX), { wholeIndex: true, sorted: true });
    expect((await refused(recorded({ ok: 1 }))).message, 'an unknown answer').toContain('an answer of ok');
  });

  // ── hardening: on any server ──────────────────────────────────────────────────────────────────────────────────────

  test('a compound index serves who asks for its first field, and nobody else', async () => {
    const users = await readers();
    await users.createIndex({ age: 1, name: 1 });
    await assertIndexed(users.find({ age: 25, name: '李5' }), { index: 'age_1_name_1', maxPerReturned: 1 });
    await assertIndexed(users.find({ age: 25 }), { index: 'age_1_name_1' });
    for (const filter of [{ name: '李5' }, { gender: '男' }]) {
      const { summary } = await refused(users.find(filter));
      expect({ ...summary }, JSON.stringify(filter)).toMatchObject({ verdict: 'scan', keys: 0, docs: COUNT });
    }
  });

  test('a partial index serves who asks within it, and is unique there', async () => {
    const users = await readers();
    const partialFilterExpression = { gender: '男' };
    await users.createIndex({ age: 1 }, { name: 'men', partialFilterExpression });
    await assertIndexed(users.find({ age: 24, gender: '男' }), { index: 'men' });
    expect((await refused(users.find({ age: 24 }))).summary.verdict, 'all ages').toBe('scan');
    await users.createIndex({ email: 1 }, { unique: true, partialFilterExpression: { email: { $type: 'string' } } });
    const reader = { age: 9, gender: '女', tags: [], at: new Date(0) };
    await users.insertMany([501, 502].map((_id) => ({ ...reader, _id, name: `${_id}` })));
    const { error } = await outcome(users.insertOne({ ...reader, _id: 503, name: '503', email: '4@library' }));
    expect(error instanceof MongoServerError && error.code, 'an address that is taken').toBe(11_000);
  });

  test('an index on an array says that it has many keys of one document', async () => {
    const users = await readers();
    await users.createIndex({ tags: 1 });
    const { indexes, keys } = await assertIndexed(users.find({ tags: 'a1' }));
    expect({ indexes, keys }).toEqual({ indexes: [{ name: 'tags_1', multikey: true, bounds: 'bounded' }], keys: 40 });
  });

  test('a pipeline is judged by its first match, and a $lookup is never ok without its figures', async () => {
    const users = await readers();
    await users.createIndex({ age: 1 });
    const group = [{ $group: { _id: '$gender', n: { $sum: 1 } } }];
    await assertIndexed(users.aggregate([{ $match: { age: 25 } }, ...group]), { index: 'age_1' });
    await refused(users.aggregate(group));
    const $lookup = { from: users.collectionName, localField: 'age', foreignField: 'gender', as: 'found' };
    const { summary } = await refused(users.aggregate([{ $match: { age: 25 } }, { $lookup }]));
    expect(['scan', 'unknown'], summary.unknown.join()).toContain(summary.verdict);
  });

  test('each expectation is refused for itself, and a count may return less than it reads', async () => {
    expect((await refused(recorded(SORTED_IN_MEMORY))).reasons).toEqual([
      '128467 were examined to return 10: more than 10 for each.',
    ]);
    const lax = { maxPerReturned: 20_000 };
    await assertIndexed(recorded(SORTED_IN_MEMORY), lax);
    expect((await refused(recorded(SORTED_IN_MEMORY), { ...lax, sorted: true })).reasons).toEqual([
      'It is sorted in memory.',
    ]);
    expect((await refused(recorded(EXPRESS), { covered: true })).reasons).toEqual(['Documents are opened.']);
    await assertIndexed(recorded(COVERED), { covered: true, sorted: true });
    const [cursor, project] = COUNT_SBE.stages;
    const executionStats = { ...cursor?.$cursor?.executionStats, totalKeysExamined: 5_000 };
    await assertIndexed(recorded({ stages: [{ $cursor: { ...cursor?.$cursor, executionStats } }, project] }));
    const looked = { $lookup: { from: 'x', localField: 'a' }, collectionScans: 0, indexesUsed: ['_id_'] };
    const part = (returned: number, keys: number) => ({
      ...EXPRESS,
      executionStats: { nReturned: returned, totalKeysExamined: keys, totalDocsExamined: 0 },
    });
    const joined = [{ $cursor: part(1, 500) }, { ...looked, totalKeysExamined: 500, totalDocsExamined: 500 }];
    expect((await refused(recorded({ stages: joined }))).reasons, 'one part in vain, another with success').toEqual([
      '500 were examined to return 1: more than 10 for each.',
    ]);
    await assertIndexed(recorded(part(0, 10)));
    await refused(recorded(part(0, 11)));
    const { queryPlanner } = EXPRESS;
    expect((await refused(recorded({ queryPlanner }))).message, 'planned, not run').toContain('not told');
    for (const maxPerReturned of [0, -1, Number.NaN, 0.5]) {
      const { error } = await outcome(assertIndexed(recorded(EXPRESS), { maxPerReturned }));
      expect(error, `maxPerReturned ${maxPerReturned}`).toBeInstanceOf(InvalidArgumentError);
    }
  });

  test('who has no answer has no plan: the error says so, and has the cause', async () => {
    const lost = new MongoClient(mongo.url);
    await lost.connect();
    const cursor = lost.db().collection('any').find({});
    await lost.close();
    const { error } = await outcome(assertIndexed(cursor));
    expect(error).toBeInstanceOf(ExplainFailedError);
    expect(error).toBeInstanceOf(IndexError);
    expect(error instanceof Error && error.cause).toBeInstanceOf(Error);
    const odd = await outcome(assertIndexed({ explain: () => Promise.reject('no') }));
    expect(odd.error, 'what is thrown is no Error').toBeInstanceOf(ExplainFailedError);
    const lists: unknown[] = [undefined, {}, Promise.resolve([])];
    for (const list of lists) {
      // @ts-expect-error: not a cursor, but what it finds
      expect((await outcome(assertIndexed(list))).error, 'no cursor').toBeInstanceOf(InvalidArgumentError);
    }
    const users = await readers();
    await users.createIndex({ name: 1 });
    const spent = users.find({ name: '张8' });
    expect(await spent.toArray()).toHaveLength(1);
    await assertIndexed(spent);
    await spent.close();
    await assertIndexed(spent);
    const { error: bad } = await outcome(assertIndexed(db.collection('any').aggregate([{ $nonsense: 1 }])));
    expect(bad, 'a stage that no server knows').toBeInstanceOf(IndexError);
  });

  // ── hardening: on a mongod ────────────────────────────────────────────────────────────────────────────────────────

  const only = (why: string): [boolean, string] => [mongo.standIn !== undefined, needsMongod(why)];
  const summaryOf = async (cursor: Explainable) => explainSummary(await cursor.explain('executionStats'));

  test('on a mongod, /^张/ reads the 张 of an index, /张/ and /^张/i all of it, and $where the collection', async ({
    skip,
  }) => {
    skip(...only('the stand-in has no bounds for regular expressions, and no $where'));
    const users = await readers();
    await users.createIndex({ name: 1 });
    const bounded = await assertIndexed(users.find({ name: /^张/ }));
    expect(bounded.returned).toBe(50);
    expect(bounded.keys, 'keys of 50 张, and one beyond').toBeLessThanOrEqual(51);
    for (const name of [/张/, /^张/i]) {
      expect({ ...(await summaryOf(users.find({ name }))) }, String(name)).toMatchObject({
        verdict: 'wholeIndex',
        keys: COUNT,
        docs: 50,
      });
    }
    const where = await summaryOf(users.find({ $where: 'this.name.startsWith("张")' }));
    expect({ ...where }, '$where').toMatchObject({ verdict: 'scan', docs: COUNT });
  });

  test('on a mongod, an index that leaves a hundred to be looked through is refused', async ({ skip }) => {
    skip(...only('the stand-in tells of keys that matched, not of keys that were read'));
    const users = await readers();
    let index = await users.createIndex({ gender: 1 });
    const both = () => users.find({ gender: '男', name: '张8' }).hint(index);
    const { reasons, summary } = await refused(both());
    expect({ docs: summary.docs, returned: summary.returned }).toEqual({ docs: 100, returned: 1 });
    expect(reasons.join(' ')).toContain('100 were examined to return 1');
    index = await users.createIndex(indexFor({ gender: '男', name: '张8' }));
    expect((await assertIndexed(both(), { index })).keys).toBe(1);
  });

  test('on a mongod, equality, sort, range needs no sort in memory, and range before sort does', async ({ skip }) => {
    skip(...only('the stand-in sorts in memory whatever the index is'));
    const users = await readers();
    const filter = { gender: '男', age: { $gte: 60 } };
    const page = () => users.find(filter).sort({ at: -1 }).limit(5);
    const ranged = await users.createIndex({ gender: 1, age: 1, at: -1 });
    expect((await summaryOf(page().hint(ranged))).memorySort, 'range before sort').toBe(true);
    const index = await users.createIndex(indexFor(filter, { at: -1 }));
    expect(index).toBe('gender_1_at_-1_age_1');
    await assertIndexed(page().hint(index), { index, sorted: true, maxPerReturned: 40 });
  });

  test('on a mongod, an index answers alone without _id, and never where it has many keys of one document', async ({
    skip,
  }) => {
    skip(...only('the stand-in opens documents for a covered query, too'));
    const users = await readers();
    await users.createIndex({ name: 1, age: 1 });
    await users.createIndex({ tags: 1 });
    const covered = await assertIndexed(users.find({ name: '张8' }).project({ _id: 0, name: 1, age: 1 }), {
      covered: true,
    });
    expect(covered.docs).toBe(0);
    await refused(users.find({ name: '张8' }).project({ name: 1 }), { covered: true });
    await refused(users.find({ tags: 'a1' }).project({ _id: 0, tags: 1 }), { covered: true });
  });

  test('on a mongod, a hidden index serves nobody, and is unique all the same', async ({ skip }) => {
    skip(...only('the stand-in asks hidden indexes, too'));
    const users = await readers();
    await users.createIndex({ name: 1 }, { unique: true });
    const hide = (hidden: boolean) => db.command({ collMod: users.collectionName, index: { name: 'name_1', hidden } });
    await hide(true);
    expect((await refused(users.find({ name: '张8' }))).summary.verdict).toBe('scan');
    const { error } = await outcome(users.updateOne({ _id: 1 }, { $set: { name: '张8' } }));
    expect(error instanceof MongoServerError && error.code).toBe(11_000);
    await hide(false);
    await assertIndexed(users.find({ name: '张8' }), { index: 'name_1' });
  });

  test('on a mongod, an index that ends documents has one field, and serves queries by it', async ({ skip }) => {
    skip(...only('the stand-in accepts an end for a compound index, and one before its time'));
    const users = await readers();
    const year = 366 * 86_400;
    await users.createIndex({ at: 1 }, { expireAfterSeconds: 10 * year });
    await assertIndexed(users.find({ at: new Date(Date.UTC(2026, 0, 9)) }), { index: 'at_1' });
    for (const [key, expireAfterSeconds] of [
      [{ at: 1, name: 1 }, year],
      [{ name: 1 }, -1],
    ] as const) {
      const { error } = await outcome(users.createIndex(key, { expireAfterSeconds }));
      expect(error, `${JSON.stringify(key)} ${expireAfterSeconds}`).toBeInstanceOf(MongoServerError);
    }
  });

  test('on a mongod, $or wants an index for each of its parts, and $lookup one on the other side', async ({ skip }) => {
    skip(...only('the stand-in scans for any $or, and tells no figures of a $lookup'));
    const users = await readers();
    await users.createIndex({ name: 1 });
    const either = () => users.find({ $or: [{ name: '张8' }, { age: 25 }] });
    expect((await refused(either())).summary.verdict).toBe('scan');
    await users.createIndex({ age: 1 });
    await assertIndexed(either());
    const other = await readers();
    const $lookup = { from: other.collectionName, localField: 'name', foreignField: 'name', as: 'same' };
    const joined = (): Explainable => users.aggregate<Document>([{ $match: { name: '张8' } }, { $lookup }]);
    expect((await refused(joined())).summary.verdict, 'no index on the other side').toBe('scan');
    await other.createIndex({ name: 1 });
    expect((await summaryOf(joined())).verdict).toBe('ok');
  });

  test('on a mongod, a collection that is not there proves nothing', async ({ skip }) => {
    skip(...only('the stand-in tells of a COLLSCAN where there is nothing to read'));
    expect((await refused(db.collection('nowhere').find({ a: 1 }))).summary.verdict).toBe('nothing');
  });
});
