// One process of the shop, to be killed: says its URL in one line. Arguments: Postgres, Redis, prefix, implementation.
import { Redis } from 'ioredis';
import { Pool } from 'pg';

const [database = '', redisUrl = '', prefix = '', impl = '../src/index.ts', sku = ''] = process.argv.slice(2);
const { Gate, OrderBook, Shop, seckillApi }: typeof import('../src/index.ts') = await import(impl);
const pool = new Pool({ connectionString: database, max: 4 });
pool.on('error', () => {});
const redis = new Redis(redisUrl, {
  commandTimeout: 1_000,
  socketTimeout: 10_000,
  maxRetriesPerRequest: 1,
  enableReadyCheck: false,
});
redis.on('error', () => {});
const onError = () => {};
const gate = new Gate({ redis, prefix, tries: 1_000 });
const book = new OrderBook({ pool });
const shop = new Shop({ gate, book, skus: [sku], onError, everyMs: 100, claimMs: 300 });
const api = seckillApi(shop, { onError });
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
console.log(url);
// Whoever started it is gone, and so is it.
process.stdin.on('close', () => process.exit()).resume();
