import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { startMongo } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import {
  BSON,
  BSONRegExp,
  type ClientSession,
  type Document,
  Long,
  MongoBulkWriteError,
  MongoClient,
  type MongoClientOptions,
  MongoNetworkError,
  MongoServerError,
  MongoWriteConcernError,
  Timestamp,
} from 'mongodb';
import { afterAll, expect, test } from 'vitest';
import {
  account,
  CausalTokenError,
  causalToken,
  type Entry,
  insertOnce,
  type Keyed,
  KeyTakenError,
  longestGap,
  measureFailover,
  NoAnswerError,
  ReplicationError,
  repeatUntilKnown,
  resumeCausal,
  transactOnce,
  WriteFailedError,
  writeOutcome,
} from '#lab';
import { lossyLink } from './lossy-link.ts';
import { relayFailover } from './relay-model.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

await describeWith('replication', { mongo: () => startMongo() }, ({ mongo }) => {
  const direct = new MongoClient(mongo.url);
  afterAll(() => direct.close());

  let made = 0;
  const fresh = () => `c${++made}`;
  /** A client behind a network that loses answers, and the same collection past it. */
  const behind = async (options: MongoClientOptions = {}) => {
    const stack = new AsyncDisposableStack();
    const link = stack.use(await lossyLink(mongo.nodes[0]));
    const client = stack.adopt(
      new MongoClient(link.url, { serverSelectionTimeoutMS: 300, monitorCommands: true, ...options }),
      (it) => it.close(),
    );
    await client.db().command({ ping: 1 });
    const name = fresh();
    const notes = client.db().collection<Keyed>(name);
    const there = direct.db().collection<Keyed>(name);
    const ids = async () => (await there.find().sort({ _id: 1 }).toArray()).map(({ _id }) => _id);
    return { link, client, notes, there, ids, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  };
  const failure = async (promise: Promise<unknown>) => (await outcome(promise, 5_000)).error;

  // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('after a lost answer the outcome is unknown, after a no it is not applied, without its copies it is applied', async () => {
    await using here = await behind({ retryWrites: false });
    const { link, notes, there } = here;
    link.lose('insert', 1);
    const lost = await failure(notes.insertOne({ _id: 'lost' }));
    expect(
      await there.countDocuments({ _id: 'lost' }),
      'documents on the server, of a write that ended in an error',
    ).toBe(1);
    link.cut();
    const cut = await failure(notes.insertOne({ _id: 'cut' }));
    link.mend();
    expect(await there.countDocuments({ _id: 'cut' }), 'documents on the server, of another').toBe(0);
    expect([lost, cut].map(writeOutcome), 'outcomes: carried out and no answer; cut off before it was sent').toEqual([
      'unknown',
      'unknown',
    ]);
    const refused = await failure(notes.insertOne({ _id: 'lost' }));
    expect(writeOutcome(refused), `outcome of "${refused}"`).toBe('not applied');
    const unsent = await failure(notes.updateOne({}, { n: 1 }));
    expect(writeOutcome(unsent), `outcome of "${unsent}"`).toBe('not applied');
    // One node can't be three: the primary has it, and says that nobody copies it.
    const alone = await failure(notes.insertOne({ _id: 'alone' }, { writeConcern: { w: 3, wtimeoutMS: 200 } }));
    expect(await there.countDocuments({ _id: 'alone' })).toBe(1);
    expect(writeOutcome(alone), `outcome of "${alone}"`).toBe('applied');
  });

  test('a document whose answers are lost is inserted once', async () => {
    await using here = await behind();
    const { link, notes } = here;
    expect(await insertOnce(notes, { _id: 'first', customer: '张三' })).toBe('inserted');
    link.lose('insert', 4);
    const said = await outcome(insertOnce(notes, { _id: 'second', customer: '李四' }));
    expect(link.lost, 'answers lost').toBe(4);
    expect(said, 'what the caller was told').toMatchObject({
      error: undefined,
      value: expect.stringMatching(/inserted|was there/),
    });
    expect(await here.ids(), 'the notebook').toEqual(['first', 'second']);
    expect(await insertOnce(notes, { _id: 'second', customer: '李四' }), 'the same request, later').toBe('was there');
    expect(await here.ids(), 'the notebook').toEqual(['first', 'second']);
  });

  test('who gives up in time says what is known of all attempts together', async () => {
    await using here = await behind({ serverSelectionTimeoutMS: 100 });
    const { link, notes, there } = here;
    // Carried out without an answer, and from then on nobody is there.
    link.lose('insert', 1, () => link.cut());
    const started = performance.now();
    const gone = await failure(insertOnce(notes, { _id: 'a' }, { withinMs: 400 }));
    expect(performance.now() - started, 'milliseconds of 400, and what a busy machine takes').toBeLessThan(10_000);
    link.mend();
    expect(await there.countDocuments()).toBe(1);
    expect(gone).toBeInstanceOf(WriteFailedError);
    expect(gone, 'of a write that is there').toMatchObject({ outcome: 'unknown' });
    await using again = await behind();
    let attempt = 0;
    const refusedLater = repeatUntilKnown(async () => {
      if (++attempt > 1) return again.notes.insertOne({ _id: 'b' });
      again.link.lose('insert', 2);
      return again.notes.insertOne({ _id: 'b' });
    });
    const doubt = await failure(refusedLater);
    expect(await again.ids()).toEqual(['b']);
    expect(doubt, 'first no answer, then a no').toMatchObject({
      name: 'WriteFailedError',
      outcome: 'unknown',
      attempts: 2,
    });
    const refused = await failure(repeatUntilKnown(() => again.notes.insertOne({ _id: 'b' })));
    expect(refused, 'a no at once').toMatchObject({ name: 'WriteFailedError', outcome: 'not applied', attempts: 1 });
  });

  test('a transaction that was aborted is begun again, one whose commit got no answer is committed again', async () => {
    await using here = await behind();
    const { link, client, notes, there } = here;
    await there.insertMany([
      { _id: 'from', n: 100 },
      { _id: 'to', n: 0 },
    ]);
    let runs = 0;
    const move = async (session: ClientSession) => {
      runs++;
      await notes.updateOne({ _id: 'from' }, { $inc: { n: -1 } }, { session });
      await notes.updateOne({ _id: 'to' }, { $inc: { n: 1 } }, { session });
    };
    const books = async () => (await there.find().sort({ _id: 1 }).toArray()).map(({ n }) => n);
    link.lose('commitTransaction', 4);
    await transactOnce(client, move);
    expect({ lost: link.lost, runs, books: await books() }, 'four answers to one commit lost').toEqual({
      lost: 4,
      runs: 1,
      books: [99, 1],
    });
    link.lose('update', 1);
    await transactOnce(client, move);
    expect({ runs, books: await books() }, 'an answer lost within the transaction').toEqual({
      runs: 3,
      books: [98, 2],
    });
    // Two at once: one of them meets a write conflict, again and again.
    await Promise.all(Array.from({ length: 4 }, () => transactOnce(client, move)));
    expect(await books(), 'four more at once').toEqual([94, 6]);
  });

  test('who has the token of a write reads after it, in another process', async () => {
    const writer = new MongoClient(mongo.url);
    const reader = new MongoClient(mongo.url, { monitorCommands: true });
    const sent: Document[] = [];
    reader.on('commandStarted', ({ command }) => void sent.push(command));
    // Connected before the write, it hasn't heard of it.
    await reader.db().command({ ping: 1 });
    const name = fresh();
    const mine = writer.startSession();
    await writer.db().collection(name).insertOne({ n: 1 }, { session: mine });
    const token = causalToken(mine);
    const time = mine.operationTime;
    await mine.endSession();
    await writer.close();
    expect(token, 'a text for a header or a cookie').toMatch(/^[\w-]{20,400}$/);
    const theirs = resumeCausal(reader, token);
    await reader.db().collection(name).findOne({}, { session: theirs });
    const find = sent.find(({ find }) => find === name);
    const seen = {
      time: timeOf(find?.['readConcern']?.afterClusterTime),
      cluster: timeOf(find?.['$clusterTime']?.clusterTime),
    };
    expect(seen.time, 'the find waits for the time of the write (afterClusterTime)').toBe(timeOf(time));
    expect(
      seen.cluster,
      "the find tells the server that time ($clusterTime), signed as the server's own",
    ).toBeGreaterThanOrEqual(timeOf(time));
    await theirs.endSession();
    await reader.close();
  });

  test('what was acknowledged and is gone is lost; what had no promise is not', () => {
    const entry = (id: string, outcome: 'acknowledged' | 'applied' | 'not applied' | 'unknown') => ({
      id,
      outcome,
      at: 0,
    });
    const book = [
      entry('kept', 'acknowledged'),
      entry('rolled back', 'acknowledged'),
      entry('refused', 'not applied'),
      entry('a ghost', 'not applied'),
      entry('no answer, there', 'unknown'),
      entry('no answer, gone', 'unknown'),
      entry('not copied, gone', 'applied'),
    ];
    expect(account(book, ['kept', 'a ghost', 'no answer, there', "somebody else's"])).toEqual({
      acknowledged: 2,
      lost: ['rolled back'],
      ghosts: ['a ghost'],
      open: { there: 1, gone: 2 },
    });
  });

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a server that is not found says nothing of the write that was sent before', async () => {
    await using here = await behind({ serverSelectionTimeoutMS: 100 });
    here.link.lose('insert', 1, () => here.link.cut());
    const error = await failure(here.notes.insertOne({ _id: 'sent' }));
    here.link.mend();
    expect(await here.ids()).toEqual(['sent']);
    expect(error).toMatchObject({ name: 'MongoServerSelectionError' });
    expect(writeOutcome(error)).toBe('unknown');
  });

  test('labels and kinds of errors decide, and never their words', async () => {
    const said = (code: number, ...errorLabels: string[]) =>
      writeOutcome(new MongoServerError({ message: 'no', code, errorLabels }));
    expect(said(91, 'RetryableWriteError'), 'a primary that shuts down').toBe('unknown');
    expect(said(10_107, 'RetryableWriteError', 'NoWritesPerformed')).toBe('not applied');
    const codes = [6, 7, 24, 50, 89, 91, 189, 202, 262, 9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436];
    for (const code of codes) {
      expect(said(code), `interrupted, no primary, or no answer (${code}), without retryable writes`).toBe('unknown');
    }
    expect(said(251, 'TransientTransactionError')).toBe('not applied');
    expect(said(64, 'UnknownTransactionCommitResult')).toBe('unknown');
    expect(said(121), 'a validator').toBe('not applied');
    const uncopied = new MongoWriteConcernError({ writeConcernError: { code: 64, errmsg: 'timed out' }, ok: 1 });
    expect(writeOutcome(uncopied)).toBe('applied');
    uncopied.addErrorLabel('UnknownTransactionCommitResult');
    expect(writeOutcome(uncopied), 'of a commit').toBe('unknown');
    for (const strange of [undefined, null, 'no', new TypeError('no'), {}])
      expect(writeOutcome(strange)).toBe('unknown');
    const notes = direct.db().collection<Keyed>(fresh());
    await notes.insertOne({ _id: 'a' });
    const half = await failure(notes.insertMany([{ _id: 'b' }, { _id: 'a' }, { _id: 'c' }]));
    expect(writeOutcome(half), 'a bulk of which one is there').toBe('unknown');
    if (half instanceof MongoBulkWriteError) half.addErrorLabel('NoWritesPerformed');
    expect(writeOutcome(half), 'the same, of whose last batch nothing is there').toBe('unknown');
    await notes.insertOne({ _id: 'long', n: Long.fromNumber(1) });
    const unread = direct.db().collection<Keyed>(notes.collectionName, { useBigInt64: true, promoteLongs: false });
    const illegible = await failure(unread.findOneAndUpdate({ _id: 'long' }, { $set: { done: true } }));
    expect(await notes.findOne({ _id: 'long' })).toMatchObject({ done: true });
    expect(writeOutcome(illegible), `outcome of "${illegible}"`).toBe('unknown');
  });

  test('what a primary has once carried out stays so, whatever a later attempt is told', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    const wishes = [{ w: 3, wtimeoutMS: 50 }, { w: 1 }];
    const twice = repeatUntilKnown(() => notes.insertOne({ _id: 'a' }, { writeConcern: wishes.shift() ?? {} }));
    expect(await failure(twice)).toMatchObject({ name: 'WriteFailedError', outcome: 'applied', attempts: 2 });
    expect(await notes.countDocuments({})).toBe(1);
    const down = new MongoServerError({ message: 'no', code: 91, errorLabels: ['RetryableWriteError'] });
    const started = performance.now();
    const patient = await failure(repeatUntilKnown(() => Promise.reject(down), { withinMs: 300 }));
    expect(patient).toMatchObject({ outcome: 'unknown' });
    expect(performance.now() - started, 'milliseconds of pauses between attempts').toBeGreaterThan(10);
    if (patient instanceof WriteFailedError) expect(patient.attempts, 'attempts in 300 ms').toBeLessThan(100);
  });

  test('eight clients whose answers get lost write each note once', async () => {
    await using here = await behind();
    const dice = random(SEED);
    const keys = Array.from({ length: 30 }, (_, n) => `note ${n}`);
    const clerk = async () => {
      for (const _id of dice.shuffle(keys).slice(0, 12)) {
        if (dice.int(0, 3) === 0) here.link.lose('insert', dice.int(1, 4));
        await insertOnce(here.notes, { _id, text: `text of ${_id}` });
        asked.add(_id);
      }
    };
    const asked = new Set<string>();
    await Promise.all(Array.from({ length: 8 }, clerk));
    expect(here.link.lost, 'answers lost').toBeGreaterThan(5);
    expect(await here.ids()).toEqual([...asked].sort());
  });

  test('a key that stands for another document is refused, and the document is as it was at the call', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    const rich = {
      _id: 'a',
      n: 5,
      long: Long.fromNumber(5),
      half: 0.5,
      at: new Date(7),
      list: [1, { b: null }],
      none: undefined,
      map: new Map([
        ['b', 1],
        ['1', 2],
      ]),
      pattern: new BSONRegExp('a', 'x'),
      reference: { x: 1, $ref: 'a', $id: 1 },
    };
    expect(await insertOnce(notes, rich)).toBe('inserted');
    expect(await insertOnce(notes, { ...rich }), 'the same, with values of all kinds').toBe('was there');
    const taken = await failure(insertOnce(notes, { ...rich, n: 6 }));
    expect(taken).toBeInstanceOf(KeyTakenError);
    expect(taken).toMatchObject({ key: 'a' });
    expect((await notes.findOne({ _id: 'a' }))?.['n']).toBe(5);
    const mine = { _id: 'b', list: [1] };
    const write = insertOnce(notes, mine);
    mine.list.push(2);
    await write;
    expect((await notes.findOne({ _id: 'b' }))?.['list']).toEqual([1]);
    const round: Document = {};
    round['self'] = round;
    for (const no of [{ _id: '' }, { _id: 'half \ud83d' }, { _id: 'round', round }])
      expect(await failure(insertOnce(notes, no))).toBeInstanceOf(ReplicationError);
    await notes.createIndex({ phone: 1 }, { unique: true, sparse: true });
    await insertOnce(notes, { _id: 'c', phone: 7 });
    expect(await failure(insertOnce(notes, { _id: 'd', phone: 7 })), 'refused by another index').toMatchObject({
      name: 'WriteFailedError',
      outcome: 'not applied',
      attempts: 1,
    });
  });

  test('a network that swallows everything ends a write and a transaction in time', async () => {
    const net = await mongo.nodes[0].proxy();
    const client = new MongoClient(net.url, { serverSelectionTimeoutMS: 500 });
    const notes = client.db(mongo.database).collection<Keyed>(fresh());
    await notes.insertOne({ _id: 'before' });
    net.partition('both');
    const one = outcome(insertOnce(notes, { _id: 'a' }, { withinMs: 500 }), 3_000);
    const all = outcome(
      transactOnce(client, (session) => notes.insertOne({ _id: 'b' }, { session }), { withinMs: 300 }),
      3_000,
    );
    expect((await one).error).toMatchObject({ name: 'WriteFailedError', outcome: 'unknown' });
    expect((await all).error).toMatchObject({ name: 'WriteFailedError', outcome: 'not applied' });
    net.heal();
    await client.close();
    await net[Symbol.asyncDispose]();
  });

  test("a body's own error ends its transaction, and is thrown as it is; a no is not repeated", async () => {
    const name = fresh();
    const notes = direct.db().collection<Keyed>(name);
    await notes.insertOne({ _id: 'a' });
    const mine = new TypeError('mine');
    const thrown = transactOnce(direct, async (session) => {
      await notes.insertOne({ _id: 'b' }, { session });
      throw mine;
    });
    expect(await failure(thrown)).toBe(mine);
    let runs = 0;
    const refused = transactOnce(direct, (session) => {
      runs++;
      return notes.insertOne({ _id: 'a' }, { session });
    });
    expect(await failure(refused)).toMatchObject({ name: 'WriteFailedError', outcome: 'not applied' });
    expect({ runs, there: await notes.countDocuments({}) }).toEqual({ runs: 1, there: 1 });
    expect(await transactOnce(direct, async () => 'nothing to do')).toBe('nothing to do');
    const aborted = new MongoServerError({ message: 'no', code: 112, errorLabels: ['TransientTransactionError'] });
    const again = await failure(transactOnce(direct, () => Promise.reject(aborted), { withinMs: 300 }));
    expect(again).toMatchObject({ outcome: 'not applied', cause: aborted });
    if (again instanceof WriteFailedError) expect(again.attempts).toBeGreaterThan(1);
  });

  test('a commit that was in doubt stays so after a no; what its body has ended is ended', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    let commits = 0;
    const doubtful = transactOnce(direct, async (session) => {
      await notes.insertOne({ _id: 'a' }, { session });
      const commit = session.commitTransaction.bind(session);
      session.commitTransaction = async () => {
        if (++commits > 1) throw new MongoServerError({ message: 'not authorized', code: 13 });
        await commit();
        throw new MongoNetworkError('the answer is lost');
      };
    });
    expect(await failure(doubtful)).toMatchObject({ name: 'WriteFailedError', outcome: 'unknown' });
    expect({ commits, there: await notes.countDocuments({}) }).toEqual({ commits: 2, there: 1 });
    const changedHisMind = transactOnce(direct, async (session) => {
      await notes.insertOne({ _id: 'b' }, { session });
      await session.abortTransaction();
      return 'not today';
    });
    expect((await outcome(changedHisMind, 1_000)).value).toBe('not today');
    expect(await notes.countDocuments({})).toBe(1);
    const doneAndThrown = transactOnce(direct, async (session) => {
      await notes.insertOne({ _id: 'c' }, { session });
      await session.commitTransaction();
      throw new MongoServerError({ message: 'after it', code: 2 });
    });
    expect(await failure(doneAndThrown), 'committed by its body').toMatchObject({ outcome: 'unknown' });
  });

  test('what a body does too late is done in its own transaction, which is never committed', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    const stop = new AbortController();
    const late = Promise.withResolvers<void>();
    const deaf = transactOnce(
      direct,
      async (session) => {
        await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
        await notes.insertOne({ _id: 'half' }, { session }).finally(() => late.resolve());
      },
      { signal: stop.signal },
    );
    stop.abort('the shop closes');
    expect(await deaf.catch((reason: unknown) => reason)).toBe('the shop closes');
    await late.promise;
    let [runs, stragglers] = [0, 0];
    await transactOnce(direct, async (session) => {
      await notes.findOne({}, { session });
      if (++runs > 1) return until(() => stragglers, { what: 'what the first has left running' });
      const left = until(() => runs > 1, { what: 'a second run' }).then(() =>
        notes.insertOne({ _id: 'x' }, { session }),
      );
      void left.catch(() => {}).finally(() => stragglers++);
      throw new MongoServerError({ message: 'no', code: 112, errorLabels: ['TransientTransactionError'] });
    });
    expect(await notes.find().toArray(), 'of a body that went on').toEqual([]);
  });

  test('a lazy thenable runs once, a closed client is not asked again, and any reason is reported', async () => {
    let runs = 0;
    const lazy = {
      // biome-ignore lint/suspicious/noThenProperty: what a query of Mongoose is.
      then: (done: (value: number) => void) => done(++runs),
    };
    // @ts-expect-error no promise
    expect(await repeatUntilKnown(() => lazy)).toBe(1);
    const strange = await failure(repeatUntilKnown(() => Promise.reject(Object.create(null))));
    expect(strange).toMatchObject({ name: 'WriteFailedError', outcome: 'unknown' });
    const closed = new MongoClient(mongo.url);
    await closed.connect();
    await closed.close();
    const gone = await failure(insertOnce(closed.db().collection<Keyed>('c'), { _id: 'a' }));
    expect(gone).toMatchObject({ name: 'WriteFailedError', attempts: 1 });
  });

  test('who aborts gets his own reason, and nothing is left on a signal', async () => {
    await using here = await behind({ serverSelectionTimeoutMS: 5_000 });
    const stop = new AbortController();
    const reason = new Error('the shop closes');
    here.link.cut();
    const calls = [
      insertOnce(here.notes, { _id: 'a' }, { signal: stop.signal }),
      transactOnce(here.client, (session) => here.notes.insertOne({ _id: 'b' }, { session }), { signal: stop.signal }),
      measureFailover(
        () => Promise.reject(new TypeError('no')),
        async () => {},
        { signal: stop.signal },
      ),
    ].map((call) => failure(call));
    await until(() => getEventListeners(stop.signal, 'abort').length >= 3, { what: 'three to wait' });
    stop.abort(reason);
    for (const call of calls) expect(await call).toBe(reason);
    expect(await failure(insertOnce(here.notes, { _id: 'c' }, { signal: stop.signal }))).toBe(reason);
    const calm = new AbortController();
    const notes = direct.db().collection<Keyed>(fresh());
    await insertOnce(notes, { _id: 'a' }, { signal: calm.signal });
    await transactOnce(direct, (session) => notes.insertOne({ _id: 'b' }, { session }), { signal: calm.signal });
    expect(getEventListeners(calm.signal, 'abort')).toEqual([]);
    for (const withinMs of [0, -1, Number.NaN, 2 ** 31]) {
      expect(await failure(insertOnce(notes, { _id: 'd' }, { withinMs }))).toBeInstanceOf(RangeError);
      expect(await failure(transactOnce(direct, async () => {}, { withinMs }))).toBeInstanceOf(RangeError);
    }
  });

  test('of several tokens the latest counts, and what is none is refused', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    const idle = direct.startSession();
    expect(() => causalToken(idle)).toThrow(CausalTokenError);
    const mine = direct.startSession();
    await notes.insertOne({ _id: 'a' }, { session: mine });
    const early = causalToken(mine);
    await notes.insertOne({ _id: 'b' }, { session: mine });
    const late = causalToken(mine);
    for (const tokens of [
      [early, late],
      [late, early],
    ]) {
      const session = resumeCausal(direct, ...tokens);
      expect(timeOf(session.operationTime)).toBe(timeOf(mine.operationTime));
      expect(timeOf(session.clusterTime?.clusterTime)).toBeGreaterThanOrEqual(timeOf(mine.operationTime));
      await session.endSession();
    }
    const encoded = (document: Document) => Buffer.from(BSON.serialize(document)).toString('base64url');
    const at = new Timestamp({ t: 5, i: 1 });
    const bad = {
      'an empty text': '',
      'one letter': 'x',
      'a token without its beginning': late.slice(2),
      'a token with a star': `${late}*`,
      'a long text': 'A'.repeat(5_000),
      'no times': encoded({}),
      'no cluster time': encoded({ operationTime: at }),
      'a cluster time without a signature': encoded({ operationTime: at, clusterTime: { clusterTime: at } }),
      'a number as operation time': encoded({ operationTime: 5, clusterTime: { clusterTime: at } }),
    };
    for (const [what, token] of Object.entries(bad))
      expect(() => resumeCausal(direct, late, token), what).toThrow(CausalTokenError);
    // @ts-expect-error a header that is missing
    expect(() => resumeCausal(direct, undefined)).toThrow(CausalTokenError);
    await Promise.all([idle, mine].map((it) => it.endSession()));
  });

  test('in the model of the relay, one copy loses pages, and a majority none', () => {
    let lost = 0;
    for (let seed = 0; seed < 200; seed++) {
      const one = relayFailover(random(SEED + seed), 1);
      lost += account(one.entries, one.survivors).lost.length;
      const majority = relayFailover(random(SEED + seed), 'majority');
      const told = account(majority.entries, majority.survivors);
      expect(told, `seed ${SEED + seed}`).toMatchObject({ lost: [], ghosts: [] });
      expect(told.acknowledged).toBeGreaterThan(0);
    }
    expect(lost, 'pages acknowledged by one copy, and lost').toBeGreaterThan(200);
  });

  test('the longest gap is between two acknowledged writes, whoever made them', () => {
    const at = (time: number, outcome: Entry['outcome'] = 'acknowledged'): Entry => ({
      id: String(time),
      outcome,
      at: time,
    });
    expect(longestGap([at(30), at(0), at(10), at(20, 'unknown'), at(35)])).toBe(20);
    expect(longestGap([at(5)])).toBe(0);
    expect(longestGap([])).toBe(0);
  });

  test('a measurement that goes wrong ends, and so do its writers', async () => {
    const notes = direct.db().collection<Keyed>(fresh());
    let writing = 0;
    const write = async () => {
      writing++;
      await notes.insertOne({ _id: randomUUID() }).finally(() => writing--);
    };
    const broken = new Error('no such node');
    expect(await failure(measureFailover(write, () => Promise.reject(broken)))).toBe(broken);
    expect(writing, 'writes after the end').toBe(0);
    let [done, before] = [0, 0];
    const counted = async () => {
      await write();
      done++;
    };
    await measureFailover(counted, async () => (before = done), { writes: 6 });
    expect(before, 'writes before the fault').toBeGreaterThanOrEqual(6);
    expect(done - before, 'writes after it').toBeGreaterThanOrEqual(6);
    const never = measureFailover(
      () => Promise.reject(new TypeError('no')),
      async () => {},
      { withinMs: 50 },
    );
    expect(await failure(never)).toBeInstanceOf(NoAnswerError);
    const thrown = () => {
      throw new TypeError('no promise');
    };
    expect(await failure(measureFailover(thrown, async () => {}, { withinMs: 50 }))).toBeInstanceOf(NoAnswerError);
    let silent: string | undefined;
    const oneHangs = async (id: string) => {
      if (silent === undefined) {
        silent = id;
        await new Promise(() => {});
      } else await write();
    };
    const inMemory = measureFailover(
      async () => {},
      () => new Promise((resolve) => setTimeout(resolve, 1)),
    );
    expect((await inMemory).length, 'writes that wait for nothing').toBeGreaterThan(100);
    const book = await measureFailover(oneHangs, async () => {}, { writes: 3, withinMs: 300 });
    expect(
      book.find(({ id }) => id === silent),
      'a write that never ended',
    ).toMatchObject({ outcome: 'unknown' });
  });

  test('while its server is killed and comes back, what insertOnce has promised is kept', async ({ skip }) => {
    skip(!mongo.faults, 'it is not ours to kill');
    const client = new MongoClient(mongo.url);
    const notes = client.db(mongo.database).collection<Keyed>(fresh());
    const [node] = mongo.nodes;
    const entries = await measureFailover(
      (_id) => insertOnce(notes, { _id }),
      async () => {
        await node.kill();
        await node.restart();
      },
      { writes: 10 },
    );
    const told = account(
      entries,
      (await notes.find().toArray()).map(({ _id }) => _id),
    );
    expect(told).toMatchObject({ lost: [], ghosts: [], open: { there: 0, gone: 0 } });
    expect(longestGap(entries), 'milliseconds without a write').toBeGreaterThan(50);
    await client.close();
  });
});

function timeOf(stamp: unknown): bigint {
  return stamp instanceof Timestamp ? stamp.toBigInt() : -1n;
}
