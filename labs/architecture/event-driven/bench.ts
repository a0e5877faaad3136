import type { Event } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import { startPostgres, startRabbit, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, until } from '@shared/testkit';
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
const WAITING = 2_000;
const sorted = (list: readonly number[]) => list.toSorted((a, b) => a - b);
const median = (list: readonly number[]) => sorted(list)[Math.floor(list.length / 2)] ?? 0;
const right = (label: string) => ({ label, align: 'right' as const });

/** How far it is from what the lab aims at: 0.8 × emmett. */
const said = (rounds: readonly number[]) => {
  const { text, reaches } = consensus(rounds);
  const reached = reaches(0.8);
  return `${reached === undefined ? 'the rounds disagree' : reached ? 'reached' : 'missed'} (${text})`;
};

await tell({ title: 'What the guarantees cost', dir: import.meta.dirname }, async (story) => {
  const postgres = await story.use(startPostgres());
  const redis = await story.use(startRedis());
  const rabbit = await story.use(startRabbit());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new pg.Pool({ connectionString: postgres.url, max: 30 }), (it) => it.end());
  const client = bin.adopt(new Redis(redis.nodes[0].url), async (it) => it.disconnect());
  /** A verdict, if the rounds agree on it: all but the best and the worst on one side of the floor. */
  const claim = (what: string, rounds: readonly number[], floor: number) => {
    const { text, reaches } = consensus(rounds);
    const holds = reaches(floor);
    if (holds === undefined) story.say(`“${what}”: not claimed, the rounds disagree (${text}).`);
    else story.verdict(what, text, holds);
  };

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
    const relay = new Relay(pool, outbox, bus, { idleMs: 2 });
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
      story.table({
        columns: ['', right('orders per second'), right('spread')],
        rows: [row('outbox → inbox, effects once', lab), row('dual write, no guarantee', naive)],
      });
      const ratio = median(lab.map((perSecond, round) => perSecond / (naive[round] ?? 1)));
      story.verdict('With the guarantees at least a fifth of the speed without', `${ratio.toFixed(2)} ×`, ratio > 0.2);
    });
  }

  // Last: emmett's driver sets how pg reads bigint and jsonb for the whole process, this lab's queries included.
  const emmett = getPostgreSQLEventStore(postgres.url, { connectionOptions: { pool } });
  await emmett.schema.migrate();
  type Placed = Event<'OrderPlaced', { dish: string; cents: number }, Omit<Envelope, 'type' | 'data'>>;
  let orders = 0;
  const place = () => delivery.create('OrderPlaced', `order-${++orders}`, { dish: '鱼香肉丝饭', cents: 1800 });
  const add = (outbox: Outbox, event: Envelope) => transaction(pool, (tx) => outbox.add(tx, event));
  const append = ({ type, data, ...metadata }: ReturnType<typeof place>) =>
    emmett.appendToStream<Placed>(metadata.key, [{ type, data, metadata }], { expectedStreamVersion: 0n });

  await story.scene(`Beside emmett: ${WAITING} waiting events become effects, once each`, async () => {
    const outbox = new Outbox(pool, 'peer_outbox');
    await outbox.migrate();
    for (let i = 0; i < WAITING; i++) {
      const event = place();
      await add(outbox, event);
      await append(event);
    }
    const perSecond = async (name: string, work: (name: string) => Promise<number>) => {
      await pool.query(`CREATE TABLE ${name}_effects (id text)`);
      const took = await work(name);
      const { rows } = await pool.query<{ n: number }>(
        `SELECT count(*)::int * (count(*) = count(DISTINCT id))::int AS n FROM ${name}_effects`,
      );
      if (rows[0]?.n !== WAITING) throw new Error(`${rows[0]?.n} effects of ${WAITING}`);
      return (WAITING / took) * 1000;
    };
    const cook = (db: Pick<pg.PoolClient, 'query'>, name: string, key: string) =>
      db.query(`INSERT INTO ${name}_effects VALUES ($1)`, [key]);
    const relayed = async (name: string) => {
      await pool.query('UPDATE peer_outbox SET published = NULL');
      const [inbox, dead] = [new Inbox(pool, `${name}_inbox`), new DeadLetters(pool, `${name}_dead`)];
      for (const table of [inbox, dead]) await table.migrate();
      const bus = new StreamsBus(client, dead, { prefix: `${redis.namespace}${name}:` });
      let done = 0;
      const reader = delivery.reader({
        OrderPlaced: async (event) => {
          await inbox.once('kitchen', event, (tx) => cook(tx, name, event.key));
          done++;
        },
      });
      await bus.subscribe('kitchen', reader, { concurrency: 16 });
      const relay = new Relay(pool, outbox, bus, { idleMs: 2, batch: 500 });
      const began = performance.now();
      relay.start();
      await until(() => done === WAITING, { timeoutMs: 60_000, intervalMs: 1, what: 'all effects' });
      const took = performance.now() - began;
      await relay.stop();
      await bus.close();
      return took;
    };
    const consumed = async (name: string) => {
      const consumer = emmett.consumer({
        stopWhen: { noMessagesLeft: true },
        pulling: { batchSize: 500, pullingFrequencyInMs: 0 },
      });
      consumer.reactor<Placed>({
        processorId: name,
        canHandle: ['OrderPlaced'],
        eachMessage: async ({ metadata }, { connection }) => void (await cook(connection.client, name, metadata.key)),
      });
      const began = performance.now();
      await consumer.start();
      return performance.now() - began - 100;
    };
    const rates: Record<'lab' | 'emmett', number[]> = { lab: [], emmett: [] };
    for (let round = -1; round < 5; round++) {
      const turns = [
        async () => rates.lab.push(await perSecond(`lab${round + 1}`, relayed)),
        async () => rates.emmett.push(await perSecond(`emmett${round + 1}`, consumed)),
      ];
      for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
      // The first round warms up.
      if (round < 0) for (const list of Object.values(rates)) list.pop();
    }
    story.table({
      columns: ['', right('effects per second')],
      rows: [
        ['outbox, relay, Redis Streams, inbox', median(rates.lab).toFixed(0)],
        ["emmett's consumer: a reactor, no broker", median(rates.emmett).toFixed(0)],
      ],
    });
    story.say(
      "emmett notes its position in the transaction of the effects, 500 in each, one after the other. Its pause between batches is set to 0; the first, 100 ms, can't be set, and is taken off. Here each effect has its own transaction, behind a broker, in any process.",
    );
    const rounds = rates.lab.map((rate, i) => rate / (rates.emmett[i] ?? Number.NaN));
    story.say(`Aimed at, 0.8 × emmett: ${said(rounds)}.`);
    claim('at least a third of the rate of emmett', rounds, 1 / 3);
  });

  await story.scene('Beside emmett: writing an event down', async () => {
    const outbox = new Outbox(pool, 'append_outbox');
    await outbox.migrate();
    const contestants = { 'outbox, in a transaction': () => add(outbox, place()), emmett: () => append(place()) };
    const [alone, crowd] = [await contest(contestants), await contest(contestants, { workers: WRITERS })];
    const [[lab, theirs], [labCrowd, theirCrowd]] = [alone, crowd];
    if (!lab || !theirs || !labCrowd || !theirCrowd) throw new Error('two contestants');
    story.table({
      caption: 'Events per second, a stream each',
      columns: ['', right('one writer'), right(`${WRITERS} writers`)],
      rows: alone.map(({ name, perSecond }, i) => [name, perSecond.toFixed(0), crowd[i]?.perSecond.toFixed(0) ?? '']),
    });
    const [one, many] = [ratios(lab, theirs), ratios(labCrowd, theirCrowd)];
    story.say(`Aimed at, 0.8 × emmett. One writer: ${said(one)}; ${WRITERS}: ${said(many)}.`);
    claim('one writer: at least half the rate of emmett', one, 0.5);
    claim(`${WRITERS} writers: at least half`, many, 0.5);
  });
});
