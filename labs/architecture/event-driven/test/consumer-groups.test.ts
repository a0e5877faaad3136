import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { describeWith, detour, until } from '@shared/testkit';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  type Bus,
  BusClosedError,
  type Cemetery,
  ConnectionLostError,
  delivery,
  type Envelope,
  HandlerTimeoutError,
  InvalidArgumentError,
  StreamsBus,
  UnknownEventError,
  UnreadableEventError,
  UnroutableError,
} from '#lab';
import { closedWhileItStops } from './kitchen.ts';

/** No machine is so slow that a consumer loses its lease. */
const LEASE_MS = 60_000;
const NOW = { backoffMs: () => 1 };
const placed = (key: string, cents = 1800) => delivery.create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents });
/** Its place among the test's events: what a law of order looks at. */
const numbered = (key: string, count: number) => Array.from({ length: count }, (_, n) => placed(key, n));
const centsOf = ({ data }: Envelope) => (typeof data === 'object' && data && 'cents' in data ? Number(data.cents) : -1);

/** The names in what XINFO CONSUMERS answers. */
const names = (reply: unknown): string[] =>
  Array.isArray(reply) ? reply.map((fields) => String(Array.isArray(fields) ? fields[1] : '')) : [];

await describeWith('redis streams', { redis: () => startRedis() }, ({ redis }) => {
  const client = new Redis(redis.nodes[0].url);
  afterAll(() => client.disconnect());

  let worlds = 0;
  /** A stream of the test's own, and what died in it. */
  const world = () => {
    const prefix = `${redis.namespace}s${++worlds}:`;
    const dead: { group: string; key: string; error: Error; attempts: number }[] = [];
    const texts: unknown[] = [];
    const cemetery: Cemetery = {
      add: async (group, { key, data }, error, attempts) => {
        dead.push({ group, key, error, attempts });
        texts.push(data);
      },
    };
    const errors: unknown[] = [];
    const open = (leaseMs = LEASE_MS, redis = client) => {
      const bus = new StreamsBus(redis, cemetery, { prefix, leaseMs, onError: (error) => errors.push(error) });
      onTestFinished(() => bus.close());
      return bus;
    };
    return { prefix, dead, texts, errors, open };
  };
  type Asked = Parameters<Redis['sendCommand']>[0];
  /** A client that tells what it asks Redis, and what those ask that are made like it. */
  const watched = (hear: (asked: Asked) => unknown) => {
    const watch = (redis: Redis) => {
      const send = redis.sendCommand.bind(redis);
      redis.sendCommand = (asked, stream) => {
        hear(asked);
        return send(asked, stream);
      };
      return redis;
    };
    const all = watch(client.duplicate());
    all.duplicate = (own) => watch(client.duplicate(own));
    onTestFinished(() => all.disconnect());
    return all;
  };
  /** A group that writes down what it gets. */
  const listen = async (bus: Bus, group: string, options = {}) => {
    const got: Envelope[] = [];
    const reader = delivery.reader({ OrderPlaced: async (event) => void got.push(event) });
    const subscription = await bus.subscribe(group, reader, { ...NOW, ...options });
    return { got, subscription };
  };

  test('streams: a lease is not made of nonsense', () => {
    for (const leaseMs of [1, 49, 99.5, 2 ** 31]) {
      expect(() => new StreamsBus(client, { add: async () => {} }, { leaseMs })).toThrow(InvalidArgumentError);
    }
    // What stands at a limit is within it.
    expect(() => new StreamsBus(client, { add: async () => {} }, { leaseMs: 50, answerMs: 1 })).not.toThrow();
    expect(() => new StreamsBus(client, { add: async () => {} }, { answerMs: 0 })).toThrow(InvalidArgumentError);
  });

  test('streams: a group that comes later gets what was published before', async () => {
    const bus = world().open();
    await bus.publish(numbered('1', 3));
    const { got } = await listen(bus, 'kitchen');
    await until(() => got.length === 3);
    expect(got.map(centsOf)).toEqual([0, 1, 2]);
    // Then it waits for news, and does not ask again and again.
    const asked = async () => Number(/cmdstat_xread:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
    const before = await asked();
    for (let n = 0; n < 100; n++) await client.ping();
    expect((await asked()) - before, 'questions meanwhile').toBeLessThan(20);
  });

  test('streams: a replay to a group that is not there is an error', async () => {
    const bus = world().open();
    await expect(bus.publish([placed('1')], 'kitchen'), 'no stream').rejects.toBeInstanceOf(UnroutableError);
    await listen(bus, 'sms');
    await expect(bus.publish([placed('1')], 'kitchen')).rejects.toBeInstanceOf(UnroutableError);
    const { got, subscription } = await listen(bus, 'kitchen');
    await subscription.stop();
    // It is not here at the moment; what it is sent waits for it.
    await bus.publish([placed('2')], 'kitchen');
    await listen(bus, 'kitchen').then((back) => until(() => back.got.length === 1));
    expect(got).toEqual([]);
  });

  test('streams: a replay to a group that has no handler for it is a dead letter again', async () => {
    const { open, dead } = world();
    const bus = open();
    const { got } = await listen(bus, 'sms');
    // Of another group it is no concern.
    await listen(bus, 'kitchen');
    const refunded = delivery.create('OrderRefunded', '1', { cents: 1 });
    await bus.publish([refunded]);
    await bus.publish([refunded], 'sms');
    await bus.publish([placed('2')]);
    await until(() => got.length === 1 && dead.length > 0, { what: 'its burial' });
    expect(dead).toMatchObject([{ group: 'sms', key: '1', error: expect.any(UnknownEventError) }]);
  });

  test('streams: a client that answers with text for numbers, or with objects for lists, serves as any other', async () => {
    for (const shape of [{ stringNumbers: true }, { replyMapping: 'resp3' }] satisfies RedisOptions[]) {
      const shaped = client.duplicate<RedisOptions>(shape);
      onTestFinished(() => shaped.disconnect());
      const bus = world().open(LEASE_MS, shaped);
      expect(await bus.trim()).toBe(0);
      const { got, subscription } = await listen(bus, 'kitchen');
      await bus.publish([placed('1')]);
      await bus.publish([placed('1')], 'kitchen');
      await until(() => got.length === 2, { what: 'the event and its replay' });
      await subscription.stop();
      expect(await bus.trim()).toBe(2);
    }
  });

  test('streams: a client with little time for its commands waits for news as any other', async () => {
    const { open, errors } = world();
    const hurried = client.duplicate();
    onTestFinished(() => hurried.disconnect());
    // Only where it reads: on a slow machine it would have no time for anything.
    hurried.duplicate = (own) => client.duplicate<RedisOptions>({ commandTimeout: 1, ...own });
    const bus = open(LEASE_MS, hurried);
    const { got } = await listen(bus, 'kitchen');
    await bus.publish([placed('1')]);
    await until(() => got.length === 1, { what: 'the event' });
    for (let n = 0; n < 100; n++) await client.ping();
    expect(errors).toEqual([]);
  });

  test('streams: what Redis does not take is an error', async () => {
    const { open, prefix } = world();
    await client.set(`${prefix}stream`, 'no stream');
    await expect(open().publish([placed('1')])).rejects.toThrow('WRONGTYPE');
  });

  test('streams: a lease that Redis refuses is an error that somebody hears of', async () => {
    const { open, prefix, errors } = world();
    // By its rights, say, or since its disk is full; here since the key is no text.
    await client.rpush(`${prefix}lease:kitchen`, 'no lease');
    const bus = open(300);
    const { got } = await listen(bus, 'kitchen');
    await bus.publish([placed('1')]);
    await until(() => errors.length > 0, { timeoutMs: 3_000, what: 'the error' });
    expect(String(errors[0])).toContain('WRONGTYPE');
    await client.del(`${prefix}lease:kitchen`);
    await until(() => got.length === 1, { what: 'the event, once the lease can be had' });
  });

  test('streams: what a WATCH of somebody else undoes is an error', async () => {
    const { open, prefix } = world();
    const shared = client.duplicate();
    onTestFinished(() => shared.disconnect());
    const bus = open(LEASE_MS, shared);
    await shared.watch(`${prefix}stock`);
    await client.set(`${prefix}stock`, '7');
    await expect(bus.publish([placed('1')])).rejects.toThrow(ConnectionLostError);
    await bus.publish([placed('1')]);
    expect(await client.xlen(`${prefix}stream`)).toBe(1);
  });

  test('streams: what Redis refuses in the middle of a batch is not overtaken by what it takes a moment later', async ({
    skip,
  }) => {
    skip(!redis.faults, 'it takes the batch apart on its way, and this server may not be reached so');
    const { open, prefix } = world();
    const stream = `${prefix}stream`;
    const [first, second] = [placed('1', 0), placed('1', 1)];
    const { host, port } = redis.nodes[0];
    // Between two commands of a batch Redis serves others: here who mends what the first of them fails by.
    await client.set(stream, 'no stream');
    const sockets: Socket[] = [];
    const way = createServer((near) => {
      const far = connect(port, host);
      sockets.push(near, far);
      far.pipe(near);
      near.on('data', async (bytes) => {
        const end = bytes.includes(first.id) ? bytes.indexOf('*', bytes.indexOf(first.id)) : bytes.length;
        far.write(bytes.subarray(0, end));
        if (end === bytes.length) return;
        await once(far, 'data');
        await client.del(stream);
        far.write(bytes.subarray(end));
      });
    });
    await once(way.listen(0, '127.0.0.1'), 'listening');
    const address = way.address();
    const far = new Redis(typeof address === 'object' && address ? address.port : 0, { enableReadyCheck: false });
    onTestFinished(() => {
      far.disconnect();
      for (const socket of sockets) socket.destroy();
      way.close();
    });
    await far.ping();
    await open(LEASE_MS, far)
      .publish([first, second])
      .catch(() => {});
    const taken = await client.xrange(stream, '-', '+');
    const order = taken.map(([, fields]) => (fields[1]?.includes(first.id) ? 0 : 1));
    expect([[], [0, 1]], `taken: ${order}`).toContainEqual(order);
  });

  test('streams: who stops waits for a try that has begun, also for longer than a lease', async () => {
    const { open } = world();
    const gate = Promise.withResolvers<void>();
    const story: string[] = [];
    const reader = delivery.reader({
      OrderPlaced: async (event, signal) => {
        signal.addEventListener('abort', () => story.push('given up'));
        story.push(`begun ${centsOf(event)}`);
        await gate.promise;
        story.push('cooked');
      },
    });
    const leaseMs = 1000;
    const subscription = await open(leaseMs).subscribe('kitchen', reader, NOW);
    onTestFinished(() => gate.resolve());
    const second = open(leaseMs);
    await second.publish(numbered('1', 2));
    await until(() => story.length > 0);
    const { got } = await listen(second, 'kitchen');
    const stopped = subscription.stop().then(() => story.push('stopped'));
    await Promise.race([stopped, delay(leaseMs * 1.5)]);
    gate.resolve();
    await stopped;
    expect(story).toEqual(['begun 0', 'cooked', 'stopped']);
    await until(() => got.length > 0, { timeoutMs: 3_000, what: 'the other to take up what has not begun' });
    expect(got.map(centsOf)).toEqual([1]);
  });

  test('streams: who closes waits for a subscription that is still being stopped', async () => {
    const { story, finish } = await closedWhileItStops(world().open());
    await client.ping();
    await finish();
    expect(story).toEqual(['begun', 'cooked', 'closed']);
  });

  test('streams: poison becomes a dead letter with its reason, and the others pass', async () => {
    const { open, dead } = world();
    const bus = open();
    const cooked: string[] = [];
    let tries = 0;
    let over = false;
    const reader = delivery.reader({
      OrderPlaced: async ({ key }) => {
        if (key !== 'poison' || over) return void cooked.push(key);
        tries++;
        throw new RangeError('a dish of length -1');
      },
    });
    await bus.subscribe('kitchen', reader, { ...NOW, maxAttempts: 3 });
    // A bus that is closed waits for its handlers.
    onTestFinished(() => {
      over = true;
    });
    await bus.publish([placed('poison'), placed('1'), placed('2')]);
    await until(() => (tries > 3 || dead.length > 0) && cooked.length === 2);
    expect(tries).toBe(3);
    expect(dead).toEqual([{ group: 'kitchen', key: 'poison', attempts: 3, error: expect.any(RangeError) }]);
    expect(cooked).toEqual(['1', '2']);
  });

  test('streams: an unknown version is a dead letter at once', async () => {
    const { open, dead } = world();
    const bus = open();
    await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: async () => {} }), { backoffMs: () => 60_000 });
    await bus.publish([{ ...placed('1'), version: 9 }]);
    await until(() => dead.length > 0);
    expect(dead).toMatchObject([{ attempts: 1, error: expect.any(UnknownEventError) }]);
  });

  test('streams: what is no event becomes a dead letter with its text, and the others pass', async () => {
    const { open, dead, texts, errors, prefix } = world();
    const bus = open();
    const good = placed('1');
    const bad = ['no JSON', '42', 'null', '{}', JSON.stringify([good]), JSON.stringify({ ...good, id: 'no UUID' })];
    for (const fields of [
      { id: 7 },
      { version: 1.5 },
      { key: '' },
      { time: 7 },
      { causationId: 7 },
      { traceparent: null },
    ])
      bad.push(JSON.stringify({ ...good, ...fields }));
    // JSON.parse reads it; nothing else that has to do with it gets to its ground.
    const deep = 10_000;
    bad.push(JSON.stringify({ ...good, data: 0 }).replace(':0', `:${'['.repeat(deep)}${']'.repeat(deep)}`));
    for (const text of bad) await client.xadd(`${prefix}stream`, '*', 'event', text, 'only', '');
    await client.xadd(`${prefix}stream`, '*', 'greeting', 'hello');
    await bus.publish([good]);
    const { got } = await listen(bus, 'kitchen');
    await until(() => got.length === 1 || errors.length > 0, { what: 'the event behind those that are none' });
    expect(errors, 'what ended the loop that reads').toEqual([]);
    await until(async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 0);
    const kept = [...bad, JSON.stringify(['greeting', 'hello'])].map((text) => ({ text }));
    expect(texts).toHaveLength(kept.length);
    expect(texts).toEqual(expect.arrayContaining(kept));
    expect(dead.map(({ attempts, error }) => [attempts, error instanceof UnreadableEventError])).toEqual(
      dead.map(() => [1, true]),
    );
    expect(got).toEqual([good]);
  });

  test('streams: a handler that hangs is given up after its time: the others pass, and who stops need not wait for it', async () => {
    const { open, dead, prefix } = world();
    const bus = open();
    const cooked: string[] = [];
    let aborted = 0;
    const reader = delivery.reader({
      OrderPlaced: async ({ key }, signal) => {
        if (key === '1') return void cooked.push(key);
        signal.addEventListener('abort', () => aborted++);
        await new Promise(() => {});
      },
    });
    const settings = { backoffMs: () => 60_000, concurrency: 2, timeoutMs: 30 };
    const subscription = await bus.subscribe('kitchen', reader, { ...settings, maxAttempts: 1 });
    await bus.publish([placed('hangs'), placed('hangs too'), placed('1')]);
    await until(() => cooked.length === 1 && dead.length === 2);
    expect(dead.map(({ error }) => error instanceof HandlerTimeoutError)).toEqual([true, true]);
    await subscription.stop();
    // Where it is to be tried again, that is the next one's business.
    const second = await bus.subscribe('kitchen', reader, settings);
    await bus.publish([placed('hangs')]);
    await until(() => aborted === 3);
    await second.stop();
    expect(Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0])).toBe(1);
  });

  test('streams: what is not done is not acknowledged', async () => {
    const { open, prefix } = world();
    const bus = open();
    const gate = Promise.withResolvers<void>();
    let begun = false;
    const reader = delivery.reader({
      OrderPlaced: async () => {
        begun = true;
        await gate.promise;
      },
    });
    await bus.subscribe('kitchen', reader, NOW);
    onTestFinished(() => gate.resolve());
    await bus.publish([placed('1')]);
    await until(() => begun);
    const pending = async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]);
    expect(await pending()).toBe(1);
    gate.resolve();
    await until(async () => (await pending()) === 0);
  });

  test('streams: what a dead consumer had in hand is taken over, in order, before anything new', async () => {
    const { open, prefix } = world();
    const bus = open();
    await bus.publish(numbered('1', 3));
    await client.xgroup('CREATE', `${prefix}stream`, 'kitchen', '0').catch(() => {});
    // It read two, and died.
    await client.xreadgroup('GROUP', 'kitchen', 'dead', 'COUNT', 2, 'STREAMS', `${prefix}stream`, '>');
    const { got } = await listen(bus, 'kitchen');
    // The third is the new one.
    await until(() => got.some((event) => centsOf(event) === 2));
    expect(got.map(centsOf)).toEqual([0, 1, 2]);
  });

  test('streams: an event whose delivery was lost with its connection is handled before the next of its key', async ({
    skip,
  }) => {
    skip(!redis.faults, 'it cuts the network, and this server is not ours');
    const { open, prefix } = world();
    const net = await redis.nodes[0].proxy();
    onTestFinished(() => net[Symbol.asyncDispose]());
    const far = new Redis(net.url, { retryStrategy: () => 20 });
    far.on('error', () => {});
    onTestFinished(() => far.disconnect());
    const bus = open(900, far);
    const { got } = await listen(bus, 'kitchen');
    const direct = open();
    await direct.publish([placed('1', 0)]);
    await until(() => got.length === 1);
    // Redis gives it out in its consumer's name, and the reply is lost with the connection.
    const [consumer] = await client.xinfo('CONSUMERS', `${prefix}stream`, 'kitchen').then(names);
    await client
      .multi()
      .xadd(`${prefix}stream`, '*', 'event', JSON.stringify(placed('1', 1)), 'only', '')
      .xreadgroup('GROUP', 'kitchen', consumer ?? '', 'COUNT', 1, 'STREAMS', `${prefix}stream`, '>')
      .exec();
    net.reset();
    await direct.publish([placed('1', 2)]);
    await until(() => got.some((event) => centsOf(event) === 2));
    expect(got.map(centsOf)).toEqual([0, 1, 2]);
    await until(async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 0);
  });

  test('streams: an event whose acknowledgement was lost with its connection is handled again, and acknowledged', async () => {
    const { open, prefix } = world();
    // Its commands fail with their connection, as one sets it who would rather hear of a failure than wait.
    const hasty = client.duplicate({ maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false });
    hasty.on('error', () => {});
    onTestFinished(() => hasty.disconnect());
    const bus = open(1000, hasty);
    let id = 0;
    let tries = 0;
    const reader = delivery.reader({
      OrderPlaced: async () => {
        if (++tries === 1) await client.client('KILL', 'ID', id);
      },
    });
    await bus.subscribe('kitchen', reader, NOW);
    let sent = 0;
    const isDone = async () => tries > 0 && Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 0;
    // Where the client knows of its loss first, it keeps the acknowledgement until it is back.
    while (tries < 2) {
      tries = 0;
      await until(() => hasty.status === 'ready');
      id = await hasty.client('ID');
      await bus.publish([placed(`${++sent}`)]);
      await until(isDone, { timeoutMs: 4000, what: 'the event to be acknowledged, however often it comes' });
    }
    await until(() => hasty.status === 'ready');
    expect(await bus.trim()).toBe(sent);
  });

  test('streams: a Redis that has no memory left is emptied by its consumers, also by one that starts only now', async ({
    skip,
  }) => {
    skip(!redis.faults, 'its memory is not ours to limit');
    const { open } = world();
    const bus = open(600);
    const before = await listen(bus, 'kitchen');
    await bus.publish([placed('0')]);
    await until(() => before.got.length === 1);
    await before.subscription.stop();
    await bus.publish([placed('1'), placed('2')]);
    await client.config('SET', 'maxmemory', '1');
    onTestFinished(async () => void (await client.config('SET', 'maxmemory', '0')));
    await expect(bus.publish([placed('3')])).rejects.toThrow();
    const { got } = await listen(bus, 'kitchen');
    await until(() => got.length === 2, { timeoutMs: 4000, what: 'what is in the stream' });
    expect(await bus.trim()).toBeGreaterThan(0);
  });

  test('streams: a consumer that slept through the end of its lease takes nothing when it wakes up', async () => {
    const { open, prefix } = world();
    const bus = open();
    const { got } = await listen(bus, 'kitchen');
    await bus.publish([placed('1', 0)]);
    await until(() => got.length === 1);
    // As if it had stood still for long: its lease ended, and another one serves.
    const refused = async () => Number(/errorstat_LOST:count=(\d+)/.exec(await client.info('errorstats'))?.[1] ?? 0);
    const before = await refused();
    await client.set(`${prefix}lease:kitchen`, 'another consumer', 'PX', 60_000);
    await bus.publish([placed('1', 1)]);
    await until(async () => got.length > 1 || (await refused()) > before, { what: 'it to try' });
    expect(got.map(centsOf), 'the other one has the lease').toEqual([0]);
    expect(Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]), 'events taken').toBe(0);
  });

  test('streams: who publishes to a Redis that falls silent hears so in time', async ({ skip }) => {
    skip(!redis.faults, 'it cuts the network, and this server is not ours');
    const { prefix } = world();
    await using net = await redis.nodes[0].proxy();
    const far = new Redis(net.url);
    far.on('error', () => {});
    onTestFinished(() => far.disconnect());
    const bus = new StreamsBus(far, { add: async () => {} }, { prefix, answerMs: 200 });
    await bus.publish([placed('1', 0)]);
    net.partition();
    const asked = await Promise.allSettled([bus.publish([placed('1', 1)]), listen(bus, 'kitchen'), bus.trim()]);
    const lost = { reason: expect.any(ConnectionLostError) };
    expect(asked).toMatchObject([lost, lost, lost]);
    net.heal();
    const published = () => bus.publish([placed('1', 1)]).then(() => true);
    await until(() => published().catch(() => false));
  });

  test('streams: a consumer whose connection dies without a word is followed by another, and can be stopped', async ({
    skip,
  }) => {
    skip(!redis.faults, 'it cuts the network, and this server is not ours');
    const { open } = world();
    const net = await redis.nodes[0].proxy();
    onTestFinished(() => net[Symbol.asyncDispose]());
    const far = new Redis(net.url);
    far.on('error', () => {});
    onTestFinished(() => far.disconnect());
    const a = await listen(open(300, far), 'kitchen');
    const second = open(300);
    await second.publish([placed('1', 0)]);
    await until(() => a.got.length === 1);
    const b = await listen(second, 'kitchen');
    // Packets are swallowed: nobody is told.
    net.partition('both');
    await second.publish([placed('1', 1)]);
    await until(() => b.got.some((event) => centsOf(event) === 1), {
      timeoutMs: 4000,
      what: 'the other one to take over',
    });
    await a.subscription.stop();
  }, 20_000);

  test('streams: a group whose server is a replica since a failover goes where the name leads', async ({ skip }) => {
    skip(!redis.faults, 'it makes the server a replica, and this one is not ours');
    // A Redis before 7 puts what a script has met into the words of an error of its own.
    const before7 = '-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: $&';
    for (const refusal of ['$&', before7]) {
      const name = await detour(() => redis.nodes[0], {
        answered: (bytes) => bytes.replaceAll('-READONLY', refusal),
      });
      const far = new Redis(name.port);
      onTestFinished(() => {
        far.disconnect();
        return name[Symbol.asyncDispose]();
      });
      const { open } = world();
      const bus = open(300, far);
      const { got, subscription } = await listen(bus, 'kitchen');
      await bus.publish([placed('1', 0)]);
      await until(() => got.length === 1);
      const left = () => name.lines.filter(([near]) => near.destroyed).length;
      await client.replicaof('127.0.0.1', 1);
      try {
        // Redis itself ends the first one, which waits for news as it becomes a replica.
        await until(() => left() >= 3, { timeoutMs: 4000, what: 'the group to leave the replica, again and again' });
      } finally {
        await client.replicaof('NO', 'ONE');
      }
      await open().publish([placed('1', 1)]);
      // The first comes again where the failover was quicker than its acknowledgement.
      const isThere = () => got.some((event) => centsOf(event) === 1);
      await until(isThere, { timeoutMs: 4000, what: 'the event after the failover' });
      await subscription.stop();
    }
  }, 20_000);

  test('streams: a stream that Redis has lost is made again, with its group', async () => {
    const { open, prefix } = world();
    const bus = open(300);
    const { got } = await listen(bus, 'kitchen');
    await bus.publish([placed('1', 0)]);
    await until(() => got.length === 1);
    await client.del(`${prefix}stream`);
    await bus.publish([placed('1', 1)]);
    await until(() => got.length === 2, { timeoutMs: 4000, what: 'the event after the loss' });
    expect(got.map(centsOf)).toEqual([0, 1]);
  });

  test('streams: of two consumers of a group one serves, and the other follows when it stops', async () => {
    const { open, errors } = world();
    // Who stands by looks three times a lease of its own.
    const [first, second] = [open(), open(300)];
    const a = await listen(first, 'kitchen');
    await first.publish(numbered('1', 3));
    await until(() => a.got.length === 3);
    const b = await listen(second, 'kitchen');
    await first.publish([placed('1', 3)]);
    await until(() => a.got.length === 4);
    expect(errors, 'who stands by takes nothing').toEqual([]);
    await a.subscription.stop();
    await first.publish([placed('1', 4)]);
    await until(() => b.got.length === 1);
    expect([a.got.map(centsOf), b.got.map(centsOf)]).toEqual([[0, 1, 2, 3], [4]]);
  });

  test('streams: who waits for news, stands by or can not read does not ask again and again', async () => {
    const { open, prefix, errors } = world();
    let questions = 0;
    const counted = watched(() => questions++);
    const asked = async () => {
      questions = 0;
      for (let n = 0; n < 100; n++) await client.ping();
      return questions;
    };
    const bus = open(LEASE_MS, counted);
    const { got } = await listen(bus, 'kitchen');
    await bus.publish([placed('1')]);
    await until(() => got.length === 1);
    const standing = await listen(open(LEASE_MS, counted), 'kitchen');
    expect(await asked(), 'questions of who serves and who stands by').toBeLessThan(50);
    await standing.subscription.stop();
    await client.set(`${prefix}stream`, 'no stream');
    await until(() => errors.length > 0, { what: 'a failure to read' });
    expect(await asked(), 'questions after a failure').toBeLessThan(50);
  });

  test('streams: who waits for news holds up its lease for less than that lasts', async () => {
    const { open } = world();
    const waits: number[] = [];
    const seen = watched(({ name, args }) => name === 'xread' && waits.push(Number(args[3])));
    const waitOf = async (leaseMs: number) => {
      waits.length = 0;
      const { subscription } = await listen(open(leaseMs, seen), `kitchen ${leaseMs}`);
      await until(() => waits.length > 0, { what: 'it to wait for news' });
      await subscription.stop();
      return waits[0];
    };
    expect([await waitOf(150), await waitOf(LEASE_MS)], 'a third of the lease, 200 ms at most').toEqual([50, 200]);
  });

  test('streams: who is not told otherwise waits ten seconds for an answer', async ({ skip }) => {
    skip(!redis.faults, 'it cuts the network, and this server is not ours');
    await using net = await redis.nodes[0].proxy();
    const far = new Redis(net.url);
    far.on('error', () => {});
    onTestFinished(() => far.disconnect());
    const bus = new StreamsBus(far, { add: async () => {} }, { prefix: world().prefix });
    await bus.publish([placed('1')]);
    net.partition();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const published = bus.publish([placed('2')]).catch((error: unknown) => error);
    vi.advanceTimersByTime(9_999);
    expect(await Promise.race([published, client.ping()])).toBe('PONG');
    vi.advanceTimersByTime(1);
    expect(await published).toBeInstanceOf(ConnectionLostError);
  });

  test('streams: consumers that have gone leave no name behind', async () => {
    const { open, prefix } = world();
    const bus = open();
    const consumers = async () => names(await client.xinfo('CONSUMERS', `${prefix}stream`, 'kitchen'));
    const seen = new Set<string>();
    for (const key of ['1', '2', '3']) {
      const { got, subscription } = await listen(bus, 'kitchen');
      await bus.publish([placed(key)]);
      await until(() => got.length === 1);
      const [present, ...gone] = await consumers();
      expect(gone).toEqual([]);
      seen.add(present ?? '');
      await subscription.stop();
    }
    expect(seen.size).toBe(3);
  });

  test('streams: a slow group takes no more in hand than it may', async () => {
    const { open, prefix } = world();
    const bus = open();
    const gate = Promise.withResolvers<void>();
    let inHand = 0;
    let most = 0;
    const reader = delivery.reader({
      OrderPlaced: async () => {
        most = Math.max(most, ++inHand);
        await gate.promise;
        inHand--;
      },
    });
    await bus.publish(Array.from({ length: 150 }, (_, n) => placed(`order ${n}`)));
    await bus.subscribe('kitchen', reader, NOW);
    await until(() => inHand === 16);
    // As many answers from Redis are time enough to read on.
    for (let asked = 0; asked < 50; asked++) await client.ping();
    expect(Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]), 'taken from Redis').toBeLessThanOrEqual(
      100,
    );
    gate.resolve();
    await until(async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 0 && inHand === 0);
    expect(most).toBe(16);
  });

  test('streams: trimming waits for the slowest group', async () => {
    const { open, prefix } = world();
    const bus = open();
    expect(await bus.trim(), 'before there is a stream').toBe(0);
    const gate = Promise.withResolvers<void>();
    for (const id of ['1-5', '2-1']) {
      await client.xadd(`${prefix}stream`, id, 'event', JSON.stringify(placed(id)), 'only', '');
    }
    const { got } = await listen(bus, 'sms');
    await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: () => gate.promise }), NOW);
    onTestFinished(() => gate.resolve());
    const pending = async (group: string) => Number((await client.xpending(`${prefix}stream`, group))[0]);
    await until(async () => got.length === 2 && (await pending('sms')) === 0 && (await pending('kitchen')) === 2);
    expect(await bus.trim()).toBe(0);
  });

  test('streams: a closed bus says so', async () => {
    const bus = world().open();
    const subscribing = listen(bus, 'sms').then(
      () => 'a consumer that nobody stops',
      (error: unknown) => error,
    );
    await bus.close();
    expect(await subscribing).toBeInstanceOf(BusClosedError);
    await expect(bus.publish([placed('1')])).rejects.toBeInstanceOf(BusClosedError);
    await expect(bus.subscribe('sms', delivery.reader({}))).rejects.toBeInstanceOf(BusClosedError);
  });

  test('streams: trimming drops what is done, and nothing that is in hand', async () => {
    const { open, prefix } = world();
    const bus = open();
    const gate = Promise.withResolvers<void>();
    let quick = 0;
    const reader = delivery.reader({
      OrderPlaced: async (event) => {
        if (event.key === 'slow') await gate.promise;
        else quick++;
      },
    });
    await bus.subscribe('kitchen', reader, NOW);
    onTestFinished(() => gate.resolve());
    await bus.publish([...numbered('1', 5), placed('slow'), ...numbered('2', 5)]);
    // All but the slow one are done, and acknowledged.
    await until(() => quick === 10);
    await until(async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 1);
    expect([await bus.trim(), await client.xlen(`${prefix}stream`)]).toEqual([5, 6]);
    gate.resolve();
    await until(async () => Number((await client.xpending(`${prefix}stream`, 'kitchen'))[0]) === 0);
    expect([await bus.trim(), await client.xlen(`${prefix}stream`)]).toEqual([6, 0]);
  });
});
