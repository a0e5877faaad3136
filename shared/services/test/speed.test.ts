import { expect, test } from 'vitest';
import { startPostgres, startRedis } from '../src/index.ts';
import { least, Script } from './support.ts';

test('five Redis and one Postgres are up in under 3 s', { timeout: 60_000 }, async () => {
  const startAll = async () => {
    const began = performance.now();
    await using redis = await startRedis({ nodes: 5 });
    const redisMs = performance.now() - began;
    await using postgres = await startPostgres();
    const ms = performance.now() - began;
    console.log(`${redis.banner} in ${redisMs.toFixed(0)} ms; ${postgres.banner} in ${(ms - redisMs).toFixed(0)} ms`);
    return ms;
  };
  expect(await least(3000, startAll)).toBeLessThan(3000);
});

test('importing the package costs under 30 ms', async () => {
  expect(await least(30, () => new Script('import.ts').says<number>())).toBeLessThan(30);
});

test('a demo that forgets nothing ends by itself: neither servers, reaper nor proxies keep it alive', async () => {
  const script = new Script('five.ts');
  await script.says();
  expect(await script.ended()).toBe(0);
});
