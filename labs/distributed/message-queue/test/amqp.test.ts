// Comes first in the alphabet: its broker takes longest to start.
import { randomUUID } from 'node:crypto';
import { startRabbit } from '@shared/services';
import { describeWith, outcome, until as probe, random, type UntilOptions } from '@shared/testkit';
import { type ConsumeMessage, connect, type GetMessage } from 'amqplib';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  BadArgumentError,
  type Binding,
  BrokerLostError,
  ChannelClosedError,
  PermanentError,
  QueueClosedError,
  QueueError,
  Rabbit,
  type Received,
  routes,
  UnroutableMessageError,
} from '#lab';

/** Longer than what it waits for in one law, so that a law that fails says what it waited for. */
vi.setConfig({ testTimeout: 15_000 });
const until = <T>(condition: () => T | Promise<T>, options: UntilOptions = {}) =>
  probe(condition, { timeoutMs: 2500, ...options });

await describeWith('rabbitmq', { rabbit: () => startRabbit() }, ({ rabbit }) => {
  const vhost = rabbit.vhost();
  const admin = vhost.then((url) => connect(url, { noDelay: true }));
  afterAll(async () => (await admin).close());
  const channel = async () => {
    const opened = await (await admin).createConfirmChannel();
    opened.on('error', () => {});
    onTestFinished(() => opened.close().catch(() => {}));
    return opened;
  };
  /** A queue of its own, and what opens a client of it. */
  const shop = async (spec: { retryDelaysMs?: number[]; deliveryLimit?: number } = {}) => {
    const name = `${rabbit.namespace}${randomUUID()}`;
    const exchange = `${name}:shop`;
    const topology = {
      exchanges: [{ name: exchange, type: 'topic' as const }],
      queues: [{ name, bindings: [{ exchange, key: 'order.#' }], retryDelaysMs: [10, 20], ...spec }],
    };
    const url = await vhost;
    const open = async (options: { port?: number; graceMs?: number; answerMs?: number; onError?: () => void } = {}) => {
      const { port, ...rest } = options;
      const address = new URL(url);
      if (port !== undefined) address.port = String(port);
      const opened = await Rabbit.open(address.href, { topology, graceMs: 1000, ...rest });
      onTestFinished(() => opened.close());
      return opened;
    };
    const order = (body: string) => ({ exchange, key: 'order.placed', body });
    const count = async () => (await (await channel()).checkQueue(name)).messageCount;
    const firstDead = async (): Promise<GetMessage> => {
      const look = await channel();
      for (let letter: GetMessage | false = false; ; ) {
        await until(async () => (letter = await look.get(`${name}.dead`, { noAck: true })), {
          timeoutMs: 2000,
          what: 'a dead letter',
        });
        if (letter) return letter;
      }
    };
    return { name, exchange, topology, open, order, count, firstDead };
  };
  /**
   * Until it is so, or the broker has answered a few hundred questions about the queue, each after the one before: time
   * enough, however busy the machine is, for what it has known before.
   */
  const soon = async (name: string, condition: () => boolean, questions = 400) => {
    const look = await channel();
    for (let asked = 0; asked < questions && !condition(); asked++) await look.checkQueue(name);
  };
  const bodies = (messages: readonly Received[]) => messages.map(({ body }) => `${body}`);
  /** Notes something, and never ends. */
  const hang = (_noted?: unknown) => new Promise<void>(() => {});

  test('rabbit: a message that no queue takes is an error, and one that a queue takes is none', async () => {
    const { open, exchange, order, count } = await shop();
    const client = await open();
    const sent = await outcome(client.send({ exchange, key: 'invoice', body: 'to nobody' }));
    expect(sent.error, 'the outcome of a message to nobody').toBeInstanceOf(UnroutableMessageError);
    await client.send(order('1'));
    expect(await count(), 'messages in the queue').toBe(1);
  });

  test('rabbit: a message that cannot be sent is refused, and puts no confirm out of step', async () => {
    const { open, exchange, order, count } = await shop();
    let losses = 0;
    const client = await open({ onError: () => losses++ });
    for (const menu of [Symbol('fish'), Number.NaN, 1 / 0, 5n, new Date(), '\ud83d', { of: [new Map()] }]) {
      const bad = await outcome(client.send({ ...order('1'), headers: { menu } }), 2000);
      expect(bad.error, `a header ${String(menu)}`).toBeInstanceOf(BadArgumentError);
    }
    for (const body of [7, undefined, null, {}, '\ud83d']) {
      // @ts-expect-error: untyped code can hand in anything
      expect((await outcome(client.send({ ...order('1'), body }))).error, `a body ${body}`).toBeInstanceOf(
        BadArgumentError,
      );
    }
    const headers = { a: null, b: undefined, c: true, d: [1, 'x', { e: Buffer.from('y') }] };
    const [good, nobody] = await Promise.all([
      outcome(client.send({ ...order('2'), headers })),
      outcome(client.send({ exchange, key: 'invoice', body: 'to nobody' })),
    ]);
    expect([good.error, nobody.error]).toEqual([undefined, expect.any(UnroutableMessageError)]);
    expect(losses, 'connections that it cost').toBe(0);
    // What only the broker sees: it closes the connection.
    const unreadable = client.send({ ...order('3'), headers: { price: { '!': 'float', value: 1e300 } } });
    expect((await outcome(unreadable, 3000)).error).toBeInstanceOf(ChannelClosedError);
    const unencodable = client.send({ ...order('4'), headers: { price: { '!': 'pence', value: 1 } } });
    expect((await outcome(unencodable, 3000)).error).toBeInstanceOf(BadArgumentError);
    await client.send(order('5'));
    expect(await count(), 'messages in the queue').toBe(2);
  });

  test('rabbit: what a consumer had in hand when it died comes to the next one', async () => {
    const { open, order, name } = await shop();
    const [first, second] = [await open({ graceMs: 0 }), await open()];
    const inHand: Received[] = [];
    await first.consume(name, (message) => hang(inHand.push(message)));
    for (const body of ['1', '2']) await first.send(order(body));
    await until(() => inHand.length === 2);
    await first.close();
    const got: Received[] = [];
    await second.consume(name, (message) => void got.push(message));
    await soon(name, () => got.length >= 2);
    expect(bodies(got).sort(), 'what the second consumer gets').toEqual(['1', '2']);
    expect(got.every(({ redelivered }) => redelivered)).toBe(true);
  });

  test('rabbit: a consumer has no more messages in hand than its prefetch, and the others get the rest', async () => {
    const { open, order, name } = await shop();
    const client = await open({ graceMs: 0 });
    const [slow, quick]: [string[], string[]] = [[], []];
    await client.consume(name, ({ body }) => hang(slow.push(`${body}`)), { prefetch: 1 });
    const sending = Array.from({ length: 20 }, (_, n) => client.send(order(`${n}`)));
    await Promise.all(sending);
    await until(() => slow.length >= 1);
    await client.consume(name, ({ body }) => void quick.push(`${body}`), { prefetch: 1 });
    await until(() => quick.length === 19 || slow.length > 1, { what: '19 of 20 messages at the quick consumer' });
    expect(slow, 'in hand of the slow one').toHaveLength(1);
  });

  test('rabbit: a message that fails waits, comes again with its count, and ends among the dead with its reason', async () => {
    const { open, order, name, firstDead } = await shop();
    const client = await open();
    const attempts: number[] = [];
    const cooked: string[] = [];
    await client.consume(name, ({ body, attempt, key, headers }) => {
      expect(key).toBe('order.placed');
      for (const own of ['x-attempt', 'x-first-key', 'x-publish-tag']) expect(headers).not.toHaveProperty(own);
      if (`${body}` !== 'fugu') return cooked.push(`${body}`);
      attempts.push(attempt);
      throw new Error('no licence');
    });
    // CC names more queues, and a copy is for one.
    const headers = { CC: [name], 'x-first-key': 'of somebody else' };
    for (const body of ['fugu', 'rice']) await client.send({ ...order(body), headers });
    const letter = await firstDead();
    expect(attempts, 'attempts').toEqual([1, 2, 3]);
    expect(`${letter.content}`).toBe('fugu');
    expect(letter.properties.headers).toMatchObject({ 'x-attempt': 3, 'x-reason': 'no licence' });
    expect(letter.properties.deliveryMode, 'kept on disk by whatever queue it comes to').toBe(2);
    expect(cooked).toEqual(['rice']);
  });

  test('rabbit: what can never be handled is a dead letter at once, and begins anew when it is replayed', async () => {
    const { open, order, name } = await shop();
    const client = await open();
    const got: Received[] = [];
    const menus: string[] = [];
    await client.consume(name, (message) => {
      got.push(message);
      menus.push(JSON.stringify(message.headers));
      message.body.fill(0);
      Object.assign(message.headers['menu'] ?? {}, { dish: 'stone soup' });
      if (got.length === 1) throw new PermanentError('no such dish');
    });
    // A header of somebody else's: no number of attempts.
    const headers = { 'x-attempt': 1.5, menu: { dish: '鱼' }, table: null };
    await client.send({ ...order('unicorn'), id: 'order-7', headers });
    await until(async () => (await (await channel()).checkQueue(`${name}.dead`)).messageCount === 1);
    expect(got.map(({ attempt }) => attempt)).toEqual([1]);
    expect(await client.replay(name)).toBe(1);
    await until(() => got.length === 2);
    expect(got[1]).toMatchObject({ id: 'order-7', key: 'order.placed', attempt: 1 });
    const told = '{"menu":{"dish":"鱼"},"table":null}';
    expect(menus, 'headers, of which the first handler has changed one').toEqual([told, told]);
    expect(got[1]?.body.length, 'its body, which the first handler has overwritten').toBe(7);
    expect(await client.replay(name)).toBe(0);
  });

  test('rabbit: a replay comes to an end beside a consumer that gives up again, whatever it throws', async () => {
    const { open, order, name, firstDead } = await shop({ retryDelaysMs: [] });
    const client = await open();
    let tries = 0;
    const thrown = [
      Object.create(null),
      new AggregateError([new Error('no fish'), new Error('no fish'), 'no rice'], 'all of it'),
      new AggregateError([], 'none of it'),
      new Error('x'.repeat(2000)),
    ];
    await client.consume(name, ({ body }) => {
      tries++;
      throw thrown[Number(body)];
    });
    const dead = async () => (await (await channel()).checkQueue(`${name}.dead`)).messageCount;
    for (const body of thrown.keys()) await client.send(order(`${body}`));
    await until(async () => (await dead()) === 4, { what: 'four dead letters' });
    expect((await outcome(client.replay(name), 3000)).value, 'replayed').toBe(4);
    await until(async () => tries === 8 && (await dead()) === 4, { what: 'four dead letters again' });
    const reasons: unknown[] = [];
    for (let n = 0; n < 4; n++) reasons.push((await firstDead()).properties.headers?.['x-reason']);
    expect(reasons.sort(), 'what it said each time').toEqual(
      ['what was thrown has no text', 'no fish; no rice', 'none of it', 'x'.repeat(1000)].sort(),
    );
    await (await channel()).deleteQueue(`${name}.dead`);
    expect((await outcome(client.replay(name))).error, 'without its queue').toBeInstanceOf(QueueError);
  });

  test('rabbit: a message that kills its consumers is put aside at the delivery limit', async () => {
    const { open, order, name, firstDead } = await shop({ deliveryLimit: 2 });
    const sender = await open();
    await sender.send(order('poison'));
    const look = await channel();
    let deaths = 0;
    const dead = async () => (await look.checkQueue(`${name}.dead`)).messageCount;
    for (; deaths < 6 && (await dead()) === 0; deaths++) {
      const victim = await open({ graceMs: 0 });
      let hit = false;
      await victim.consume(name, () => {
        hit = true;
        return hang();
      });
      await until(async () => hit || (await dead()) === 1);
      await victim.close();
    }
    expect(deaths, 'consumers that it took along').toBeLessThan(5);
    const letter = await firstDead();
    expect(letter.properties.headers?.['x-death']?.[0]).toMatchObject({ reason: 'delivery_limit', queue: name });
  });

  test('rabbit: what is sent while the connection breaks again and again arrives, and is handled', async () => {
    const { open, order, name } = await shop();
    await using link = await rabbit.node.proxy();
    const client = await open({ port: link.port });
    const got = new Set<string>();
    await client.consume(name, ({ id }) => void got.add(id));
    const ids = Array.from({ length: 200 }, (_, n) => `order-${n}`);
    const sent = Promise.all(ids.map((id) => client.send({ ...order(id), id })));
    for (let n = 0; n < 3; n++) {
      const before = got.size;
      await soon(name, () => got.size > before || got.size === ids.length, 1000);
      expect(got.size === ids.length || got.size > before, `handled after ${n} breaks`).toBe(true);
      link.reset();
      await client.send(order('next'));
    }
    await sent;
    await until(() => ids.every((id) => got.has(id)), { what: 'all of 200 orders handled' });
  });

  test('rabbit: an acknowledgement goes to the channel that has delivered, or to none', async () => {
    const { open, order, name } = await shop();
    await using link = await rabbit.node.proxy();
    const client = await open({ port: link.port, graceMs: 0 });
    const release: (() => void)[] = [];
    const signals: AbortSignal[] = [];
    await client.consume(name, (_, signal) => {
      signals.push(signal);
      return new Promise<void>((resolve) => release.push(resolve));
    });
    await client.send(order('1'));
    await until(() => release.length === 1);
    let apology: Promise<void> | undefined;
    signals[0]?.addEventListener('abort', () => {
      apology = client.send({ exchange: '', key: `${name}.dead`, body: 'it takes longer' });
    });
    link.reset();
    await until(() => release.length === 2, { what: 'the second delivery' });
    expect((await outcome(apology ?? Promise.reject(), 2000)).error, 'what is sent at the loss').toBeUndefined();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    // The first handler ends only now. Its tag is the second delivery's too.
    release[0]?.();
    await client.send(order('2'));
    await until(() => release.length === 3);
    link.reset();
    await soon(name, () => release.length >= 5, 1000);
    expect(release.length, 'deliveries, with both messages once more: neither is done').toBe(5);
  });

  test('rabbit: a queue that was deleted is declared again, and served', async () => {
    const { open, order, name } = await shop();
    const client = await open();
    const got: Received[] = [];
    await client.consume(name, (message) => void got.push(message));
    const other = await open();
    await (await channel()).deleteQueue(name);
    expect((await outcome(other.consume(name, () => {}))).error, 'of who comes in between').toBeInstanceOf(QueueError);
    await until(async () => {
      await client.send(order('1'));
      return got.length > 0;
    });
  });

  test('rabbit: a broker short of memory holds up who publishes, and nobody who consumes', async ({ skip }) => {
    const { alarm } = rabbit;
    if (alarm === undefined) return skip('the alarm of a broker that is not ours is not ours to raise');
    const { open, order, name } = await shop();
    const client = await open();
    await Promise.all(Array.from({ length: 30 }, (_, n) => client.send(order(`${n}`))));
    await alarm(true);
    try {
      const held = outcome(client.send(order('held')), 20_000);
      const got: Received[] = [];
      await client.consume(name, (message) => void got.push(message), { prefetch: 5 });
      await until(() => got.length === 30, { what: '30 messages handled while the alarm lasts' });
      await alarm(false);
      expect((await held).error).toBeUndefined();
    } finally {
      await alarm(false);
    }
  });

  test('rabbit: who leaves gets his own reason, and a silent broker is given up for a new connection', async () => {
    const { open, order, count } = await shop();
    await using link = await rabbit.node.proxy();
    let losses = 0;
    const client = await open({ port: link.port, answerMs: 300, onError: () => losses++ });
    link.partition();
    const reason = new Error('the customer hung up');
    const left = new AbortController();
    const [leaving, staying] = [client.send(order('1'), { signal: left.signal }), client.send(order('2'))];
    const gone = outcome(leaving);
    left.abort(reason);
    const soon = new Promise<{ error?: unknown }>((resolve) => setImmediate(resolve, {}));
    expect((await Promise.race([gone, soon])).error).toBe(reason);
    await until(() => losses > 0);
    link.heal();
    await staying;
    expect(await count()).toBeGreaterThanOrEqual(1);
    expect((await outcome(client.send(order('3'), { signal: AbortSignal.abort(reason) }))).error).toBe(reason);
  });

  test('rabbit: close ends a client whose broker is silent, and what waits is told', async () => {
    const { open, order, name } = await shop();
    await using link = await rabbit.node.proxy();
    const client = await open({ port: link.port, answerMs: 300, graceMs: 50 });
    let signal: AbortSignal | undefined;
    await client.consume(name, (_, given) => {
      signal = given;
      return hang();
    });
    await client.send(order('1'));
    await until(() => signal);
    link.partition();
    const waiting = outcome(client.send(order('2')), 5000);
    await client.close();
    expect(signal?.aborted).toBe(true);
    expect((await waiting).error).toBeInstanceOf(QueueClosedError);
    expect((await outcome(client.send(order('3')))).error).toBeInstanceOf(QueueClosedError);
  });

  test('rabbit: close waits for what is in hand, and the broker hears that it is done', async () => {
    const { open, order, name, exchange, count } = await shop();
    const client = await open();
    const release = Promise.withResolvers<void>();
    let inHand = 0;
    await client.consume(name, () => {
      inHand++;
      return release.promise;
    });
    await client.send(order('1'));
    // A key may be empty; this one leads nowhere.
    const nowhere = await outcome(client.send({ exchange, key: '', body: '2' }));
    expect(nowhere.error).toBeInstanceOf(UnroutableMessageError);
    await until(() => inHand === 1);
    setTimeout(release.resolve, 50);
    await client.close();
    expect(await count(), 'messages that come again').toBe(0);
  });

  test('rabbit: who sends or consumes while it is being closed is told so', async () => {
    const { open, order, name } = await shop();
    const client = await open({ graceMs: 100 });
    let inHand = 0;
    await client.consume(name, () => hang(inHand++));
    await client.send(order('in hand'));
    await until(() => inHand === 1);
    const closed = client.close();
    expect((await outcome(client.consume(name, () => {}))).error, 'in its grace').toBeInstanceOf(QueueClosedError);
    const told: Promise<{ error?: unknown }>[] = [];
    let ended = false;
    closed.then(() => (ended = true));
    for (let n = 0; !ended; n++) {
      told.push(outcome(client.send(order(`${n}`))), outcome(client.replay(name)));
      await new Promise<void>(n % 2 ? setImmediate : queueMicrotask);
    }
    const errors = (await Promise.all(told)).map(({ error }) => error).filter((error) => error !== undefined);
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toBeInstanceOf(QueueClosedError);
  });

  test('rabbit: what the broker would cut, refuse or not know is refused before it is sent', async () => {
    const { open, exchange, name, order } = await shop();
    const client = await open();
    const bad: [string, () => Promise<unknown>][] = [
      ['a key of 256 bytes', () => client.send({ exchange, key: '单'.repeat(86), body: '' })],
      ['half a character', () => client.send({ exchange, key: 'order.\ud83d', body: '' })],
      ['an unknown exchange', () => client.send({ exchange: 'nowhere', key: 'a', body: '' })],
      ['an unknown queue', () => client.consume('toString', () => {})],
      ['prefetch 0, which means all', () => client.consume(name, () => {}, { prefetch: 0 })],
      ['prefetch beyond two bytes', () => client.consume(name, () => {}, { prefetch: 65_536 })],
    ];
    for (const [what, call] of bad) {
      expect((await outcome(call())).error, what).toBeInstanceOf(BadArgumentError);
    }
    await client.send(order('and the channel lives'));
  });

  test('rabbit: options are taken up to their bounds and refused beyond; what is left out has a default', async () => {
    const most = 2 ** 31 - 1;
    /** Nobody is there: what is not refused finds no broker. */
    const opened = async (options: Partial<Parameters<typeof Rabbit.open>[1]>) =>
      (await outcome(Rabbit.open('amqp://127.0.0.1:1', { topology: { queues: [] }, ...options }))).error;
    const queue = (spec: { name?: string; retryDelaysMs?: number[]; deliveryLimit?: number }) =>
      opened({ topology: { queues: [{ name: 'q', ...spec }] } });
    const bounds: [string, (value: number) => Promise<unknown>, good: number[], bad: number[]][] = [
      ['answerMs', (answerMs) => opened({ answerMs }), [1, most], [0, 1.5, most + 1]],
      ['graceMs', (graceMs) => opened({ graceMs }), [0, most], [-1, most + 1]],
      ['a retry delay', (ms) => queue({ retryDelaysMs: [10, ms] }), [1, most], [0, most + 1]],
      ['deliveryLimit', (deliveryLimit) => queue({ deliveryLimit }), [1, most], [0, most + 1]],
      ['letters of a name', (length) => queue({ name: 'q'.repeat(length) }), [1, 242], [0, 243]],
    ];
    for (const [what, call, good, bad] of bounds) {
      for (const value of good) expect(await call(value), `${what} ${value}`).toBeInstanceOf(BrokerLostError);
      for (const value of bad) expect(await call(value), `${what} ${value}`).toBeInstanceOf(BadArgumentError);
    }
    const name = `${rabbit.namespace}${randomUUID()}`;
    const exchange = `${name}:all`;
    const topology = {
      exchanges: [{ name: exchange, type: 'fanout' as const }],
      queues: [{ name, bindings: [{ exchange }] }],
    };
    const client = await Rabbit.open(await vhost, { topology });
    onTestFinished(() => client.close());
    await client.send({ exchange, key: '', body: 'to whoever listens' });
    const look = await channel();
    for (const ms of [1000, 10_000, 60_000]) await look.checkQueue(`${name}.${ms}ms`);
    // Declared once more with what it has is no error.
    await look.assertQueue(name, {
      arguments: {
        ...{ 'x-queue-type': 'quorum', 'x-delivery-limit': 20, 'x-overflow': 'reject-publish' },
        ...{ 'x-dead-letter-exchange': '', 'x-dead-letter-strategy': 'at-least-once' },
        'x-dead-letter-routing-key': `${name}.dead`,
      },
    });
    const keys = [255, 256].map((length) => client.send({ exchange, key: 'k'.repeat(length), body: '' }));
    const [fits, tooLong] = await Promise.all(keys.map((sent) => outcome(sent)));
    expect(fits?.error, 'a key of 255 bytes').toBeUndefined();
    expect(String(tooLong?.error), 'one more').toContain(`not "${'k'.repeat(40)}"`);
  });

  test('rabbit: a broker that is away is asked more and more rarely', async () => {
    const { open } = await shop();
    const link = await rabbit.node.proxy();
    let errors = 0;
    await open({ port: link.port, onError: () => errors++ });
    const from = performance.now();
    await link[Symbol.asyncDispose]();
    // Two connections: each is lost once, and has been tried for four times when the first of them has come to that.
    await until(() => errors >= 9, { timeoutMs: 5000, what: 'seven tries that failed' });
    expect(performance.now() - from, 'milliseconds: at least 25 + 50 + 100 + 200').toBeGreaterThan(370);
  });

  test('rabbit: a queue that is there with other arguments is an error at open', async () => {
    const { name, topology } = await shop();
    await (await channel()).assertQueue(name, { durable: true });
    const opened = await outcome(Rabbit.open(await vhost, { topology }));
    expect(opened.error).toBeInstanceOf(ChannelClosedError);
    expect(String(opened.error)).toContain('PRECONDITION');
    const unbound = { queues: [{ name: `${name}-2`, bindings: [{ exchange: `${name}:none` }] }] };
    expect((await outcome(Rabbit.open(await vhost, { topology: unbound }))).error).toBeInstanceOf(ChannelClosedError);
    expect((await outcome(Rabbit.open('amqp://127.0.0.1:1', { topology }))).error).toBeInstanceOf(BrokerLostError);
    expect((await outcome(Rabbit.open('localhost', { topology }))).error).toBeInstanceOf(BadArgumentError);
  });

  test('rabbit: all four exchanges route as the oracle says', async () => {
    const look = await channel();
    const dice = random(7);
    const words = ['a', 'b', ''];
    const some = (list: readonly string[], most: number) =>
      Array.from({ length: dice.int(0, most) }, () => dice.pick(list)).join('.');
    const keys = [...new Set(Array.from({ length: 40 }, () => some(words, 4)))];
    for (const type of ['direct', 'topic', 'fanout', 'headers'] as const) {
      const exchange = `${rabbit.namespace}${type}`;
      await look.assertExchange(exchange, type, { autoDelete: true });
      const bindings: Required<Binding>[] = [];
      for (let n = 0; n < 24; n++) {
        const { queue } = await look.assertQueue('', { exclusive: true, durable: false });
        const key = type === 'topic' ? some([...words, '*', '#'], 4) : dice.pick(keys);
        const headers: Required<Binding>['headers'] = {};
        if (dice.next() < 0.5) Object.assign(headers, { 'x-match': dice.pick(['any', 'all']) });
        for (const name of ['dish', 'spicy', 'x-z']) {
          if (dice.next() < 0.5) Object.assign(headers, { [name]: dice.pick(['1', 1, true]) });
        }
        bindings.push({ queue, key, headers: type === 'headers' ? headers : {} });
        await look.bindQueue(queue, exchange, key, type === 'headers' ? headers : {});
      }
      const messages = keys.map((key) => {
        const names = ['dish', 'spicy', 'x-z'].filter(() => dice.next() < 0.6);
        return { key, headers: Object.fromEntries(names.map((name) => [name, dice.pick(['1', 1, true])])) };
      });
      const taken = new Map<string, string[]>();
      let ended = 0;
      for (const { queue } of bindings) {
        const take = (got: ConsumeMessage | null) => {
          if (`${got?.content}` === 'end') ended++;
          else taken.set(`${got?.content}`, [...(taken.get(`${got?.content}`) ?? []), queue]);
        };
        await look.consume(queue, take, { noAck: true });
      }
      for (const [n, { key, headers }] of messages.entries())
        look.publish(exchange, key, Buffer.from(`${n}`), { headers });
      await look.waitForConfirms();
      // Behind all that a queue has got.
      for (const { queue } of bindings) look.sendToQueue(queue, Buffer.from('end'));
      await until(() => ended === bindings.length, { timeoutMs: 10_000, what: 'the end of every queue' });
      for (const [n, message] of messages.entries()) {
        const told = `${type} "${message.key}" ${JSON.stringify(message.headers)}`;
        expect(routes(type, bindings, message), told).toEqual((taken.get(`${n}`) ?? []).sort());
      }
    }
  });
});
