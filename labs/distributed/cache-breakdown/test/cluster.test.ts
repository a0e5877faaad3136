import { startPostgres, startRedis } from '@shared/services';
import { describeWith } from '@shared/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Depot, type Order, Shop } from './crowd.ts';

const servers = { redis: () => startRedis(), pg: () => startPostgres() };

await describeWith('a crowd in two processes', servers, ({ redis, pg }) => {
  const depot = new Depot(pg.url);
  let shops: Promise<[Shop, Shop]> | undefined;
  const both = () => {
    const place = { redisUrl: redis.nodes[0].url, databaseUrl: pg.url, prefix: redis.namespace };
    shops ??= Promise.all([Shop.open(place), Shop.open(place)]);
    return shops;
  };
  beforeAll(() => depot.stock());
  afterAll(async () => {
    for (const shop of (await shops?.catch(() => [])) ?? []) await shop.kill();
    await depot[Symbol.asyncDispose]();
  });

  test('a thousand customers of two processes cause one query of the database', async () => {
    const shops = await both();
    await depot.tag('milk');
    const before = await depot.answered();
    const order: Order = { technique: 'lease', key: 'milk', ttlMs: 60_000, loadMs: 50, customers: 500 };
    const reports = await Promise.all(shops.map((shop) => shop.send(order)));
    const visits = reports.flatMap((report) => report.visits);
    expect(visits.filter(([, , version]) => version === 1).length).toBe(1_000);
    expect((await depot.answered()) - before, 'queries').toBe(1);
  }, 20_000);

  test('when the process that loads is killed, another one loads', async () => {
    const [victim, heir] = await both();
    await depot.tag('eggs');
    const order: Order = { technique: 'lease', key: 'eggs', ttlMs: 60_000, loadMs: 100, customers: 10 };
    const loading = victim.loads();
    const dead = victim.send({ ...order, loadMs: 4_000 }).then(
      () => expect.fail('the victim ended without a load'),
      () => {},
    );
    await Promise.race([loading, dead]);
    const waiting = heir.send(order);
    await victim.kill();
    expect((await waiting).visits.map(([, , version]) => version)).toEqual(Array.from({ length: 10 }, () => 1));
  }, 20_000);
});
