import { AsyncLocalStorage } from 'node:async_hooks';
import { startPostgres } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  ConnectionError,
  ConstraintError,
  type Database,
  InvalidQueryError,
  PoolTimeoutError,
  QueryError,
  SerializationError,
  TransactionError,
} from '#lab';
import { Author, Book, Order, Publisher } from './bookshop.ts';
import { open, stocked } from './shop.ts';

const NOT_OURS = 'it kills and restarts the server, and this one is not ours';

await describeWith('transactions', { pg: startPostgres }, ({ pg }) => {
  const backend = async (db: Database) => String((await db.sql`SELECT pg_backend_pid()`)[0]);

  test('what returns is committed, what throws is rolled back', async () => {
    const { db } = await open(pg);
    const publishers = Publisher.objects(db);
    expect(await db.transaction(async () => (await publishers.create({ name: 'A' })).name)).toBe('A');
    const failing = db.transaction(async () => {
      await publishers.create({ name: 'B' });
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect((await publishers.all()).map(({ name }) => name)).toEqual(['A']);
  });

  test('a query finds the transaction around it, however deep in the calls', async () => {
    const { db } = await open(pg, { max: 2 });
    const service = async () => (await Publisher.objects(db).create({ name: 'A' })).refresh();
    await db.transaction(async () => {
      const own = await backend(db);
      await service();
      expect(await Promise.all([backend(db), backend(db)])).toEqual([own, own]);
      expect(await Publisher.objects(db).count()).toBe(1);
    });
    expect(await Publisher.objects(db).count()).toBe(1);
  });

  test('concurrent transactions never share a connection', async () => {
    const { db } = await open(pg, { max: 5 });
    // The first is in the middle of it, its connection at rest: the second must not get that one.
    const asked = Promise.withResolvers<string>();
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const first = db.transaction(async () => {
      asked.resolve(await backend(db));
      await over;
    });
    const own = await asked.promise;
    expect(await db.transaction(() => backend(db)).finally(end)).not.toBe(own);
    await first;
    const inside = new Map<string, number>();
    let clashes = 0;
    const one = async (n: number) => {
      const own = await backend(db);
      if (inside.has(own)) clashes++;
      inside.set(own, n);
      await Publisher.objects(db).create({ name: `P${n}` });
      if ((await backend(db)) !== own) clashes++;
      inside.delete(own);
      if (n % 3 === 0) throw new Error('odd one out');
    };
    const results = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => db.transaction(() => one(n))));
    expect(clashes).toBe(0);
    const committed = results.filter(({ status }) => status === 'fulfilled').length;
    expect(committed).toBe(20);
    expect(await Publisher.objects(db).count()).toBe(committed);
  });

  test('an inner transaction is a savepoint: it rolls back alone', async () => {
    const { db } = await open(pg);
    const publishers = Publisher.objects(db);
    await db.transaction(async () => {
      await publishers.create({ name: 'outer' });
      const inner = db.transaction(async () => {
        await publishers.create({ name: 'inner' });
        await db.transaction(() => publishers.create({ name: 'innermost' }));
        await publishers.create({ name: 'outer' });
      });
      await expect(inner).rejects.toThrow(ConstraintError);
      await publishers.create({ name: 'after' });
    });
    expect((await publishers.orderBy('name').all()).map(({ name }) => name)).toEqual(['after', 'outer']);
  });

  test('a statement beside an open savepoint is refused: it would land in it, or wait for ever', async () => {
    const { db } = await stocked(pg);
    const publishers = Publisher.objects(db);
    const error = async (call: () => Promise<unknown>) => call().catch((caught: unknown) => caught);
    const names = await db.transaction(async () => {
      const undone = db.transaction(async () => {
        await publishers.create({ name: 'undone' });
        throw new Error('undone');
      });
      const beside = [
        () => publishers.create({ name: 'beside' }),
        () => db.transaction(() => publishers.create({ name: 'sibling' })),
        () => db.onCommit(() => {}),
      ];
      for (const outcome of await Promise.all(beside.map(error))) expect(outcome).toBeInstanceOf(TransactionError);
      await expect(undone).rejects.toThrow('undone');
      // Begun outside, with a second statement to come: the savepoint would wait for it, and it for the savepoint.
      const books = Book.objects(db).prefetch('author').all();
      expect(await error(() => db.transaction(() => books))).toBeInstanceOf(TransactionError);
      await publishers.create({ name: 'after' });
      return (await publishers.filter({ id__gt: 2 }).all()).map(({ name }) => name);
    });
    expect(names).toEqual(['after']);
  });

  test('after a commit, and only then, its hooks run in order', async () => {
    const { db } = await open(pg);
    const log: string[] = [];
    const note = (what: string) => db.onCommit(() => void log.push(what));
    await db.transaction(async () => {
      await note('first');
      await db.transaction(async () => note('inner'));
      await db
        .transaction(async () => {
          await note('rolled back');
          throw new Error('inner');
        })
        .catch(() => {});
      await db.onCommit(async () => log.push(`sees ${await Publisher.objects(db).count()}`));
      await Publisher.objects(db).create({ name: 'A' });
      expect(log).toEqual([]);
    });
    expect(log).toEqual(['first', 'inner', 'sees 1']);
    const failing = db.transaction(async () => {
      await note('never');
      throw new Error('outer');
    });
    await expect(failing).rejects.toThrow('outer');
    await note('at once');
    expect(log.slice(3)).toEqual(['at once']);
  });

  test('a hook that fails keeps no other from its turn, and undoes no commit', async () => {
    const { db } = await open(pg);
    const log: string[] = [];
    let bodies = 0;
    const failing = db.transaction(
      async () => {
        bodies++;
        await Publisher.objects(db).create({ name: 'A' });
        await db.onCommit(() => Promise.reject(new SerializationError('mail', '40001', new Error('later'))));
        await db.onCommit(() => void log.push('second'));
      },
      { retries: 3 },
    );
    await expect(failing).rejects.toThrow(/Committed, but 1 of 2 hooks failed/);
    expect([bodies, log, await Publisher.objects(db).count()]).toEqual([1, ['second'], 1]);
  });

  test('a statement or a hook after the end of its transaction is refused, not forgotten', async () => {
    const { db } = await open(pg);
    const late = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    await db.transaction(async () => {
      // The await that somebody forgot.
      void ended.then(() => Publisher.objects(db).create({ name: 'late' })).then(() => late.resolve(), late.reject);
    });
    end();
    await expect(late.promise).rejects.toThrow(TransactionError);
    expect(await Publisher.objects(db).count()).toBe(0);
    const after = await db.transaction(async () => AsyncLocalStorage.snapshot());
    await expect(after(() => db.onCommit(() => {}))).rejects.toThrow(TransactionError);
  });

  test('a listener that throws fails no statement, and leaves no transaction open', async () => {
    const { db } = await open(pg, { max: 1 });
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    using _ = db.onQuery(() => {
      throw new Error('the log is full');
    });
    await db.transaction(() => Publisher.objects(db).create({ name: 'A' }));
    expect((await db.sql`SELECT now() = statement_timestamp()`)[0], 'no transaction is open').toEqual([true]);
    expect(await Publisher.objects(db).count()).toBe(1);
    expect(String(warned.mock.calls[0])).toContain('the log is full');
  });

  test('a sibling that is still at work when the transaction has failed touches the connection no more', async () => {
    const { db, sent } = await open(pg, { max: 1 });
    const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
    const slow: Promise<unknown>[] = [];
    const failing = db.transaction(async () => {
      const sibling = db.transaction(async () => {
        await Publisher.objects(db).create({ name: 'A' });
        await failed;
        await Publisher.objects(db).create({ name: 'B' });
      });
      slow.push(sibling.catch((error: unknown) => error));
      await until(() => sent.some(({ params }) => String(params) === 'A'));
      throw new Error('the other one failed');
    });
    await expect(failing).rejects.toThrow('the other one failed');
    const before = sent.length;
    fail();
    const [outcome] = await Promise.all(slow);
    expect(outcome).toBeInstanceOf(TransactionError);
    expect(sent.slice(before).map(({ sql }) => sql)).toEqual([]);
    expect(await Publisher.objects(db).count()).toBe(0);
  });

  test('a serialization failure is retried as often as was said, the whole body', async () => {
    const { db } = await stocked(pg);
    let bodies = 0;
    const add = (retries: number) =>
      db.transaction(
        async () => {
          bodies++;
          const book = await Book.objects(db).get({ id: 1 });
          book.stock += 1;
          await book.save();
        },
        { isolation: 'serializable', retries },
      );
    const impatient = await Promise.allSettled(Array.from({ length: 5 }, () => add(0)));
    const done = impatient.filter(({ status }) => status === 'fulfilled').length;
    for (const each of impatient)
      if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(SerializationError);
    await Promise.all(Array.from({ length: 5 }, () => add(100)));
    expect((await Book.objects(db).get({ id: 1 })).stock).toBe(done + 5);
    expect(bodies).toBeGreaterThanOrEqual(10);
    const never = { retries: Number.NaN };
    let tries = 0;
    const failing = db.transaction(async () => {
      if (tries++ > 0) return;
      throw new SerializationError('x', '40001', new Error('x'));
    }, never);
    await expect(failing, 'no number is no retry').rejects.toThrow(SerializationError);
    await expect(
      db.transaction(() => add(1)),
      'these belong to the outermost',
    ).rejects.toThrow(InvalidQueryError);
  });

  test('a commit that Postgres made a rollback of is an error', async () => {
    const { db } = await open(pg);
    const swallowing = db.transaction(async () => {
      await Publisher.objects(db).create({ name: 'A' });
      await Publisher.objects(db)
        .create({ name: 'A' })
        .catch(() => {});
    });
    await expect(swallowing).rejects.toThrow(TransactionError);
    expect(await Publisher.objects(db).count()).toBe(0);
  });

  test('the next borrower of a connection is in no transaction', async () => {
    const { db } = await open(pg, { max: 1 });
    const failing = [
      () => db.transaction(async () => db.sql`SELECT 1 / 0`),
      () => db.sql`SELECT 1 / 0`,
      () => db.transaction(() => db.transaction(async () => db.sql`SELECT nonsense`)),
    ];
    for (const call of failing) {
      await expect(call()).rejects.toThrow(QueryError);
      expect(await Publisher.objects(db).count()).toBe(0);
      expect((await db.sql`SELECT now() = statement_timestamp()`)[0], 'no transaction is open').toEqual([true]);
    }
    expect(db.stats).toEqual({ total: 1, idle: 1, waiting: 0 });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    await expect(db.sql`SELECT ${cycle}`, 'not a matter of the connection').rejects.toThrow(TypeError);
  });

  test('a connection that failed is never handed on', async () => {
    const { db } = await stocked(pg, { max: 1 });
    for (let round = 0; round < 10; round++) {
      const dying = db.sql`SELECT pg_terminate_backend(pg_backend_pid())`;
      const next = db.sql`SELECT 1`;
      await expect(dying).rejects.toThrow(ConnectionError);
      expect(await next).toEqual([[1]]);
      const inside = db.transaction(() => db.sql`SELECT pg_terminate_backend(pg_backend_pid())`);
      const after = Book.objects(db).count();
      await expect(inside).rejects.toThrow(ConnectionError);
      expect(await after).toBe(100);
    }
    const tooMany = db.query('SELECT 1', ['not asked for']);
    await expect(tooMany, 'a fault of the statement, not of the network').rejects.toThrow(QueryError);
  });

  test('a broken constraint is named, at the statement or at the commit', async () => {
    const { db } = await stocked(pg);
    const error = (call: () => Promise<unknown>) => call().catch((caught: unknown) => caught);
    expect(await error(() => Publisher.objects(db).create({ name: 'Penguin' }))).toMatchObject({
      name: 'ConstraintError',
      code: '23505',
      constraint: 'publisher_name_key',
    });
    const orphan = await error(() => Order.objects(db).create({ book: 12_345 }));
    expect(orphan).toMatchObject({ name: 'ConstraintError', code: '23503', constraint: 'order_book_id_fkey' });
    expect(String(orphan), 'values stay out of messages').not.toContain('12345');
  });

  test('whoever waits too long for a connection learns why', async () => {
    const { db } = await open(pg, { max: 1, waitMs: 800 });
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const holder = db.transaction(() => free);
    await until(() => db.stats.idle === 0);
    const error = await db.sql`SELECT 1`.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PoolTimeoutError);
    expect(String(error)).toMatch(/800 ms \(1 open, 0 idle, 1 waiting\)/);
    resolve();
    await holder;
    expect(await db.sql`SELECT 1`).toEqual([[1]]);
  });

  test('a server that is away gives a typed error, and is used again when it is back', async ({ skip }) => {
    skip(!pg.faults, NOT_OURS);
    const { db } = await stocked(pg, { waitMs: 2_000 });
    const running = db.transaction(async () => {
      await Author.objects(db).filter({ id: 1 }).update({ name: 'lost' });
      await pg.node.kill();
      await Author.objects(db).count();
    });
    await expect(running).rejects.toThrow(ConnectionError);
    await expect(db.sql`SELECT 1`).rejects.toThrow(ConnectionError);
    await pg.node.restart();
    expect((await Author.objects(db).get({ id: 1 })).name).toBe('Author 0');
    expect(db.stats.waiting).toBe(0);
  });
});
