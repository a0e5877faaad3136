import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { createPool } from 'generic-pool';
import { Client, Pool as PgPool } from 'pg';
import { Pool as Tarn } from 'tarn';
import { ConnectionPool } from './src/index.ts';

const SIZE = 10;

await tell({ title: 'The pool against pg-pool, tarn and generic-pool', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const create = async (): Promise<Client> => {
    const client = new Client({ connectionString: pg.url });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const destroy = (client: Client) => client.end();
  const ours = (leakAfterMs: number) =>
    bin.adopt(new ConnectionPool({ connection: pg.url, max: SIZE, maxQueue: 1_000, leakAfterMs }), (pool) =>
      pool.close(),
    );
  const [lab, watched] = [ours(0), ours(60_000)];
  const pgPool = bin.adopt(new PgPool({ connectionString: pg.url, max: SIZE }), (pool) => pool.end());
  const tarn = bin.adopt(new Tarn<Client>({ create, destroy, min: 0, max: SIZE }), (pool) =>
    pool.destroy().then(() => {}),
  );
  const generic = bin.adopt(createPool({ create, destroy }, { max: SIZE }), async (pool) => {
    await pool.drain();
    await pool.clear();
  });

  /** Takes, does `work`, and gives back. */
  const calls = (
    work: (client: Pick<Client, 'query'> | { query(sql: string): Promise<unknown> }) => Promise<unknown>,
  ) => ({
    lab: async () => {
      const client = await lab.acquire();
      await work(client);
      client.release();
    },
    'with stacks': async () => {
      const client = await watched.acquire();
      await work(client);
      client.release();
    },
    'pg-pool': async () => {
      const client = await pgPool.connect();
      await work(client);
      client.release();
    },
    tarn: async () => {
      const client = await tarn.acquire().promise;
      await work(client);
      tarn.release(client);
    },
    'generic-pool': async () => {
      const client = await generic.acquire();
      await work(client);
      await generic.release(client);
    },
  });

  for (const workers of [1, 10, 100]) {
    for (const [what, work] of [
      ['take and give back', async () => {}],
      ['a query between', (client: { query(sql: string): Promise<unknown> }) => client.query('SELECT 1')],
    ] as const) {
      await story.scene(`Callers: ${workers}, connections: ten; ${what}`, async () => {
        const standings = await contest(calls(work), { workers, rounds: 9, turnMs: 250 });
        story.table(standingsTable(standings));
        const [mine, watching, ...peers] = standings;
        if (!mine || !watching) throw new Error('five contestants');
        for (const peer of peers) story.say(`${peer.name}: ${consensus(ratios(mine, peer)).text}`);
        const tarnToo = peers.find(({ name }) => name === 'tarn');
        if (!tarnToo) throw new Error('tarn is a contestant');
        const beside = consensus(ratios(mine, tarnToo));
        story.verdict('at least 0.8 × as quick as tarn', beside.text, beside.reaches(0.8) !== false);
        const kept = consensus(ratios(watching, mine));
        story.say(`To keep the stack of each caller: ${kept.text}.`);
      });
    }
  }
});
