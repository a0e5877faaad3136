import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { compose, connectRedis, DatabaseGate, DatabaseSparedError, DualCache, TtlCache } from '#lab';

const servers = { redis: () => startRedis(), postgres: () => startPostgres() };

await describeWith('the gate before Postgres', servers, ({ redis, postgres }) => {
  const client = connectRedis(redis.nodes[0].url, { timeoutMs: 3_000 });
  const pool = new Pool({ connectionString: postgres.url, max: 4, connectionTimeoutMillis: 150 });
  afterAll(async () => {
    client.disconnect();
    await pool.end();
  });
  let shelves = 0;
  const fresh = () => `${redis.namespace}gate${++shelves}:`;
  const query = async () => {
    const { rows } = await pool.query<{ cents: number }>('SELECT 129 AS cents, pg_sleep(0.02)');
    return rows[0]?.cents ?? null;
  };
  /** All four connections are made: on a busy machine to make one may take longer than a customer waits. */
  const connected = () =>
    until(async () => {
      await Promise.allSettled(Array.from({ length: 4 }, query));
      return pool.totalCount === 4 && pool.idleCount === 4;
    });
  /** 150 customers, each for a yoghurt of its own, at once. */
  const crowd = async (read: (key: string) => Promise<unknown>) => {
    const ends = await Promise.allSettled(Array.from({ length: 150 }, (_, n) => read(`yoghurt ${n}`)));
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    const spared = errors.filter((error) => error instanceof DatabaseSparedError).length;
    return { served: ends.length - errors.length, spared, exhausted: errors.length - spared };
  };
  const options = { maxConcurrent: 2, maxWaiting: 10, maxWaitMs: 4_000, breaker: false } as const;

  test('without a gate a crowd exhausts the pool of connections, behind one it does not', async () => {
    const bare = compose(new TtlCache(client, { prefix: fresh() }).layer());
    const without = await crowd((key) => bare.read(key, query));
    expect(without.exhausted, 'customers who met an exhausted pool').toBeGreaterThan(0);
    await connected();
    const gate = new DatabaseGate(options);
    const gated = compose(new TtlCache(client, { prefix: fresh() }).layer(), gate.layer());
    expect(await crowd((key) => gated.read(key, query))).toEqual({ served: 12, spared: 138, exhausted: 0 });
    await until(() => gate.stats().running === 0);
  });

  test('what the gate refuses is answered from B', async () => {
    const dual = new DualCache(client, { prefix: fresh(), ttlAMs: 1, ttlBMs: 60_000, spread: 0 });
    const gated = compose(dual.layer(), new DatabaseGate(options).layer());
    for (let n = 0; n < 150; n++) await dual.getOrLoad(`yoghurt ${n}`, async () => 99);
    await delay(5);
    expect(await crowd((key) => gated.read(key, query))).toEqual({ served: 150, spared: 0, exhausted: 0 });
  });
});
