import { startPostgres, startRabbit } from '@shared/services';
import { describeWith, History, until } from '@shared/testkit';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  BusClosedError,
  DeadLetters,
  delivery,
  type Envelope,
  Outbox,
  RabbitBus,
  Relay,
  transaction,
  UnroutableError,
} from '#lab';
import { crashEverywhere } from './crash.ts';

/** BEGIN, the order, the lock, the event, COMMIT: the outbox is the same for every broker. */
const OUTBOX_STEPS = 5;
const NOW = { backoffMs: () => 1 };
const placed = (key: string, cents = 1800) => delivery.create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents });
const numbered = (key: string, count: number) => Array.from({ length: count }, (_, n) => placed(key, n));
const centsOf = ({ data }: Envelope) => (typeof data === 'object' && data && 'cents' in data ? Number(data.cents) : -1);

const servers = { postgres: () => startPostgres(), rabbit: () => startRabbit() };
await describeWith('rabbitmq', servers, ({ postgres, rabbit }) => {
  const pool = new pg.Pool({ connectionString: postgres.url });
  pool.on('error', () => {});
  afterAll(() => pool.end());
  let worlds = 0;
  const world = async () => {
    const name = `r${++worlds}`;
    const dead = new DeadLetters(pool, `${name}_dead`);
    await dead.migrate();
    const prefix = `${rabbit.namespace}${name}:`;
    const url = await rabbit.vhost();
    const open = async (to = url) => {
      const bus = await RabbitBus.open(to, dead, { prefix, expiresMs: 60_000 });
      onTestFinished(() => bus.close());
      return bus;
    };
    return { name, dead, open, url };
  };
  const listen = async (bus: RabbitBus, group: string) => {
    const got: Envelope[] = [];
    const reader = delivery.reader({ OrderPlaced: async (event) => void got.push(event) });
    const subscription = await bus.subscribe(group, reader, NOW);
    return { got, subscription };
  };

  test('rabbit: each group gets each event of its types, in order', async () => {
    const { open } = await world();
    const bus = await open();
    const [kitchen, sms] = [await listen(bus, 'kitchen'), await listen(bus, 'sms')];
    await bus.publish(numbered('1', 20));
    await until(() => kitchen.got.length === 20 && sms.got.length === 20);
    expect(kitchen.got.map(centsOf)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  test('rabbit: an event that no queue takes is an error, and stays in the outbox', async () => {
    const { open, name } = await world();
    const bus = await open();
    const outbox = new Outbox(pool, `${name}_outbox`);
    await outbox.migrate();
    await transaction(pool, (tx) => outbox.add(tx, placed('1')));
    const relay = new Relay(pool, outbox, bus, { lock: name });
    await expect(relay.round()).rejects.toBeInstanceOf(UnroutableError);
    const { got } = await listen(bus, 'kitchen');
    expect(await relay.round()).toBe(1);
    await until(() => got.length === 1);
  });

  test('rabbit: poison becomes a dead letter, the others pass, and a replay reaches its own group alone', async () => {
    const { open, dead } = await world();
    const bus = await open();
    const sms = await listen(bus, 'sms');
    const cooked: string[] = [];
    let mended = false;
    let tries = 0;
    const reader = delivery.reader({
      OrderPlaced: async ({ key }) => {
        if (key === 'poison' && !mended) {
          tries++;
          throw new Error('gas is out');
        }
        cooked.push(key);
      },
    });
    await bus.subscribe('kitchen', reader, { ...NOW, maxAttempts: 3 });
    const poison = placed('poison');
    await bus.publish([poison, placed('1')]);
    await until(async () => (await dead.list()).length === 1 && cooked.length === 1);
    expect(tries).toBe(3);
    mended = true;
    await dead.replay('kitchen', poison.id, bus);
    await until(() => cooked.length === 2);
    expect([cooked, sms.got.length]).toEqual([['1', 'poison'], 2]);
  });

  test('rabbit: what is not acknowledged when a consumer goes comes to the next one, in order', async () => {
    const { open, url } = await world();
    await using link = await rabbit.node.proxy();
    const through = new URL(url);
    through.port = String(link.port);
    const [first, second] = [await open(through.href), await open()];
    const gate = Promise.withResolvers<void>();
    let begun = false;
    const stuck = delivery.reader({
      OrderPlaced: async () => {
        begun = true;
        await gate.promise;
      },
    });
    await first.subscribe('kitchen', stuck, NOW);
    await first.publish(numbered('1', 5));
    await until(() => begun);
    const { got } = await listen(second, 'kitchen');
    // The connection breaks under the first: the handler goes on, but its acknowledgement means nothing.
    link.reset();
    await until(() => got.length === 5);
    gate.resolve();
    expect(got.map(centsOf)).toEqual([0, 1, 2, 3, 4]);
    await first.closed;
    await expect(first.publish([placed('1')])).rejects.toBeInstanceOf(BusClosedError);
  });

  test('rabbit: a process that is killed at any step of relay and consumer loses nothing and doubles nothing', {
    timeout: 60_000,
  }, async () => {
    const history = new History<string>();
    const broker = { kind: 'rabbit' as const, url: await rabbit.vhost(), prefix: rabbit.namespace };
    const runs = await crashEverywhere(broker, postgres.url, pool, OUTBOX_STEPS + 1);
    for (const { step, effects } of runs) history.record(`killed ${step}: ${JSON.stringify(effects)}`);
    expect(runs.length).toBeGreaterThan(5);
    expect(
      runs.map(({ effects }) => effects),
      history.toString(),
    ).toEqual(runs.map(() => ({ cooked: 1 })));
  });
});
