import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio } from '@shared/testkit';
import { Redis } from 'ioredis';
import { connectRedis, HotCache } from './src/index.ts';
import { Depot, Shop, type Technique } from './test/crowd.ts';
import { bentocacheOn, cacheableOn } from './test/peers.ts';

const LAB = 'all, and memory';
const ROUNDS = 9;
const right = (...labels: string[]) => labels.map((label) => ({ label, align: 'right' as const }));
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

await tell({ title: 'One hot key: against bentocache and cacheable', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const pg = await story.use(startPostgres());
  const [node] = redis.nodes;
  await using bin = new AsyncDisposableStack();
  const depot = bin.use(new Depot(pg.url));
  await depot.stock();
  const place = { redisUrl: node.url, databaseUrl: pg.url, prefix: redis.namespace };
  const shops = await Promise.all([Shop.open(place), Shop.open(place)]);
  for (const shop of shops) bin.use(shop);
  const client = bin.adopt(connectRedis(node.url, { timeoutMs: 5_000 }), (connection) => connection.disconnect());
  const peerClient = bin.adopt(new Redis(node.url), (connection) => connection.disconnect());
  const all = () => {
    const cacheable = cacheableOn(node.url, `${redis.namespace}cacheable`, 60_000);
    bin.defer(() => cacheable.disconnect());
    return {
      lab: new HotCache(client, { prefix: redis.namespace, nearMs: 60_000 }),
      bentocache: bentocacheOn(peerClient, `${redis.namespace}bento`, 60_000),
      cacheable,
    };
  };

  await story.scene('A thousand ask for one missing key, in two processes', async () => {
    const teams: Technique[] = [LAB, 'bentocache', 'cacheable'];
    const times = new Map(teams.map((team) => [team, [] as number[]]));
    const queries = new Map(teams.map((team) => [team, [] as number[]]));
    const stampede = async (team: Technique, key: string) => {
      await depot.tag(key);
      const before = await depot.answered();
      const order = { technique: team, key, ttlMs: 60_000, loadMs: 50, customers: 500 };
      const reports = await Promise.all(shops.map((shop) => shop.send(order)));
      const visits = reports.flatMap((report) => report.visits);
      if (visits.some(([, , version]) => version !== 1) || visits.length !== 1_000)
        throw new Error(`${team}: wrong answers`);
      const took = Math.max(...visits.map(([, to]) => to)) - Math.min(...visits.map(([from]) => from));
      return { took, asked: (await depot.answered()) - before };
    };
    for (const team of teams) await stampede(team, `${team} warms up`);
    for (let round = 0; round < ROUNDS; round++) {
      for (const team of round % 2 ? teams.toReversed() : teams) {
        const { took, asked } = await stampede(team, `${team} ${round}`);
        times.get(team)?.push(took);
        queries.get(team)?.push(asked);
      }
    }
    const of = (team: Technique) => times.get(team) ?? [];
    const most = (team: Technique) => Math.max(...(queries.get(team) ?? []));
    story.table({
      caption: `${ROUNDS} rounds; one query takes 50 ms; milliseconds until the last of the thousand has the price`,
      columns: ['', ...right('median ms', 'from', 'to', 'queries')],
      rows: teams.map((team) => [
        team === LAB ? 'lab' : team,
        median(of(team)).toFixed(1),
        Math.min(...of(team)).toFixed(1),
        Math.max(...of(team)).toFixed(1),
        `${Math.min(...(queries.get(team) ?? []))}–${most(team)}`,
      ]),
    });
    story.verdict('one query a stampede', `${most(LAB)} at most`, most(LAB) === 1);
    for (const team of teams.slice(1)) {
      const times = median(of(team).map((took, round) => took / (of(LAB)[round] ?? Number.NaN)));
      story.verdict(`at least as fast as ${team}`, `${times.toFixed(2)} × as fast`, times >= 1);
    }
  });

  await story.scene('The key is in memory', async () => {
    const { lab, bentocache, cacheable } = all();
    const load = async () => ({ cents: 1290 });
    const standings = await contest({
      lab: () => lab.getOrLoad('hot', load),
      bentocache: () => bentocache.getOrSet({ key: 'hot', factory: load }),
      cacheable: () => cacheable.getOrSet('hot', load),
    });
    story.table({
      columns: ['', ...right('reads per second', 'from', 'to')],
      rows: standings.map(({ name, perSecond, spread }) => [name, ...[perSecond, ...spread].map((n) => n.toFixed(0))]),
    });
    const [mine, ...theirs] = standings;
    for (const peer of theirs) {
      const times = mine ? ratio(mine, peer) : Number.NaN;
      story.verdict(`at least as fast as ${peer.name}`, `${times.toFixed(1)} × as fast`, times >= 1);
    }
    lab.close();
  });

  await story.scene('The database fails, and fifty wait', async () => {
    const count = async (name: string, read: (load: () => Promise<number>) => Promise<unknown>) => {
      let loads = 0;
      const start = performance.now();
      const failing = async () => {
        loads++;
        await depot.pool.query('SELECT pg_sleep(0.02)');
        throw new Error('the depot is closed');
      };
      const crowd = await Promise.allSettled(Array.from({ length: 50 }, () => read(failing)));
      const rejected = crowd.filter(({ status }) => status === 'rejected').length;
      return { name, loads, rejected, ms: performance.now() - start };
    };
    const { lab, bentocache, cacheable } = all();
    cacheable.on('error', () => {});
    // Nobody shall pay for the first connections.
    await Promise.all([1, 2].map(() => depot.pool.query('SELECT pg_sleep(0.02)')));
    const rows = [
      await count('lab', (load) => lab.getOrLoad('failing', load)),
      await count('bentocache', (load) => bentocache.getOrSet({ key: 'failing', factory: load })),
      await count('cacheable', (load) => cacheable.getOrSet('failing', load, { throwErrors: true })),
    ];
    story.table({
      columns: ['', ...right('loads', 'told of the error', 'ms')],
      rows: rows.map(({ name, loads, rejected, ms }) => [name, loads, rejected, ms.toFixed(0)]),
    });
    const [mine] = rows;
    story.verdict('one load, and all fifty are told', `${mine?.loads} load`, mine?.loads === 1 && mine.rejected === 50);
    lab.close();
  });

  await story.scene('The price changes while it is being loaded', async () => {
    const race = async (
      read: (load: () => Promise<string>) => Promise<unknown>,
      forget: () => Promise<unknown>,
    ): Promise<unknown> => {
      const [asked, changed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const slow = read(async () => {
        asked.resolve();
        await changed.promise;
        return 'old';
      });
      await asked.promise;
      await forget();
      const loads = slow.catch(() => {});
      changed.resolve();
      await loads;
      return read(async () => 'new');
    };
    const { lab, bentocache, cacheable } = all();
    let version = 0;
    const value = async (read: Promise<{ value: unknown }>) => (await read).value;
    const rows = [
      [
        'lab',
        // Told that it was invalidated, it loads again: the second load sees the new price.
        await race(
          (load) => value(lab.getOrLoad('race', () => (version++ ? Promise.resolve('new') : load()))),
          () => lab.invalidate('race'),
        ),
      ],
      [
        'bentocache',
        await race(
          (load) => bentocache.getOrSet({ key: 'race', factory: load }),
          () => bentocache.delete({ key: 'race' }),
        ),
      ],
      [
        'cacheable',
        await race(
          (load) => cacheable.getOrSet('race', load),
          () => cacheable.delete('race'),
        ),
      ],
    ] as const;
    story.table({ columns: ['', 'says afterwards'], rows: rows.map(([name, said]) => [name, String(said)]) });
    story.verdict('the lab says the new price', String(rows[0][1]), rows[0][1] === 'new');
    lab.close();
  });
});
