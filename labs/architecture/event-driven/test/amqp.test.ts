// Comes first in the alphabet: its broker takes longest to start.
import { once } from 'node:events';
import { connect as connectTo, createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startPostgres, startRabbit } from '@shared/services';
import { describeWith, History, until } from '@shared/testkit';
import { type Channel, connect } from 'amqplib';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  BusClosedError,
  ConnectionLostError,
  DeadLetters,
  delivery,
  type Envelope,
  Inbox,
  Outbox,
  RabbitBus,
  type RabbitOptions,
  Relay,
  transaction,
  UnreadableEventError,
  UnroutableError,
} from '#lab';
import { crashEverywhere } from './crash.ts';
import { closedWhileItStops } from './kitchen.ts';

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
  const vhost = rabbit.vhost();
  let worlds = 0;
  const world = async () => {
    const name = `r${++worlds}`;
    const dead = new DeadLetters(pool, `${name}_dead`);
    await dead.migrate();
    const prefix = `${rabbit.namespace}${name}:`;
    const url = await vhost;
    const open = async (to = url, options: RabbitOptions = {}) => {
      const bus = await RabbitBus.open(to, dead, { prefix, expiresMs: 60_000, ...options });
      onTestFinished(() => bus.close());
      return bus;
    };
    /** The broker's address behind a link that may break. */
    const through = ({ port }: { readonly port: number }) => {
      const address = new URL(url);
      address.port = String(port);
      return address.href;
    };
    return { name, dead, open, url, prefix, through };
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

  test('rabbit: who publishes for months keeps nothing of what he has published', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const bus = await (await world()).open();
    const publish = async (times: number) => {
      for (let n = 0; n < times; n++) await bus.publish([]);
      gc();
      return process.memoryUsage().heapUsed;
    };
    const before = await publish(500);
    expect(((await publish(10_000)) - before) / 10_000, 'bytes kept of each').toBeLessThan(150);
  });

  test('rabbit: an event that no queue takes is an error, and stays in the outbox', async () => {
    const { open, name } = await world();
    const bus = await open();
    const outbox = new Outbox(pool, `${name}_outbox`);
    await outbox.migrate();
    await transaction(pool, (tx) => outbox.add(tx, placed('1')));
    const relay = new Relay(pool, outbox, bus);
    await expect(relay.round()).rejects.toBeInstanceOf(UnroutableError);
    const { got } = await listen(bus, 'kitchen');
    expect(await relay.round()).toBe(1);
    await until(() => got.length === 1);
  });

  test('rabbit: what is published outlasts a restart of the broker, a replay too', async () => {
    const { open, prefix, url } = await world();
    const bus = await open();
    const { subscription } = await listen(bus, 'kitchen');
    await subscription.stop();
    await bus.publish([placed('1')]);
    await bus.publish([placed('2')], 'kitchen');
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    const channel = await admin.createChannel();
    channel.on('error', () => {});
    for (const order of ['first', 'second']) {
      const message = await channel.get(`${prefix}kitchen`, { noAck: true });
      expect(message, `${order}: 2 is persistent`).toMatchObject({ properties: { deliveryMode: 2 } });
    }
    // The broker refuses who declares it as it is not.
    const single = { 'x-single-active-consumer': true };
    await channel.assertQueue(`${prefix}kitchen`, { durable: true, expires: 60_000, arguments: single });
    await channel.assertExchange(`${prefix}all`, 'topic', { durable: true, autoDelete: true });
  });

  test('rabbit: of one order nothing is published behind what was refused', async () => {
    const { open } = await world();
    const bus = await open();
    const got: string[] = [];
    const reader = delivery.reader({ OrderPaid: async ({ key }) => void got.push(key) });
    await bus.subscribe('kitchen', reader, NOW);
    const paid = (key: string) => delivery.create('OrderPaid', key, { dish: '鱼香肉丝饭', cents: 1800 });
    // Nobody wants to know what was placed.
    await expect(bus.publish([placed('1'), paid('1'), paid('2')])).rejects.toBeInstanceOf(UnroutableError);
    await bus.publish([paid('3')]);
    await until(() => got.includes('3'));
    expect(got).toEqual(['2', '3']);
  });

  test('rabbit: of those who publish the same event at the same moment each hears what became of his own', async () => {
    const { open } = await world();
    const bus = await open();
    const { got } = await listen(bus, 'sms');
    for (const event of numbered('1', 5)) {
      const replays = ['finance', 'finance', 'sms'].map((group) => bus.publish([event], group));
      const outcomes = (await Promise.allSettled(replays)).map(({ status }) => status);
      expect(outcomes, 'no queue, no queue, a queue').toEqual(['rejected', 'rejected', 'fulfilled']);
    }
    await until(() => got.length === 5);
  });

  test('rabbit: an event over which the broker closes the channel holds up its own key, and no other', async () => {
    const { open: connected, dead, name, url, prefix } = await world();
    // As it does over a message that is larger than its `max_message_size`: 128 MB, in newer ones 16.
    class Strict extends RabbitBus {
      protected override async send(...[channel, event, ticket, only]: Parameters<RabbitBus['send']>) {
        const where = { 'too large': `${prefix}all`, forbidden: `${prefix}inner` }[event.key];
        if (where === undefined) return super.send(channel, event, ticket, only);
        const userId = event.key === 'forbidden' ? {} : { userId: 'somebody else' };
        await new Promise<void>((resolve, reject) => {
          const confirmed = (error: unknown) => (error ? reject(error) : resolve());
          channel.publish(where, event.type, Buffer.from('{}'), userId, confirmed);
        });
      }
    }
    const { got } = await listen(await connected(), 'kitchen');
    const bus = await Strict.open(url, dead, { prefix, expiresMs: 60_000 });
    onTestFinished(() => bus.close());
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    await (await admin.createChannel()).assertExchange(`${prefix}inner`, 'fanout', { durable: false, internal: true });
    for (const [key, verdict] of [
      ['too large', 'PRECONDITION_FAILED'] as const,
      ['forbidden', 'ACCESS_REFUSED'] as const,
    ]) {
      await expect(bus.publish([placed(key)])).rejects.toThrow(verdict);
      // Who has heard of it can publish the next one.
      await bus.publish([placed('0')]);
    }
    const outbox = new Outbox(pool, `${name}_outbox`);
    await outbox.migrate();
    await transaction(pool, (tx) => outbox.add(tx, ...['too large', '1', 'too large', '2'].map((key) => placed(key))));
    const errors: unknown[] = [];
    const relay = new Relay(pool, outbox, bus, { onError: (error) => errors.push(error) });
    relay.start();
    onTestFinished(() => relay.stop());
    await until(() => new Set(got.map(({ key }) => key)).size === 3, { timeoutMs: 4000, what: 'the other two' });
    await relay.stop();
    expect((await outbox.waiting(pool, 9)).map(({ event }) => event.key)).toEqual(['too large', 'too large']);
    expect(errors.join()).toMatch(/PRECONDITION_FAILED/);
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
    expect(cooked).toEqual(['1', 'poison']);
    await bus.publish([placed('2')]);
    await until(() => sms.got.some(({ key }) => key === '2'));
    expect(sms.got.map(({ key }) => key)).toEqual(['poison', '1', '2']);
  });

  test('rabbit: a replay to a group that has no handler for it is a dead letter again', async () => {
    const { open, dead } = await world();
    const bus = await open();
    // It had one before: its queue is still bound to the type, and what passes it by is none of its concern.
    const former = await bus.subscribe('sms', delivery.reader({ OrderRefunded: async () => {} }), NOW);
    await former.stop();
    const { got } = await listen(bus, 'sms');
    const lost = delivery.create('OrderRefunded', '2', { cents: 1 });
    await bus.publish([delivery.create('OrderRefunded', '1', { cents: 1 })]);
    await dead.add('sms', lost, new Error('no signal'), 20);
    await dead.replay('sms', lost.id, bus);
    await bus.publish([placed('3')]);
    await until(async () => got.length === 1 && (await dead.list()).length > 0, { what: 'its burial' });
    expect(await dead.list()).toMatchObject([
      { group: 'sms', event: lost, reason: expect.stringMatching(/^UnknownEventError/) },
    ]);
  });

  test('rabbit: what is no event becomes a dead letter with its text, and no replay', async () => {
    const { open, dead, prefix, url } = await world();
    const bus = await open();
    const { got } = await listen(bus, 'kitchen');
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    const channel = await admin.createConfirmChannel();
    const good = placed('1');
    const bad = ['no JSON', '', '42', 'null', '{}', 'a\0b', JSON.stringify({ ...good, id: 'no UUID' })];
    for (const text of bad) channel.publish(`${prefix}all`, 'OrderPlaced', Buffer.from(text));
    await channel.waitForConfirms();
    await bus.publish([good]);
    const isDone = async () => got.length === 1 && (await dead.list()).length === bad.length;
    await until(isDone, { timeoutMs: 4000, what: 'the event behind those that are none, and those among the dead' });
    const letters = await dead.list('kitchen');
    const texts = letters.map(({ event }) => event.data);
    expect(texts).toHaveLength(bad.length);
    expect(texts).toEqual(expect.arrayContaining(bad.map((text) => ({ text: text.replace('\0', '\uFFFD') }))));
    expect(got).toEqual([good]);
    const [letter] = letters;
    expect(letter).toMatchObject({ attempts: 1, reason: expect.stringContaining('UnreadableEventError') });
    const replay = dead.replay('kitchen', letter?.event.id ?? '', bus);
    await expect(replay).rejects.toBeInstanceOf(UnreadableEventError);
    expect(await dead.list()).toHaveLength(bad.length);
  });

  test('rabbit: what is not acknowledged when a consumer goes comes to the next one, in order', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    const [first, second] = [await open(through(link)), await open()];
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
  });

  test('rabbit: who stops hands over once its tries have ended, and no event overtakes another', async () => {
    const { open, prefix, url } = await world();
    const [first, second] = [await open(), await open()];
    const gate = Promise.withResolvers<void>();
    onTestFinished(() => gate.resolve());
    const begun: number[] = [];
    const slow = delivery.reader({
      OrderPlaced: async (event) => {
        begun.push(centsOf(event));
        await gate.promise;
      },
    });
    const subscription = await first.subscribe('kitchen', slow, NOW);
    const { got } = await listen(second, 'kitchen');
    await first.publish(numbered('1', 3));
    await until(() => begun.length === 1);
    const stopped = subscription.stop();
    await second.publish([placed('1', 3), placed('1', 4)]);
    // Who would serve now has got these two once the broker has answered a later request.
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    const channel = await admin.createChannel();
    for (let asked = 0; asked < 20; asked++) await channel.checkQueue(`${prefix}kitchen`);
    gate.resolve();
    await stopped;
    await until(() => got.length === 4, { timeoutMs: 3_000, what: 'the other to take up what has not begun' });
    expect([...begun, ...got.map(centsOf)]).toEqual([0, 1, 2, 3, 4]);
    await subscription.stop();
  });

  test('rabbit: who closes waits for a subscription that is still being stopped, and takes no other on', async () => {
    const { open } = await world();
    const bus = await open();
    const { story, finish } = await closedWhileItStops(bus);
    await expect(listen(bus, 'sms')).rejects.toBeInstanceOf(BusClosedError);
    // Longer than a goodbye takes.
    await (await open()).close();
    await finish();
    expect(story).toEqual(['begun', 'cooked', 'closed']);
  });

  test('rabbit: what is not confirmed when the connection breaks is refused, and a later round takes it along', async () => {
    const { open, name, through } = await world();
    await using link = await rabbit.node.proxy();
    const lost = Promise.withResolvers<unknown>();
    const bus = await open(through(link), { backoffMs: () => 1, onError: lost.resolve });
    const { got } = await listen(await open(), 'kitchen');
    const outbox = new Outbox(pool, `${name}_outbox`);
    await outbox.migrate();
    await transaction(pool, (tx) => outbox.add(tx, placed('1')));
    const relay = new Relay(pool, outbox, bus);
    // The broker takes it, and its word does not come through.
    link.partition('down');
    const round = expect(relay.round()).rejects.toBeInstanceOf(ConnectionLostError);
    await until(() => got.length === 1);
    link.reset();
    link.heal();
    await round;
    expect(await lost.promise).toBeInstanceOf(ConnectionLostError);
    const published = () => relay.round().catch((error) => (error instanceof ConnectionLostError ? 0 : error));
    expect(await until(published)).toBe(1);
    await until(() => got.length === 2);
    expect(new Set(got.map(({ id }) => id)).size).toBe(1);
  });

  test('rabbit: a broker that is short of memory holds up who publishes, and nobody who consumes', async ({ skip }) => {
    const { alarm } = rabbit;
    if (alarm === undefined) return skip('only a broker of our own raises its alarm when it is told to');
    const { open, prefix, url } = await world();
    const bus = await open();
    const gate = Promise.withResolvers<void>();
    const cooked: string[] = [];
    const kitchen = delivery.reader({
      OrderPlaced: async ({ key }) => {
        await gate.promise;
        cooked.push(key);
      },
    });
    await bus.subscribe('kitchen', kitchen, { ...NOW, concurrency: 4 });
    const orders = Array.from({ length: 12 }, (_, n) => `order ${n}`);
    await bus.publish(orders.map((key) => placed(key)));
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    const channel = await admin.createChannel();
    await alarm(true);
    onTestFinished(() => alarm(false));
    let confirmed = false;
    const late = bus.publish([placed('late')]).then(() => {
      confirmed = true;
    });
    late.catch(() => {});
    gate.resolve();
    // As many questions and answers on another connection are time enough for a few acknowledgements.
    for (let asked = 0; asked < 400 && cooked.length < 12; asked++) await channel.checkQueue(`${prefix}kitchen`);
    expect(new Set(cooked), 'what is cooked while nobody can publish').toEqual(new Set(orders));
    expect(confirmed, 'what is published meanwhile is confirmed').toBe(false);
    await alarm(false);
    await late;
    await until(() => cooked.includes('late'));
  });

  test('rabbit: who publishes to a broker that falls silent hears so in time', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    const bus = await open(through(link), { answerMs: 200, backoffMs: () => 1 });
    await listen(await open(), 'kitchen');
    link.partition();
    await expect(bus.publish([placed('1')])).rejects.toBeInstanceOf(ConnectionLostError);
    link.heal();
    const published = () => bus.publish([placed('1')]).then(() => true);
    await until(() => published().catch(() => false));
  });

  test('rabbit: who opens a bus at a broker that falls silent hears so in time, whichever answer it owes', async () => {
    const { open, through } = await world();
    const target = { host: rabbit.node.host, port: rabbit.node.port };
    /** A way to the broker that swallows its answers but the first few. */
    const gagged = async (answers: number) => {
      const closed = Promise.withResolvers<void>();
      const way = createServer({ noDelay: true }, (near) => {
        const far = connectTo(target);
        for (const socket of [near, far]) socket.on('error', () => {});
        let left = answers;
        far.on('data', (data) => left-- > 0 && near.write(data));
        near.pipe(far);
        near.on('close', () => closed.resolve());
      });
      onTestFinished(() => void way.close());
      await once(way.listen(0, '127.0.0.1'), 'listening');
      const address = way.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
      return { port: address.port, closed: closed.promise };
    };
    const ends: string[] = [];
    // Start, tune, open-ok; then the channel to publish on, its confirmations, the exchange.
    for (const answers of [0, 1, 2, 3, 4, 5]) {
      const way = await gagged(answers);
      open(through(way), { answerMs: 100 }).then(
        () => ends.push(`opened after ${answers}`),
        () => way.closed.then(() => ends.push('refused')),
      );
    }
    await until(() => ends.length === 6, { timeoutMs: 3_000, what: 'each to be refused, and its connection given up' });
    expect(ends).toEqual(Array.from({ length: 6 }, () => 'refused'));
  });

  test('rabbit: after a broken connection a consumer comes back by itself, and what it had in hand has one effect', async () => {
    const { open, name, prefix, through, url } = await world();
    await using link = await rabbit.node.proxy();
    const lost: unknown[] = [];
    const bus = await open(through(link), { backoffMs: () => 1, onError: (error) => lost.push(error) });
    const publisher = await open();
    const inbox = new Inbox(pool, `${name}_inbox`);
    await inbox.migrate();
    await pool.query(`CREATE TABLE ${name}_effects (key text NOT NULL)`);
    const gate = Promise.withResolvers<void>();
    const came: string[] = [];
    const kitchen = delivery.reader({
      OrderPlaced: async (event) => {
        came.push(event.key);
        if (came.length === 1) await gate.promise;
        await inbox.once('kitchen', event, (tx) => tx.query(`INSERT INTO ${name}_effects VALUES ($1)`, [event.key]));
      },
    });
    await bus.subscribe('kitchen', kitchen, NOW);
    // A bus that is closed waits for its handlers.
    onTestFinished(() => gate.resolve());
    await publisher.publish([placed('in hand')]);
    await until(() => came.length === 1);
    link.reset();
    await until(() => lost.length >= 2, { what: 'both connections to be lost' });
    // Who can serve one more group is connected again, with all that it had.
    const idle = delivery.reader({});
    const served = () => bus.subscribe('sms', idle).then(() => true);
    await until(() => served().catch(() => false));
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    const queue = await (await admin.createChannel()).checkQueue(`${prefix}kitchen`);
    expect(queue.consumerCount, 'consumers of the kitchen').toBeGreaterThan(0);
    await publisher.publish([placed('later')]);
    await until(() => came.length === 3, { what: 'the one in hand to come again, and the later one' });
    gate.resolve();
    await bus.close();
    const { rows } = await pool.query(`SELECT key FROM ${name}_effects ORDER BY key`);
    expect(rows).toEqual([{ key: 'in hand' }, { key: 'later' }]);
  });

  test('rabbit: a consumer whose channel the broker closes comes back, and one that stops takes no other along', async () => {
    const { dead, prefix, url } = await world();
    let twice = true;
    /** What is acknowledged twice is unknown to the broker, which closes the channel. */
    class Hasty extends RabbitBus {
      protected override delivery(...[channel, message, event]: Parameters<RabbitBus['delivery']>) {
        const ack = async () => {
          channel.ack(message);
          if (twice) channel.ack(message);
          twice = false;
        };
        return { event, ack };
      }
    }
    const lost: unknown[] = [];
    const options = { prefix, expiresMs: 60_000, backoffMs: () => 1, onError: (error: unknown) => lost.push(error) };
    const bus = await Hasty.open(url, dead, options);
    onTestFinished(() => bus.close());
    const { got } = await listen(bus, 'kitchen');
    const sms = await listen(bus, 'sms');
    await bus.publish([placed('1')]);
    await until(() => lost.length === 1);
    await bus.publish([placed('2')]);
    await until(() => got.some(({ key }) => key === '2') && sms.got.some(({ key }) => key === '2'));
    await sms.subscription.stop();
    await bus.publish([placed('3')]);
    await until(() => got.some(({ key }) => key === '3'));
    expect(lost.length).toBe(1);
  });

  test('rabbit: a group that can not be served leaves no channel behind', async () => {
    const { open, url } = await world();
    const address = new URL(url);
    // One to declare the exchange, one to serve a group.
    address.searchParams.set('channelMax', '2');
    const bus = await open(address.href);
    const idle = delivery.reader({});
    for (let n = 0; n < 2; n++) await expect(bus.subscribe('k'.repeat(256), idle)).rejects.toThrow('255');
    await bus.subscribe('sms', idle);
  });

  test('rabbit: a consumer whose queue was deleted declares it again', async () => {
    const { open, prefix, url } = await world();
    const bus = await open(url, { backoffMs: () => 1 });
    const { got } = await listen(bus, 'kitchen');
    const admin = await connect(url, { noDelay: true });
    onTestFinished(() => admin.close());
    await (await admin.createChannel()).deleteQueue(`${prefix}kitchen`);
    const published = () => bus.publish([placed('1')]).then(() => true);
    await until(() => published().catch(() => false));
    await until(() => got.length > 0);
  });

  test('rabbit: a group that the broker refuses holds up no other, and is served once it can be', async () => {
    const { open, url, prefix } = await world();
    const errors: unknown[] = [];
    const bus = await open(url, { backoffMs: () => 100, onError: (error) => errors.push(error) });
    const kitchen = await listen(bus, 'kitchen');
    const sms = await listen(bus, 'sms');
    const connection = await connect(url);
    onTestFinished(() => connection.close());
    const operator = await connection.createChannel();
    const queue = `${prefix}kitchen`;
    await operator.deleteQueue(queue);
    // Who comes first has it, and its arguments are not ours.
    await operator.assertQueue(queue, { exclusive: true });
    await until(() => errors.length > 2, { what: 'its refusals' });
    await bus.publish([placed('1')]);
    await until(() => sms.got.length === 1, { timeoutMs: 3000, what: 'the other group' });
    await operator.deleteQueue(queue);
    await until(
      async () => {
        await bus.publish([placed('2')]);
        return kitchen.got.length > 0;
      },
      { timeoutMs: 3000, what: 'the group that was refused' },
    );
  });

  test('rabbit: a group that is refused is tried again with growing waits, and no more once the bus is closed', async () => {
    const { open, url, prefix } = await world();
    const attempts: number[] = [];
    const errors: unknown[] = [];
    const backoffMs = (attempt: number) => {
      // Before it is back, the queue is somebody else's.
      if (attempts.push(attempt) === 1) return 300;
      return attempt < 3 ? 1 : 60_000;
    };
    const bus = await open(url, { backoffMs, onError: (error) => errors.push(error) });
    await listen(bus, 'kitchen');
    const connection = await connect(url, { noDelay: true });
    onTestFinished(() => connection.close());
    const operator = await connection.createChannel();
    const queue = `${prefix}kitchen`;
    await operator.deleteQueue(queue);
    await operator.assertQueue(queue, { exclusive: true });
    await until(() => attempts.includes(3), { what: 'a third try' });
    // Time enough for more of them.
    const asked = async () => {
      for (let n = 0; n < 50; n++) await operator.checkQueue(queue);
      return [attempts, errors.length];
    };
    // The connection first, which was lost with the queue.
    expect(await asked()).toEqual([[1, 1, 2, 3], 4]);
    await bus.close();
    expect(await asked(), 'after its end').toEqual([[1, 1, 2, 3], 4]);
  });

  test('rabbit: a group that may not read its queue takes no other along', async () => {
    const { open, url, prefix } = await world();
    const errors: unknown[] = [];
    const bus = await open(url, { backoffMs: () => 100, onError: (error) => errors.push(error) });
    const sms = await listen(bus, 'sms');
    await listen(bus, 'kitchen');
    const connection = await connect(url);
    onTestFinished(() => connection.close());
    const operator = await connection.createChannel();
    // The broker grants no exclusive reading of such a queue: a refusal as for want of the right to read.
    const { consume } = operator;
    const channels: Pick<Channel, 'consume'> = Object.getPrototypeOf(operator);
    const refusing = vi.spyOn(channels, 'consume').mockImplementation(function (
      this: Channel,
      queue,
      receive,
      options,
    ) {
      return Reflect.apply(consume, this, [queue, receive, { ...options, exclusive: queue.endsWith('kitchen') }]);
    });
    onTestFinished(() => refusing.mockRestore());
    await expect(listen(bus, 'kitchen')).rejects.toThrow('403');
    expect(errors, 'lost connections').toEqual([]);
    await operator.deleteQueue(`${prefix}kitchen`);
    await until(() => errors.length > 4, { what: 'its refusals' });
    expect(errors.filter((error) => error instanceof ConnectionLostError)).toHaveLength(1);
    await bus.publish([placed('1')]);
    await until(() => sms.got.length === 1, { what: 'the other group' });
  });

  test('rabbit: tries to connect again have growing waits', async () => {
    const { open, through } = await world();
    const link = await rabbit.node.proxy();
    const attempts: number[] = [];
    const backoffMs = (attempt: number) => {
      attempts.push(attempt);
      return 1;
    };
    const bus = await open(through(link), { backoffMs });
    await link[Symbol.asyncDispose]();
    await until(() => attempts.includes(3));
    await bus.close();
    // Two connections, each with tries of its own.
    expect(attempts.filter((attempt) => attempt < 2)).toEqual([1, 1]);
  });

  test('rabbit: waits grow until a connection has stood for five seconds', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const attempts: number[] = [];
    const backoffMs = (attempt: number) => {
      attempts.push(attempt);
      return 1;
    };
    const bus = await open(through(link), { backoffMs });
    const story: number[][] = [];
    for (const stoodMs of [0, 0, 5000, 5001]) {
      vi.advanceTimersByTime(stoodMs);
      link.reset();
      await until(() => attempts.length === 2, { what: 'both connections to be lost' });
      story.push(attempts.splice(0));
      const back = () => Promise.all([bus.publish([]), bus.subscribe('sms', delivery.reader({}))]).then(() => true);
      await until(() => back().catch(() => false), { what: 'both to be back' });
    }
    expect(story).toEqual([1, 2, 3, 1].map((attempt) => [attempt, attempt]));
  });

  test('rabbit: who is not told otherwise waits ten seconds for an answer', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    const bus = await open(through(link));
    link.partition();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const published = bus.publish([placed('1')], 'kitchen').catch((error: unknown) => error);
    vi.advanceTimersByTime(9_999);
    expect(await Promise.race([published, pool.query('SELECT').then(() => 'no answer yet')])).toBe('no answer yet');
    vi.advanceTimersByTime(1);
    expect(await published).toBeInstanceOf(ConnectionLostError);
  });

  test('rabbit: a backoff that throws ends no connection', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    let asked = 0;
    const backoffMs = () => {
      asked++;
      throw new Error('no such wait');
    };
    const bus = await open(through(link), { backoffMs });
    link.reset();
    await until(() => asked >= 2, { what: 'both connections to be tried again' });
    await until(
      () =>
        bus.publish([]).then(
          () => true,
          () => false,
        ),
      { what: 'the connection to come back' },
    );
    await bus.close();
  });

  test('rabbit: a bus that is closed ends, whatever has become of its connection', async () => {
    const { open, through } = await world();
    await using link = await rabbit.node.proxy();
    const ended = async (bus: RabbitBus) => {
      await bus.close();
      await expect(bus.publish([placed('1')])).rejects.toBeInstanceOf(BusClosedError);
      await expect(bus.subscribe('sms', delivery.reader({}))).rejects.toBeInstanceOf(BusClosedError);
    };
    /** A bus whose connection will break, and the moment at which it waits to connect again. */
    const fragile = async (waitMs: number) => {
      const trying = Promise.withResolvers<void>();
      const backoffMs = () => {
        trying.resolve();
        return waitMs;
      };
      return { bus: await open(through(link), { backoffMs }), trying: trying.promise };
    };
    const well = await open();
    const [leaving, cancelling, waiting, dialling] = [
      await fragile(1),
      await fragile(1),
      await fragile(60_000),
      await fragile(1),
    ];
    await listen(cancelling.bus, 'kitchen');
    await ended(well);
    // The broker falls silent; two are in the midst of their goodbye when the connection breaks.
    link.partition();
    const goodbyes = Promise.all([ended(leaving.bus), ended(cancelling.bus)]);
    await new Promise(setImmediate);
    link.reset();
    await goodbyes;
    // One waits for its next try; the next try of the other is under way, and nobody answers.
    await Promise.all([waiting.trying, dialling.trying]);
    await ended(waiting.bus);
    await ended(dialling.bus);
  });

  test('rabbit: a process that is killed at any step of relay and consumer loses nothing and doubles nothing', {
    timeout: 60_000,
  }, async () => {
    const history = new History<string>();
    const broker = { kind: 'rabbit' as const, url: await vhost, prefix: rabbit.namespace };
    const runs = await crashEverywhere(broker, postgres.url, pool, OUTBOX_STEPS + 1);
    for (const { step, effects } of runs) history.record(`killed ${step}: ${JSON.stringify(effects)}`);
    expect(runs.length).toBeGreaterThan(5);
    expect(
      runs.map(({ effects }) => effects),
      history.toString(),
    ).toEqual(runs.map(() => ({ cooked: 1 })));
  });
});
