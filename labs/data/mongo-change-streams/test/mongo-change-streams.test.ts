import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { startMongo } from '@shared/services';
import { describeWith, needsMongod, outcome, until } from '@shared/testkit';
import {
  BSON,
  type ChangeStream,
  type Collection,
  type CommandStartedEvent,
  type Document,
  MongoClient,
  MongoError,
  MongoExpiredSessionError,
  MongoNetworkError,
  MongoServerError,
} from 'mongodb';
import { afterAll, expect, test, vi } from 'vitest';
import {
  auditOf,
  Board,
  type BoardRow,
  ChangeStreamError,
  changesTouching,
  type DocumentChange,
  FencedError,
  HistoryTooShortError,
  historyIsGone,
  ImageMissingError,
  InvalidArgumentError,
  isDocumentChange,
  type Projection,
  ProjectionError,
  Projector,
  type ProjectorOptions,
  positionOfNow,
  readImage,
  ServerUnreachableError,
  StreamRefusedError,
  type Tx,
} from '#lab';
import { aged, killedAfter, makeWorld, type Order, opened, order, start, type World } from './world.ts';

await describeWith('change streams', { mongo: () => startMongo() }, ({ mongo }) => {
  const client = new MongoClient(mongo.url, { monitorCommands: true });
  const db = client.db();
  afterAll(() => client.close());
  let made = 0;
  const world = () => makeWorld(db, ++made, { Board, Projector }, client);
  const again = (it: World, of: typeof db, its: MongoClient) => makeWorld(of, it.number, { Board, Projector }, its);
  const polls = new Map<string, number>();
  client.on('commandStarted', ({ command }) => {
    const collection = String(command['getMore'] === undefined ? command['aggregate'] : command['collection']);
    polls.set(collection, (polls.get(collection) ?? 0) + 1);
  });
  /**
   * Waits until it is so, or nothing more comes: no run goes on, or its stream was asked fifteen times and each time what
   * it had to tell was dealt with. On a busy machine that takes longer, too.
   */
  const soon = async (it: World, condition: () => Promise<boolean>) => {
    const asked = () => polls.get(it.orders.collectionName) ?? 0;
    const before = asked();
    const isOver = async () => (await condition()) || it.isOver() || asked() > before + 15;
    await until(isOver, { timeoutMs: 3000, intervalMs: 20 }).catch(() => {});
  };
  /** The board, as soon as it is what the orders say; else what it shows in the end. */
  const settled = async (it: World) => {
    await soon(it, async () => JSON.stringify(await it.shown()) === JSON.stringify(await it.due()));
    return it.shown();
  };
  const expectBoard = async (it: World, what: string) => {
    const board = await settled(it);
    expect(board, `${what}; this is the board, as against what the orders say${it.ends()}`).toEqual(await it.due());
  };
  /** How often a stream was asked for while `work` ran. */
  const streams = async (collection: string, work: () => Promise<unknown>) => {
    let asked = 0;
    const count = ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'aggregate' && command['aggregate'] === collection && command['pipeline'][0]?.$changeStream)
        asked += 1;
    };
    client.on('commandStarted', count);
    await work().finally(() => client.off('commandStarted', count));
    return asked;
  };
  /** A projection, and who hears of each change before it. */
  const listening = (
    to: Projection<Order>,
    before: (change: DocumentChange<Order>) => unknown,
    copied: (first: Order | undefined) => unknown = () => {},
  ): Projection<Order> => ({
    copy: async (documents, tx) => {
      await to.copy(documents, tx);
      await copied(documents[0]);
    },
    sweep: (generation) => to.sweep(generation),
    apply: async (change, tx) => {
      await before(change);
      await to.apply(change, tx);
    },
  });
  /** What the driver says of a transaction that may be tried again. */
  const passing = () => {
    const error = new MongoError('try again');
    error.addErrorLabel('TransientTransactionError');
    return error;
  };
  const nothing = { apply: async () => {}, copy: async () => {}, sweep: async () => {} };
  /** While nobody looked orders came and changed (and one was cancelled), and the history of it is gone. */
  const absent = async (cancelled?: number) => {
    const it = world();
    await it.orders.insertMany([order(1), order(2, 2), order(3, 4, 'ramen')]);
    await opened(it);
    await it.orders.insertOne(order(4, 8));
    await it.orders.updateOne({ _id: 1 }, { $set: { portions: 16 } });
    if (cancelled !== undefined) await it.orders.deleteOne({ _id: cancelled });
    const stream = it.orders.watch([], { maxAwaitTimeMS: 20 });
    await stream.tryNext();
    await it.marks.updateOne({ _id: 'board' }, { $set: { position: { after: aged(stream.resumeToken) } } });
    await stream.close();
    return it;
  };

  test('killed after any of its requests, each order counts once', async () => {
    const deaths = await Promise.all(
      Array.from({ length: 8 }, async (_none, i) => {
        const it = world();
        await opened(it, it.counter());
        await it.orders.insertOne(order(1));
        const counted = async (id: string) => (await it.points.findOne({ _id: id }))?.points ?? 0;
        const make = (of: typeof db, its: MongoClient) => again(it, of, its).counter();
        const at = await killedAfter(mongo.nodes[0], i + 1, make);
        await using _successor = start(it.counter());
        await it.orders.insertOne(order(2));
        await soon(it, async () => (await counted('2')) > 0);
        return `killed after ${at}: order 1 ×${await counted('1')}, order 2 ×${await counted('2')}`;
      }),
    );
    const wrong = deaths.filter((line) => !line.endsWith('order 1 ×1, order 2 ×1'));
    expect(wrong, 'kills after which an order was lost, or counted twice').toEqual([]);
    expect(deaths.filter((line) => !line.includes('undefined')).length, 'kills').toBeGreaterThan(5);
  });

  test('what is written while the copy runs is on the board', async () => {
    const it = world();
    await it.orders.insertMany([order(10), order(20, 2), order(30, 4)]);
    const copied = async (first: Order | undefined) => {
      if (first?._id !== 10) return;
      await it.orders.insertOne(order(5, 8)); // the copy is past it
      await it.orders.updateOne({ _id: 10 }, { $set: { portions: 16 } });
      await it.orders.deleteOne({ _id: 30 });
      await it.orders.insertOne(order(40, 32));
    };
    const meanwhile = listening(it.board, () => {}, copied);
    await using _run = start(it.projector({ projection: meanwhile, batch: 1 }));
    await until(async () => (await it.mark())?.position, { what: 'the first copy' });
    await expectBoard(it, 'written during the copy: order 5 and 40, order 10 changed, order 30 gone');
  });

  test('the position of a quiet stream moves on', async () => {
    const it = world();
    await using _run = start(it.projector({ quietMs: 0 }));
    const position = async () => JSON.stringify((await it.mark())?.position ?? null);
    const first = await until(async () => ((await position()) === 'null' ? '' : position()), {
      what: 'the first copy',
    });
    await db.collection('elsewhere').insertMany([{ a: 1 }, { a: 2 }]);
    await soon(it, async () => (await position()) !== first);
    expect(await position(), `the position after writes elsewhere, where it was before${it.ends()}`).not.toBe(first);
    await it.orders.insertOne(order(1));
    await expectBoard(it, 'and it is a position to go on from');
  });

  test('the position of a stream stays as long as it was not quiet for the time that it was told', async () => {
    const it = world();
    await opened(it);
    const { saves } = (await it.mark()) ?? {};
    // Longer than it was up to now: more time than a few answers take.
    await using _run = start(it.projector({ quietMs: Math.ceil(1.5 * performance.now()) }));
    await until(() => (polls.get(it.orders.collectionName) ?? 0) > 4, { what: 'a stream that was asked five times' });
    expect((await it.mark())?.saves, 'times that it was saved').toBe(saves);
  });

  test('when the history is gone it copies anew, and asks no second time', async () => {
    const it = await absent();
    const run = start(it.projector());
    const asked = await streams(it.orders.collectionName, async () => {
      await expectBoard(it, 'the history was gone').finally(() => run.projector.close());
    });
    expect(asked, 'streams asked for: the old one, and the one after the copy').toBe(2);
  });

  test('a new copy has no ghosts, and the old one stays until the new one is whole', async () => {
    const it = await absent(2);
    const before = await it.shown();
    const seen: unknown[] = [];
    const look = async () => seen.push(await it.shown());
    await using _run = start(it.projector({ projection: listening(it.board, () => {}, look), batch: 1 }));
    await expectBoard(it, 'order 2 was deleted while nobody looked');
    expect(seen, 'what was shown while the new copy was made').toEqual(seen.map(() => before));
    await until(async () => (await db.collection(`w${it.number}_rows`).countDocuments()) === 3, { what: 'the sweep' });
  });

  test('a copy comes in lists of the size that it was told; the last has the rest, and none is empty', async () => {
    for (const [count, sizes] of [
      [3, [2, 1]],
      [4, [2, 2]],
    ] as const) {
      const it = world();
      await it.orders.insertMany(Array.from({ length: count }, (_, n) => order(n + 1)));
      const seen: number[] = [];
      const copy = async (documents: readonly unknown[]) => seen.push(documents.length);
      await opened(it, it.projector({ projection: { ...nothing, copy }, batch: 2 }));
      expect(seen, `lists of ${count} orders`).toEqual(sizes);
    }
  });

  test('a board that is copied anew while it is read is read again, five times at most', async () => {
    const it = world();
    expect(await it.board.read(it.marks, 'board'), 'before anybody has begun').toBe(null);
    await opened(it);
    const mark = await it.mark();
    const unfinished = { findOne: async () => ({ ...mark, position: null }) };
    const early: typeof it.marks = Object.assign(Object.create(it.marks), unfinished);
    expect(await it.board.read(early, 'board'), 'before the first copy is whole').toBe(null);
    const looks = async (copies: number) => {
      let looked = 0;
      const findOne = async () => ({ ...mark, generation: Math.min(looked++, copies) });
      const marks: typeof it.marks = Object.assign(Object.create(it.marks), { findOne });
      const { error } = await outcome(it.board.read(marks, 'board'));
      return { looked, error };
    };
    expect(await looks(1), 'copied once').toEqual({ looked: 4, error: undefined });
    expect(await looks(100), 'copied again and again').toEqual({ looked: 10, error: expect.any(ChangeStreamError) });
  });

  test.each(['drop', 'rename'] as const)(
    'after a %s the new collection is followed from its first order',
    async (how) => {
      const it = world();
      await it.orders.insertMany([order(1), order(2, 2)]);
      const run = start(it.projector());
      await until(async () => (await it.mark())?.position, { what: 'the first copy' });
      await (how === 'drop' ? it.orders.drop() : it.orders.rename(`w${it.number}_last_year`));
      await it.orders.insertOne(order(3, 4));
      await expectBoard(it, `after the ${how} there is one new order`);
      await it.orders.insertOne(order(4, 8));
      await expectBoard(it, 'and another');
      await run.projector.close();
      expect((await outcome(run.ended)).error, 'the run').toBe(undefined);
    },
  );

  test('whoever was replaced is refused, and what he was writing is not written', async () => {
    const it = world();
    await opened(it, it.counter());
    const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = listening(it.counting, async () => {
      reached.resolve();
      await goOn.promise; // a long pause, with the change in his hand
    });
    await using first = start(it.projector({ projection: slow }));
    await it.orders.insertOne(order(1));
    await Promise.race([reached.promise, first.ended]); // a run that fails says why
    await using _second = start(it.counter());
    const successor = until(() => it.points.findOne({ _id: '1' }), { timeoutMs: 1500 });
    await successor.catch(() => {});
    goOn.resolve();
    const { error } = await outcome(first.ended, 1000).catch(() => ({ error: 'nothing, it goes on' }));
    const points = (await it.points.find().toArray()).map(({ _id, points: n }) => `order ${_id} ×${n}`);
    expect(points, 'what was counted').toEqual(['order 1 ×1']);
    expect(error, 'what the first is told').toBeInstanceOf(FencedError);
  });

  test('an audit says of each change what it made of what', async () => {
    const it = world();
    await db.createCollection(it.orders.collectionName, { changeStreamPreAndPostImages: { enabled: true } });
    const entries: string[] = [];
    const journal = listening(nothing, (change) => {
      const { op, key, fields } = auditOf(change);
      const said = fields.map(({ field, from, to }) => `${field} ${JSON.stringify(from)} → ${JSON.stringify(to)}`);
      entries.push(`${op} ${key}: ${said.join(', ')}`);
    });
    await opened(it);
    await it.orders.insertOne(order(1));
    await it.orders.updateOne({ _id: 1 }, { $set: { portions: 2 } });
    await it.orders.updateOne({ _id: 1 }, { $set: { portions: 3, note: 'hot' } });
    await it.orders.updateOne({ _id: 1 }, { $unset: { note: 1 } });
    await it.orders.replaceOne({ _id: 1 }, { dish: 'ramen', portions: 3, status: 'open' });
    await it.orders.deleteOne({ _id: 1 });
    await using _run = start(it.projector({ projection: journal, before: 'required' }));
    await soon(it, async () => entries.length >= 6);
    expect(entries, `the journal, read after all of it was done${it.ends()}`).toEqual([
      'insert 1: dish undefined → "udon", portions undefined → 1, status undefined → "open"',
      'update 1: portions 1 → 2',
      'update 1: portions 2 → 3, note undefined → "hot"',
      'update 1: note "hot" → undefined',
      'replace 1: dish "udon" → "ramen"',
      'delete 1: dish "ramen" → undefined, portions 3 → undefined, status "open" → undefined',
    ]);
  });

  test('what does not concern it stays on the server, and an order that is served leaves the board', async () => {
    const it = world();
    const applied: string[] = [];
    const projection = listening(it.board, ({ operationType }) => applied.push(operationType));
    await using _run = start(it.projector({ projection, touching: ['dish', 'portions', 'status'] }));
    await until(async () => (await it.mark())?.position, { what: 'the first copy' });
    await it.orders.insertMany([order(1), order(2, 2)]);
    for (const note of ['hot', 'hotter', 'no onions']) await it.orders.updateMany({}, { $set: { note } });
    await it.orders.updateOne({ _id: 1 }, { $set: { status: 'served' } });
    await expectBoard(it, 'order 1 is served');
    expect(applied, 'the changes that came, of two orders, six notes and one that was served').toEqual([
      'insert',
      'insert',
      'update',
    ]);
  });

  test('killed after any request of a copy, the board is whole in the end', async () => {
    const deaths = await Promise.all(
      [2, 3, 4, 5, 7, 9, 11, 13].map(async (n) => {
        const it = world();
        await it.orders.insertMany([order(1), order(2, 2), order(3, 4)]);
        const make = (of: typeof db, its: MongoClient) => again(it, of, its).projector({ batch: 2 });
        const at = await killedAfter(mongo.nodes[0], n, make);
        await it.orders.deleteOne({ _id: 2 });
        await using _successor = start(it.projector({ batch: 2 }));
        return `killed after ${at}: ${JSON.stringify(await settled(it))}`;
      }),
    );
    expect(deaths.filter((line) => !line.endsWith('{"udon":5}'))).toEqual([]);
  });

  test('two that begin at once: one goes on, one is refused', async () => {
    const it = world();
    await it.orders.insertMany([order(1), order(2)]);
    const runs = [start(it.projector()), start(it.projector())];
    await it.orders.insertOne(order(3, 4));
    await expectBoard(it, 'one of them goes on');
    await it.orders.insertOne(order(4, 8));
    await expectBoard(it, 'one of them goes on');
    const ends = await Promise.all(
      runs.map(async ({ projector, ended }) => {
        await projector.close();
        return (await outcome(ended)).error;
      }),
    );
    expect(ends.filter((error) => error instanceof FencedError).length, 'refused').toBe(1);
    expect(ends.filter((error) => error === undefined).length, 'gone on').toBe(1);
  });

  test('who takes over ends the transaction of whoever came in between', async () => {
    const it = world();
    await opened(it, it.counter());
    await using other = client.startSession();
    other.startTransaction();
    await it.points.updateOne({ _id: '1' }, { $inc: { points: 1 } }, { upsert: true, session: other });
    let raced = false;
    const marks: typeof it.marks = Object.assign(Object.create(it.marks), {
      findOne: async (filter: Document) => {
        const seen = await it.marks.findOne(filter);
        if (!raced) await it.marks.updateOne(filter, { $set: { session: other.id?.id }, $inc: { epoch: 1 } });
        raced = true;
        return seen;
      },
    });
    await using _run = start(it.projector({ marks, projection: it.counting }));
    await it.orders.insertOne(order(1));
    const counted = await until(() => it.points.findOne({ _id: '1' }), { timeoutMs: 1500 }).catch(() => null);
    expect(counted, 'a transaction that nobody ends locks the row for a minute').toEqual({ _id: '1', points: 1 });
  });

  test('a connection that breaks at any moment loses nothing and counts nothing twice', async () => {
    const it = world();
    await using proxy = await mongo.nodes[0].proxy();
    const shaky = new MongoClient(proxy.url, { serverSelectionTimeoutMS: 2000 });
    const projector = again(it, shaky.db(), shaky).counter();
    await using run = start(projector);
    await until(async () => (await it.mark())?.position, { what: 'the first copy' });
    for (let n = 1; n <= 12; n += 1) {
      await it.orders.insertOne(order(n));
      if (n % 4 === 0) proxy.reset();
    }
    await using _next = { [Symbol.asyncDispose]: () => shaky.close(true) };
    const all = async () => (await it.points.countDocuments()) === 12;
    let ended = false;
    const over = () => {
      ended = true;
    };
    run.ended.then(over, over);
    await until(async () => ended || (await all()), { timeoutMs: 1000 }).catch(() => {});
    await projector.close();
    const { error } = await outcome(run.ended);
    expect(error === undefined || error instanceof ServerUnreachableError, String(error)).toBe(true);
    await using _successor = start(it.counter());
    await until(all, { what: 'all orders' });
    expect(await it.points.countDocuments({ points: { $ne: 1 } })).toBe(0);
  });

  test('a commit whose socket breaks is told as a lost connection', async () => {
    const it = world();
    const shaky = new MongoClient(mongo.url);
    await using _shaky = { [Symbol.asyncDispose]: () => shaky.close(true) };
    const open = shaky.startSession.bind(shaky);
    vi.spyOn(shaky, 'startSession').mockImplementation((options) => {
      const session = open(options);
      const broken = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' });
      return Object.assign(session, { commitTransaction: () => Promise.reject(broken) });
    });
    const { error } = await outcome(start(again(it, shaky.db(), shaky).counter()).ended);
    expect(error).toBeInstanceOf(ServerUnreachableError);
  });

  test('a projection that throws stops at that change, and the next run begins with it', async () => {
    const it = world();
    await opened(it);
    let bad = true;
    const picky = listening(it.board, ({ documentKey }) => {
      if (bad && documentKey._id === 2) throw new RangeError('no such dish');
    });
    await it.orders.insertMany([order(1), order(2, 2), order(3, 4)]);
    const { error } = await outcome(start(it.projector({ projection: picky })).ended);
    expect(error).toBeInstanceOf(ProjectionError);
    expect(error).toMatchObject({ key: 2, cause: new RangeError('no such dish') });
    expect(await it.shown(), 'the bad one left nothing').toEqual({ udon: 1 });
    expect((await it.mark())?.session, 'the session, which is back in the pool').toBe(null);
    bad = false;
    await using _run = start(it.projector({ projection: picky }));
    await expectBoard(it, 'mended');
  });

  test('a bookmark of a foreign shape is refused: it is not followed from now', async () => {
    const it = world();
    await opened(it);
    for (const position of [{}, { after: null }, { at: null }, { at: 1 }, 'text', []]) {
      await it.marks.updateOne({ _id: 'board' }, [{ $set: { position: { $literal: position }, session: 'text' } }]);
      const { error } = await outcome(it.projector().run(), 1000).catch(() => ({ error: 'nothing, it goes on' }));
      expect(error, JSON.stringify(position)).toBeInstanceOf(ChangeStreamError);
    }
  });

  test('whatever the projection throws is told as its own, with the key', async () => {
    const it = world();
    await opened(it);
    await it.orders.insertOne(order(2));
    const twice = async (_change: unknown, { session }: Tx) => {
      for (const _of of [1, 2]) await it.points.insertOne({ _id: 'same', points: 1 }, { session });
    };
    const throwing = [Object.create(null), undefined, Object.assign(new Error('no file'), { syscall: 'open' })];
    for (const apply of [twice, ...throwing.map((thrown) => () => Promise.reject(thrown))]) {
      const { error } = await outcome(start(it.projector({ projection: { ...nothing, apply } })).ended);
      expect(error).toBeInstanceOf(ProjectionError);
      expect(error).toMatchObject({ key: 2 });
    }
    for (const [step, key] of [
      ['copy', 2],
      ['sweep', undefined],
    ] as const) {
      const fresh = world();
      await fresh.orders.insertMany([order(2), order(3)]);
      const projection = { ...nothing, [step]: () => Promise.reject(new Error('no room')) };
      const { error } = await outcome(start(fresh.projector({ projection })).ended, 2000);
      expect(error, step).toBeInstanceOf(ProjectionError);
      expect(error).toMatchObject({ key });
    }
    const no = new MongoError('no');
    const rows: Collection<BoardRow> = Object.assign(Object.create(db.collection('rows')), {
      deleteMany: () => Promise.reject(no),
    });
    expect((await outcome(new Board<Order>(rows, () => undefined).sweep(1))).error, 'of a board').toBe(no);
    expect(String(new ProjectionError(2n ** 60n, 'x'))).toContain('1152921504606846976');
  });

  test('what the connection or the server does within a projection is told as theirs, or tried again', async () => {
    const it = world();
    await opened(it);
    await it.orders.insertOne(order(1));
    const reset = (syscall: string) => Object.assign(new Error('reset'), { syscall });
    for (const [thrown, kind] of [
      [new MongoNetworkError('reset'), ServerUnreachableError],
      [reset('read'), ServerUnreachableError],
      [reset('write'), ServerUnreachableError],
      [new MongoServerError({ message: 'interrupted at shutdown', code: 11_601 }), StreamRefusedError],
    ] as const) {
      const projection = { ...nothing, apply: () => Promise.reject(thrown) };
      const { error } = await outcome(start(it.projector({ projection })).ended, 2000);
      expect(error, String(thrown)).toBeInstanceOf(kind);
    }
    let tries = 0;
    const apply = async (change: DocumentChange<Order>, tx: Tx) => {
      if (++tries === 1) throw passing();
      await it.board.apply(change, tx);
    };
    await using _run = start(it.projector({ projection: { ...nothing, apply } }));
    await expectBoard(it, 'the second try has worked');
    expect(tries).toBe(2);
  });

  test('what comes of a projection when its try has ended is refused: it would be kept with the next, or by itself', async () => {
    const it = world();
    await opened(it);
    await it.orders.insertOne(order(1));
    const again = Promise.withResolvers<void>();
    const late: Promise<unknown>[] = [];
    const failing = [
      { error: passing(), ended: () => again.promise },
      { error: new RangeError('no such dish'), ended: () => turn() },
    ];
    const apply = async (change: DocumentChange<Order>, tx: Tx) => {
      if (late.length > 0) again.resolve();
      const [fails] = failing.splice(0, 1);
      if (!fails) return it.counting.apply(change, tx);
      await it.counting.apply(change, tx);
      const after = fails.ended().then(() => it.points.insertOne({ _id: 'late', points: 1 }, { session: tx.session }));
      late.push(outcome(after, 2000));
      return Promise.all([Promise.reject(fails.error), after]);
    };
    const projection = { ...nothing, apply };
    expect((await outcome(start(it.projector({ projection })).ended, 3000)).error).toBeInstanceOf(ProjectionError);
    expect(await Promise.all(late)).toMatchObject([
      { error: expect.any(MongoExpiredSessionError) },
      { error: expect.any(MongoExpiredSessionError) },
    ]);
    await using _run = start(it.projector({ projection }));
    await until(() => it.points.findOne());
    expect(await it.points.find().toArray()).toEqual([{ _id: '1', points: 1 }]);
  });

  test('what the driver refuses outside of a projection is an error of ours, too', async () => {
    const it = world();
    for (const refusal of [new MongoError('odd'), new BSON.BSONError('odd')]) {
      const findOne = () => Promise.reject(refusal);
      const marks: typeof it.marks = Object.assign(Object.create(it.marks), { findOne });
      const { error } = await outcome(it.projector({ marks }).run());
      expect(error).toBeInstanceOf(ChangeStreamError);
      expect(error).toMatchObject({ cause: refusal });
    }
  });

  test('who is closed with a change in hand tries no second time, and what the projection throws is told all the same', async () => {
    const it = world();
    await opened(it);
    await it.orders.insertOne(order(1));
    for (const [thrown, told] of [
      [passing(), undefined],
      [new RangeError('no such dish'), expect.any(ProjectionError)],
    ]) {
      let tries = 0;
      const apply = async () => {
        tries += 1;
        void closing.projector.close();
        throw thrown;
      };
      const closing = start(it.projector({ projection: { ...nothing, apply } }));
      expect((await outcome(closing.ended, 2000)).error, String(thrown)).toEqual(told);
      expect(tries, 'tries').toBe(1);
    }
  });

  test('who is replaced before his first copy makes none', async () => {
    const it = world();
    await it.orders.insertOne(order(1));
    const marks: typeof it.marks = Object.assign(Object.create(it.marks), {
      findOneAndUpdate: async (filter: Document, ...rest: [Document, object]) => {
        if ('epoch' in filter) await it.marks.updateOne({ _id: 'board' }, { $inc: { epoch: 1 } });
        return it.marks.findOneAndUpdate(filter, ...rest);
      },
    });
    expect((await outcome(it.projector({ marks }).run(), 2000)).error).toBeInstanceOf(FencedError);
    expect(await db.collection(`w${it.number}_rows`).countDocuments(), 'rows').toBe(0);
  });

  test('a history that is shorter than a copy is an error, not a copy for ever', async () => {
    const it = await absent();
    const { position } = (await it.mark()) ?? {};
    const after = position && 'after' in position ? position.after : null;
    const forgetful: typeof it.orders = Object.assign(Object.create(it.orders), {
      watch: () => it.orders.watch([], { startAfter: after, maxAwaitTimeMS: 20 }),
      find: it.orders.find.bind(it.orders),
    });
    const { error } = await outcome(start(it.projector({ source: forgetful })).ended);
    expect(error).toBeInstanceOf(HistoryTooShortError);
  });

  test('a looked-up document is that of now: a board is right with it, though it never was so', async () => {
    const it = world();
    await opened(it);
    const looked: unknown[] = [];
    await it.orders.insertMany([order(1), order(2)]);
    for (const portions of [2, 3]) await it.orders.updateMany({}, { $set: { portions } });
    await it.orders.deleteOne({ _id: 2 });
    const projection = listening(it.board, (change) => {
      if (change.operationType === 'update') looked.push(change.fullDocument?.portions ?? null);
    });
    const left = Object.fromEntries([['document', undefined]]); // as from a config without it
    await using _run = start(it.projector({ projection, ...left }));
    await expectBoard(it, 'order 1 has three portions');
    await until(() => looked.length === 4, { what: 'four updates' });
    expect(looked.sort(), 'the first update made 2').toEqual([3, 3, null, null]);
  });

  test('an image that was not kept is an error that says how to keep it', async () => {
    const it = world();
    await opened(it);
    await it.orders.insertOne(order(1));
    await it.orders.updateOne({ _id: 1 }, { $set: { portions: 2 } });
    const { error } = await outcome(start(it.projector({ before: 'required' })).ended);
    expect(error).toBeInstanceOf(ImageMissingError);
    expect(String(error)).toContain('changeStreamPreAndPostImages');
    const imageless = { operationType: 'delete', documentKey: { _id: 1 } } as unknown as DocumentChange;
    expect(() => auditOf(imageless)).toThrow(ImageMissingError);
  });

  test('paths are read as they are: in lists, shortened lists, and no field is inherited', async () => {
    const pots = db.collection<Document>('pots');
    await db.createCollection('pots', { changeStreamPreAndPostImages: { enabled: true } });
    const pipeline = changesTouching(['items', '__proto__']);
    const stream: ChangeStream = pots.watch(pipeline, {
      fullDocumentBeforeChange: 'whenAvailable',
      maxAwaitTimeMS: 20,
    });
    await stream.tryNext();
    await pots.insertOne({ n: 1, items: [{ q: 1 }, { q: 2 }, { q: 3 }], itemsToo: 1 });
    await pots.updateOne({ n: 1 }, { $set: { itemsToo: 2 } });
    await pots.updateOne({ n: 1 }, { $set: { 'items.1.q': 5, toString: 'x' } });
    await pots.updateOne({ n: 1 }, { $unset: { items: 1 } });
    const seen: unknown[] = [];
    for (let n = 0; n < 3; n += 1) {
      const change = await stream.tryNext();
      if (change && isDocumentChange(change)) seen.push(auditOf(change).fields);
    }
    await stream.close();
    expect(seen.slice(1)).toEqual([
      expect.arrayContaining([
        { field: 'items.1.q', from: 2, to: 5 },
        { field: 'toString', from: undefined, to: 'x' },
      ]),
      [{ field: 'items', from: [{ q: 1 }, { q: 5 }, { q: 3 }], to: undefined }],
    ]);
    const holders = { a: null, b: 'text', c: [7] };
    expect(['a.b', 'b.length', 'c.0'].map((path) => readImage(holders, path))).toEqual([undefined, undefined, 7]);
    const shortened = {
      operationType: 'update',
      documentKey: { _id: 1 },
      fullDocumentBeforeChange: { items: [1, 2, 3] },
      updateDescription: { truncatedArrays: [{ field: 'items', newSize: 2 }] },
    } as unknown as Parameters<typeof auditOf>[0];
    expect(auditOf(shortened).fields).toEqual([{ field: 'items.length', from: 3, to: 2 }]);
    const replaced = (from: unknown, to: unknown) =>
      auditOf(
        Object.assign({}, shortened, {
          operationType: 'replace' as const,
          fullDocumentBeforeChange: { 'a.b': from },
          fullDocument: { 'a.b': to },
        }),
      ).fields.length;
    const pairs = [[/a/, /b/], [Number.NaN, null], [1n, 2n], [1, 2]]; // biome-ignore format: a pair a value
    expect(pairs.map(([a, b]) => [replaced(a, b), replaced(a, a)])).toEqual(pairs.map(() => [1, 0]));
  });

  test('what cannot be followed is refused before anything is sent', () => {
    const it = world();
    const bad: Partial<ProjectorOptions<Order>>[] = [
      ...['', 'a\0b', '\ud800'].map((name) => ({ name })),
      ...[0, 1.5, Number.NaN, -1].map((batch) => ({ batch })),
      { awaitMs: 0 },
      { quietMs: -1 },
      ...[[], [''], ['a.b'], ['$where'], ['a\0'], ['\udc00']].map((touching) => ({ touching })),
      { client: Object.create(null) },
      ...['source', 'marks', 'projection', 'touching'].map((option) => ({ [option]: null })),
      ...[
        { touching: 'dish' },
        { touching: [1] },
        { before: '' },
        { document: '' },
        { awaitMs: Object.create(null) },
      ].map((options) => Object.fromEntries(Object.entries(options))),
    ];
    const taken = bad.filter((options) => {
      try {
        it.projector(options);
        return true;
      } catch (error) {
        return !(error instanceof InvalidArgumentError);
      }
    });
    expect(taken).toEqual([]);
    it.projector({ awaitMs: 1, quietMs: 0, batch: 1 });
    const left = ['awaitMs', 'quietMs', 'batch'].map((name) => [name, undefined]);
    expect(Reflect.get(it.projector(Object.fromEntries(left)), 'options'), 'what was left out').toMatchObject({
      ...{ awaitMs: 1000, quietMs: 10_000, batch: 500 },
      ...{ before: 'off', document: 'updateLookup', touching: undefined },
    });
    expect(() => changesTouching([])).toThrow(InvalidArgumentError);
  });

  test('who aborts gets his own reason; who closes gets an end; and nothing is left behind', async () => {
    const it = world();
    const abort = new AbortController();
    const reason = new Error('closing time');
    const projector = it.projector({ awaitMs: 30_000 });
    const run = outcome(projector.run(abort.signal), 3000);
    await until(async () => (await it.mark())?.position, { what: 'the first copy' });
    expect((await outcome(projector.run())).error, 'a second run beside it').toBeInstanceOf(InvalidArgumentError);
    abort.abort(reason);
    expect((await run).error).toBe(reason);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    const unopened = world();
    await unopened.orders.insertOne(order(1));
    const early = start(
      unopened.projector({
        projection: listening(
          it.board,
          () => {},
          () => void early.projector.close(),
        ),
      }),
    );
    expect((await outcome(early.ended)).error, 'closed while it copied').toBe(undefined);
    const late = it.projector();
    expect((await outcome(late.run(abort.signal))).error).toBe(reason);
    expect(Reflect.get(late, 'session')).toMatchObject({ hasEnded: true });
    await until(async () => (await it.mark())?.session === null, {
      timeoutMs: 3000,
      what: 'the session, which is in the pool of the client now, to be nobody’s to end',
    });
    const closed = start(it.projector({ awaitMs: 30_000 }));
    await it.orders.insertOne(order(1));
    await expectBoard(it, 'another goes on');
    await closed.projector.close();
    expect((await outcome(closed.ended)).error).toBe(undefined);
    await closed.projector.close();
    expect((await outcome(closed.projector.run())).error, 'a second run').toBeInstanceOf(InvalidArgumentError);
    const unused = it.projector();
    await unused.close();
    expect(Reflect.get(unused, 'session')).toMatchObject({ hasEnded: true });
    expect((await outcome(unused.run())).error, 'a run after the end').toBeInstanceOf(InvalidArgumentError);
    expect((await it.mark())?.epoch, 'take-overs').toBe(2);
    const midway = new AbortController();
    const torn = listening(it.board, () => {
      midway.abort(reason);
      throw new Error('cut off in the middle of it');
    });
    const cut = outcome(it.projector({ projection: torn }).run(midway.signal));
    await it.orders.insertOne(order(2));
    expect((await cut).error).toBe(reason);
    expect((await it.mark())?.session, 'as well where the abort made the run fail').toBe(null);
  });

  test('a server that is not there, and one that says no, have errors of their own', async () => {
    const nobody = new MongoClient('mongodb://127.0.0.1:1/db?directConnection=true', { serverSelectionTimeoutMS: 50 });
    const it = again(world(), nobody.db(), nobody);
    expect((await outcome(it.projector().run())).error).toBeInstanceOf(ServerUnreachableError);
    await nobody.close();
    const there = world();
    await opened(there);
    await there.marks.updateOne({ _id: 'board' }, { $set: { position: { after: { _data: 'zz' } } } });
    const { error } = await outcome(there.projector().run());
    expect(error).toBeInstanceOf(StreamRefusedError);
    expect(error).toBeInstanceOf(ChangeStreamError);
    const answer = (code: number) => historyIsGone(new MongoServerError({ message: 'no', code }));
    expect([286, 280, 281].map(answer), 'history lost, token not found, and another answer').toEqual([
      true,
      true,
      false,
    ]);
    expect(historyIsGone(Object.assign(new Error('of somebody else'), { code: 286 }))).toBe(false);
    const asked: unknown[] = [];
    const command = async (_hello: unknown, options: unknown) => ({ ok: asked.push(options) });
    const alone: typeof db = Object.assign(Object.create(db), { command });
    await using session = client.startSession();
    expect((await outcome(positionOfNow(alone, session))).error, 'no replica set').toBeInstanceOf(ChangeStreamError);
    expect(asked).toEqual([{ session }]);
  });

  test('the image after a change is the document as it was then', async ({ skip }) => {
    skip(mongo.standIn !== undefined, needsMongod('the stand-in looks the document up where it should have kept it'));
    const it = world();
    await db.createCollection(it.orders.collectionName, { changeStreamPreAndPostImages: { enabled: true } });
    await opened(it);
    await it.orders.insertOne(order(1));
    for (const portions of [2, 3, 4]) await it.orders.updateOne({ _id: 1 }, { $set: { portions } });
    await it.orders.deleteOne({ _id: 1 });
    const seen: unknown[] = [];
    const projection = listening(nothing, (change) => {
      if (change.operationType === 'update') seen.push(change.fullDocument?.portions);
    });
    await using _run = start(it.projector({ projection, document: 'required' }));
    await until(() => seen.length === 3, { what: 'three updates' });
    expect(seen).toEqual([2, 3, 4]);
  });

  test('an oplog that has rolled over is such a loss: the board is copied anew', async ({ skip }) => {
    skip(mongo.standIn !== undefined, needsMongod('the stand-in forgets after an hour, or after 100,000 writes'));
    const it = world();
    await it.orders.insertMany([order(1), order(2, 2)]);
    await opened(it);
    await it.orders.deleteOne({ _id: 2 });
    const note = 'x'.repeat(8_000_000);
    const { position } = (await it.mark()) ?? {};
    const first = position && 'at' in position ? position.at : undefined;
    const oldest = () => client.db('local').collection('oplog.rs').find().sort({ $natural: 1 }).limit(1).next();
    for (let n = 0; n < 100; n += 1) {
      await db.collection('ballast').insertOne({ note });
      const begins = await oldest();
      if (first && begins?.['ts'].greaterThan(first)) break;
    }
    await using _run = start(it.projector());
    await expectBoard(it, 'the oplog has rolled over');
  }, 60_000);
});
