import { getEventListeners } from 'node:events';
import { createServer, Socket } from 'node:net';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, overlaps, random, type Span, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  AcquireTimeoutError,
  ConnectError,
  ConnectionLostError,
  ConnectionPool,
  type Holder,
  InvalidArgumentError,
  type Lease,
  LeaseReleasedError,
  OpenTransactionError,
  PoolClosedError,
  QueueFullError,
  RolledBackError,
  TransactionEndedError,
} from '#lab';
import { bank, pidOf } from './bank.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

await describeWith('connection pool', { postgres: () => startPostgres() }, ({ postgres }) => {
  const { url } = postgres;
  /** The next tick but a few: whatever could have happened by itself has. */
  const soon = () => new Promise((resolve) => setImmediate(resolve));
  const one = async (pool: ConnectionPool) => pool.withClient(pidOf);

  // ── how many tellers ──────────────────────────────────────────────────────────────────────────────────────────────

  test('no more than max connections are made, and each is lent to one caller at a time', async () => {
    const { open, backends, connection } = await bank(url);
    // One that is too many may come when nobody waits any more: so they are counted as they set out.
    const sockets: Socket[] = [];
    const stream = () => {
      const socket = new Socket();
      sockets.push(socket);
      return socket;
    };
    const pool = open({ max: 3, connection: { ...connection(), stream } });
    const begun = performance.now();
    const spans: Span[] = [];
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        const client = await pool.acquire();
        const from = performance.now() - begun;
        const pid = await pidOf(client);
        most.push((await backends()).length);
        spans.push({ who: String(pid), from, to: performance.now() - begun });
        client.release();
      }),
    );
    const pids = new Set(spans.map(({ who }) => who));
    for (const pid of pids) {
      const own = spans.filter(({ who }) => who === pid).map((span, index) => ({ ...span, who: String(index) }));
      expect(overlaps(own), 'two callers with one connection').toEqual([]);
    }
    expect(Math.max(...most, sockets.length), 'connections, at most').toBeLessThanOrEqual(3);
    const three = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    expect(new Set(await Promise.all(three.map(pidOf))).size).toBe(3);
  });

  test('who waits is served in the order of asking, before anybody who comes later', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const order: string[] = [];
    const enter = async (name: string) => {
      const client = await pool.acquire();
      order.push(name);
      await soon();
      client.release();
    };
    const first = await pool.acquire();
    const waiting = ['a', 'b', 'c'].map(enter);
    await soon();
    first.release();
    const late = enter('late');
    await Promise.all([...waiting, late]);
    expect(order).toEqual(['a', 'b', 'c', 'late']);
  });

  test('a wait has an end: a full queue refuses at once, a timeout gives up, an abort leaves the queue', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1, maxQueue: 2 });
    const held = await pool.acquire();
    const reason = new Error('the customer has left');
    const customer = new AbortController();
    const impatient = outcome(pool.acquire({ timeoutMs: 20 }));
    const leaving = outcome(pool.acquire({ signal: customer.signal }));
    expect((await outcome(pool.acquire())).error).toBeInstanceOf(QueueFullError);
    customer.abort(reason);
    expect((await leaving).error).toBe(reason);
    expect((await impatient).error).toBeInstanceOf(AcquireTimeoutError);
    // Nobody is served who is gone.
    const next = pool.acquire();
    held.release();
    const client = await next;
    expect(await pidOf(client)).toBeTypeOf('number');
    client.release();
    expect(pool.stats).toMatchObject({ idle: 1, lent: 0, waiting: 0 });
  });

  test('a connection comes back whatever becomes of the work, and a transaction is whole or not at all', async () => {
    const { open, admin, schema } = await bank(url);
    const pool = open({ max: 1, acquireTimeoutMs: 500 });
    await admin.query(`CREATE TABLE ${schema}.t (n int)`);
    const boom = new Error('the customer faints');
    expect((await outcome(pool.withClient(() => Promise.reject(boom)))).error).toBe(boom);
    const half = pool.withTx(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)');
      throw boom;
    });
    expect((await outcome(half)).error).toBe(boom);
    expect(await outcome(pool.withTx(async (tx) => (await tx.query('INSERT INTO t VALUES (2)')).rowCount))).toEqual({
      value: 1,
      error: undefined,
    });
    expect((await admin.query(`SELECT n FROM ${schema}.t`)).rows).toEqual([{ n: 2 }]);
    expect(pool.stats).toMatchObject({ lent: 0, idle: 1 });
  });

  test('a connection that comes back inside a transaction is not lent again', async () => {
    const { open, admin, schema } = await bank(url);
    await admin.query(`CREATE TABLE ${schema}.t (n int)`);
    const pool = open({ max: 1 });
    for (const spoil of ['INSERT INTO t VALUES (1)', 'SELECT 1 / 0']) {
      const client = await pool.acquire();
      const pid = await pidOf(client);
      await client.query('BEGIN');
      await client.query(spoil).catch(() => {});
      client.release();
      const [next, rows] = await pool.withClient(async (clean) => [await pidOf(clean), await clean.query('TABLE t')]);
      expect(next, spoil).not.toBe(pid);
      expect(rows.rows, 'the next one sees what was never committed').toEqual([]);
    }
  });

  // ── sick tellers ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('a connection that died while idle ends no process, is lent to nobody, and is replaced', async () => {
    const { open, end, backends } = await bank(url);
    const pool = await open({ min: 2, max: 2 }).open();
    const before = await backends();
    for (const pid of before) await end(pid);
    await until(() => pool.stats.idle === 2, { what: 'two new connections' });
    const after = await backends();
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
    expect(after).toHaveLength(2);
    expect(after).toContain(await one(pool));
  });

  test('a connection that dies in use fails its caller with a typed error, and is lent to nobody after', async () => {
    const { open, end, admin } = await bank(url);
    const pool = open({ max: 1 });
    const client = await pool.acquire();
    const pid = (await pidOf(client)) ?? 0;
    const sleeping = outcome(client.query('SELECT pg_sleep(10)'));
    await until(async () => {
      const state = await admin.query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'`, [pid]);
      return state.rowCount;
    });
    await end(pid);
    expect((await sleeping).error).toMatchObject({ name: 'ConnectionLostError', outcome: 'unknown' });
    // What was never sent was never done.
    expect((await outcome(client.query('SELECT 1'))).error).toMatchObject({
      name: 'ConnectionLostError',
      outcome: 'undone',
    });
    client.release();
    expect(await one(pool)).not.toBe(pid);
  });

  test('a connection that was silent for long is asked before it is lent, one that was just used is not', async () => {
    const { open, admin, schema } = await bank(url);
    const last = async () =>
      (await admin.query('SELECT query FROM pg_stat_activity WHERE application_name = $1', [schema])).rows[0]?.query;
    const [wary, trusting] = [open({ max: 1, validateAfterMs: 0 }), open({ max: 1, validateAfterMs: 60_000 })];
    for (const [pool, found] of [
      [wary, 'SELECT 1'],
      [trusting, 'SELECT 2'],
    ] as const) {
      await pool.withClient((client) => client.query('SELECT 2'));
      const client = await pool.acquire();
      expect(await last()).toBe(found);
      client.release();
      await pool.close();
      await until(async () => (await last()) === undefined);
    }
  });

  test('who comes gets the one that was just used, though another is looked at for somebody who has left', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 2, validateAfterMs: 100 });
    const [silent, used] = await Promise.all([pool.acquire(), pool.acquire()]);
    silent.release();
    await until(() => performance.now() - silent.member.idleSince > 100);
    const left = new AbortController();
    const gone = outcome(pool.acquire({ signal: left.signal }));
    left.abort();
    await gone;
    used.release();
    expect((await pool.acquire()).member).toBe(used.member);
  });

  test('a connection behind a network that fell silent is given up, and the caller gets another', async () => {
    const { open, schema } = await bank(url);
    await using net = await postgres.node.proxy();
    const proxied = new URL(url);
    proxied.port = String(net.port);
    const pool = open({ max: 1, validateAfterMs: 0, answerMs: 300 }, proxied.href);
    // A first connection may take longer than that.
    const pid = await pool.withClient(pidOf, { timeoutMs: 5_000 });
    net.partition();
    const client = outcome(pool.acquire());
    await until(() => pool.stats.idle === 0);
    setTimeout(() => net.heal(), 350);
    const { value, error } = await client;
    // Where the new one was tried too early, too, that is said.
    if (error) expect(error).toBeInstanceOf(ConnectError);
    else expect(value && (await pidOf(value)), schema).not.toBe(pid);
    value?.release();
  });

  /** A server that greets, and then says what it is told to. */
  const scripted = async (greeted: string, asked = '', after = '') => {
    const packet = (type: string, text: string) => {
      const body = Buffer.from(text, 'latin1');
      const head = Buffer.from(`${type}....`);
      head.writeInt32BE(body.length + 4, 1);
      return Buffer.concat([head, body]);
    };
    const told = (code: string) => (code ? [packet('E', `S${after ? 'ERROR' : 'FATAL'}\0C${code}\0Mno\0\0`)] : []);
    const server = createServer((socket) => {
      socket
        .on('error', () => {})
        .once('data', () => {
          socket.write(Buffer.concat([packet('R', '\0\0\0\0'), packet('Z', 'I'), ...told(greeted)]));
          socket.on('data', () => {
            socket.write(Buffer.concat(told(asked)));
            if (after) setTimeout(() => socket.write(packet('Z', after)), 20);
          });
        });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    return `postgres://a:b@127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}/c`;
  };

  test('a connection that Postgres ends is lent to nobody: neither in the breath that greets, nor with a code of any kind', async () => {
    const { open } = await bank(url);
    const greeted = open({ max: 1 }, await scripted('57P01'));
    expect((await outcome(greeted.acquire())).error).toBeInstanceOf(ConnectError);
    expect(greeted.stats.size).toBe(0);
    // A standby says so to whoever is in the way of its recovery.
    const asked = open({ max: 1 }, await scripted('', '40001'));
    // And a server that speaks another language than English has only the code.
    const foreign = open({ max: 1 }, await scripted('', '57P05', 'I'));
    for (const pool of [asked, foreign]) {
      const error = pool.withClient((client) => client.query('SELECT 1'));
      expect((await outcome(error)).error).toBeInstanceOf(ConnectionLostError);
      expect(pool.stats.size).toBe(0);
    }
  });

  test('a connection that is not made yet keeps nobody from another', async () => {
    const { open, connection } = await bank(url);
    const { hostname: host, port, username: user, password, pathname } = new URL(url);
    const passwords: Promise<string>[] = [];
    const config = { ...connection(), host, port: Number(port), user, database: pathname.slice(1) };
    delete config.connectionString;
    const choose = () => passwords.shift() ?? password;
    const pool = open({ min: 2, max: 2, validateAfterMs: 0, idleMs: 40, connection: { ...config, password: choose } });
    // One fails, and the other is enough.
    const door = Promise.withResolvers<string>();
    door.promise.catch(() => {});
    passwords.push(door.promise, Promise.resolve(password));
    const opened = outcome(pool.open());
    const first = pool.acquire();
    door.reject(new Error('the locksmith'));
    (await first).release();
    expect((await opened).error).toBeInstanceOf(ConnectError);
    // One is idle, and the other is on its way for ever.
    await until(() => pool.stats.idle === 2);
    passwords.push(new Promise(() => {}));
    await outcome(pool.withClient((client) => client.query('BEGIN')));
    await until(() => pool.stats.size === 2 && passwords.length === 0);
    expect((await outcome(pool.withClient(pidOf), 1_000)).value).toBeTypeOf('number');
  });

  test('the system asks after a server that says nothing: one that is gone without a word is noticed', async () => {
    const asks = vi.spyOn(Socket.prototype, 'setKeepAlive');
    onTestFinished(() => asks.mockRestore());
    await one((await bank(url)).open());
    expect(asks).toHaveBeenCalledWith(true, 10_000);
  });

  // ── idle ones go home ─────────────────────────────────────────────────────────────────────────────────────────────

  test('those idle for too long are closed down to min, though one of them is used all the time', async () => {
    // A clock of its own: on a slow machine one use of all in turn takes as long as each may be idle.
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { open, backends } = await bank(url);
    const pool = open({ min: 1, max: 5, idleMs: 150 });
    const busy = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()));
    for (const client of busy) client.release();
    expect(pool.stats.idle).toBe(5);
    for (let ms = 0; ms < 400; ms += 20) {
      await one(pool);
      vi.advanceTimersByTime(20);
    }
    expect(pool.stats.size, 'connections after 400 ms').toBe(1);
    await until(async () => (await backends()).length === 1, { what: 'the server to see the other four go' });
  });

  test('a connection older than maxAgeMs is closed once it is idle, and min are there all the same', async () => {
    const { open } = await bank(url);
    const pool = await open({ min: 1, max: 1, maxAgeMs: 30, idleMs: 40 }).open();
    const pid = await one(pool);
    await until(async () => (await one(pool)) !== pid, { what: 'another connection' });
    await until(() => pool.stats.size === 1);
  });

  test('idle connections and leaks are looked for four times within their limit, and at least once a second', async () => {
    const { open } = await bank(url);
    const timers = vi.spyOn(globalThis, 'setInterval');
    onTestFinished(() => timers.mockRestore());
    for (const options of [{}, { idleMs: 200, leakAfterMs: 60_000 }, { leakAfterMs: 40 }]) open(options);
    expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([1_000, 50, 10]);
  });

  test('open makes min connections before the first caller comes', async () => {
    const { open, backends } = await bank(url);
    await open({ min: 3, max: 4 }).open();
    expect(await backends()).toHaveLength(3);
  });

  // ── leaks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a connection that does not come back is reported once, with the stack that took it', async () => {
    const { open } = await bank(url);
    const leaks: Holder[] = [];
    const pool = open({ max: 2, leakAfterMs: 20, onLeak: (leak) => leaks.push(leak) });
    async function forgetful() {
      await (await pool.acquire()).query('SELECT 1');
    }
    await forgetful();
    await until(() => leaks.length > 0);
    const slow = outcome(pool.withClient((client) => client.query('SELECT pg_sleep(0.001)')));
    await slow;
    const { error } = await outcome(Promise.all([pool.acquire({ timeoutMs: 60 }), pool.acquire({ timeoutMs: 60 })]));
    expect(leaks[0]?.taken).toContain('forgetful');
    expect(leaks[0]?.heldMs).toBeGreaterThanOrEqual(20);
    expect(leaks.filter(({ taken }) => taken.includes('forgetful'))).toHaveLength(1);
    // Who waits in vain is told who it is.
    expect(error).toBeInstanceOf(AcquireTimeoutError);
    expect(String(error)).toContain('forgetful');
  });

  test('no leak is reported unless it was asked for, and who is idle for less than idleMs stays', async () => {
    const { open } = await bank(url);
    const seen: Holder[] = [];
    const onLeak = (leak: Holder) => void seen.push(leak);
    const silent = open({ max: 1, idleMs: 20, onLeak });
    await silent.acquire();
    // What is being made is lent as soon as it is there, and waits for the others: they are made before.
    const pool = await open({ min: 3, max: 3, idleMs: 60_000, leakAfterMs: 60, onLeak }).open();
    const three = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    for (const client of three.slice(1)) client.release();
    await until(() => seen.length > 0);
    expect(seen.map(({ taken }) => taken.includes('at '))).toEqual([true]);
    expect(pool.stats).toEqual({ size: 3, idle: 2, lent: 1, waiting: 0 });
  });

  test('an onLeak that throws disturbs nobody', async () => {
    const { open } = await bank(url);
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const onLeak = () => {
      throw new Error('the inspector stumbles');
    };
    const pool = open({ max: 2, leakAfterMs: 10, onLeak });
    await pool.acquire();
    await until(() => warned.mock.calls.length > 0);
    expect(String(warned.mock.calls[0]?.[0])).toContain('the inspector stumbles');
    expect(await one(pool)).toBeTypeOf('number');
  });

  // ── the queue and its end ─────────────────────────────────────────────────────────────────────────────────────────

  test('a connection whose caller is gone when it is made serves the next one', async () => {
    const { open, backends } = await bank(url);
    const pool = open({ max: 1 });
    const { error } = await outcome(pool.acquire({ signal: AbortSignal.timeout(1), timeoutMs: 5_000 }));
    const client = error === undefined ? undefined : await pool.acquire();
    expect(await backends()).toHaveLength(1);
    client?.release();
  });

  test('an abort before the asking, and one after the end, change nothing; no listener stays on the signal', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const gone = AbortSignal.abort(new Error('gone'));
    expect((await outcome(pool.acquire({ signal: gone }))).error).toBe(gone.reason);
    const long = new AbortController();
    const held = await pool.acquire({ signal: long.signal });
    const [late, served] = [
      outcome(pool.acquire({ signal: long.signal, timeoutMs: 10 })),
      pool.acquire({ signal: long.signal }),
    ];
    expect((await late).error).toBeInstanceOf(AcquireTimeoutError);
    held.release();
    const client = await served;
    expect(getEventListeners(long.signal, 'abort')).toEqual([]);
    long.abort();
    expect(await pidOf(client)).toBeTypeOf('number');
    client.release();
  });

  test('the queue counts those who wait, not those for whom a connection is on its way', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 3, maxQueue: 0 });
    const taken = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    expect((await outcome(pool.acquire())).error).toBeInstanceOf(QueueFullError);
    for (const client of taken) client.release();
    expect(await one(pool)).toBeTypeOf('number');
    const wary = open({ max: 1, maxQueue: 0, validateAfterMs: 0 });
    expect(await one(wary)).toBe(await one(wary));
    const small = open({ max: 2, maxQueue: 2 });
    expect(await Promise.all([1, 2, 3, 4].map(() => one(small)))).toHaveLength(4);
  });

  test('jobs that each want a second connection while all are lent are told so in bounded time', async () => {
    const { open } = await bank(url);
    const pool = await open({ min: 3, max: 3, acquireTimeoutMs: 50 }).open();
    const job = () => pool.withTx(() => pool.withTx((inner) => inner.query('SELECT 1')));
    const results = await Promise.all([job(), job(), job()].map((each) => outcome(each)));
    expect(results.some(({ error }) => error instanceof AcquireTimeoutError)).toBe(true);
    expect(pool.stats).toMatchObject({ lent: 0, waiting: 0 });
    expect(await one(pool)).toBeTypeOf('number');
  });

  // ── giving back ───────────────────────────────────────────────────────────────────────────────────────────────────

  test('who has given his connection back can neither use it nor give it back again', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const mine = await pool.acquire();
    mine.release();
    const theirs = await pool.acquire();
    expect(() => mine.release()).toThrow(LeaseReleasedError);
    expect((await outcome(mine.query('SELECT 1'))).error).toBeInstanceOf(LeaseReleasedError);
    expect(pool.stats).toMatchObject({ lent: 1, idle: 0 });
    theirs.release();
    // `using` after a release of one's own is no second release.
    await pool.withClient(async (client) => client.release());
    expect(pool.stats).toMatchObject({ lent: 0, idle: 1 });
    // What the next one does with it is none of his business.
    const next = Promise.withResolvers<void>();
    const gone = outcome(
      pool.withClient(async (client) => {
        client.release();
        await next.promise;
      }),
    );
    const busy = await pool.acquire();
    await busy.query('BEGIN');
    next.resolve();
    expect((await gone).error).toBeUndefined();
    busy.release();
  });

  test('a connection that comes back with a query still under way is not lent again', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const client = await pool.acquire();
    const pid = await pidOf(client);
    const forgotten = outcome(client.query('BEGIN; SELECT pg_sleep(5)'), 4_000);
    client.release();
    expect(await one(pool)).not.toBe(pid);
    expect((await forgotten).error).toBeInstanceOf(ConnectionLostError);
  });

  test('a refusal of Postgres leaves the connection well; a value that cannot be sent does not', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const pid = await one(pool);
    expect((await outcome(pool.withClient((c) => c.query('SELECT 1 / 0')))).error).toMatchObject({ code: '22012' });
    const lacking = pool.withClient((client) => client.query('SELECT $1::int, $2::int', [1]));
    expect((await outcome(lacking)).error, 'a parameter lacks').toMatchObject({ name: 'error', code: '08P01' });
    expect(await one(pool)).toBe(pid);
    const circular: { self?: unknown } = {};
    circular.self = circular;
    const unsent = outcome(pool.withClient((client) => client.query('SELECT $1::json', [circular])));
    expect((await unsent).error).toBeInstanceOf(ConnectionLostError);
    expect(await one(pool)).not.toBe(pid);
  });

  // ── transactions ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('who leaves a transaction open in withClient is told that it is rolled back', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const left = pool.withClient((client) => client.query('BEGIN'));
    expect((await outcome(left)).error).toBeInstanceOf(OpenTransactionError);
    expect(pool.stats.size).toBe(0);
  });

  test('a script that fails after its BEGIN leaves its transaction to nobody', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const script = 'BEGIN; SELECT 1 / 0; COMMIT';
    const both = [pool.withClient((client) => client.query(script)), pool.withClient(pidOf)];
    const [failed, next] = await Promise.all(both.map((each) => outcome<unknown>(each)));
    expect(failed?.error).toMatchObject({ code: '22012' });
    expect(next?.value).toBeTypeOf('number');
    const caught = pool.withClient((client) => client.query(script).catch(() => {}));
    expect((await outcome(caught)).error).toBeInstanceOf(OpenTransactionError);
    expect(pool.stats.size).toBe(0);
    // Postgres sends the error first, and where it stands after it when it has cleaned up.
    const late = open({ max: 1 }, await scripted('', '22012', 'E'));
    expect((await outcome(late.withClient((client) => client.query(script)))).error).toMatchObject({ code: '22012' });
    expect(late.stats.size).toBe(0);
  });

  test('a COMMIT that Postgres answers with ROLLBACK is an error, whoever caught the first one', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const caught = pool.withTx(async (tx) => {
      await tx.query('SELECT 1 / 0').catch(() => {});
      return 'done';
    });
    expect((await outcome(caught)).error).toBeInstanceOf(RolledBackError);
    expect(pool.stats.idle).toBe(1);
  });

  test('a connection lost before the COMMIT has undone its work; lost at the COMMIT, that is unknown', async () => {
    const { open, admin, schema } = await bank(url);
    await admin.query(`CREATE TABLE ${schema}.t (n int)`);
    const pool = open({ max: 1 });
    let inside: unknown;
    const before = pool.withTx(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)');
      inside = await outcome(tx.query('SELECT pg_terminate_backend(pg_backend_pid())'));
    });
    expect((await outcome(before)).error).toMatchObject({ name: 'ConnectionLostError', outcome: 'undone' });
    expect(inside).toMatchObject({ error: { name: 'ConnectionLostError', outcome: 'undone' } });
    expect((await admin.query(`TABLE ${schema}.t`)).rows).toEqual([]);

    await using net = await postgres.node.proxy();
    const proxied = new URL(url);
    proxied.port = String(net.port);
    const away = open({ max: 1 }, proxied.href);
    const at = away.withTx(async (tx) => {
      await tx.query('INSERT INTO t VALUES (2)');
      net.partition('down');
    });
    const { error } = await outcome(
      Promise.all([at, until(async () => (await admin.query(`TABLE ${schema}.t`)).rowCount).then(() => net.reset())]),
    );
    expect(error).toMatchObject({ name: 'ConnectionLostError', outcome: 'unknown' });
    expect((await admin.query(`TABLE ${schema}.t`)).rows).toEqual([{ n: 2 }]);
  });

  test('what stands in no transaction is unknown when its answer is lost, and so is a COMMIT of the caller', async () => {
    const { open, admin, schema } = await bank(url);
    await admin.query(`CREATE TABLE ${schema}.t (n int)`);
    const words = [['INSERT INTO t VALUES (1)'], ['BEGIN', 'INSERT INTO t VALUES (2)', '/* done */ COMMIT']];
    for (const [index, statements] of words.entries()) {
      await using net = await postgres.node.proxy();
      const proxied = new URL(url);
      proxied.port = String(net.port);
      const lost = open({ max: 1 }, proxied.href).withClient(async (client) => {
        for (const [n, statement] of statements.entries()) {
          if (n === statements.length - 1) net.partition('down');
          await client.query(statement);
        }
      });
      const written = async () => (await admin.query(`TABLE ${schema}.t`)).rowCount === index + 1;
      const { error } = await outcome(Promise.all([lost, until(written).then(() => net.reset())]));
      expect(error, statements.at(-1)).toMatchObject({ name: 'ConnectionLostError', outcome: 'unknown' });
    }
  });

  test('what a routine has begun and not awaited is not written after the end of its transaction', async () => {
    const { open, admin, schema } = await bank(url);
    await admin.query(`CREATE TABLE ${schema}.t (n int)`);
    const pool = open({ max: 1 });
    for (const end of [() => Promise.resolve(), () => Promise.reject(new Error('the customer faints'))]) {
      let straggler: Promise<unknown> = Promise.resolve();
      const both = pool.withTx(async (tx) => {
        straggler = outcome(tx.query('SELECT pg_sleep(0.01)').then(() => tx.query('INSERT INTO t VALUES (1)')));
        await end();
      });
      await outcome(both);
      expect(await straggler).toMatchObject({ error: { name: 'LeaseReleasedError' } });
    }
    expect((await admin.query(`TABLE ${schema}.t`)).rows).toEqual([]);
    expect(pool.stats).toMatchObject({ idle: 1, size: 1 });
  });

  test('a routine that ends its transaction itself is told so', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    for (const own of ['ROLLBACK', 'COMMIT']) {
      const ended = outcome(pool.withTx((tx) => tx.query(own)));
      expect((await ended).error, own).toBeInstanceOf(TransactionEndedError);
    }
  });

  test('Postgres ends a statement and a transaction that take too long, and the pool goes on', async () => {
    const { open, connection } = await bank(url);
    const limits = { statement_timeout: 30, idle_in_transaction_session_timeout: 30 };
    const pool = open({ max: 1, connection: { ...connection(), ...limits } });
    const slow = await outcome(pool.withClient((client) => client.query('SELECT pg_sleep(5)')));
    expect(slow.error).toMatchObject({ code: '57014' });
    const idle = pool.withTx(async (tx) => {
      const pid = await pidOf(tx);
      await until(() => tx.member.broken, { what: 'Postgres to end the transaction' });
      return pid;
    });
    expect((await outcome(idle, 4_000)).error).toMatchObject({ name: 'ConnectionLostError', outcome: 'undone' });
    expect(await one(pool)).toBeTypeOf('number');
    const standard = open();
    const shown = await standard.withClient((client) =>
      client.query(`SELECT current_setting('statement_timeout') AS a,
        current_setting('idle_in_transaction_session_timeout') AS b`),
    );
    expect(shown.rows).toEqual([{ a: '30s', b: '10s' }]);
  });

  // ── closing and refusing ──────────────────────────────────────────────────────────────────────────────────────────

  test('close serves those who wait, refuses who comes, and leaves no connection', async () => {
    const { open, backends, connection } = await bank(url);
    const socket = new Socket();
    const pool = open({ min: 1, max: 1, connection: { ...connection(), stream: () => socket } });
    const held = await pool.acquire();
    const waiting = outcome(pool.withClient(pidOf));
    const closing = pool.close();
    expect((await outcome(pool.acquire())).error).toBeInstanceOf(PoolClosedError);
    held.release();
    expect((await waiting).value).toBeTypeOf('number');
    await closing;
    expect(socket.destroyed, 'the farewell was said').toBe(true);
    expect((await outcome(pool.open())).error).toBeInstanceOf(PoolClosedError);
    expect(pool.close()).toBe(closing);
    expect(pool.stats).toEqual({ size: 0, idle: 0, lent: 0, waiting: 0 });
    await until(async () => (await backends()).length === 0);
  });

  test('close waits for graceMs and no longer: then a connection is ended, and its user told', async () => {
    const { open, backends } = await bank(url);
    const pool = open({ max: 1 });
    const held = await pool.acquire();
    const waiting = outcome(pool.acquire());
    const query = outcome(held.query('SELECT pg_sleep(10)'));
    await pool.close({ graceMs: 10 });
    expect((await query).error).toBeInstanceOf(ConnectionLostError);
    expect((await waiting).error).toBeInstanceOf(PoolClosedError);
    held.release();
    await until(async () => (await backends('idle')).length === 0);
    expect(pool.stats).toMatchObject({ size: 0, lent: 0 });

    // Some were still being made: they come to nobody, and go.
    const early = open({ max: 2 });
    const asking = [1, 2, 3].map(() => outcome(early.acquire()));
    await early.close({ graceMs: 0 });
    for (const { error } of await Promise.all(asking)) expect(error).toBeInstanceOf(PoolClosedError);
    await until(async () => early.stats.size === 0 && (await backends('idle')).length === 0);
  });

  test('a connection that dies while the pool closes is not replaced', async () => {
    const { open, end } = await bank(url);
    const pool = await open({ min: 2, max: 2 }).open();
    const held = await pool.acquire();
    const pid = await one(pool);
    const closing = pool.close();
    await end(pid ?? 0);
    await until(() => pool.stats.idle === 0, { what: 'the pool to notice' });
    expect(pool.stats).toEqual({ size: 1, idle: 0, lent: 1, waiting: 0 });
    held.release();
    await closing;
  });

  test('close does not wait for a connection that nobody waits for', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const left = new AbortController();
    const asking = outcome(pool.acquire({ signal: left.signal }));
    left.abort();
    await asking;
    expect((await outcome(pool.close({ graceMs: 20_000 }))).error).toBeUndefined();
    expect(pool.stats.size).toBe(0);
  });

  test('no server, a wrong password and a server that says nothing are a ConnectError in time', async () => {
    const { open } = await bank(url);
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => new Promise<void>((resolve) => silent.close(() => resolve())));
    const address = silent.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const wrong = new URL(url);
    wrong.password = 'guess';
    for (const to of [
      'postgres://a:b@127.0.0.1:1/c',
      'postgres://[',
      wrong.href,
      `postgres://a:b@127.0.0.1:${port}/c`,
    ]) {
      const pool = open({ max: 2, answerMs: 80 }, to);
      const results = await Promise.all([1, 2, 3, 4].map(() => outcome(pool.acquire(), 3_000)));
      for (const { error } of results) expect(error, to).toBeInstanceOf(ConnectError);
      expect(pool.stats).toEqual({ size: 0, idle: 0, lent: 0, waiting: 0 });
      expect((await outcome(open({ min: 1, answerMs: 80 }, to).open(), 3_000)).error).toBeInstanceOf(ConnectError);
      await pool.close();
    }
  });

  test('a number that no timer can wait for is refused, and ends nothing', async () => {
    const { open } = await bank(url);
    const pool = open({ max: 1 });
    const held = await pool.acquire();
    for (const ms of [Number.POSITIVE_INFINITY, Number.NaN, 2 ** 31, -1]) {
      expect((await outcome(pool.acquire({ timeoutMs: ms }))).error, `${ms}`).toBeInstanceOf(InvalidArgumentError);
      expect((await outcome(pool.close({ graceMs: ms }))).error, `${ms}`).toBeInstanceOf(InvalidArgumentError);
    }
    expect(await pidOf(held)).toBeTypeOf('number');
    held.release();
    expect(await one(pool)).toBeTypeOf('number');
  });

  test('what is not said has the documented default', async () => {
    class Probe extends ConnectionPool {
      readonly complete = this.settings;
    }
    const waits = {
      acquireTimeoutMs: 5_000,
      idleMs: 30_000,
      maxAgeMs: 1_800_000,
      validateAfterMs: 1_000,
      answerMs: 2_000,
    };
    const pool = new Probe({ connection: url });
    expect(pool.complete).toMatchObject({ min: 0, max: 10, maxQueue: 100, leakAfterMs: 0, ...waits });
    const timers = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => timers.mockRestore());
    await pool.close();
    expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([5_000]);
  });

  test('options that no pool can be made of are refused, and a config is copied', async () => {
    const bad: object[] = [
      { max: 0 },
      { max: 1.5 },
      { max: '10' },
      { min: -1 },
      { min: 3, max: 2 },
      { maxQueue: -1 },
      { idleMs: 0 },
      { leakAfterMs: -1 },
      { acquireTimeoutMs: Number.NaN },
      { validateAfterMs: Number.POSITIVE_INFINITY },
      { connection: 5 },
      { connection: '' },
      { connection: null },
    ];
    for (const options of bad) {
      const what = JSON.stringify(options);
      expect(() => new ConnectionPool({ connection: url, ...options }), what).toThrow(InvalidArgumentError);
    }
    const { open, connection, backends } = await bank(url);
    const config = connection();
    const pool = open({ connection: config });
    config.connectionString = 'postgres://a:b@127.0.0.1:1/c';
    await one(pool);
    expect(await backends()).toHaveLength(1);
  });

  test('a storm of callers, kills and aborts leaks no connection and strands nobody', async () => {
    const { open, admin, schema } = await bank(url);
    const dice = random(SEED);
    const pool = open({ max: 4, min: 1, maxQueue: 500, validateAfterMs: 0, acquireTimeoutMs: 3_000 });
    const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND random() < 0.5`;
    const storm = async (client: Lease) => {
      if (dice.next() < 0.2) await client.query('BEGIN');
      if (dice.next() < 0.1) throw new Error('the customer faints');
      await client.query('SELECT pg_sleep(0.001)');
    };
    const customers = Array.from({ length: 120 }, async (_, index) => {
      const signal = dice.next() < 0.2 ? AbortSignal.timeout(1 + Math.floor(dice.next() * 20)) : undefined;
      if (index % 30 === 29) await admin.query(kill, [schema]);
      await outcome(pool.withClient(storm, signal ? { signal } : {}), 10_000);
    });
    await Promise.all(customers);
    await until(() => pool.stats.lent === 0 && pool.stats.waiting === 0 && pool.stats.size === pool.stats.idle);
    await until(async () => {
      const seen = await admin.query('SELECT FROM pg_stat_activity WHERE application_name = $1', [schema]);
      return seen.rowCount === pool.stats.size;
    });
    expect(await one(pool)).toBeTypeOf('number');
  });
});
