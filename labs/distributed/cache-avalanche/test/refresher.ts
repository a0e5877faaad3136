// A process that keeps one key fresh, until it is killed. It says so once the first value is stored.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const impl = resolve(import.meta.dirname, '..', process.env['LAB_IMPL'] ?? 'src/index.ts');
const { connectRedis, PerpetualCache }: typeof import('../src/index.ts') = await import(pathToFileURL(impl).href);
const { url, prefix, key, name, refreshMs, leaseMs } = JSON.parse(process.argv[2] ?? '{}');
const cache = new PerpetualCache(connectRedis(url, { timeoutMs: 5_000 }), { prefix, refreshMs, leaseMs });
let loads = 0;
cache.keepFresh(key, async () => `${name} ${++loads}`);
process.on('disconnect', () => process.exit());
while (!((await cache.staleness()).get(key) ?? 0 < Number.POSITIVE_INFINITY) || loads === 0) {
  await new Promise((done) => setTimeout(done, 5));
}
process.send?.('fresh');
