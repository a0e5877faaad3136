import { AsyncLocalStorage } from 'node:async_hooks';
import dns from 'node:dns';
import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  ConnectionError,
  ConstraintError,
  Database,
  InvalidQueryError,
  PoolTimeoutError,
  QueryError,
  SerializationError,
  type Statement,
  TransactionError,
} from '#lab';
import { Author, Book, Publisher } from './bookshop.ts';
import { failure, open, stocked } from './shop.ts';

const NOT_OURS = 'it kills and restarts the server, and this one is not ours';

await describeWith('transactions', { pg: startPostgres }, ({ pg }) => {
  const backend = async (db: Database) => String((await db.sql`SELECT pg_backend_pid()`)[0]);
  const names = async (db: Database) => (await Publisher.objects(db).orderBy('name').all()).map(({ name }) => name);
  const add = (db: Database, name: string) => Publisher.objects(db).create({ name });

  test('what returns is committed, what throws is rolled back, however deep in the calls', async () => {
    const { db } = await open(pg, { max: 2 });
    const warned = vi.spyOn(process, 'emitWarning');
    onTestFinished(() => warned.mockRestore());
    const service = async (name: string) => (await add(db, name)).refresh();
    const made = await db.transaction(async () => {
      const own = await backend(db);
      const { name } = await service('A');
      expect(await Promise.all([backend(db), backend(db), backend(db)])).toEqual([own, own, own]);
      return name;
    });
    expect(made).toBe('A');
    const failing = db.transaction(async () => {
      await service('B');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await names(db)).toEqual(['A']);
    expect(
      warned,
      'side by side in a transaction they take turns: the driver will queue them no more',
    ).not.toBeCalled();
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
    const inside = new Set<string>();
    let clashes = 0;
    const one = async (n: number) => {
      const own = await backend(db);
      if (inside.has(own)) clashes++;
      inside.add(own);
      await add(db, `P${n}`);
      if ((await backend(db)) !== own) clashes++;
      inside.delete(own);
      if (n % 3 === 0) throw new Error('odd one out');
    };
    const results = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => db.transaction(() => one(n))));
    const committed = results.filter(({ status }) => status === 'fulfilled').length;
    expect([clashes, committed, await Publisher.objects(db).count()]).toEqual([0, 20, 20]);
  });

  test('an inner transaction is a savepoint: it rolls back alone', async () => {
    const { db } = await open(pg);
    await db.transaction(async () => {
      await add(db, 'outer');
      const inner = db.transaction(async () => {
        await add(db, 'inner');
        await db.transaction(() => add(db, 'innermost'));
        await expect(db.transaction(() => add(db, 'inner'))).rejects.toThrow(ConstraintError);
        await add(db, 'outer');
      });
      await expect(inner).rejects.toThrow(ConstraintError);
      await add(db, 'after');
    });
    expect(await names(db)).toEqual(['after', 'outer']);
    const kept = () => db.sql`SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'CurTransactionContext'`;
    await db.transaction(async () => {
      const before = await kept();
      const inner = () => db.transaction(() => Promise.reject(new Error('inner')));
      for (let round = 0; round < 3; round++) await failure(inner);
      expect(await kept(), 'the server keeps nothing of those that rolled back').toEqual(before);
    });
  });

  test('an inner transaction that fails is undone whole, also where one of its own is still open', async () => {
    const { db } = await open(pg);
    const forgotten: Promise<unknown>[] = [];
    await db.transaction(async () => {
      await db.transaction(async () => {
        await add(db, 'outer');
        const inner = db.transaction(async () => {
          await add(db, 'inner');
          forgotten.push(failure(() => db.transaction(() => add(db, 'innermost'))));
        });
        await expect(inner).rejects.toThrow(TransactionError);
      });
      const beside = db.transaction(async () => {
        await add(db, 'beside');
        throw new Error('beside');
      });
      await expect(beside).rejects.toThrow('beside');
    });
    expect(await Promise.all(forgotten)).toEqual([expect.any(TransactionError)]);
    expect(await names(db)).toEqual(['outer']);
  });

  test('a statement beside an open savepoint is refused: it would land in it, or wait for ever', async () => {
    const { db } = await stocked(pg);
    await db.transaction(async () => {
      const undone = db.transaction(async () => {
        await add(db, 'undone');
        throw new Error('undone');
      });
      const beside = [() => add(db, 'beside'), () => db.transaction(() => add(db, 'sibling'))];
      for (const outcome of await Promise.all(beside.map(failure))) expect(outcome).toBeInstanceOf(TransactionError);
      await expect(undone).rejects.toThrow('undone');
      // Begun outside, with a second statement to come: the savepoint would wait for it, and it for the savepoint.
      const books = Book.objects(db).prefetch('author').all();
      expect(await failure(() => db.transaction(() => books))).toBeInstanceOf(TransactionError);
      await add(db, 'after');
    });
    expect(await names(db)).toEqual(['Penguin', 'Reclam', 'after']);
  });

  test('after a commit, and only then, its hooks run in order', async () => {
    const { db } = await open(pg);
    const log: string[] = [];
    const note = (what: string) => db.onCommit(() => void log.push(what));
    await db.transaction(async () => {
      await note('first');
      await db.transaction(async () => note('inner'));
      const inner = db.transaction(async () => {
        await note('rolled back');
        throw new Error('inner');
      });
      await failure(() => inner);
      await db.onCommit(async () => log.push(`sees ${await names(db)}`));
      await add(db, 'A');
      expect(log).toEqual([]);
    });
    expect(log).toEqual(['first', 'inner', 'sees A']);
    const failing = db.transaction(async () => {
      await note('never');
      throw new Error('outer');
    });
    await expect(failing).rejects.toThrow('outer');
    await note('at once');
    await expect(db.onCommit(() => Promise.reject(new Error('its own')))).rejects.toThrow('its own');
    expect(log.slice(3)).toEqual(['at once']);
  });

  test('a hook that fails keeps no other from its turn, and undoes no commit', async () => {
    const { db } = await open(pg);
    const log: string[] = [];
    const body = async () => {
      log.push('body');
      await add(db, 'A');
      await db.onCommit(() => Promise.reject(new SerializationError('mail', '40001', new Error('later'))));
      await db.onCommit(() => void log.push('second'));
    };
    await expect(db.transaction(body, { retries: 3 })).rejects.toThrow(/Committed, but 1 of 2 hooks failed/);
    expect([log, await names(db)]).toEqual([['body', 'second'], ['A']]);
  });

  test('a statement or a hook after the end of its transaction is refused, not forgotten', async () => {
    const { db } = await open(pg);
    const late = await db.transaction(async () => AsyncLocalStorage.snapshot());
    await expect(late(() => add(db, 'late'))).rejects.toThrow(TransactionError);
    await expect(late(() => db.onCommit(() => {}))).rejects.toThrow(TransactionError);
    expect(await names(db)).toEqual([]);
  });

  test('a savepoint that is still at work when the transaction has failed touches the connection no more', async () => {
    const { db, sent } = await open(pg, { max: 1 });
    const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
    const slow: Promise<unknown>[] = [];
    const failing = db.transaction(async () => {
      const inner = async () => {
        await add(db, 'A');
        await failed;
        await add(db, 'B');
      };
      slow.push(failure(() => db.transaction(inner)));
      await until(() => sent.some(({ params }) => String(params) === 'A'));
      throw new Error('the other one failed');
    });
    await expect(failing).rejects.toThrow('the other one failed');
    const before = sent.length;
    fail();
    expect((await Promise.all(slow))[0]).toBeInstanceOf(TransactionError);
    expect(sent.slice(before).map(({ sql }) => sql)).toEqual([]);
    const forgotten = db.transaction(async () => void db.transaction(() => add(db, 'C')).catch(() => {}));
    await expect(forgotten, 'an await is missing').rejects.toThrow(TransactionError);
    expect(await names(db)).toEqual([]);
  });

  test('a serialization failure is retried as often as was said, the whole body', async () => {
    const { db } = await stocked(pg);
    let bodies = 0;
    const sell = async () => {
      bodies++;
      const book = await Book.objects(db).get({ id: 1 });
      book.stock += 1;
      await book.save();
    };
    const all = (retries: number) =>
      Promise.allSettled(Array.from({ length: 5 }, () => db.transaction(sell, { isolation: 'serializable', retries })));
    const refused = (await all(0)).filter((each) => each.status === 'rejected');
    for (const { reason } of refused) expect(reason).toBeInstanceOf(SerializationError);
    expect((await all(100)).filter(({ status }) => status === 'rejected')).toEqual([]);
    expect((await Book.objects(db).get({ id: 1 })).stock).toBe(10 - refused.length);
    bodies = 0;
    const failing = async () => {
      bodies++;
      throw new SerializationError('x', '40001', new Error('x'));
    };
    for (const options of [{}, { retries: Number.NaN }, { retries: 0 }, { retries: 2 }])
      await failure(() => db.transaction(failing, options));
    expect(bodies, 'no number is no retry').toBe(6);
    const strange = db.transaction(sell, { isolation: 'strict' as never });
    await expect(strange, 'nothing weaker in its place').rejects.toThrow(InvalidQueryError);
    const inner = db.transaction(() => db.transaction(sell, { retries: 1 }));
    await expect(inner, 'they belong to the outermost').rejects.toThrow(InvalidQueryError);
  });

  test('a commit that Postgres made a rollback of is an error', async () => {
    const { db } = await open(pg);
    const inner = vi.fn(async () => {});
    const swallowing = db.transaction(async () => {
      await add(db, 'A');
      await failure(() => add(db, 'A'));
      expect(await failure(() => db.transaction(inner)), 'no savepoint, no body').toMatchObject({ code: '25P02' });
    });
    await expect(swallowing).rejects.toThrow(TransactionError);
    expect(inner).not.toHaveBeenCalled();
    expect(await names(db)).toEqual([]);
  });

  test('the next borrower of a connection is in no transaction', async () => {
    const { db } = await open(pg, { max: 1 });
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    using _ = db.onQuery(() => {
      throw new Error('the log is full');
    });
    using __ = db.onQuery(async () => {
      throw new Error('the log is far away');
    });
    await db.transaction(() => add(db, 'a listener that throws fails no one'));
    expect(String(warned.mock.calls)).toContain('the log is full');
    expect(String(warned.mock.calls)).toContain('the log is far away');
    const told: string[] = [];
    const listener = ({ sql }: Statement) => told.push(sql);
    const [first, second] = [db.onQuery(listener), db.onQuery(listener)];
    second[Symbol.dispose]();
    await db.sql`SELECT 2`;
    first[Symbol.dispose]();
    expect(told, 'each listens to the end of its own block').toEqual(['SELECT 2']);
    const failing = [
      () => db.transaction(async () => db.sql`SELECT 1 / 0`),
      () => db.sql`SELECT 1 / 0`,
      () => db.transaction(() => db.transaction(async () => db.sql`SELECT nonsense`)),
    ];
    for (const call of failing) {
      await expect(call()).rejects.toThrow(QueryError);
      expect((await db.sql`SELECT now() = statement_timestamp()`)[0], 'no transaction is open').toEqual([true]);
    }
  });

  test('a connection that failed is never handed on', async () => {
    const { db } = await stocked(pg, { max: 1 });
    const die = () => db.sql`SELECT pg_terminate_backend(pg_backend_pid())`;
    // Postgres ends the connection of a transaction that takes too long, with a code of its own.
    const outlast = () => db.sql`SELECT set_config('transaction_timeout', '1ms', true), pg_sleep(60)`;
    for (let round = 0; round < 5; round++) {
      for (const call of [die, () => db.transaction(die), outlast, () => db.transaction(outlast)]) {
        const [dying, next] = [failure(call), Book.objects(db).count()];
        expect(await dying).toBeInstanceOf(ConnectionError);
        expect(await next).toBe(100);
      }
    }
  });

  test('an error says what was wrong: a constraint, a statement, a value, not the network', async () => {
    const { db } = await stocked(pg);
    const twice = await failure(() => add(db, 'Penguin'));
    expect(twice).toMatchObject({ name: 'ConstraintError', code: '23505', constraint: 'publisher_name_key' });
    expect(String(twice), 'values stay out of messages').not.toContain('Penguin');
    const long = await failure(() => db.query(`SELECT nonsense, '${'x'.repeat(500)}'`));
    expect(String(long), 'the beginning of a long statement').toMatch(/ in: SELECT nonsense, 'x{99,400}…$/);
    expect(await failure(() => db.query('SELECT 1', ['not asked for']))).toMatchObject({ code: '08P01' });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    await expect(db.sql`SELECT ${cycle}`).rejects.toThrow(TypeError);
    // As `localhost` is on most machines. What Node says of several has no message of its own.
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const lookup = (...[, , done]: [string, object, (error: null, found: object) => void]) => done(null, addresses);
    const both = vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
    onTestFinished(() => both.mockRestore());
    await using nobody = new Database({ connectionString: 'postgres://a:b@localhost:1/x' });
    await expect(nobody.sql`SELECT 1`).rejects.toThrow(/ECONNREFUSED 127.0.0.1:1.*ECONNREFUSED 127.0.0.2:1/);
    await using typo = new Database({ connectionString: 'postgres://a:b#c@localhost:1/x' });
    const unread = await failure(() => typo.transaction(() => typo.sql`SELECT 1`));
    expect(unread, 'a password that is not encoded').toMatchObject({ name: 'ConnectionError' });
    expect(inspect(unread)).toMatch(/connectionString(?!.*b#c)/s);
  });

  test('whoever waits too long for a connection learns why', async () => {
    const { db } = await open(pg, { max: 1, waitMs: 800 });
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const holder = db.transaction(() => {
      begun.resolve();
      return free;
    });
    await begun.promise;
    const error = await failure(() => db.sql`SELECT 1`);
    expect(error).toBeInstanceOf(PoolTimeoutError);
    expect(String(error)).toMatch(/800 ms \(1 open, 0 idle, 1 waiting\)/);
    resolve();
    await holder;
    expect(await db.sql`SELECT 1`).toEqual([[1]]);
    const bad = [0, -1, 1.5, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY].map((waitMs) => ({ waitMs }));
    for (const options of [...bad, ...[0, -1, 1.5, Number.NaN].map((max) => ({ max }))])
      expect(() => new Database({ connectionString: pg.url, ...options }), JSON.stringify(options)).toThrow(
        expect.objectContaining({ name: 'InvalidQueryError', message: expect.stringContaining(' 1 to 2147483647.') }),
      );
    await using closed = new Database({ connectionString: pg.url });
    const log: string[] = [];
    let closing: Promise<unknown> | undefined;
    await closed.transaction(async () => {
      const end = () => closed[Symbol.asyncDispose]();
      closing = Promise.race([end(), end()]).then(() => log.push('closed'));
      await closed.sql`SELECT 1`;
      log.push('body');
    });
    await closing;
    expect(log, 'what is at work ends first').toEqual(['body', 'closed']);
    await expect(closed.sql`SELECT 1`).rejects.toThrow(new ConnectionError('This Database has been disposed of.'));
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
  });
});
