import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable, until } from '@shared/testkit';
import { Cluster, Command } from 'ioredis';
import { ClusterRouter, keySlot, OutcomeUnknownError } from './src/index.ts';

await tell({ title: "The router beside ioredis' Cluster", dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis({ cluster: 6 }));
  const addresses = redis.nodes.map(({ host, port }) => `${host}:${port}`);
  using bin = new DisposableStack();
  const router = bin.use(new ClusterRouter(addresses));
  const startupNodes = redis.nodes.map(({ host, port }) => ({ host, port }));
  const cluster = bin.adopt(new Cluster(startupNodes), (it) => it.disconnect());
  const keys = Array.from({ length: 3_000 }, (_, n) => `key:${n}`);
  await router.msetAcross(keys.map((key) => [key, `of ${key}`]));
  await cluster.get('key:0');
  let turn = 0;
  const next = () => keys[turn++ % keys.length] ?? '';
  const page = (size: number) => Array.from({ length: size }, next);

  const compare = async (
    title: string,
    contestants: Record<string, (worker: number) => Promise<unknown>>,
    workers: number,
    floor: number,
  ) => {
    await story.scene(title, async () => {
      const standings = await contest(contestants, { workers, rounds: 7, turnMs: 300 });
      story.table(standingsTable(standings));
      const [first, second] = standings;
      if (!first || !second) throw new Error('two contestants');
      const said = consensus(ratios(first, second));
      const reached = said.reaches(floor);
      const claim = `${first.name}: at least ${floor} × ${second.name}`;
      if (reached === undefined) story.say(`${claim}: cannot be shown here (${said.text}).`);
      else story.verdict(claim, said.text, reached);
    });
  };

  await compare(
    'A page of 50 keys in any slots',
    {
      mgetAcross: () => router.mgetAcross(page(50)),
      'one GET after the other': async () => {
        for (const key of page(50)) await router.call('GET', [key]);
      },
    },
    1,
    3,
  );
  for (const workers of [1, 64]) {
    await compare(
      `GET, ${workers} at once`,
      {
        router: () => router.call('GET', [next()]),
        'ioredis Cluster': () => cluster.get(next()),
      },
      workers,
      0.8,
    );
  }

  await story.scene('Who knows the slot', async () => {
    const odd = ['foo{}{bar}', '{}{bar}', 'foo{bar}', '订单:7'];
    const admin = cluster.nodes('master')[0];
    const rows = await Promise.all(
      odd.map(async (key) => [
        key,
        String(await admin?.cluster('KEYSLOT', key)),
        String(keySlot(key)),
        String(new Command('GET', [key]).getSlot()),
      ]),
    );
    story.table({ columns: ['key', 'Redis', 'this lab', 'ioredis'], rows });
    const wrong = (column: number) => rows.filter((row) => row[column] !== row[1]).length;
    story.verdict('this lab agrees with the server', `${wrong(2)} wrong; ioredis: ${wrong(3)}`, wrong(2) === 0);
  });

  await story.scene('An answer that is lost', async () => {
    const lost = async (
      name: string,
      clientOf: (translate: (address: string) => string) => { incr: () => Promise<unknown>; close: () => void },
    ) => {
      const links = await Promise.all(redis.nodes.map((node) => node.proxy()));
      const client = clientOf(
        (address) => new URL(links[addresses.indexOf(address)]?.url ?? `redis://${address}`).host,
      );
      try {
        await client.incr();
        const link = links[Math.floor((keySlot(name) * 3) / 16_384)];
        link?.partition('down');
        const call = client.incr().then(
          () => 'done',
          (error: unknown) => (error instanceof OutcomeUnknownError ? 'nobody knows' : String(error)),
        );
        await until(async () => (await router.call('GET', [name])) === '2');
        link?.reset();
        link?.heal();
        const said = await call;
        return { name, said, count: Number(await router.call('GET', [name])) };
      } finally {
        client.close();
        await Promise.all(links.map((link) => link[Symbol.asyncDispose]()));
      }
    };
    const ours = await lost('lost:router', (translate) => {
      const client = new ClusterRouter(addresses, { translate });
      return { incr: () => client.call('INCR', ['lost:router']), close: () => client.close() };
    });
    const theirs = await lost('lost:ioredis', (translate) => {
      const natMap = Object.fromEntries(
        addresses.map((address) => {
          const { hostname, port } = new URL(`redis://${translate(address)}`);
          return [address, { host: hostname, port: Number(port) }];
        }),
      );
      const client = new Cluster(startupNodes, { natMap });
      client.on('error', () => {});
      return { incr: () => client.incr('lost:ioredis'), close: () => client.disconnect() };
    });
    story.table({
      columns: ['two increments, the second answer lost', 'the caller hears', 'the counter says'],
      rows: [ours, theirs].map(({ name, said, count }) => [name.slice(5), said, count]),
    });
    story.verdict('the router counts once', `${ours.count} of 2`, ours.count === 2);
  });
});
