import { startPostgres } from '@shared/services';
import { describeWith, History } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { type OrderEvent, PostgresEventStore, Queries, type Recorded, sales } from '#lab';
import { type Death, killEverywhere } from './crash.ts';

/** What has been sold, without any read model: each event once. */
function fold(events: readonly Recorded<OrderEvent>[]): number {
  const items = events.flatMap((event) => (event.type === 'OrderCollected' ? event.data.items : []));
  return items.reduce((sum, { quantity }) => sum + quantity, 0);
}

await describeWith('cqrs, killed', { postgres: () => startPostgres() }, ({ postgres }) => {
  const pool = new Pool({ connectionString: postgres.url, max: 12 });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  const log = (name: string) => new PostgresEventStore<OrderEvent>(pool, name).readAll(0n, 100);
  /** A digit an order: how often it was counted. */
  const sold = (prefix: string) =>
    new Queries(pool, prefix).query(
      sales,
      async (db, table) => (await db.query<{ sold: number }>(`SELECT sold FROM ${table}`)).rows[0]?.sold,
    );

  test('a process killed at any step from the command to the read model has had each effect once', async () => {
    const history = new History<string>();
    const look = async ({ name }: Death) => {
      const events = await log(name);
      const written = events.filter(({ type }) => type === 'OrderCollected').map(({ stream }) => stream);
      return { written, counted: await sold(name), folded: fold(events) };
    };
    const deaths = await killEverywhere(pool, 'order', { kind: 'order', database: postgres.url });
    const found = await Promise.all(deaths.map(look));
    for (const [index, { after }] of deaths.entries())
      history.record(`killed after ${after}: ${JSON.stringify(found[index])} when the next had finished`);
    expect(found, history.toString()).toEqual(
      deaths.map(() => ({ written: ['order-1', 'order-2'], counted: 11, folded: 11 })),
    );
    expect(
      deaths.map(({ after }) => after.split(/\W/)[0]),
      'it was killed before, within and after transactions',
    ).toEqual(expect.arrayContaining(['SELECT', 'BEGIN', 'INSERT', 'UPDATE', 'COMMIT', 'its']));
  }, 60_000);

  test('a rebuild killed at any step is served throughout and comes to its end', async () => {
    const history = new History<string>();
    const look = async ({ name }: Death) => ({
      sold: await sold(name).catch((error: unknown) => String(error)),
      builds: (await pool.query(`SELECT build FROM ${name}_builds`)).rows.length,
    });
    const served: Awaited<ReturnType<typeof look>>[] = [];
    const deaths = await killEverywhere(pool, 'rebuild', { kind: 'rebuild', database: postgres.url }, async (dead) => {
      served.push(...(await Promise.all(dead.map(look))));
    });
    const ended = await Promise.all(deaths.map(look));
    for (const [index, { after }] of deaths.entries())
      history.record(
        `killed after ${after}: ${JSON.stringify(served[index])} served, then ${JSON.stringify(ended[index])}`,
      );
    const events = await log('rebuild');
    const before = fold(events.slice(0, 3));
    const all = fold(events);
    expect([before, all]).toEqual([111, 1111]);
    // The later it died, the more it had shown: three orders, and then the one that came in meanwhile.
    const news = served.findIndex((seen) => seen.sold === all);
    expect(news, history.toString()).toBeGreaterThan(0);
    expect(
      served.map((seen) => seen.sold),
      history.toString(),
    ).toEqual(served.map((_, index) => (index < news ? before : all)));
    expect(ended, history.toString()).toEqual(deaths.map(() => ({ sold: all, builds: 1 })));
    expect(new Set(served.map(({ builds }) => builds)), 'it was killed with one build, and with two').toEqual(
      new Set([1, 2]),
    );
  }, 60_000);
});
