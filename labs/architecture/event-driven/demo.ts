import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRabbit, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Redis } from 'ioredis';
import pg from 'pg';
import {
  type Bus,
  DeadLetters,
  delivery,
  type Envelope,
  Inbox,
  MemoryBus,
  Outbox,
  Platform,
  RabbitBus,
  Relay,
  StreamsBus,
  transaction,
} from './src/index.ts';
import { crashEverywhere } from './test/crash.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const DISH = '鱼香肉丝饭';
const placed = (key: string) => delivery.create('OrderPlaced', key, { dish: DISH, cents: 1800 });
const NOW = { backoffMs: () => 5 };

const options = {
  title: 'Event-driven architecture 事件驱动架构',
  subtitle: 'Food delivery: the restaurant that phones everybody, and the platform that only tells what happened',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  // A broker on an Erlang machine takes seconds to start: it does so while the first scenes play.
  const starting = startRabbit({ signal: story.signal });
  starting.catch(() => {});
  const postgres = await story.use(startPostgres());
  const redis = await story.use(startRedis());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new pg.Pool({ connectionString: postgres.url, max: 20 }), (it) => it.end());
  const client = bin.adopt(new Redis(redis.nodes[0].url), async (it) => it.disconnect());

  await story.scene('The telephone: the restaurant calls everybody', async () => {
    story.say(
      'One phone, 30 orders, 10 ms apart. Each call goes to the kitchen, a rider and the SMS service, one after the other. A caller hangs up after 200 ms.',
    );
    /** Orders that were taken in time, when every step of `steps` (in ms) is done within the call. */
    const shift = async (take: (order: number) => Promise<void>) => {
      let taken = 0;
      await Promise.all(
        Array.from({ length: 30 }, async (_, order) => {
          await delay(order * 10);
          const answer = await Promise.race([
            take(order).then(
              () => true,
              () => false,
            ),
            delay(200, false),
          ]);
          if (answer) taken++;
        }),
      );
      return taken;
    };
    /** One line: a call waits until the one before has hung up. */
    const phone = (kitchenMs: number, smsWorks: boolean) => {
      let line: Promise<unknown> = Promise.resolve();
      return () => {
        const call = line.then(async () => {
          await delay(kitchenMs);
          await delay(1);
          if (!smsWorks) throw new Error('the SMS service does not answer');
        });
        line = call.catch(() => {});
        return call;
      };
    };
    const events = async (kitchenMs: number) => {
      const bus = new MemoryBus();
      let cooked = 0;
      let line: Promise<unknown> = Promise.resolve();
      const kitchen = () => {
        line = line.then(() => delay(kitchenMs)).then(() => cooked++);
        return line;
      };
      await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: kitchen }));
      await bus.subscribe('riders', delivery.reader({ OrderPlaced: () => delay(1) }));
      const failing = delivery.reader({ OrderPlaced: () => Promise.reject(new Error('no answer')) });
      await bus.subscribe('sms', failing, { ...NOW, maxAttempts: 2 });
      const taken = await shift((order) => bus.publish([placed(`order ${order}`)]));
      await until(() => cooked === 30, { what: 'the kitchen to be done', timeoutMs: 20_000 });
      await bus.close();
      return taken;
    };
    const [normal, slow, silent] = [
      await shift(phone(5, true)),
      await shift(phone(60, true)),
      await shift(phone(5, false)),
    ];
    const byEvents = await events(60);
    story.bars({
      title: 'Orders taken, of 30',
      items: [
        { label: 'phone, all well', value: normal, tone: 'good' },
        { label: 'phone, slow kitchen', value: slow, tone: 'bad' },
        { label: 'phone, SMS down', value: silent, tone: 'bad' },
        { label: 'events, slow kitchen and SMS down', value: byEvents, tone: 'good' },
      ],
    });
    story.verdict(
      'By phone a slow kitchen loses orders that have nothing to do with its speed',
      `${slow} of 30 taken, ${normal} when it is quick`,
      slow < normal,
    );
    story.verdict('By phone an SMS service that is down takes the shop down', `${silent} of 30 taken`, silent === 0);
    story.verdict(
      'By events the shop takes every order, with both',
      `${byEvents} of 30 taken, and cooked`,
      byEvents === 30,
    );
  });

  let worlds = 0;
  const world = async () => {
    const name = `demo${++worlds}`;
    const [outbox, inbox, dead] = [
      new Outbox(pool, `${name}_outbox`),
      new Inbox(pool, `${name}_inbox`),
      new DeadLetters(pool, `${name}_dead`),
    ];
    for (const part of [outbox, inbox, dead]) await part.migrate();
    return { name, outbox, inbox, dead, prefix: `${redis.namespace}${name}:` };
  };

  await story.scene('Two writes, and a crash between them', async () => {
    story.say(
      'The order goes to the database, the event to the broker: two writes. We die after one of them, at every second order of 20.',
    );
    const { name, outbox } = await world();
    await pool.query(`CREATE TABLE ${name}_orders (id text)`);
    const insert = (db: pg.Pool | pg.PoolClient, id: string) =>
      db.query(`INSERT INTO ${name}_orders VALUES ($1)`, [id]);
    const power = (on: boolean) => {
      if (!on) throw new Error('power cut');
    };
    const told = new Set<string>();
    const broker: Pick<Bus, 'publish'> = { publish: async (events) => events.forEach(({ key }) => void told.add(key)) };
    const kinds: Record<string, (id: string, on: boolean) => Promise<unknown>> = {
      'commit, then publish': async (id, on) => {
        await insert(pool, id);
        power(on);
        await broker.publish([placed(id)]);
      },
      'publish, then commit': async (id, on) => {
        await broker.publish([placed(id)]);
        power(on);
        await insert(pool, id);
      },
      outbox: (id, on) =>
        transaction(pool, async (tx) => {
          await insert(tx, id);
          power(on);
          await outbox.add(tx, placed(id));
        }),
    };
    const rows: [string, number, number][] = [];
    for (const [kind, write] of Object.entries(kinds)) {
      for (let n = 0; n < 20; n++) await write(`${kind} ${n}`, n % 2 === 0).catch(() => {});
      if (kind === 'outbox') while ((await new Relay(pool, outbox, broker).round()) > 0);
      const orders = (await pool.query<{ id: string }>(`SELECT id FROM ${name}_orders WHERE id LIKE $1`, [`${kind}%`]))
        .rows;
      const lost = orders.filter(({ id }) => !told.has(id)).length;
      const ghosts = [...told].filter((id) => id.startsWith(kind) && !orders.some((order) => order.id === id)).length;
      rows.push([kind, lost, ghosts]);
    }
    story.table({
      columns: [
        '',
        { label: 'orders nobody cooks', align: 'right' },
        { label: 'meals nobody ordered', align: 'right' },
      ],
      rows,
    });
    const [after, before, both] = rows;
    story.verdict(
      'Whichever comes first, the crash finds the gap',
      `${after?.[1]} lost, ${before?.[2]} ghosts`,
      after?.[1] === 10 && before?.[2] === 10,
    );
    story.code('src/outbox.ts', { from: 'await tx.query(', to: 'INSERT INTO' });
    story.verdict(
      'One transaction has no gap',
      `${both?.[1]} lost, ${both?.[2]} ghosts`,
      both?.[1] === 0 && both?.[2] === 0,
    );
  });

  await story.scene('kill -9 at every step', async () => {
    story.say(
      'Orders are taken, relayed, cooked, acknowledged. The first stands still after one answer from a server, the second after two, and so on, until one needs no more; then their process is killed. Each time somebody else finishes.',
    );
    const broker = { kind: 'streams' as const, url: redis.nodes[0].url, prefix: `${redis.namespace}demo` };
    const runs = await crashEverywhere(broker, postgres.url, pool);
    const parts = ['outbox', 'relay', 'consumer'].map((part) => {
      const killed = runs.filter(({ step }) => step.startsWith(part));
      const cooked = killed.reduce((sum, { effects }) => sum + (effects['cooked'] ?? 0), 0);
      return [`in the ${part}`, killed.length, cooked] as const;
    });
    const right = (label: string) => ({ label, align: 'right' as const });
    story.table({ columns: ['killed', right('orders'), right('meals cooked')], rows: parts });
    const once = runs.filter(({ effects }) => effects['cooked'] === 1).length;
    story.verdict(
      'Each order is cooked once, wherever the process died',
      `${once} of ${runs.length}`,
      once === runs.length && once > 8,
    );
  });

  const rabbit = await story.use(starting);
  const stories: Envelope[][] = [];
  await story.scene('Two brokers behind one port, and a kitchen that refuses', async () => {
    story.say(
      '20 orders, every fourth for a dish that the kitchen refuses after it was paid: then the saga gives the money back. Six services, none of which knows another.',
    );
    const rows: [string, number, number, number, string][] = [];
    for (const kind of ['Redis Streams', 'RabbitMQ']) {
      const parts = await world();
      const bus: Bus =
        kind === 'RabbitMQ'
          ? await RabbitBus.open(await rabbit.vhost(), parts.dead, {
              prefix: `${rabbit.namespace}${parts.name}.`,
              expiresMs: 60_000,
            })
          : new StreamsBus(client, parts.dead, { prefix: parts.prefix });
      const shop = new Platform({
        ...parts,
        name: `${parts.name}_shop`,
        pool,
        bus,
        refuses: (dish) => dish === 'fugu',
      });
      await shop.migrate();
      const relay = new Relay(pool, parts.outbox, bus, { idleMs: 5 });
      await shop.open(NOW);
      const began = performance.now();
      relay.start();
      const orders = Array.from({ length: 20 }, (_, n) => `order ${n}`);
      await Promise.all(orders.map((id, n) => shop.place(id, n % 4 === 3 ? 'fugu' : DISH, 1800)));
      const ended = (effects: Record<string, number>) =>
        ('split' in effects && 'sms: enjoy' in effects) || 'sms: refunded' in effects;
      await until(async () => (await Promise.all(orders.map((id) => shop.effects(id)))).every(ended), {
        timeoutMs: 30_000,
        what: 'the orders to end',
      });
      const took = performance.now() - began;
      const effects = await Promise.all(orders.map((id) => shop.effects(id)));
      const twice = effects.flatMap((each) => Object.values(each)).filter((times) => times !== 1).length;
      rows.push([
        kind,
        effects.filter((each) => 'carried' in each).length,
        effects.filter((each) => 'refunded' in each).length,
        twice,
        ms(took),
      ]);
      stories.push(await parts.outbox.trace('order 0'), await parts.outbox.trace('order 3'));
      await relay.stop();
      await bus.close();
    }
    const right = (label: string) => ({ label, align: 'right' as const });
    story.table({
      columns: ['', right('delivered'), right('refunded'), right('effects not had once'), right('took')],
      rows,
    });
    story.verdict(
      'On both each order is delivered or refunded, each effect had once',
      rows.map(([kind, yes, no]) => `${kind}: ${yes} + ${no}`).join(', '),
      rows.every(([, yes, no, twice]) => yes === 15 && no === 5 && twice === 0),
    );
  });

  await story.scene('What became of order 3? Its events say', async () => {
    const [fine = [], refused = []] = stories;
    const start = Math.min(...[...fine, ...refused].map(({ time }) => Date.parse(time)));
    story.timeline({
      title: 'Two orders, told by their events',
      unit: 'ms',
      picture: true,
      lanes: [fine, refused].flatMap((events, index) =>
        events.slice(1).map((event, n) => {
          const [from = 0, to = 0] = [events[n], event].map((each) => Date.parse(each?.time ?? '') - start);
          const tone = event.type.startsWith('OrderRef') ? ('bad' as const) : ('good' as const);
          return { label: `order ${index * 3} to ${event.type}`, spans: [{ from, to, tone }] };
        }),
      ),
    });
    const chained = refused.every(({ causationId }, n) => causationId === refused[n - 1]?.id);
    story.verdict(
      'Each event names its cause, back to the order',
      refused.map(({ type }) => type).join(' → '),
      chained && refused.at(-1)?.type === 'OrderRefunded',
    );
  });

  await story.scene('Poison, and the way back', async () => {
    const { dead, prefix } = await world();
    const bus = new StreamsBus(client, dead, { prefix });
    const cooked: string[] = [];
    let mended = false;
    const reader = delivery.reader({
      OrderPlaced: async ({ key }) => {
        if (key === 'order 3' && !mended) throw new RangeError('a spoon is missing');
        cooked.push(key);
      },
    });
    await bus.subscribe('kitchen', reader, { ...NOW, maxAttempts: 3 });
    const events = Array.from({ length: 10 }, (_, n) => placed(`order ${n}`));
    await bus.publish(events);
    const [letter] = await until(async () => {
      const letters = await dead.list();
      return letters.length > 0 && cooked.length >= 9 ? letters : undefined;
    });
    story.verdict(
      'One event that nobody can handle holds up no other',
      `${cooked.length} of 9 others cooked; order 3: ${letter?.reason}, ${letter?.attempts} tries`,
      cooked.length === 9 && letter?.attempts === 3,
    );
    mended = true;
    await dead.replay('kitchen', letter?.event.id ?? '', bus);
    await until(() => cooked.length === 10);
    const left = (await dead.list()).length;
    story.verdict(
      'Mended and replayed, it is cooked',
      `${cooked.at(-1)}, ${left} dead letters left`,
      cooked.at(-1) === 'order 3' && left === 0,
    );
    await bus.close();
  });
});
