import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { HotCache as Unfenced } from './pitfalls/unfenced-store.ts';
import { HotCache as Ungated } from './pitfalls/ungated.ts';
import { connectRedis, HotCache, OverloadedError } from './src/index.ts';
import { Depot, type Order, p99, type Report, Shop, type Technique } from './test/crowd.ts';
import { defended, PRODUCTS, type Siege, siege, stock, TTL_MS, undefended } from './test/siege.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const euro = (cents: number | null) => ((cents ?? 0) / 100).toFixed(2);
const worst = (reports: readonly Report[]) =>
  Math.max(...reports.flatMap(({ visits }) => visits.map(([from, to]) => to - from)));
const RUSH = { ttlMs: 60_000, loadMs: 20, customers: 250 };
const LEASE_MS = 1_000;
const DAY = { key: 'milk of the day', ttlMs: 300, loadMs: 50, customers: 50, forMs: 750 };
const SLOT_MS = 50;

const options = {
  title: 'Cache breakdown 缓存击穿',
  subtitle: 'The supermarket: the price tag of the best-seller expires while everybody stands before it',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const redis = await story.use(startRedis());
  const pg = await story.use(startPostgres());
  const [node] = redis.nodes;
  await using bin = new AsyncDisposableStack();
  const depot = bin.use(new Depot(pg.url));
  await depot.stock();
  const open = async () =>
    bin.use(await Shop.open({ redisUrl: node.url, databaseUrl: pg.url, prefix: redis.namespace }));
  const shops = await Promise.all([open(), open()]);
  const victim = open();
  victim.catch(() => {});
  const client = (url = node.url) =>
    bin.adopt(connectRedis(url, { timeoutMs: 300 }), (connection) => connection.disconnect());

  /** All customers of both processes at once, and what it cost the database. */
  const rush = async (technique: Technique) => {
    const key = `milk, ${technique}`;
    await depot.tag(key);
    const before = await depot.answered();
    // Where each process asks for itself, none is answered before all have asked: a late one would find the other's tag.
    const answer = technique === 'lease' ? undefined : await depot.hold();
    const asked = answer && Promise.all(shops.map((shop) => shop.loads()));
    const reporting = Promise.all(shops.map((shop) => shop.send({ ...RUSH, technique, key })));
    await asked;
    await answer?.();
    const reports = await reporting;
    return { queries: (await depot.answered()) - before, slowest: worst(reports) };
  };
  const crowd = shops.length * RUSH.customers;

  await story.scene('The price tag of the best-seller expires', async () => {
    story.say(
      `${crowd} customers of two processes want the price of milk, and the tag has just expired. Each does what the ` +
        `textbook says: \`GET\`, nothing there, ask the database (${RUSH.loadMs} ms), \`SET\` with a TTL.`,
    );
    const { queries, slowest } = await rush('nothing');
    story.verdict(
      'One expired key sends everybody to the database',
      `${queries} queries for one price, the slowest customer waited ${ms(slowest)}`,
      queries > crowd / 2,
    );
    const jittered = await rush('jittered TTL');
    story.verdict(
      'A random TTL, the remedy for many keys, does nothing for one',
      `${jittered.queries} queries`,
      jittered.queries > crowd / 2,
    );
  });

  await story.scene('One of each process asks', async () => {
    story.say('Who comes second finds that somebody is asking, and waits for the same answer.');
    story.code('src/single-flight.ts', { from: 'let flight = this.flights.get(key)', to: '}' });
    const { queries, slowest } = await rush('single flight');
    story.verdict(
      'Single flight: one query for each process',
      `${queries} queries, the slowest waited ${ms(slowest)}`,
      queries === shops.length,
    );
  });

  await story.scene('One of the whole cluster asks', async () => {
    story.say(
      'A hundred processes are a hundred queries. A lease in Redis lets one load: a random token with an end. The look at ' +
        'the value and the taking of the lease are one step.',
    );
    story.code('src/lease.ts', { from: "local left = redis.call('PTTL'", to: "'held'" });
    const { queries, slowest } = await rush('lease');
    story.verdict('With a lease: one query', `${queries} query, the slowest waited ${ms(slowest)}`, queries === 1);
    const doomed = await victim;
    const [heir] = shops;
    if (!heir) throw new Error('no shop');
    const order: Order = { ...RUSH, technique: 'lease', key: 'eggs', customers: 20 };
    await depot.tag(order.key);
    const loading = doomed.loads();
    doomed.send({ ...order, loadMs: 10_000 }).catch(() => {});
    await loading;
    const waiting = heir.send(order);
    const inherits = heir.loads();
    await doomed.kill();
    const killed = performance.now();
    await inherits;
    const after = performance.now() - killed;
    const served = (await waiting).visits.length;
    story.verdict(
      `The process that loads is killed (kill -9): another one loads, when its lease of ${ms(LEASE_MS)} has run out`,
      `after ${ms(after)}; all ${served} who waited were served`,
      after < 5 * LEASE_MS && served === order.customers,
    );
  });

  // One day in the shop for each technique, measured once and shown twice.
  const day = async (technique: Technique) => {
    await depot.tag(DAY.key);
    // The tag is there in the morning; what counts is how it is renewed.
    const { forMs, ...morning } = DAY;
    await Promise.all(shops.map((shop) => shop.send({ ...morning, customers: 1, technique })));
    const before = await depot.answered();
    const start = performance.timeOrigin + performance.now();
    const closing = new AbortController();
    const labeller = (async () => {
      for (;;) {
        await delay(130, undefined, { signal: closing.signal });
        await depot.tag(DAY.key);
      }
    })().catch((error: unknown) => {
      if (!closing.signal.aborted) throw error;
    });
    const reports = await Promise.all(shops.map((shop) => shop.send({ ...DAY, technique })));
    closing.abort();
    await labeller;
    const visits = reports.flatMap((report) => report.visits);
    const slots = Array.from({ length: forMs / SLOT_MS }, (_, slot) => {
      const waits = visits
        .filter(([from]) => Math.floor((from - start) / SLOT_MS) === slot)
        .map(([from, to]) => to - from);
      return [slot * SLOT_MS, Math.max(0.1, ...waits)] as const;
    });
    return {
      technique,
      queries: (await depot.answered()) - before,
      waited: visits.filter(([, , , waited]) => waited).length,
      p99: p99(visits),
      staleness: depot.staleness(visits),
      visits: visits.length,
      slots,
    };
  };
  const days: Awaited<ReturnType<typeof day>>[] = [];
  const of = (technique: string) => {
    const found = days.find((each) => each.technique === technique);
    if (!found) throw new Error(`${technique} was not measured`);
    return found;
  };

  await story.scene('Nobody waits', async () => {
    story.say(
      `${shops.length * DAY.customers} customers read the price again and again; it is good for ${ms(DAY.ttlMs)}, the ` +
        'database gives it a new one all the time. A lease saves the database, but all still wait for the one load. Two ' +
        'ways out: hand out the old price while one loads, or throw dice before the end (XFetch).',
    );
    story.code('src/early.ts', { from: '// 1 − random', to: 'return' });
    for (const technique of [
      'nothing',
      'single flight',
      'lease',
      'stale while loading',
      'early refresh',
      'all, and memory',
    ] as const) {
      days.push(await day(technique));
    }
    story.lines({
      title: `The slowest customer of each ${ms(SLOT_MS)}`,
      x: { label: 'ms' },
      y: { label: 'wait', unit: 'ms', scale: 'log' },
      series: [
        { label: 'nothing', points: of('nothing').slots, tone: 'bad' },
        { label: 'lease', points: of('lease').slots, tone: 'warn' },
        { label: 'all, and memory', points: of('all, and memory').slots, tone: 'good' },
      ],
      picture: true,
    });
    const waited = (technique: string) => `${of(technique).waited} with ${technique}`;
    story.verdict(
      'With a lease customers wait for the one load; with the old price at hand nobody does',
      `waited for a query: ${waited('nothing')}, ${waited('lease')}, ${waited('stale while loading')}`,
      of('nothing').waited > 0 && of('lease').waited > 0 && of('stale while loading').waited === 0,
    );
  });

  await story.scene('The price changes while the old one is being read', async () => {
    story.say(
      'Query, 12.90. Now the price is changed to 12.89 and the tag torn off. Then the query’s answer is pinned up.',
    );
    const reprice = async (Cache: typeof HotCache, key: string) => {
      await depot.tag(key);
      const cache = new Cache(client(), { prefix: redis.namespace, beta: 0 });
      const read = async () => {
        const { rows } = await depot.pool.query<{ cents: number }>('SELECT cents FROM prices WHERE item = $1', [key]);
        return rows[0]?.cents ?? null;
      };
      const asked = Promise.withResolvers<void>();
      const changed = Promise.withResolvers<void>();
      const slow = cache.getOrLoad(key, async () => {
        const cents = await read();
        asked.resolve();
        await changed.promise;
        return cents;
      });
      await asked.promise;
      await depot.tag(key);
      await cache.invalidate(key);
      changed.resolve();
      await slow;
      const { value, source } = await cache.getOrLoad(key, read);
      cache.close();
      return { cached: value, source, real: await read() };
    };
    const open = await reprice(Unfenced, 'butter');
    story.verdict(
      'A load that stores whatever it has read brings the old price back, for a whole TTL',
      `the cache says ${euro(open.cached)}, the database ${euro(open.real)}`,
      open.cached !== open.real,
    );
    story.code('src/lease.ts', { from: "if redis.call('GET', KEYS[2]) ~= ARGV[1]", to: 'return 1' });
    const fenced = await reprice(HotCache, 'cheese');
    story.verdict(
      'A load whose lease was torn off with the tag stores nothing',
      `the cache says ${euro(fenced.cached)}, the database ${euro(fenced.real)}`,
      fenced.cached === fenced.real,
    );
  });

  await story.scene('Redis loses power', async () => {
    const outage = async (Cache: typeof HotCache) => {
      const link = await node.proxy();
      const cache = new Cache(client(link.url), { prefix: redis.namespace, maxLoads: 4, maxWaiting: 40 });
      await cache.getOrLoad('warm', async () => 1);
      await link[Symbol.asyncDispose]();
      let [running, most, refused] = [0, 0, 0];
      const load = async () => {
        most = Math.max(most, ++running);
        await depot.pool.query('SELECT pg_sleep(0.005)');
        running--;
        return 1;
      };
      const from = performance.now();
      await Promise.all(
        Array.from({ length: 600 }, (_, customer) =>
          cache.getOrLoad(`product ${customer % 120}`, load).catch((error: unknown) => {
            if (!(error instanceof OverloadedError)) throw error;
            refused++;
          }),
        ),
      );
      cache.close();
      return { most, refused, ms: performance.now() - from };
    };
    story.say('No cache, no lease. 600 customers ask for 120 products. Each process is on its own now, behind a gate.');
    const open = await outage(Ungated);
    story.verdict('Without a gate the database is next', `${open.most} queries at once`, open.most > 50);
    const gated = await outage(HotCache);
    story.verdict(
      'Behind the gate 4 ask at once and 40 may wait, each price once; the rest is told at once',
      `${gated.most} queries at once, ${600 - gated.refused} customers served, ${gated.refused} refused`,
      gated.most <= 4 && gated.refused > 0 && gated.refused < 600,
    );
  });

  await story.scene('The price list', async () => {
    story.table({
      caption: `${ms(DAY.forMs)}, ${shops.length * DAY.customers} customers, a TTL of ${ms(DAY.ttlMs)}, a query of ${ms(DAY.loadMs)}, a new price every 130 ms; who waited counts those of the process that asked`,
      columns: [
        'technique',
        ...['queries', 'waited', 'p99 ms', 'staleness ms'].map((label) => ({ label, align: 'right' as const })),
      ],
      rows: days.map((each) => [
        each.technique,
        each.queries,
        each.waited,
        each.p99.toFixed(1),
        each.staleness.toFixed(0),
      ]),
    });
    const [worst, best] = [of('nothing'), of('all, and memory')];
    story.verdict(
      'One load for the cluster saves the database; refreshing before anybody has to wait saves the customers',
      `${worst.queries} queries become ${best.queries}; ${worst.waited} customers who waited for one become ${best.waited}`,
      best.queries < worst.queries / 5 && best.waited === 0,
    );
  });

  await story.scene('Three attacks at once, and the pieces of three labs', async () => {
    story.say(
      `Forged ids (穿透), a crowd at the best-seller (击穿), and ${PRODUCTS} other tags, all printed at the same moment for ` +
        `${ms(TTL_MS)} (雪崩), on the same database.`,
    );
    story.code('test/siege.ts', { from: 'const layers = ', to: 'return' });
    await stock(depot.pool);
    const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 10 }), (it) => it.end());
    const open = await siege(undefended(client(), `${redis.namespace}open:`), pool, 700);
    const shut = await siege(await defended(client(), `${redis.namespace}shut:`), pool, 700);
    const right = (label: string) => ({ label, align: 'right' as const });
    const row = (name: string, { queries, peak, waited, p99, failed }: Siege) => [
      ...[name, queries.missing, queries.hot, queries.many, peak, waited],
      ...[p99.toFixed(1), failed],
    ];
    story.table({
      caption: 'Queries by what caused them, the most in 50 ms; customers who waited for one, and who got no price',
      columns: ['', ...['forged', 'hot', 'others', 'peak', 'waited', 'p99 ms', 'failed'].map(right)],
      rows: [row('look, load, store', open), row('three labs', shut)],
    });
    story.say('Each tag still has to be renewed; what falls is the peak, and the waiting.');
    story.verdict(
      '穿透: nearly no forged id reaches the database',
      `${open.queries.missing} queries become ${shut.queries.missing}`,
      shut.queries.missing < open.queries.missing / 5,
    );
    story.verdict(
      '击穿: the best-seller is asked for once each time',
      `${open.queries.hot} queries become ${shut.queries.hot}`,
      shut.queries.hot < open.queries.hot / 5,
    );
    story.verdict(
      '雪崩: the tags of one moment no longer expire at one moment, and nobody waits for them',
      `a peak of ${open.peak} queries in 50 ms becomes ${shut.peak}, ${open.waited} customers who waited become ${shut.waited}`,
      shut.peak < open.peak / 2 && shut.waited === 0 && shut.failed === 0,
    );
  });
});
