import { startPostgres, startRedis } from '@shared/services';
import { describeWith, History, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  BusClosedError,
  DeadLetters,
  delivery,
  Inbox,
  NoDeadLetterError,
  Outbox,
  Platform,
  Relay,
  StreamsBus,
} from '#lab';
import { crashEverywhere } from './crash.ts';

/** No machine is so slow that a consumer loses its lease. */
const LEASE_MS = 60_000;
const NOW = { backoffMs: () => 1 };
const placed = (key: string) => delivery.create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents: 1800 });

const servers = { postgres: () => startPostgres(), redis: () => startRedis() };
await describeWith('the platform', servers, ({ postgres, redis }) => {
  const pool = new pg.Pool({ connectionString: postgres.url, max: 20 });
  pool.on('error', () => {});
  const client = new Redis(redis.nodes[0].url);
  afterAll(async () => {
    client.disconnect();
    await pool.end();
  });

  let worlds = 0;
  /** Tables and a stream of the test's own. */
  const world = async () => {
    const name = `p${++worlds}`;
    const outbox = new Outbox(pool, `${name}_outbox`);
    const inbox = new Inbox(pool, `${name}_inbox`);
    const dead = new DeadLetters(pool, `${name}_dead`);
    await Promise.all([outbox, inbox, dead].map((part) => part.migrate()));
    const bus = new StreamsBus(client, dead, { prefix: `${redis.namespace}${name}:`, leaseMs: LEASE_MS });
    onTestFinished(() => bus.close());
    return { name, outbox, inbox, dead, bus };
  };

  test('a replayed dead letter goes to its own group alone, and is gone', async () => {
    const { bus, dead } = await world();
    const got: string[] = [];
    const sms = delivery.reader({ OrderPlaced: async ({ key }) => void got.push(key) });
    await bus.subscribe('sms', sms, NOW);
    const cooked: string[] = [];
    let mended = false;
    const reader = delivery.reader({
      OrderPlaced: async ({ key }) => {
        if (!mended) throw new Error('gas is out');
        cooked.push(key);
      },
    });
    await bus.subscribe('kitchen', reader, { ...NOW, maxAttempts: 1 });
    const event = placed('1');
    await bus.publish([event]);
    const [letter] = await until(async () => {
      const list = await dead.list();
      return list.length > 0 ? list : undefined;
    });
    expect(letter).toMatchObject({
      group: 'kitchen',
      attempts: 1,
      reason: 'Error: gas is out',
      event: { id: event.id },
    });
    mended = true;
    await dead.replay('kitchen', event.id, bus);
    await until(() => cooked.length === 1);
    await bus.publish([placed('2')]);
    await until(() => got.includes('2'));
    expect([got, await dead.list()]).toEqual([['1', '2'], []]);
    await expect(dead.replay('kitchen', event.id, bus)).rejects.toBeInstanceOf(NoDeadLetterError);
  });

  // ── the platform ──────────────────────────────────────────────────────────────────────────────────────────────────

  const platform = async (refuses: (dish: string) => boolean = () => false, options = {}) => {
    const parts = await world();
    const { bus, outbox } = parts;
    const shop = new Platform({ ...parts, name: `${parts.name}_shop`, pool, refuses });
    await shop.migrate();
    const relay = new Relay(pool, outbox, bus, { idleMs: 5 });
    relay.start();
    onTestFinished(() => relay.stop());
    await shop.open({ ...NOW, ...options });
    return { ...parts, shop };
  };
  const ONCE = { charged: 1, cooked: 1, carried: 1, split: 1, 'sms: placed': 1, 'sms: on its way': 1, 'sms: enjoy': 1 };

  test('an order is paid, cooked, carried and settled, each once', async () => {
    const { shop } = await platform();
    await shop.place('order-1', '鱼香肉丝饭', 1800);
    await shop.place('order-1', '鱼香肉丝饭', 1800);
    await until(async () => (await shop.state('order-1')) === 'delivered');
    await until(async () => Object.keys(await shop.effects('order-1')).length === 7);
    expect(await shop.effects('order-1')).toEqual(ONCE);
  });

  test('a paid order that the kitchen refuses is refunded, once', async () => {
    const { shop } = await platform((dish) => dish === 'fugu');
    await shop.place('order-1', 'fugu', 9900);
    await until(async () => 'sms: refunded' in (await shop.effects('order-1')));
    expect(await shop.effects('order-1')).toEqual({
      charged: 1,
      refused: 1,
      refunded: 1,
      'sms: placed': 1,
      'sms: refunded': 1,
    });
    expect(await shop.state('order-1')).toBe('refunded');
  });

  test('an event that came before the one it needs is refused, with all that it would have done', async () => {
    const { shop, bus, dead } = await platform(undefined, { maxAttempts: 1 });
    await shop.place('order-1', '鱼香肉丝饭', 1800);
    await until(async () => (await shop.state('order-1')) === 'delivered');
    await bus.publish([delivery.create('OrderRefused', 'order-1', { reason: 'no fish', cents: 1800 })]);
    const [letter] = await until(async () => {
      const list = await dead.list('saga');
      return list.length > 0 ? list : undefined;
    });
    expect(letter?.reason).toContain('order order-1 is not paid');
    expect(await shop.effects('order-1')).not.toHaveProperty('refunded');
    expect(await shop.state('order-1')).toBe('delivered');
  });

  test('a platform whose bus takes no group does not open', async () => {
    const parts = await world();
    await parts.bus.close();
    await expect(new Platform({ ...parts, pool }).open()).rejects.toBeInstanceOf(BusClosedError);
  });

  test('the events of an order tell its story, each with its cause', async () => {
    const { shop, outbox } = await platform();
    await shop.place('order-1', '鱼香肉丝饭', 1800);
    await until(async () => (await shop.state('order-1')) === 'delivered');
    const story = await outbox.trace('order-1');
    expect(story.map(({ type }) => type)).toEqual(['OrderPlaced', 'OrderPaid', 'MealReady', 'OrderDelivered']);
    expect(story.map(({ causationId }) => causationId)).toEqual([undefined, ...story.slice(0, 3).map(({ id }) => id)]);
    expect(new Set(story.map(({ correlationId }) => correlationId)).size).toBe(1);
  });

  test('a process that is killed at any step of outbox, relay and consumer loses nothing and doubles nothing', {
    timeout: 60_000,
  }, async () => {
    const history = new History<string>();
    const runs = await crashEverywhere(
      { kind: 'streams', url: redis.nodes[0].url, prefix: `${redis.namespace}crash` },
      postgres.url,
      pool,
    );
    for (const { step, effects } of runs) history.record(`killed ${step}: ${JSON.stringify(effects)}`);
    expect(runs.length).toBeGreaterThan(8);
    expect(
      runs.map(({ effects }) => effects),
      history.toString(),
    ).toEqual(runs.map(() => ({ cooked: 1 })));
  });
});
