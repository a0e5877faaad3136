import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { describeWith, outcome, random, stillLoading, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  type Alert,
  Analyser,
  analyticsApi,
  Book,
  type DeskOptions,
  Feed,
  Intake,
  InvalidArgumentError,
  type Live,
  SCHEMA,
  StoreUnavailableError,
  WindowWidthError,
} from '#lab';
import { after, at, Clerk, INDEPENDENT, type Independent, lineOf, NOON, O, piecesOf, RULE, SEED } from './support.ts';

await describeWith(
  'log-analytics',
  { postgres: () => startPostgres(), redis: () => startRedis() },
  ({ postgres, redis: servers }) => {
    const [node] = servers.nodes;
    const pools: Pool[] = [];
    const connect = (url = node.url, commandTimeout = 10_000) => {
      const client = new Redis(url, {
        commandTimeout,
        socketTimeout: commandTimeout,
        maxRetriesPerRequest: 0,
        enableReadyCheck: false,
      });
      client.on('error', () => {});
      return client;
    };
    const redis = connect();
    const poolOf = (schema: string) => {
      const pool = new Pool({ connectionString: postgres.url, max: 3, options: `-c search_path=${schema}` });
      pool.on('error', () => {});
      pools.push(pool);
      return pool;
    };
    afterAll(async () => {
      redis.disconnect();
      await Promise.all(pools.map((pool) => pool.end()));
    });

    let made = 0;
    /** A counter of its own. Nobody counts unless he is told to. */
    async function open(o: Partial<DeskOptions> & { limit?: number; redis?: Redis } = {}) {
      const { limit = 1_000, redis: client = redis, ...options } = o;
      const schema = `counter_${++made}`;
      const pool = poolOf(schema);
      await pool.query(`CREATE SCHEMA ${schema}`);
      await pool.query(SCHEMA);
      const key = `${servers.namespace}${schema}`;
      const errors: unknown[] = [];
      const onError = (error: unknown) => void errors.push(error);
      const intake = new Intake({ redis: client, key, limit });
      const deskOptions = { ...O, ...options };
      const book = new Book({ pool, ...deskOptions });
      const hire = (more: Partial<ConstructorParameters<typeof Analyser>[0]> = {}) =>
        new Analyser({ intake, book, onError, everyMs: 2, ...more });
      const analyser = hire();
      /** Until none waits. */
      const drain = async () => {
        while ((await analyser.step()) > 0);
      };
      const sendAll = async (source: string, lines: readonly string[], size = 100, first = 0) => {
        for (const [n, piece] of piecesOf(lines, size).entries()) await intake.take(source, first + n * size, piece);
      };
      const total = async () => {
        const { counts, windows } = await book.view();
        return [counts.counted, windows.reduce((sum, { lines }) => sum + lines, 0)];
      };
      return { schema, pool, key, errors, onError, intake, book, hire, analyser, drain, sendAll, total, deskOptions };
    }

    // ── core ──

    test('lines are counted and passed in one step: a transaction that fails leaves neither', async () => {
      const { pool, book, analyser, sendAll, drain, total } = await open({
        rules: [{ ...RULE, windows: 1, least: 1 }],
      });
      const tables = [
        'analytics_desk',
        'analytics_sources',
        'analytics_windows',
        'analytics_aside',
        'analytics_alerts',
      ];
      await pool.query(`
        CREATE TABLE broken (what text);
        CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF EXISTS (SELECT FROM broken WHERE what = TG_TABLE_NAME) THEN RAISE 'the power is out'; END IF;
          RETURN new;
        END $$;
        ${tables.map((it) => `CREATE TRIGGER a BEFORE INSERT OR UPDATE ON ${it} FOR EACH ROW EXECUTE FUNCTION break_it();`).join('')}`);
      // Each time one window that rings or is over, one line that is none, and one that closes the window.
      const send = (n: number) =>
        sendAll(
          'shop-1',
          [lineOf(NOON + n * 30_000, '/', n % 2 === 0 ? 500 : 200), 'no line', ...at(n * 30 + 20)],
          1,
          n * 3,
        );
      for (const [n, table] of tables.entries()) {
        await send(n);
        await pool.query('INSERT INTO broken VALUES ($1)', [table]);
        await expect(analyser.step(), table).rejects.toThrow('the power is out');
        await pool.query('DELETE FROM broken');
        await drain();
        const { rows: aside } = await pool.query('SELECT FROM analytics_aside');
        expect(
          [...(await total()), aside.length, (await book.untold()).length],
          `lines as the desk and as its windows count them, put aside, and alerts, after a failure at ${table}`,
        ).toEqual([2 * n + 2, 2 * n + 2, n + 1, n + 1]);
      }
    });

    test('totals are those that Postgres counts from the same lines', async () => {
      const { int, pick, shuffle, next } = random(SEED);
      const { pool, book, sendAll, drain } = await open();
      const zones = [0, 8, -3.5];
      /** The same moment, by the clock on another wall. */
      const stamp = (ms: number, hours: number) => {
        const zone = `${String(Math.floor(Math.abs(hours))).padStart(2, '0')}:${hours % 1 === 0 ? '00' : '30'}`;
        const local = new Date(ms + hours * 3_600_000).toISOString().slice(0, -1);
        return hours === 0 ? `${local}Z` : `${local}${hours < 0 ? '-' : '+'}${zone}`;
      };
      const shops = zones.map((zone) =>
        Array.from({ length: 3_000 }, (_, n) => {
          const path = next() < 0.3 ? '/kettles?page=2' : `/item/${int(1, 400)}`;
          const status = pick([200, 200, 200, 301, 404, 500, 503]);
          return `${stamp(NOON + n * 20 + int(-900, 900), zone)} GET ${path} ${status} ${(next() * 200).toFixed(3)}`;
        }),
      );
      const pieces = shops.flatMap((lines, shop) =>
        piecesOf(lines, 100).map((piece, n) => ({ shop, first: n * 100, piece })),
      );
      // The shops take turns as the network has it, and each of them sends in its order. All have begun.
      const queues = shops.map((_, shop) => pieces.filter((it) => it.shop === shop));
      for (const shop of [0, 1, 2, ...shuffle(pieces.map(({ shop }) => shop))]) {
        const it = queues[shop]?.shift();
        if (it) await sendAll(`shop-${shop}`, it.piece, 100, it.first);
        if (next() < 0.2) await drain();
      }
      // And one of them finds a page of yesterday.
      const found = Array.from({ length: 50 }, (_, n) => lineOf(NOON - 86_400_000 + n));
      await sendAll('shop-0', found, 50, 3_000);
      await drain();
      const { windows, counts } = await book.view();
      const { rows } = await pool.query<Independent>(INDEPENDENT, [shops.flat(), O.windowMs]);
      expect(
        windows.map(({ start, lines, errors }) => [after(start), lines, errors]),
        'seconds, lines and errors of each window',
      ).toEqual(rows.map(({ start, lines, errors }) => [after(Number(start)), lines, errors]));
      for (const [n, { p95 }] of rows.entries()) {
        expect(Math.abs((windows[n]?.p95 ?? 0) / p95 - 1), `p95 ${windows[n]?.p95} of ${p95}`).toBeLessThan(0.0101);
      }
      expect((await book.view()).top[0]?.key).toBe(rows[0]?.top);
      expect(counts, 'each line is somewhere').toEqual({
        counted: 9_000,
        late: 50,
        malformed: 0,
        future: 0,
        repeated: 0,
      });
    });

    // ── hardening, with servers ──

    test('a full intake refuses and forgets nothing, and what is sent again is counted', async () => {
      const { intake, drain, total } = await open({ limit: 5 });
      const said: string[] = [];
      for (let n = 0; n < 8; n++) said.push(await intake.take('shop-1', n, at(n)));
      expect(said).toEqual([...Array(5).fill('taken'), ...Array(3).fill('busy')]);
      expect(await intake.depth()).toBe(5);
      await drain();
      for (let n = 5; n < 8; n++) expect(await intake.take('shop-1', n, at(n))).toBe('taken');
      await drain();
      expect([await total(), await intake.depth()]).toEqual([[8, 8], 0]);
    });

    test('two who count at once, each with a memory of its own, count each line once', async () => {
      const { intake, pool, sendAll, onError, deskOptions, total, errors } = await open();
      const counters = Array.from(
        { length: 3 },
        () => new Analyser({ intake, book: new Book({ pool, ...deskOptions }), onError, everyMs: 1, batch: 3 }),
      );
      for (const it of counters) {
        it.start();
        onTestFinished(() => it[Symbol.asyncDispose]());
      }
      const { int } = random(SEED);
      const lines = Array.from({ length: 2_000 }, () => lineOf(NOON + int(0, 4_000)));
      await Promise.all(['a', 'b'].map((source) => sendAll(source, lines, 20)));
      await until(async () => (await intake.depth()) === 0, { timeoutMs: 20_000, what: 'an empty stream' });
      expect(await total()).toEqual([4_000, 4_000]);
      expect(errors).toEqual([]);
    });

    test('counters that are killed at random leave each line counted once', async () => {
      const { intake, schema, key, sendAll, total, deskOptions } = await open();
      const { int } = random(SEED);
      const impl = resolve(process.env['LAB_IMPL'] ?? join(import.meta.dirname, '../src/index.ts'));
      const hire = async () => {
        const clerk = await Clerk.hire({
          postgres: postgres.url,
          schema,
          redis: node.url,
          key,
          impl,
          options: deskOptions,
        });
        onTestFinished(() => clerk.kill());
        return clerk;
      };
      const clerks = await Promise.all([hire(), hire(), hire()]);
      const lines = Array.from({ length: 3_000 }, () => lineOf(NOON + int(0, 4_000)));
      await sendAll('shop-1', lines, 20);
      for (const clerk of clerks.slice(1)) {
        const before = await intake.depth();
        const some = async () => (await intake.depth()) < Math.max(1, before - 10);
        await until(some, { timeoutMs: 20_000, what: 'them to count' });
        await delay(int(0, 10));
        await clerk.kill();
      }
      await until(async () => (await intake.depth()) === 0, { timeoutMs: 20_000, what: 'an empty stream' });
      expect(await total()).toEqual([3_000, 3_000]);
    }, 60_000);

    test('however many entries a transaction has, the book is the same', async () => {
      const { int } = random(SEED);
      const entries = Array.from({ length: 60 }, (_, n) => ({
        source: `shop-${n % 3}`,
        lines: Array.from({ length: 10 }, () =>
          lineOf(NOON + n * 1_500 + int(-25_000, 900), `/${int(0, 300)}`, int(1, 5) * 100),
        ),
      }));
      const books = await Promise.all(
        [1, 7, 1_000].map(async (batch) => {
          const { intake, hire, book, pool } = await open({ topSize: 20, rules: [{ ...RULE, windows: 1, least: 1 }] });
          for (const [n, { source, lines }] of entries.entries())
            await intake.take(source, Math.floor(n / 3) * 10, lines);
          const analyser = hire({ batch });
          while ((await analyser.step()) > 0);
          const { rows } = await pool.query('SELECT source, position, reason FROM analytics_aside ORDER BY 1, 2');
          const { sources: _, ...view } = await book.view();
          return { ...view, aside: rows, alerts: await book.untold() };
        }),
      );
      expect(books[0]?.counts.late).toBeGreaterThan(0);
      expect(books[0]?.alerts.length).toBeGreaterThan(0);
      expect(books[1]).toEqual(books[0]);
      expect(books[2]).toEqual(books[0]);
    });

    test('what is no line is put aside, whatever it holds, and those around it are counted', async () => {
      const { intake, drain, pool, total } = await open();
      const strange = [
        '',
        '\0',
        'half \ud83d',
        '😀'.repeat(400),
        "'; DROP TABLE analytics_windows; --",
        'x'.repeat(9_000),
      ];
      await intake.take('shop-1', 0, [...at(1), ...strange, ...at(2)]);
      await drain();
      const { rows } = await pool.query<{ reason: string; text: string }>(
        'SELECT * FROM analytics_aside ORDER BY position',
      );
      expect(rows.map(({ reason }) => reason)).toEqual(strange.map(() => 'malformed'));
      expect(rows.every(({ text }) => text.length <= 500 && text.isWellFormed())).toBe(true);
      expect(await total()).toEqual([2, 2]);
    });

    test('an entry of the stream that nobody can read is left out, and those behind it are counted', async () => {
      const { intake, key, drain, total, errors } = await open();
      await redis.xadd(key, '*', 'what', 'ever');
      await redis.xadd(key, '*', 'source', 'shop 1', 'first', '0', 'text', 'x');
      await redis.xadd(key, '*', 'source', 'shop-1', 'first', '-1', 'text', 'x');
      await intake.take('shop-1', 0, at(1));
      await drain();
      expect([await total(), await intake.depth(), errors.length]).toEqual([[1, 1], 0, 3]);
    });

    test('an alert is told until it is heard, and by a bell that holds up no line', async () => {
      const { intake, book, pool, hire, total, errors } = await open({ rules: [{ ...RULE, windows: 1 }] });
      const bad = Array.from({ length: 50 }, () => lineOf(NOON, '/', 500));
      await intake.take('shop-1', 0, [...bad, ...at(30)]);
      const told: Alert[] = [];
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
      const analyser = hire({
        notify: async (alert) => {
          told.push(alert);
          if (told.length === 1) throw new Error('nobody hears it');
          await answered;
        },
      }).start();
      onTestFinished(async () => {
        answer();
        await analyser[Symbol.asyncDispose]();
      });
      await until(() => told.length === 2, { what: 'the bell to ring again' });
      expect(told).toEqual(Array(2).fill({ rule: 'errors', start: NOON, change: 'firing' }));
      await intake.take('shop-1', 51, at(31));
      await until(async () => (await total())[0] === 52, { what: 'a line behind a slow bell' });
      answer();
      await until(async () => (await book.untold()).length === 0, { what: 'the alert to be told' });
      expect([told.length, errors.length]).toEqual([2, 1]);
      await pool.query('UPDATE analytics_alerts SET told = false');
      const signals: AbortSignal[] = [];
      const hang = (_: Alert, signal: AbortSignal) => new Promise<void>(() => void signals.push(signal));
      await hire({ notify: hang, notifyMs: 20 }).ring();
      expect(String(errors.at(-1)), 'a bell that hangs').toContain('20 ms');
      const hanging = hire({ notify: hang }).start();
      await until(() => signals.length === 2, { what: 'a bell that hangs' });
      expect((await outcome(hanging[Symbol.asyncDispose]())).error).toBeUndefined();
      expect([signals.every(({ aborted }) => aborted), (await book.untold()).length]).toEqual([true, 1]);
    });

    test('an alert that cannot be told holds up its own rule, and no other', async () => {
      const rules = ['a', 'b'].map((name) => ({ ...RULE, name, windows: 1, least: 1 }));
      const { intake, book, hire, drain, errors } = await open({ rules });
      const bad = [0, 20, 40, 60].map((it, n) => lineOf(NOON + it * 1_000, '/', n % 2 === 0 ? 500 : 200));
      await intake.take('shop-1', 0, bad);
      await drain();
      const told: string[] = [];
      const analyser = hire({
        notify: async ({ rule, change }) => {
          told.push(`${rule} ${change}`);
          if (rule === 'a') throw new Error('nobody hears it');
        },
      });
      await analyser.ring();
      expect(told.toSorted()).toEqual(['a firing', 'b firing', 'b over', 'b firing'].toSorted());
      expect(errors.map(String)).toEqual(['Error: nobody hears it']);
      expect((await book.untold()).map(({ rule }) => rule)).toEqual(['a', 'a', 'a']);
    });

    test('a bell rings no more once its analyser stops', async () => {
      const rules = ['a', 'b'].map((name) => ({ ...RULE, name, windows: 1, least: 1 }));
      const { intake, hire, drain } = await open({ rules });
      await intake.take('shop-1', 0, [lineOf(NOON, '/', 500), ...at(30)]);
      await drain();
      const told: string[] = [];
      let stopped: Promise<void> | undefined;
      const analyser = hire({
        notify: async ({ rule }) => {
          told.push(rule);
          stopped = analyser[Symbol.asyncDispose]();
        },
      });
      await analyser.ring();
      await stopped;
      expect(told).toHaveLength(1);
    });

    test('time does not go on past lines that wait', async () => {
      const { key, book, analyser, drain } = await open();
      const arrive = (first: number, second: number) =>
        redis.xadd(key, `${NOON + second * 1_000}-1`, 'source', 's', 'first', first, 'text', at(second).join());
      await arrive(0, 1);
      await drain();
      // Whoever finds none and then stands still for a minute may have these behind him.
      await arrive(1, 5);
      await analyser.tick();
      await drain();
      await analyser.tick();
      const { counts, windows } = await book.view();
      expect([counts.counted, counts.late, windows[0]?.closed]).toEqual([2, 0, true]);
    });

    test('time goes on by the clock by which lines arrive', async () => {
      const { intake } = await open();
      const before = await intake.now();
      await intake.take('shop-1', 0, at(1));
      const [found] = await intake.waiting(1);
      const arrivedAt = found?.entry?.arrivedAt ?? 0;
      const later = await intake.now();
      expect([before <= arrivedAt, arrivedAt <= later], `${before}, ${arrivedAt}, ${later}`).toEqual([true, true]);
    });

    test('what is taken is counted, whatever its number', async () => {
      const { intake, drain, total, book, errors } = await open();
      expect(await intake.take('shop-1', 2 ** 52, at(1, 2))).toBe('taken');
      await drain();
      expect([await total(), await book.next('shop-1'), errors]).toEqual([[2, 2], 2 ** 52 + 2, []]);
    });

    test('the page knows what rings, however often others have rung since', async () => {
      const rules = [
        { ...RULE, name: 'steady', share: 0.1, clear: 0, windows: 1, least: 1 },
        { ...RULE, name: 'restless', share: 0.9, clear: 0.5, windows: 1, least: 1 },
      ];
      const { intake, drain, book } = await open({ rules });
      const bad = Array.from({ length: 6 }, (_, n) =>
        [500, n % 2 === 0 ? 500 : 200].map((status) => lineOf(NOON + n * 10_000, '/', status)),
      );
      await intake.take('shop-1', 0, [...bad.flat(), ...at(300)]);
      await drain();
      const { alerts, firing } = await book.view();
      expect(
        alerts.map(({ rule }) => rule),
        'the newest five',
      ).toEqual(Array(5).fill('restless'));
      expect(firing).toEqual([{ rule: 'steady', since: NOON }]);
    });

    test('counts of windows that had room for all are exact in their sum', async () => {
      const { intake, drain, book } = await open();
      const busy = Array.from({ length: 100 }, () => lineOf(NOON, '/busy'));
      await intake.take('shop-1', 0, [...busy, lineOf(NOON + 10_000, '/other'), lineOf(NOON + 20_000, '/other')]);
      await drain();
      expect((await book.view()).top).toEqual([
        { key: '/busy', count: 100, error: 0 },
        { key: '/other', count: 2, error: 0 },
      ]);
    });

    test('a Redis that has lost everything costs what was waiting, and that is counted as missing', async () => {
      const { intake, key, drain, book, total } = await open();
      await intake.take('shop-1', 0, at(1, 2));
      await drain();
      await intake.take('shop-1', 2, at(3, 4, 5));
      await redis.del(key);
      expect(await book.next('shop-1'), 'where a source that kept its lines goes on').toBe(2);
      await intake.take('shop-1', 5, at(6));
      await drain();
      expect(await total()).toEqual([3, 3]);
      expect((await book.view()).sources).toMatchObject([{ source: 'shop-1', next: 6, missing: 3 }]);
    });

    test('a store that is away is an error that says so, and nothing is lost by it', async () => {
      const link = await node.proxy();
      const far = connect(link.url);
      const hasty = connect(link.url, 100);
      onTestFinished(async () => {
        for (const client of [far, hasty]) client.disconnect();
        await link[Symbol.asyncDispose]();
      });
      const { intake, drain, key, total } = await open({ redis: far });
      await intake.take('shop-1', 0, at(1));
      await link.reset();
      const cut = await outcome(intake.take('shop-1', 1, at(2)), 12_000);
      if (cut.error !== undefined) expect(cut.error).toBeInstanceOf(StoreUnavailableError);
      await until(async () => (await intake.take('shop-1', 1, at(2))) === 'taken', { what: 'Redis to be back' });
      const hung = new Intake({ redis: hasty, key });
      const taken = async () => (await hung.take('shop-1', 2, at(3))) === 'taken';
      await until(() => hung.depth());
      link.partition();
      await expect(taken(), 'one that hangs').rejects.toThrow(StoreUnavailableError);
      await until(() => hasty.status !== 'ready', { what: 'the connection to be given up, with what waits in it' });
      link.heal();
      await until(taken, { what: 'Redis to answer' });
      await drain();
      expect(await total()).toEqual([3, 3]);
      const nowhere = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
      nowhere.on('error', () => {});
      const away = new Book({ pool: nowhere });
      await expect(away.update(() => {})).rejects.toThrow(StoreUnavailableError);
      await expect(away.next('a\0')).rejects.toThrow(InvalidArgumentError);
      await expect(away.view()).rejects.toThrow('Postgres has not answered');
      await nowhere.end();
      const gone = connect('redis://127.0.0.1:1');
      onTestFinished(() => gone.disconnect());
      const deaf = new Intake({ redis: gone });
      await expect(deaf.take('shop-1', 0, at(1)), 'that is not busy').rejects.toThrow(StoreUnavailableError);
      await expect(deaf.depth()).rejects.toThrow('Redis has not answered');
    });

    test('a client of the caller that gives numbers as text is understood', async () => {
      const client = new Redis(node.url, { stringNumbers: true });
      onTestFinished(() => client.disconnect());
      const { intake, drain, total } = await open({ redis: client, limit: 1 });
      expect(await intake.take('shop-1', 0, at(1))).toBe('taken');
      expect(await intake.take('shop-1', 1, at(2))).toBe('busy');
      expect(await intake.depth()).toBe(1);
      await drain();
      expect(await total()).toEqual([1, 1]);
    });

    test('a Redis that is still loading its data is asked nevertheless, and no lines are kept for it', async () => {
      const { key } = await open();
      await using link = await stillLoading(node.url);
      const early = connect(link.url, 200);
      onTestFinished(() => early.disconnect());
      // Its own "LOADING" comes at once, and nothing is kept for later.
      expect(await new Intake({ redis: early, key }).take('shop-1', 0, at(1))).toBe('taken');
    });

    test('a Postgres that nobody hears any more is an error in its time, and lines are counted when it is back', async () => {
      const { intake, schema, onError, errors, total, deskOptions } = await open();
      const link = await postgres.node.proxy();
      const far = new URL(postgres.url);
      far.port = String(link.port);
      const pool = new Pool({ connectionString: far.href, query_timeout: 200, options: `-c search_path=${schema}` });
      pool.on('error', () => {});
      const book = new Book({ pool, ...deskOptions });
      const analyser = new Analyser({ intake, book, onError, everyMs: 2 }).start();
      onTestFinished(async () => {
        await analyser[Symbol.asyncDispose]();
        await pool.end();
        await link[Symbol.asyncDispose]();
      });
      await intake.take('shop-1', 0, at(1));
      await until(async () => (await total())[0] === 1, { what: 'a line' });
      link.partition();
      await intake.take('shop-1', 1, at(2));
      await until(() => errors.length > 0, { what: 'an error', timeoutMs: 10_000 });
      expect(errors[0]).toBeInstanceOf(StoreUnavailableError);
      link.heal();
      await until(async () => (await intake.depth()) === 0, { what: 'the second line', timeoutMs: 10_000 });
      expect(await total()).toEqual([2, 2]);
    });

    test('a book of windows of another width is not mixed with these', async () => {
      const { sendAll, drain, pool, analyser, hire } = await open();
      await sendAll('shop-1', at(1));
      await drain();
      const other = new Book({ pool, ...O, windowMs: 5_000 });
      await expect(other.update(() => {})).rejects.toThrow(WindowWidthError);
      await expect(hire({ book: other }).tick(), 'nor closed').rejects.toThrow(WindowWidthError);
      await expect(analyser.tick()).resolves.toBeUndefined();
    });

    test('what an update began and did not end is in nobody’s memory', async () => {
      const { book, total } = await open();
      const file = (first: number) => ({ source: 'shop-1', first, lines: at(1, 2), arrivedAt: NOON + 2_000 });
      await book.update((it) => it.file(file(0)));
      const failing = book.update((it) => {
        it.file(file(2));
        throw new RangeError('half way');
      });
      await expect(failing).rejects.toThrow('half way');
      await book.update((it) => it.file(file(2)));
      expect(await total()).toEqual([4, 4]);
    });

    test('what is old is let go, and what is open is not', async () => {
      const { book, pool, sendAll, drain, analyser, total } = await open();
      await sendAll('shop-1', [...at(1, 30, 31), 'no line']);
      await drain();
      await book.retain(NOON + 25_000);
      const kept = await pool.query<{ start: string }>('SELECT start FROM analytics_windows');
      expect(kept.rows.map(({ start }) => Number(start))).toEqual([NOON + 30_000]);
      await sendAll('shop-1', at(32), 1, 4);
      await analyser.step();
      expect(await total()).toEqual([4, 3]);
      await expect(book.retain(Number.NaN)).rejects.toThrow(InvalidArgumentError);
    });

    test('a source is forgotten when it has said nothing, and not because nobody could read it', async () => {
      const { key, book, drain } = await open();
      const arrive = (source: string, first: number, second: number, text: string) =>
        redis.xadd(key, `${NOON + second * 1_000}-*`, 'source', source, 'first', first, 'text', text);
      await arrive('gone', 0, 1, 'no line');
      await arrive('broken', 0, 2, at(1).join());
      await arrive('broken', 1, 60, 'no line');
      await drain();
      await book.retain(NOON + 30_000);
      expect([await book.next('gone'), await book.next('broken')]).toEqual([0, 2]);
    });

    test('what is no source, no number and no line is refused before anything is sent', async () => {
      const { intake } = await open();
      const bad: [string, unknown, unknown, unknown][] = [
        ['no name', '', 0, ['x']],
        ['half an emoji', 'a\ud83d', 0, ['x']],
        ['a name with a blank', 'a b', 0, ['x']],
        ['a name without end', 'a'.repeat(129), 0, ['x']],
        ['a negative number', 'a', -1, ['x']],
        ['a fraction', 'a', 0.5, ['x']],
        ['no number', 'a', Number.NaN, ['x']],
        ['more than can be counted', 'a', 2 ** 53, ['x']],
        ['no lines', 'a', 0, []],
        ['a text', 'a', 0, 'x'],
        ['too many', 'a', 0, Array(1_001).fill('x')],
        ['two in one', 'a', 0, ['x\ny']],
        ['none of text', 'a', 0, [7]],
        ['more than Redis should hold', 'a', 0, Array(300).fill('x'.repeat(4_000))],
      ];
      for (const [what, source, first, lines] of bad) {
        // @ts-expect-error: untyped code can hand in anything
        await expect(intake.take(source, first, lines), what).rejects.toThrow(InvalidArgumentError);
      }
      expect(await intake.depth()).toBe(0);
      expect(() => new Intake({ redis, limit: 0 })).toThrow(InvalidArgumentError);
    });

    /** The door of a counter, and a post to it. */
    async function serve(it: Awaited<ReturnType<typeof open>>, refreshMs = 20, feed = new Feed<Live>()) {
      const api = analyticsApi({ intake: it.intake, book: it.book, onError: it.onError, refreshMs, feed });
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      onTestFinished(() => api.close());
      const post = async (body: unknown) => {
        const headers = { 'content-type': 'application/json' };
        const said = await fetch(`${url}/lines`, { method: 'POST', headers, body: JSON.stringify(body) });
        await said.text();
        return said.status;
      };
      return { url, post };
    }

    test('over HTTP each has its status, and the live view counts', async () => {
      const it = await open({ limit: 2 });
      // As often as it can be.
      const { url, post } = await serve(it, 1);
      const body = { source: 'shop-1', first: 0, lines: at(1, 2) };
      expect(await post(body)).toBe(200);
      expect(await post(body)).toBe(200);
      expect(await post({ ...body, first: 2 })).toBe(429);
      expect(await post({ ...body, source: 'shop 1' })).toBe(400);
      expect(await post({ ...body, first: '0' })).toBe(422);
      expect(await post({ ...body, lines: ['x'.repeat(3_000_000)] })).toBe(413);
      await it.drain();
      const next = await fetch(`${url}/next?source=shop-1`);
      expect(await next.json()).toEqual({ next: 2 });
      const gone = new AbortController();
      const live = await fetch(`${url}/live`, { signal: gone.signal });
      let text = '';
      const reading = outcome(
        (async () => {
          for await (const chunk of live.body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk;
        })(),
        10_000,
      );
      // Not the first that has counted them: book and stream are asked at once, and not in one moment.
      await until(() => /"counted":2.*"waiting":0/.test(text), {
        what: 'a view with two lines counted and none waiting',
      });
      gone.abort();
      await reading;
    });

    test('a stop waits for the view that is under way', async () => {
      const { intake, pool, onError, deskOptions } = await open();
      const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
      const story: string[] = [];
      class Slow extends Book {
        override async view() {
          ask();
          await answered;
          const view = await super.view();
          story.push('read');
          return view;
        }
      }
      const api = analyticsApi({ intake, book: new Slow({ pool, ...deskOptions }), onError, refreshMs: 20 });
      await asked;
      const closed = api.close().then(() => void story.push('closed'));
      // Time enough for one that does not wait.
      await delay(300);
      answer();
      await closed;
      await until(() => story.includes('read'), { what: 'the view' });
      expect(story, 'whoever ends the pool behind a stop cuts nobody off').toEqual(['read', 'closed']);
    });

    test('a browser that stops reading costs a socket’s buffer, and the lines are counted meanwhile', async () => {
      const it = await open();
      const feed = new Feed<Live>();
      const { url } = await serve(it, 2 ** 30, feed);
      const { counts, ...view } = await it.book.view();
      const aside = Array.from({ length: 5 }, () => ({
        source: 's',
        position: 0,
        reason: 'late',
        text: 'x'.repeat(20_000),
      }));
      const { port, hostname } = new URL(url);
      const socket = connectTcp(Number(port), hostname);
      onTestFinished(() => void socket.destroy());
      socket.write(`GET /live HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
      await once(socket, 'readable');
      // Nobody reads from here on: 300 views of 100 kB, of which the kernel's buffers take some.
      for (let n = 1; n <= 300; n++) {
        feed.publish({ ...view, aside, counts: { ...counts, counted: n }, waiting: 0, at: n });
        if (n % 100 === 0) await it.sendAll('shop-1', at(n / 100), 1, n / 100 - 1);
        await it.analyser.step();
        await delay(1);
      }
      expect((await it.total())[0]).toBe(3);
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      await until(() => text.includes('"counted":300,'), { what: 'the newest view', timeoutMs: 10_000 });
      const views = [...text.matchAll(/"counted":(\d+),/g)].length;
      expect(views, 'views that had to be read to get there').toBeLessThan(200);
    });
  },
);
