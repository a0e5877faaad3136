// Uses the servers that the environment names, and stays.
import { Redis } from 'ioredis';
import { startPostgres, startRedis } from '../../src/index.ts';

const redis = await startRedis();
const postgres = await startPostgres();
await new Redis(redis.nodes[0].url).set(`${redis.namespace}k`, 'v');
console.log(JSON.stringify({ namespace: redis.namespace, database: postgres.namespace }));
setInterval(() => {}, 1000);
