// One process that counts, to be killed. Arguments: Postgres, schema, Redis, the stream's key, implementation, options.
import { Redis } from 'ioredis';
import { Pool } from 'pg';

const [database, schema = '', redisUrl = '', key = '', impl = '../src/index.ts', options = '{}'] =
  process.argv.slice(2);
const { Analyser, Book, Intake }: typeof import('../src/index.ts') = await import(impl);
const pool = new Pool({
  connectionString: database,
  max: 2,
  application_name: 'clerk',
  options: `-c search_path=${schema}`,
});
pool.on('error', () => {});
const redis = new Redis(redisUrl, {
  commandTimeout: 1_000,
  socketTimeout: 10_000,
  maxRetriesPerRequest: 1,
  enableReadyCheck: false,
});
redis.on('error', () => {});
const book = new Book({ pool, ...JSON.parse(options) });
new Analyser({ intake: new Intake({ redis, key }), book, onError: () => {}, everyMs: 2, batch: 2 }).start();
console.log('counting');
// Whoever started it is gone, and so is it.
process.stdin.on('close', () => process.exit()).resume();
