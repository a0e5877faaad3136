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
  Outbox,
  RabbitBus,
  Relay,
  StreamsBus,
  transaction,
} from './src/index.ts';

const ORDERS = 400;
const WRITERS = 8;
const ROUNDS = 7;
const sorted = (list: readonly number[]) => list.toSorted((a, b) => a - b);
const median = (list: readonly number[]) => sorted(list)[Math.floor(list.length / 2)] ?? 0;

await tell({ title: 'What the guarantees cost', dir: import.meta.dirname }, async (story) => {
  const postgres = await story.use(startPostgres());
  const redis = await story.use(startRedis());
  const rabbit = await story.use(startRabbit());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new pg.Pool({ connectionString: postgres.url, max: 30 }), (it) => it.end());
  const client = bin.adopt(new Redis(redis.nodes[0].url), async (it) => it.disconnect());
  let runs = 0;

  /** Orders a second, from the first one's placing to the last one's effect. */
  const measure = async (guaranteed: boolean, open: (dead: DeadLetters, name: string) => Promise<Bus>) => {
    const name = `b${++runs}`;
    const [outbox, inbox, dead] = [
      new Outbox(pool, `${name}_outbox`),
      new Inbox(pool, `${name}_inbox`),
      new DeadLetters(pool, `${name}_dead`),
    ];
    for (const table of [outbox, inbox, dead]) await table.migrate();
    await pool.query(`CREATE TABLE ${name}_orders (id text PRIMARY KEY); CREATE TABLE ${name}_effects (id text)`);
    const bus = await open(dead, name);
    let done = 0;
    const cook = (db: pg.Pool | pg.PoolClient, { key }: Envelope) =>
      db.query(`INSERT INTO ${name}_effects VALUES ($1)`, [key]);
    const reader = delivery.reader({
      OrderPlaced: async (event) => {
        if (guaranteed) await inbox.once('kitchen', event, (tx) => cook(tx, event));
        else await cook(pool, event);
        done++;
      },
    });
    await bus.subscribe('kitchen', reader, { concurrency: 16 });
    const relay = new Relay(pool, outbox, bus, { lock: name, idleMs: 2 });
    if (guaranteed) relay.start();
    const began = performance.now();
    let next = 0;
    const write = async () => {
      while (next < ORDERS) {
        const id = `order ${next++}`;
        const event = delivery.create('OrderPlaced', id, { dish: '鱼香肉丝饭', cents: 1800 });
        const insert = (db: pg.Pool | pg.PoolClient) => db.query(`INSERT INTO ${name}_orders VALUES ($1)`, [id]);
        if (guaranteed) {
          await transaction(pool, async (tx) => {
            await insert(tx);
            await outbox.add(tx, event);
          });
        } else {
          await insert(pool);
          await bus.publish([event]);
        }
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, write));
    await until(() => done === ORDERS, { timeoutMs: 60_000, intervalMs: 1, what: 'all effects' });
    const perSecond = (ORDERS / (performance.now() - began)) * 1000;
    await relay.stop();
    await bus.close();
    const { rows } = await pool.query<{ n: number }>(`SELECT count(DISTINCT id)::int AS n FROM ${name}_effects`);
    if (rows[0]?.n !== ORDERS) throw new Error(`${rows[0]?.n} effects of ${ORDERS}`);
    return perSecond;
  };

  const transports: Record<string, (dead: DeadLetters, name: string) => Promise<Bus>> = {
    'Redis Streams': async (dead, name) => new StreamsBus(client, dead, { prefix: `${redis.namespace}${name}:` }),
    RabbitMQ: async (dead, name) =>
      RabbitBus.open(await rabbit.vhost(), dead, { prefix: `${rabbit.namespace}${name}.`, expiresMs: 60_000 }),
  };
  for (const [transport, open] of Object.entries(transports)) {
    await story.scene(`${transport}: ${ORDERS} orders, ${WRITERS} writers, ${ROUNDS} rounds`, async () => {
      await measure(true, open);
      await measure(false, open);
      const lab: number[] = [];
      const naive: number[] = [];
      // Who begins takes turns: a machine that grows slower favours nobody.
      for (let round = 0; round < ROUNDS; round++) {
        for (const guaranteed of round % 2 === 0 ? [true, false] : [false, true]) {
          (guaranteed ? lab : naive).push(await measure(guaranteed, open));
        }
      }
      const row = (name: string, list: readonly number[]) => [
        name,
        median(list).toFixed(0),
        `${sorted(list)[0]?.toFixed(0)}–${sorted(list).at(-1)?.toFixed(0)}`,
      ];
      const right = (label: string) => ({ label, align: 'right' as const });
      story.table({
        columns: ['', right('orders per second'), right('spread')],
        rows: [row('outbox → inbox, effects once', lab), row('dual write, no guarantee', naive)],
      });
      const ratio = median(lab.map((perSecond, round) => perSecond / (naive[round] ?? 1)));
      story.verdict('With the guarantees at least a fifth of the speed without', `${ratio.toFixed(2)} ×`, ratio > 0.2);
    });
  }
  story.say(
    'Not compared: @event-driven-io/emmett-postgresql needs pongo beside it, with dumbo and types of MongoDB in turn: more than this bench is worth.',
  );
});
