import KeyvRedis from '@keyv/redis';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { contest, random, ratio, type Standing } from '@shared/testkit';
import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import bloomFilters from 'bloom-filters';
import { Cacheable } from 'cacheable';
import {
  type Cache,
  compose,
  connectRedis,
  LocalBloom,
  LookupCache,
  MissGuard,
  protect,
  SharedBloom,
} from './src/index.ts';

const IDS = 10_000;
const ROWS = 10_000;
const right = (label: string) => ({ label, align: 'right' as const });
const columns = ['', ...['per second', 'spread', 'p50 ms', 'p99 ms'].map(right)];
const rows = (standings: readonly Standing[]) =>
  standings.map(({ name, perSecond, spread, p50, p99 }) => [
    name,
    perSecond.toFixed(0),
    `${spread[0].toFixed(0)}–${spread[1].toFixed(0)}`,
    p50.toFixed(3),
    p99.toFixed(3),
  ]);
const known = Array.from({ length: ROWS }, (_, index) => `SF${index}`);

await tell({ title: 'Cache penetration, measured', dir: import.meta.dirname }, async (story) => {
  const { nodes, namespace } = await story.use(startRedis());
  const redis = connectRedis(nodes[0].url, { timeoutMs: 5_000 });
  const url = nodes[0].url;
  const bytes = async (prefix: string) => {
    const keys = await redis.keys(`${prefix}*`);
    const sizes = await Promise.all(keys.map((key) => redis.memory('USAGE', key)));
    return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0);
  };

  await story.scene(`An attack of ${IDS} random ids, by variant`, async () => {
    const dice = random(story.seed);
    const ids = Array.from({ length: IDS }, () => `SF${dice.int(1e9, 2e9)}`);
    const attack = async (name: string, make: (prefix: string) => Promise<Cache>) => {
      const prefix = `${namespace}${name}:`;
      const station = await make(prefix);
      let queries = 0;
      let next = 0;
      const start = performance.now();
      const line = async () => {
        for (let id = ids[next++]; id !== undefined; id = ids[next++]) {
          const load = async () => {
            queries++;
            return null;
          };
          await station.read(id, load).catch(() => {});
        }
      };
      await Promise.all(Array.from({ length: 32 }, line));
      const perSecond = IDS / ((performance.now() - start) / 1_000);
      return { name, queries, bytes: await bytes(prefix), perSecond };
    };
    const cache = (prefix: string) => new LookupCache(redis, { prefix });
    const local = async () => {
      const filter = new LocalBloom({ capacity: ROWS });
      await filter.rebuild(known);
      return filter;
    };
    const shared = async (prefix: string) => {
      const filter = new SharedBloom(redis, { capacity: ROWS, name: 'parcels', prefix });
      await filter.rebuild(known);
      return filter;
    };
    const guard = (prefix: string) => new MissGuard(redis, { prefix });
    const outcomes = [
      await attack('nothing', async () => compose()),
      await attack('null markers', async (prefix) => protect({ cache: cache(prefix) })),
      await attack('filter in process, markers', async (prefix) =>
        protect({ filter: await local(), cache: cache(prefix) }),
      ),
      await attack('filter in Redis, markers', async (prefix) =>
        protect({ filter: await shared(prefix), cache: cache(prefix) }),
      ),
      await attack('guard, one address', async (prefix) => protect({ guard: guard(prefix) }, '203.0.113.7')),
      await attack('all three', async (prefix) =>
        protect({ guard: guard(prefix), filter: await shared(prefix), cache: cache(prefix) }, '203.0.113.7'),
      ),
    ];
    story.table({
      columns: ['variant', right('database queries'), right('bytes in Redis'), right('calls per second')],
      rows: outcomes.map(({ name, queries, bytes, perSecond }) => [name, queries, bytes, perSecond.toFixed(0)]),
    });
    const [nothing, markers, , filter] = outcomes;
    const share = (filter?.queries ?? IDS) / IDS;
    story.verdict(
      'markers alone save no query of random ids',
      `${markers?.queries} of ${nothing?.queries}`,
      markers?.queries === IDS,
    );
    story.verdict('a filter for 1 % lets 1 % through', `${(share * 100).toFixed(2)} %`, share < 0.015);
    story.verdict(
      'and Redis holds less',
      `${((markers?.bytes ?? 0) / (filter?.bytes ?? 1)).toFixed(0)} × less, the filter included`,
      (filter?.bytes ?? 0) * 5 < (markers?.bytes ?? 0),
    );
  });

  await story.scene('Bloom filter in process: against bloom-filters', async () => {
    const lab = new LocalBloom({ capacity: ROWS, pendingMs: 0 });
    await lab.rebuild([]);
    const peer = bloomFilters.BloomFilter.create(ROWS, 0.01);
    // A hundred ids a call, so that the call itself weighs nothing.
    let at = 0;
    const batch = () => Array.from({ length: 100 }, (_, index) => known[(at++ + index * 7) % ROWS] ?? '');
    const add = await contest({
      lab: () => lab.add(...batch()),
      'bloom-filters': async () => {
        for (const id of batch()) peer.add(id);
      },
    });
    const ask = await contest({
      lab: async () => batch().filter((id) => lab.has(id)),
      'bloom-filters': async () => batch().filter((id) => peer.has(id)),
    });
    const named = (what: string, standings: readonly Standing[]) =>
      standings.map((each) => ({ ...each, name: `${what}, ${each.name}` }));
    story.table({
      caption: 'a hundred ids a call',
      columns,
      rows: [...rows(named('add', add)), ...rows(named('ask', ask))],
    });
    for (const [what, [mine, theirs]] of [
      ['add', add],
      ['ask', ask],
    ] as const) {
      if (!mine || !theirs) throw new Error('two contestants');
      const times = ratio(mine, theirs);
      story.verdict(`${what}: at least as many`, `${times.toFixed(1)} ×`, times >= 1);
    }
  });

  const lab = new LookupCache(redis, { prefix: `${namespace}lab:` });
  const bento = new BentoCache({
    default: 'parcels',
    prefix: `${namespace}bento`,
    stores: {
      parcels: bentostore().useL2Layer(redisDriver({ connection: { host: nodes[0].host, port: nodes[0].port } })),
    },
  });
  const keyv = new KeyvRedis(url, { namespace: `${namespace}cacheable` });
  const cacheable = new Cacheable({ primary: keyv, nonBlocking: false });
  try {
    for (const workers of [1, 32]) {
      await story.scene(
        `A hit in Redis, ${workers} at once: against bentocache and cacheable without their memory layer`,
        async () => {
          const row = { shelf: 7, addressee: 'Ms Li', weight: 1.25 };
          const key = (worker: number) => `SF${worker}`;
          const standings = await contest(
            {
              lab: (worker) => lab.lookup(key(worker), async () => row),
              bentocache: (worker) => bento.getOrSet({ key: key(worker), factory: () => row, ttl: '10m' }),
              cacheable: (worker) => cacheable.getOrSet(key(worker), async () => row, { ttl: '10m' }),
            },
            { workers, rounds: 31, turnMs: 100 },
          );
          story.table({ columns, rows: rows(standings) });
          const [mine, ...theirs] = standings;
          for (const peer of theirs) {
            if (!mine) throw new Error('no lab');
            const times = ratio(mine, peer);
            story.verdict(`at least 0.8 × ${peer.name}`, `${times.toFixed(2)} ×`, times >= 0.8);
          }
        },
      );
    }
  } finally {
    await bento.disconnectAll();
    await keyv.disconnect();
    redis.disconnect();
  }
});
