// Three attacks at once, on one cache client out of the pieces of three labs. The last scene of the demo.
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseGate, jitterTtl } from '@labs/cache-avalanche';
import { BannedError, LocalBloom, MissGuard } from '@labs/cache-penetration';
import type { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { type Cache, compose, HotCache, type Layer } from '../src/index.ts';

export const TTL_MS = 400;
export const PRODUCTS = 150;
const HOT = 'the best-seller';
const names = Array.from({ length: PRODUCTS }, (_, number) => `product ${number}`);

export interface Siege {
  /** Queries of the database, by what caused them. */
  readonly queries: { readonly missing: number; readonly hot: number; readonly many: number };
  /** Most queries that were begun within 50 ms. */
  readonly peak: number;
  /** Customers who waited for a query. */
  readonly waited: number;
  /** Of the customers, in milliseconds. */
  readonly p99: number;
  readonly failed: number;
}

/** The client that a caller of this name uses. */
export type Counter = (client: string) => Cache;

/** Look, load, store. */
export function undefended(redis: Redis, prefix: string): Counter {
  const cache = compose({
    async read(key, load, next) {
      const text = await redis.get(prefix + key);
      if (text !== null) return { value: JSON.parse(text), source: 'hit', ageMs: 0 };
      const read = await next(key, load);
      if (read.value !== null) await redis.set(prefix + key, JSON.stringify(read.value), 'PX', TTL_MS);
      return read;
    },
  });
  return () => cache;
}

/** The guard and the filter against 穿透, one load and the old value against 击穿, jitter and the gate against 雪崩. */
export async function defended(redis: Redis, prefix: string): Promise<Counter> {
  const guard = new MissGuard(redis, { prefix });
  const filter = new LocalBloom({ capacity: PRODUCTS + 1 });
  await filter.rebuild([HOT, ...names]);
  const cache = new HotCache(redis, { prefix, staleMs: 4 * TTL_MS, nearMs: 20, maxLoads: 100, maxWaiting: 1_000 });
  const hot: Layer = {
    read: (...asked) => cache.layer({ ttlMs: jitterTtl(TTL_MS, 1 / 4) }).read(...asked),
    invalidate: (key) => cache.invalidate(key),
  };
  const gate = new DatabaseGate({ maxConcurrent: 4, maxWaiting: 1_000 });
  const layers = [filter.layer(), hot, gate.layer()];
  return (client) => compose(guard.layer(client), ...layers);
}

export async function stock(pool: Pool): Promise<void> {
  await pool.query('INSERT INTO prices SELECT unnest($1::text[]), 1290, 1', [[HOT, ...names]]);
}

/** For `forMs`, every 100 ms: 40 ids that don't exist, 50 customers at the best-seller, one at each other product. */
export async function siege(counter: Counter, pool: Pool, forMs: number): Promise<Siege> {
  const queries = { missing: 0, hot: 0, many: 0 };
  const begun: number[] = [];
  const waits: number[] = [];
  let [waited, failed] = [0, 0];
  const query = (key: string, kind: keyof typeof queries) => async () => {
    queries[kind]++;
    begun.push(performance.now());
    const { rows } = await pool.query<{ cents: number }>('SELECT cents, pg_sleep(0.004) FROM prices WHERE item = $1', [
      key,
    ]);
    return rows[0]?.cents ?? null;
  };
  const customer = async (key: string, kind: 'hot' | 'many', client: string) => {
    const from = performance.now();
    const read = await counter(client)
      .read(key, query(key, kind))
      .catch(() => undefined);
    if (read?.value !== 1290) failed++;
    else if (waits.push(performance.now() - from) && read.source === 'load') waited++;
  };
  const attacker = async (id: string) => {
    await counter('203.0.113.7')
      .read(id, query(id, 'missing'))
      .catch((error: unknown) => {
        if (!(error instanceof BannedError)) throw error;
      });
  };
  // In the morning all tags are new, and printed at one moment.
  await Promise.all([HOT, ...names].map((key) => customer(key, 'many', 'the clerk')));
  queries.many = 0;
  begun.length = 0;
  waits.length = 0;
  waited = 0;
  const crowd: Promise<void>[] = [];
  const start = performance.now();
  while (performance.now() - start < forMs) {
    for (let id = 0; id < 40; id++) crowd.push(attacker(`no such product ${Math.random()}`));
    for (let number = 0; number < 50; number++) crowd.push(customer(HOT, 'hot', `198.51.100.${number}`));
    for (const [number, name] of names.entries()) crowd.push(customer(name, 'many', `192.0.2.${number % 250}`));
    await delay(100);
  }
  await Promise.all(crowd);
  waits.sort((a, b) => a - b);
  const peak = Math.max(0, ...begun.map((at, index) => begun.slice(index).findIndex((later) => later > at + 50)));
  return { queries, peak, waited, p99: waits[Math.floor(waits.length * 0.99)] ?? 0, failed };
}
