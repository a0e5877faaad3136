// A process of the shop: it takes orders from its parent (see crowd.ts), asks the real cache for real prices, and reports.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Pool } from 'pg';
import type { HotCacheOptions, Load } from '../src/index.ts';
import type { Order, Report, Shopping, Tag } from './crowd.ts';

const root = resolve(import.meta.dirname, '..');
const { connectRedis, HotCache, SingleFlight }: typeof import('../src/index.ts') = await import(
  pathToFileURL(resolve(root, process.env['LAB_IMPL'] ?? 'src/index.ts')).href
);
const { redisUrl, databaseUrl, prefix } = JSON.parse(process.argv[2] ?? '{}');
const redis = connectRedis(redisUrl, { timeoutMs: 5_000 });
const pool = new Pool({ connectionString: databaseUrl, max: 10 });
const now = () => performance.timeOrigin + performance.now();

/** One slow query, which Postgres itself counts. */
const query =
  (key: string, loadMs: number): Load<Tag> =>
  async () => {
    process.send?.({ loading: key });
    const sql = "SELECT cents, version, pg_sleep($2), nextval('asked') FROM prices WHERE item = $1";
    const { rows } = await pool.query<Tag>(sql, [key, loadMs / 1000]);
    const [row] = rows;
    return row ? { cents: row.cents, version: row.version } : null;
  };

/** The price, and whether it came from a query that this customer waited for. */
type Read = (key: string, load: Load<Tag>) => Promise<{ tag: Tag | null; waited: boolean }>;

/** What most of us write first: look, load, store. */
const aside =
  (ttlMs: () => number): Read =>
  async (key, load) => {
    const text = await redis.get(`${prefix}aside:${key}`);
    if (text !== null) return { tag: JSON.parse(text), waited: false };
    const tag = await load(never);
    await redis.set(`${prefix}aside:${key}`, JSON.stringify(tag), 'PX', Math.ceil(ttlMs()));
    return { tag, waited: true };
  };

const hot = (name: string, options: HotCacheOptions): Read => {
  const cache = new HotCache(redis, { prefix: `${prefix}${name}:`, ...options });
  return async (key, load) => {
    const { value, source } = await cache.getOrLoad(key, load);
    return { tag: value, waited: source === 'load' };
  };
};

const never = new AbortController().signal;

async function technique({ technique: name, ttlMs, beta = 1 }: Order): Promise<Read> {
  switch (name) {
    case 'nothing':
      return aside(() => ttlMs);
    case 'jittered TTL':
      return aside(() => ttlMs * (1 + (Math.random() - 0.5) / 6));
    case 'single flight': {
      const flights = new SingleFlight();
      const read = aside(() => ttlMs);
      return (key, load) => flights.run(key, () => read(key, load));
    }
    case 'lease':
      return hot(name, { ttlMs, beta: 0 });
    case 'stale while loading':
      return hot(name, { ttlMs, beta: 0, staleMs: 4 * ttlMs });
    case 'early refresh':
      return hot(name, { ttlMs, beta });
    case 'all, and memory':
      return hot(name, { ttlMs, beta, staleMs: 4 * ttlMs, nearMs: 20 });
    case 'bentocache': {
      const { bentocacheOn } = await import('./peers.ts');
      const bento = bentocacheOn(redis, `${prefix}bento`, ttlMs);
      return async (key, load) => ({ tag: await bento.getOrSet({ key, factory: () => load(never) }), waited: true });
    }
    case 'cacheable': {
      const { cacheableOn } = await import('./peers.ts');
      const cache = cacheableOn(redisUrl, `${prefix}cacheable`, ttlMs);
      return async (key, load) => ({ tag: (await cache.getOrSet(key, () => load(never))) ?? null, waited: true });
    }
  }
}

const reads = new Map<string, Promise<Read>>();

async function shop(order: Order): Promise<Report> {
  const { key, loadMs, customers } = order;
  const name = `${order.technique} ${order.ttlMs}`;
  let made = reads.get(name);
  if (!made) {
    made = technique(order);
    reads.set(name, made);
  }
  const read = await made;
  const load = query(key, loadMs);
  const visits: Shopping[] = [];
  let failed = 0;
  const visit = async () => {
    const from = now();
    try {
      const { tag, waited } = await read(key, load);
      visits.push([from, now(), tag?.version ?? 0, waited]);
    } catch {
      failed++;
    }
  };
  const start = now();
  await Promise.all(
    Array.from({ length: customers }, async (_, number) => {
      if (order.forMs === undefined) return visit();
      // They come one after the other, and each looks at the price again and again.
      for (let turn = 0; now() - start < order.forMs; turn++) {
        await new Promise((done) => setTimeout(done, 20 + ((7 * number + turn) % 20)));
        await visit();
      }
    }),
  );
  return { visits, failed, ms: now() - start };
}

process.on('message', (order: Order) => {
  shop(order).then(
    (report) => process.send?.({ report }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
await Promise.all([redis.ping(), ...Array.from({ length: 10 }, () => pool.query('SELECT 1'))]);
process.send?.({ ready: true });
