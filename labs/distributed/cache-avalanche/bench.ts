import KeyvRedis from '@keyv/redis';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio } from '@shared/testkit';
import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { Cacheable } from 'cacheable';
import { compose, connectRedis, DatabaseGate, DualCache, PerpetualCache, TtlCache } from './src/index.ts';
import { Market, type Outcome, type Reader, SLOT_MS, type Tag, textbook, YOGHURTS } from './test/market.ts';

const HOUR = 1_000;
const DAY = { expiresIn: HOUR };
const right = (label: string) => ({ label, align: 'right' as const });

await tell({ title: 'Cache avalanche, measured', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const pg = await story.use(startPostgres());
  const [{ url, host, port }] = redis.nodes;
  const { namespace } = redis;
  const client = connectRedis(url, { timeoutMs: 5_000 });
  const bentoWith = (prefix: string, options: { ttl: number; grace?: number }) =>
    new BentoCache({
      default: 'shelf',
      prefix: `${namespace}${prefix}`,
      stores: { shelf: bentostore(options).useL2Layer(redisDriver({ connection: { host, port } })) },
    });
  const bento = bentoWith('bento', { ttl: 60_000 });
  const keyv = new KeyvRedis(url, { namespace: `${namespace}cacheable` });
  const cacheable = new Cacheable({ primary: keyv, nonBlocking: false });
  const bentoGrace = bentoWith('grace', { ttl: HOUR, grace: 10 * HOUR });
  const bentoDay = bentoWith('day', { ttl: HOUR });
  await using market = new Market(pg.url);
  await market.open();
  try {
    for (const workers of [1, 32]) {
      const title = `A hit in Redis, ${workers} at once: against bentocache and cacheable without their memory layer`;
      await story.scene(title, async () => {
        const row = { cents: 129, shelf: 7, name: 'plain yoghurt' };
        const ttl = new TtlCache(client, { prefix: `${namespace}ttl:` });
        const dual = new DualCache(client, { prefix: `${namespace}dual:` });
        const load = async () => row;
        const key = (worker: number) => `yoghurt ${worker}`;
        const standings = await contest(
          {
            'staggered (TtlCache)': (worker) => ttl.getOrLoad(key(worker), load),
            'two caches (DualCache)': (worker) => dual.getOrLoad(key(worker), load),
            bentocache: (worker) => bento.getOrSet({ key: key(worker), factory: () => row, ttl: '10m' }),
            cacheable: (worker) => cacheable.getOrSet(key(worker), load, { ttl: '10m' }),
          },
          // Short turns, many rounds: what else the machine does then meets all of them alike.
          { workers, rounds: 61, turnMs: 50 },
        );
        story.table({
          columns: ['', ...['per second', 'spread', 'p50 ms', 'p99 ms'].map(right)],
          rows: standings.map(({ name, perSecond, spread: [least, most], p50, p99 }) => [
            name,
            perSecond.toFixed(0),
            `${least.toFixed(0)}–${most.toFixed(0)}`,
            p50.toFixed(3),
            p99.toFixed(3),
          ]),
        });
        const [mine, , ...peers] = standings;
        for (const peer of peers) {
          if (!mine) throw new Error('no lab');
          const times = ratio(mine, peer);
          story.verdict(`at least 0.9 × as many as ${peer.name}`, `${times.toFixed(2)} ×`, times >= 0.9);
        }
      });
    }

    await story.scene(
      `${YOGHURTS.length} keys expire at one moment: queries that reach Postgres in ${SLOT_MS} ms`,
      async () => {
        const outcomes: Outcome[] = [];
        const day = async (name: string, read: Reader, options: Parameters<Market['day']>[2] = DAY) =>
          outcomes.push(await market.day(name, read, options));
        const made = (value: Tag | null | undefined) => ({ value: value ?? null, source: 'hit' as const, ageMs: 0 });
        const never = new AbortController().signal;
        const prefix = (name: string) => `${namespace}day:${name}:`;
        const ttlMs = HOUR;
        await day('GET, SET', textbook(client, prefix('textbook'), HOUR));
        await day('bentocache', async (key, load) =>
          made(await bentoDay.getOrSet({ key, factory: () => load(never) })),
        );
        await day('bentocache, grace', async (key, load) =>
          made(await bentoGrace.getOrSet({ key, factory: () => load(never), timeout: 0 })),
        );
        await day('cacheable', async (key, load) =>
          made(await cacheable.getOrSet(`day ${key}`, () => load(never), { ttl: HOUR })),
        );
        const fixed = new TtlCache(client, { prefix: prefix('fixed'), ttlMs, spread: 0 });
        await day('one flight', (key, load) => fixed.getOrLoad(key, load));
        const staggered = new TtlCache(client, { prefix: prefix('staggered'), ttlMs });
        await day('staggered', (key, load) => staggered.getOrLoad(key, load));
        const dual = new DualCache(client, { prefix: prefix('dual'), ttlAMs: ttlMs, ttlBMs: 2 * ttlMs });
        await day('two caches', (key, load) => dual.getOrLoad(key, load));
        await using perpetual = new PerpetualCache(client, { prefix: prefix('kept'), refreshMs: HOUR });
        const onceFilled = () => {
          for (const key of YOGHURTS) perpetual.keepFresh(key, market.query(key));
        };
        await day('never expires', (key, load) => perpetual.getOrLoad(key, load), { ...DAY, onceFilled });
        const gate = new DatabaseGate({ maxConcurrent: 4, maxWaiting: 16, maxWaitMs: 200 });
        const behind = new DualCache(client, { prefix: prefix('all'), ttlAMs: ttlMs, ttlBMs: 2 * ttlMs });
        const all = compose(behind.layer(), gate.layer());
        await day('two caches, gate', (key, load) => all.read(key, load));
        story.table({
          columns: ['variant', ...['queries', `peak in ${SLOT_MS} ms`, 'p99 ms', 'no answer'].map(right)],
          rows: outcomes.map((each) => [
            each.name,
            each.queries,
            each.peak,
            each.p99.toFixed(1),
            each.failed + each.spared,
          ]),
        });
        const [first] = outcomes;
        const last = outcomes.at(-1);
        if (!first || !last) throw new Error('nothing was measured');
        const share = last.peak / first.peak;
        story.verdict('the peak is at most a quarter', `${(share * 100).toFixed(0)} %`, share <= 0.25);
      },
    );
  } finally {
    await Promise.all([bento, bentoGrace, bentoDay].map((each) => each.disconnectAll()));
    await keyv.disconnect();
    client.disconnect();
  }
});
