import { startPostgres, startRedis } from '@shared/services';
import { describeWith, History, outcome, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { connectNodes, Fencing, InvalidArgumentError, LeaseLostError, Redlock, WriteRolledBackError } from '#lab';
import { flashSale } from '../examples/flash-sale.ts';
import { payOrRefund } from '../examples/pay-or-refund.ts';
import { scheduledJob } from '../examples/scheduled-job.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const servers = { redis: () => startRedis({ nodes: 5 }), pg: () => startPostgres() };

await describeWith('fencing and use', servers, ({ redis, pg }) => {
  const pool = new Pool({ connectionString: pg.url, max: 10 });
  const fencing = new Fencing(pool, 'locker');
  const lock = (options?: ConstructorParameters<typeof Redlock>[1]) => {
    const nodes = connectNodes(redis.nodes.map((node) => node.url));
    onTestFinished(() => {
      for (const node of nodes) node.disconnect();
    });
    return new Redlock(nodes, options);
  };
  let lockers = 0;
  const fresh = () => `${redis.namespace}locker:${++lockers}`;
  const contents = async (key: string) =>
    (await pool.query<{ holder: string }>('SELECT holder FROM contents WHERE locker = $1', [key])).rows[0]?.holder;
  const put = (key: string, fence: bigint, holder: string, from = fencing) =>
    from.write(key, fence, (tx) =>
      tx.query('INSERT INTO contents VALUES ($1, $2) ON CONFLICT (locker) DO UPDATE SET holder = excluded.holder', [
        key,
        holder,
      ]),
    );

  beforeAll(async () => {
    await pool.query('CREATE TABLE contents (locker text PRIMARY KEY, holder text NOT NULL)');
  });
  afterAll(() => pool.end());

  test('a stale holder writes nothing', async () => {
    await fencing.migrate();
    const key = fresh();
    const redlock = lock();
    const history = new History<string>();
    const stale = await redlock.acquire([key], 400);
    const older = await fencing.take(stale);
    history.record(`A acquired, token ${older}`);
    await using current = await redlock.acquire([key], 60_000, { retry: { delayMs: 5, jitterMs: 5 } });
    const newer = await fencing.take(current);
    history.record(`A's TTL ended, B acquired, token ${newer}`);
    history.record(`B writes: ${await put(key, newer, 'B')}`);
    const late = await put(key, older, 'A', new Fencing(pool, 'locker'));
    history.record(`A writes, from another process: ${late}; the locker has ${await contents(key)}`);
    expect(late, history.toString()).toBe('stale');
    expect(await contents(key), history.toString()).toBe('B');
    expect(await put(key, newer, 'B again'), 'the newest holder may write again').toBe('ok');
  });

  test('fencing tokens grow from holder to holder', { timeout: 20_000 }, async () => {
    await fencing.migrate();
    const key = fresh();
    const tokens: bigint[] = [];
    await Promise.all(
      Array.from({ length: 20 }, () =>
        lock({ nodeTimeoutMs: 2_000 }).using(
          [key],
          5_000,
          async (_, lease) => {
            tokens.push(await fencing.take(lease));
          },
          { retry: { maxMs: 20_000, delayMs: 5, jitterMs: 30 } },
        ),
      ),
    );
    expect(tokens).toHaveLength(20);
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
  });

  test('of concurrent writers the newest token wins, whatever the order', async () => {
    await fencing.migrate();
    const key = fresh();
    const fences = random(SEED).shuffle(Array.from({ length: 30 }, (_, index) => BigInt(index)));
    const outcomes = await Promise.all(fences.map((fence) => put(key, fence, `holder ${fence}`)));
    expect(await contents(key)).toBe('holder 29');
    expect(outcomes[fences.indexOf(29n)]).toBe('ok');
  });

  test('whatever isolation the database has by default, who has waited for another writer is let in or is stale', async () => {
    await fencing.migrate();
    for (const isolation of ['repeatable read', 'serializable']) {
      const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`;
      const own = new Pool({ connectionString: pg.url, options });
      onTestFinished(() => own.end());
      const key = fresh();
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const first = fencing.write(key, 5n, async () => {
        begun.resolve();
        await gate.promise;
      });
      await begun.promise;
      const levels: unknown[] = [];
      const others = [3n, 7n].map((fence) =>
        new Fencing(own, 'locker').write(key, fence, async (tx) => {
          levels.push((await tx.query('SHOW transaction_isolation')).rows[0]?.transaction_isolation);
        }),
      );
      const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      await until(async () => (await pool.query(waits)).rowCount === 2, { what: 'both to wait' });
      gate.resolve();
      expect(await first).toBe('ok');
      expect(
        (await Promise.all(others.map((other) => outcome(other)))).map(({ value, error }) => value ?? error),
      ).toEqual(['stale', 'ok']);
      // What the database does for the other statements of a write is not taken from it.
      expect(levels).toEqual([isolation]);
    }
  });

  test('a write that fails leaves no mark and no open transaction', async () => {
    await fencing.migrate();
    const key = fresh();
    const failing = fencing.write(key, 7n, (tx) => tx.query('SELECT no_such_column'));
    await expect(failing).rejects.toThrow('no_such_column');
    // A connection that is lost in the middle is an error of this write, and not the end of the process.
    const severed = fencing.write(key, 7n, async (tx) => {
      const { rows } = await tx.query('SELECT pg_backend_pid() AS pid');
      const ended = new Promise<void>((resolve) => tx.once('end', resolve));
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
      await ended;
    });
    await expect(severed).rejects.toThrow(/connection/i);
    pool.once('acquire', (client) => queueMicrotask(() => client.emit('error', new Error('gone with the greeting'))));
    await outcome(put(key, 1n, 'whose connection ends as it comes'));
    // Who swallows the error of a statement has written nothing all the same.
    const swallowed = fencing.write(key, 7n, (tx) => tx.query('SELECT no_such_column').catch(() => {}));
    await expect(swallowed).rejects.toThrow(WriteRolledBackError);
    const undone = fencing.write(key, 7n, (tx) => tx.query('ROLLBACK'));
    await expect(undone).rejects.toThrow(WriteRolledBackError);
    expect(await put(key, 3n, 'older, but nothing newer was committed')).toBe('ok');
    const { rows } = await pool.query("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'");
    expect(rows).toEqual([]);
  });

  test('a write that swallows the silence of the database has written nothing, as with any error of a statement', async () => {
    await fencing.migrate();
    const key = fresh();
    const gate = await pool.connect();
    onTestFinished(() => gate.release(true));
    await gate.query('SELECT pg_advisory_lock(7)');
    const swallowed = fencing.write(key, 7n, async (tx) => {
      // Done when the gate opens, though its caller was told that it has failed.
      const text = `INSERT INTO contents SELECT $1, 'late' FROM pg_advisory_xact_lock(7)`;
      const late = { text, values: [key], query_timeout: 20 };
      await tx.query(late).catch(() => {});
      await gate.query('SELECT pg_advisory_unlock(7)');
    });
    expect((await outcome(swallowed)).error, 'what nobody waited for').toBeInstanceOf(Error);
    expect(await contents(key)).toBeUndefined();
    expect(await put(key, 3n, 'older, but nothing newer was committed')).toBe('ok');
  });

  test('a statement that comes when its write has failed is refused: it would be kept, and no mark would guard it', async () => {
    await fencing.migrate();
    const key = fresh();
    const gate = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;
    const failed = fencing.write(key, 7n, (tx) => {
      late = gate.promise.then(() => tx.query("INSERT INTO contents VALUES ($1, 'late')", [key]));
      return Promise.all([tx.query('SELECT no_such_column'), late]);
    });
    await expect(failed).rejects.toThrow('no_such_column');
    expect(await put(key, 8n, 'next')).toBe('ok');
    await pool.query('DELETE FROM contents WHERE locker = $1', [key]);
    gate.resolve();
    expect((await outcome(Promise.resolve(late))).error).toBeInstanceOf(WriteRolledBackError);
    expect(await contents(key)).toBeUndefined();
  });

  test('a holder that stalls before it has its fencing token gets none', async () => {
    await fencing.migrate();
    const lease = await lock().acquire([fresh()], 150);
    const narrow = new Pool({ connectionString: pg.url, max: 1 });
    onTestFinished(() => narrow.end());
    const busy = await narrow.connect();
    const taking = outcome(new Fencing(narrow, 'locker').take(lease));
    await until(() => lease.signal.aborted && lease.remaining() === 0).finally(() => busy.release());
    expect((await taking).error).toBeInstanceOf(LeaseLostError);
    const next = await lock().acquire([fresh()], 60_000);
    expect(await new Fencing(narrow, 'locker').take(next)).toBeTypeOf('bigint');
    await next.release();
  });

  test('what the database could not keep apart or could not keep is refused', async () => {
    const names: unknown[] = ['', 'x'.repeat(58), '柜'.repeat(20), 'half \ud83d', 'a\0', 7];
    // @ts-expect-error: untyped code can hand in anything
    for (const name of names) expect(() => new Fencing(pool, name), String(name)).toThrow(InvalidArgumentError);
    const ends = new Fencing(pool, `${'x'.repeat(50)}"柜`);
    await Promise.all(Array.from({ length: 10 }, () => ends.migrate()));
    await ends.migrate();
    expect(await ends.take({ throwIfEnded: () => {} })).toBe(1n);
    const closed = new Pool({ connectionString: pg.url });
    await closed.end();
    await expect(new Fencing(closed).migrate(), 'a database that is not there').rejects.toThrow();
    const bad: [unknown, unknown][] = [
      ['half \ud83d', 1n],
      ['a\0', 1n],
      ['', 1n],
      [7, 1n],
      ['a', 1],
      ['a', -1n],
      ['a', 2n ** 63n],
    ];
    for (const [resource, fence] of bad) {
      // @ts-expect-error: untyped code can hand in anything
      const { error } = await outcome(ends.write(resource, fence, async () => {}));
      expect(error, String(resource)).toBeInstanceOf(InvalidArgumentError);
    }
    expect(await ends.write('__proto__', 2n ** 63n - 1n, async () => {})).toBe('ok');
    expect(await ends.write('constructor', 0n, async () => {})).toBe('ok');
  });

  // ── the roadmap's three uses ────────────────────────────────────────────────────────────────────────────────────

  test('a hundred buyers of ten items: ten are sold', { timeout: 20_000 }, async () => {
    const { sold, refused, stockLeft } = await flashSale({ redis, pool, buyers: 100, stock: 10, strategy: 'redlock' });
    expect({ sold, refused, stockLeft }).toEqual({ sold: 10, refused: 90, stockLeft: 0 });
  });

  test('a job scheduled on three instances runs once a tick', async () => {
    const { runsPerTick } = await scheduledJob({ redis, pool, instances: 3, ticks: 5, strategy: 'redlock' });
    expect(runsPerTick).toEqual([1, 1, 1, 1, 1]);
  });

  test('an order is paid or refunded, never both', async () => {
    const { both, neither } = await payOrRefund({ redis, pool, orders: 20, strategy: 'redlock' });
    expect({ both, neither }).toEqual({ both: 0, neither: 0 });
  });
});
