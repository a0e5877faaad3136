import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type Bus,
  BusClosedError,
  Catalogue,
  Dispatcher,
  delivery,
  type Envelope,
  EventError,
  InvalidArgumentError,
  MemoryBus,
  type Reader,
  UnknownEventError,
  UnroutableError,
} from '#lab';

const NOW = { backoffMs: () => 1 };
const placed = (key: string, cents = 1800) => delivery.create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents });
const numbered = (key: string, count: number) => Array.from({ length: count }, (_, n) => placed(key, n));

/** A group that writes down what it gets. */
const listen = async (bus: Bus, group: string, options = {}) => {
  const got: Envelope[] = [];
  const reader = delivery.reader({ OrderPlaced: async (event) => void got.push(event) });
  const subscription = await bus.subscribe(group, reader, { ...NOW, ...options });
  return { got, subscription };
};

interface Story {
  OrderPlaced: { readonly dish: string; readonly cents: number };
  OrderPaid: { readonly cents: number };
  MealReady: { readonly cents: number };
}
const raised = (old: { dish: string; yuan: number }) => ({ dish: old.dish, cents: old.yuan * 100 });
const catalogue = () =>
  new Catalogue<Story>({ OrderPlaced: { version: 2, upcast: { 1: raised } }, OrderPaid: {}, MealReady: {} });
const order = (key: string) => catalogue().create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents: 1800 });

// ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('an event says what it is about and which event it answers', () => {
  const first = order('order-1');
  const second = catalogue().create('OrderPaid', 'order-1', { cents: 1 }, first);
  const third = catalogue().create('MealReady', 'order-1', { cents: 1 }, second);
  expect([first.key, first.correlationId, first.causationId]).toEqual(['order-1', first.id, undefined]);
  expect([third.correlationId, third.causationId]).toEqual([first.id, second.id]);
  const traced = { ...second, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  expect(catalogue().create('MealReady', 'order-1', { cents: 1 }, traced).traceparent).toBe(traced.traceparent);
  expect('traceparent' in third, 'of a cause that has none').toBe(false);
  expect(() => order('')).toThrow(InvalidArgumentError);
});

test('an old version is read as the current one', () => {
  const old = { ...order('order-1'), version: 1, data: { dish: 'noodles', yuan: 18 } };
  expect(catalogue().read(old)).toMatchObject({ version: 2, data: { dish: 'noodles', cents: 1800 } });
});

test('versions are raised one by one, in order', () => {
  interface Events {
    Grown: { readonly path: string };
  }
  const grow = (by: string) => (old: { path: string }) => ({ path: `${old.path}${by}` });
  const growing = new Catalogue<Events>({
    Grown: { version: 4, upcast: { 1: grow('b'), 2: grow('c'), 3: grow('d') } },
  });
  const event = { ...growing.create('Grown', 'k', { path: 'a' }), version: 1 };
  expect(growing.read(event).data).toEqual({ path: 'abcd' });
  expect(growing.read({ ...event, version: 3 }).data).toEqual({ path: 'ad' });
});

test('a reader has the types of its handlers, and hands them the current version', async () => {
  const got: number[] = [];
  const reader = catalogue().reader({ OrderPlaced: async ({ data }) => void got.push(data.cents) });
  expect(reader.types).toEqual(['OrderPlaced']);
  const { signal } = new AbortController();
  await reader.handle({ ...order('order-1'), version: 1, data: { dish: 'noodles', yuan: 18 } }, signal);
  await expect(reader.handle({ ...order('order-1'), version: 3 }, signal)).rejects.toBeInstanceOf(UnknownEventError);
  expect(got).toEqual([1800]);
});

test('handlers may be methods of an object, and what is no handler is none', async () => {
  class Kitchen {
    readonly cooked: string[] = [];
    readonly OrderPaid = undefined;
    async OrderPlaced({ key }: Envelope) {
      this.cooked.push(key);
    }
  }
  const kitchen = new Kitchen();
  const reader: Reader = Reflect.apply(delivery.reader, delivery, [kitchen]);
  expect(reader.types).toEqual(['OrderPlaced']);
  await reader.handle(placed('1'), new AbortController().signal);
  expect(kitchen.cooked).toEqual(['1']);
});

test('a price of a year that had yuan is one of whole cents', () => {
  const old = { ...placed('1'), version: 1, data: { dish: 'noodles', yuan: 18.15 } };
  expect(delivery.read(old).data).toEqual({ dish: 'noodles', cents: 1815 });
});

test('a type or a version that nobody knows is refused', () => {
  const event = order('order-1');
  for (const bad of [
    { ...event, version: 3 },
    { ...event, version: 0 },
    { ...event, type: 'toString' },
  ]) {
    expect(() => catalogue().read(bad)).toThrow(UnknownEventError);
  }
  const gap = new Catalogue<Pick<Story, 'OrderPaid'>>({ OrderPaid: { version: 2 } });
  expect(() => gap.read({ ...event, type: 'OrderPaid', version: 1 }), 'no way up').toThrow(UnknownEventError);
  expect(new UnknownEventError('x')).toBeInstanceOf(EventError);
});

// ── in process ────────────────────────────────────────────────────────────────────────────────────────────────────

test('what cannot be stored is refused when the event is made', () => {
  const round: { self?: unknown } = {};
  round.self = round;
  const make = (key: string, dish: unknown) => () =>
    Reflect.apply(delivery.create, delivery, ['OrderPlaced', key, { dish, cents: 1 }]);
  const nothing = [
    Number.NaN,
    [Number.POSITIVE_INFINITY],
    { at: new Date(Number.NaN) },
    new Map([['rice', 1]]),
    [new Set()],
    new Error('sold out'),
    { price: Promise.resolve(1) },
    ['rice', undefined],
    [() => 'rice'],
  ];
  for (const dish of ['a\0b', 'half \ud83d', 1n, round, ...nothing])
    expect(make('1', dish), inspect(dish)).toThrow(InvalidArgumentError);
  for (const data of [undefined, () => 'rice'])
    expect(() => Reflect.apply(delivery.create, delivery, ['OrderPaid', '1', data])).toThrow(InvalidArgumentError);
  for (const key of ['', 'a\0b', 'half \udc00', 'k'.repeat(513)])
    expect(make(key, 'rice')).toThrow(InvalidArgumentError);
  expect(make('k'.repeat(512), 'rice')).not.toThrow();
  for (const dish of ['\\u0000', '😀', '鱼香肉丝饭', null, new Date(0), { sauce: undefined }])
    expect(make('1', dish)).not.toThrow();
});

test('a bus is not made of nonsense', async () => {
  const bus = new MemoryBus();
  const reader = delivery.reader({});
  await expect(bus.subscribe('', reader)).rejects.toBeInstanceOf(InvalidArgumentError);
  await expect(bus.subscribe('sms', reader, { maxAttempts: 0 })).rejects.toBeInstanceOf(InvalidArgumentError);
  await expect(bus.subscribe('sms', reader, { concurrency: 1.5 })).rejects.toBeInstanceOf(InvalidArgumentError);
  await expect(bus.subscribe('sms', reader, { timeoutMs: 2 ** 31 })).rejects.toBeInstanceOf(InvalidArgumentError);
});

test('each group gets each event of its types, and no other', async () => {
  const bus = new MemoryBus();
  const [kitchen, riders] = [await listen(bus, 'kitchen'), await listen(bus, 'riders')];
  await bus.publish([placed('1'), delivery.create('MealReady', '1', { cents: 1 }), placed('2')]);
  await until(() => kitchen.got.length === 2 && riders.got.length === 2);
  expect(kitchen.got.map(({ type, key }) => `${type} ${key}`)).toEqual(['OrderPlaced 1', 'OrderPlaced 2']);
});

test('a group that throws keeps no event from the others', async () => {
  const bus = new MemoryBus();
  const thrower = delivery.reader({
    OrderPlaced: async () => {
      throw new Error('no credit for messages');
    },
  });
  await bus.subscribe('sms', thrower, { ...NOW, maxAttempts: 2 });
  const kitchen = await listen(bus, 'kitchen');
  await bus.publish([placed('1'), placed('2')]);
  await until(() => kitchen.got.length === 2);
});

test('a hundred riders more change nothing for who publishes', async () => {
  const bus = new MemoryBus();
  const riders = await Promise.all(Array.from({ length: 100 }, (_, n) => listen(bus, `rider ${n}`)));
  await bus.publish([placed('1')]);
  await until(() => riders.every(({ got }) => got.length === 1));
});

test('a rider who has gone leaves nothing behind', async () => {
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  const bus = new MemoryBus();
  const comeAndGo = async (from: number, to: number) => {
    for (let n = from; n < to; n++) await (await bus.subscribe(`rider ${n}`, delivery.reader({}))).stop();
    gc();
    return process.memoryUsage().heapUsed;
  };
  const before = await comeAndGo(0, 500);
  expect(((await comeAndGo(500, 10_500)) - before) / 10_000, 'bytes kept of each').toBeLessThan(60);
  await bus.close();
});

test('who publishes does not wait for a slow group', async () => {
  const bus = new MemoryBus();
  const gate = Promise.withResolvers<void>();
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: () => gate.promise }));
  const sms = await listen(bus, 'sms');
  await bus.publish(numbered('1', 5));
  await until(() => sms.got.length === 5);
  gate.resolve();
});

test('what an event costs does not grow with how many are in hand', async () => {
  // A signal asks each listener that it has before it takes one more, or lets one go.
  const listening = vi.spyOn(EventTarget.prototype, 'addEventListener');
  onTestFinished(() => listening.mockRestore());
  const bus = new MemoryBus();
  const gate = Promise.withResolvers<void>();
  let failed = 0;
  const refuse = async () => {
    await gate.promise;
    failed++;
    throw new Error('no rice');
  };
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: refuse }), { backoffMs: () => 60_000 });
  await bus.publish(Array.from({ length: 100 }, (_, n) => placed(String(n))));
  gate.resolve();
  await until(() => failed === 100, { what: 'all to have failed once' });
  await bus.close();
  const listeners = Map.groupBy(listening.mock.contexts, (signal) => signal);
  expect(Math.max(...[...listeners.values()].map(({ length }) => length)), 'listeners of one signal').toBeLessThan(10);
});

test('a group that takes no more in hand holds up who publishes, and no other group', async () => {
  const bus = new MemoryBus();
  const gate = Promise.withResolvers<void>();
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: () => gate.promise }), { concurrency: 2 });
  const sms = await listen(bus, 'sms');
  let resolved = false;
  const published = bus.publish(numbered('1', 5)).then(() => {
    resolved = true;
  });
  await until(() => sms.got.length === 5, { timeoutMs: 3_000, what: 'the messages to be sent' });
  expect(resolved).toBe(false);
  gate.resolve();
  await published;
});

test('what waits for room is not overtaken, whoever comes in between', async () => {
  const bus = new MemoryBus();
  const ticks = async (count: number) => {
    for (let tick = 0; tick < count; tick++) await null;
  };
  const got: number[] = [];
  const reader = delivery.reader({
    OrderPlaced: async (event) => {
      await ticks(event.data.cents % 5);
      got.push(event.data.cents);
    },
  });
  await bus.subscribe('kitchen', reader, { concurrency: 2 });
  const published: Promise<void>[] = [];
  for (let n = 0; n < 200; n++) {
    published.push(bus.publish([placed('1', n)]));
    await ticks(n % 13);
  }
  await Promise.all(published);
  await until(() => got.length === 200);
  expect(got).toEqual(Array.from({ length: 200 }, (_, n) => n));
});

test('a retry lets no later event of its key overtake, and holds up no other key', async () => {
  const bus = new MemoryBus();
  const order: string[] = [];
  let failures = 0;
  const gate = Promise.withResolvers<void>();
  const reader = delivery.reader({
    OrderPlaced: async (event) => {
      if (event.key === 'a' && event.data.cents === 0 && failures++ < 2) {
        await gate.promise;
        throw new Error('not yet');
      }
      order.push(`${event.key}${event.data.cents}`);
    },
  });
  await bus.subscribe('kitchen', reader, NOW);
  await bus.publish([...numbered('a', 3), ...numbered('b', 1)]);
  await until(() => order.includes('b0'));
  gate.resolve();
  await until(() => order.length === 4);
  expect(order).toEqual(['b0', 'a0', 'a1', 'a2']);
});

/** Time that passes when it is told to. */
const manualTime = () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  return (ms: number) => vi.advanceTimersByTimeAsync(ms);
};

test('an outage of half a minute makes no dead letter by default, and events wait for its end in order', async () => {
  const pass = manualTime();
  const dice = vi.spyOn(Math, 'random');
  onTestFinished(() => dice.mockRestore());
  // The shortest waits, and the longest.
  for (const chance of [0, 0.999]) {
    dice.mockReturnValue(chance);
    const buried: string[] = [];
    const bus = new MemoryBus({ add: async (_group, { key }) => void buried.push(key) });
    const cooked: number[] = [];
    let up = false;
    let tries = 0;
    const reader = delivery.reader({
      OrderPlaced: async ({ data }) => {
        tries++;
        if (!up) throw new Error('the gas is out');
        cooked.push(data.cents);
      },
    });
    await bus.subscribe('kitchen', reader);
    await bus.publish(numbered('1', 3));
    await pass(50);
    expect(tries, 'tries within 50 ms').toBe(2);
    await pass(29_950);
    up = true;
    await pass(5000);
    expect([buried, cooked]).toEqual([[], [0, 1, 2]]);
  }
});

test('what is not said is as the options say', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const dice = vi.spyOn(Math, 'random');
  onTestFinished(() => dice.mockRestore());
  const doubled = [50, 100, 200, 400, 800, 1600, 3200];
  for (const chance of [0, 1]) {
    dice.mockReturnValue(chance);
    const buried: number[] = [];
    const bus = new MemoryBus({ add: async (_group, _event, _error, attempts) => void buried.push(attempts) });
    const tries: number[] = [];
    const refuse = async () => {
      tries.push(performance.now());
      throw new Error('no rice');
    };
    await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: refuse }));
    await bus.publish([placed('1')]);
    await vi.advanceTimersByTimeAsync(120_000);
    const waits = tries.slice(1).map((at, n) => at - (tries[n] ?? 0));
    const share = (1 + chance) / 2;
    expect(waits, `waits, chance ${chance}`).toEqual([...doubled, ...Array(12).fill(5000)].map((ms) => ms * share));
    expect(buried).toEqual([20]);
  }
  const bus = new MemoryBus();
  let given: AbortSignal | undefined;
  const hang = (_event: Envelope, signal: AbortSignal) => {
    given ??= signal;
    return new Promise(() => {});
  };
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: hang }));
  await bus.publish([placed('1')]);
  await vi.advanceTimersByTimeAsync(29_999);
  expect(given?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(given?.aborted).toBe(true);
});

test('handlers that hang are given up after their time, and give their places back', async () => {
  const pass = manualTime();
  const buried: string[] = [];
  const bus = new MemoryBus({ add: async (_group, { key }, error) => void buried.push(`${key}: ${error.name}`) });
  const cooked: string[] = [];
  const reader = delivery.reader({
    OrderPlaced: async ({ key }) => {
      if (key.startsWith('hangs')) await new Promise(() => {});
      cooked.push(key);
    },
  });
  const kitchen = await bus.subscribe('kitchen', reader, { ...NOW, concurrency: 2, maxAttempts: 1 });
  let hasRoom = false;
  const published = bus.publish([placed('hangs 1'), placed('hangs 2'), placed('1')]).then(() => {
    hasRoom = true;
  });
  await pass(1000);
  expect(hasRoom, 'room for a third').toBe(false);
  await pass(60_000);
  expect(cooked).toEqual(['1']);
  expect(buried).toEqual(['hangs 1: HandlerTimeoutError', 'hangs 2: HandlerTimeoutError']);
  await published;
  await kitchen.stop();
});

test('a dead letter that hangs is given up after its time, and tried again; who stops need not wait for it', async () => {
  const pass = manualTime();
  let burials = 0;
  const buried: string[] = [];
  // Of a database whose connection died without a word, no answer comes.
  const bus = new MemoryBus({
    add: async (_group, { key }) => {
      if (++burials !== 2) await new Promise(() => {});
      buried.push(key);
    },
  });
  const refuse = () => Promise.reject(new Error('no rice'));
  // A handler's time is no measure for a database.
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: refuse }), { ...NOW, maxAttempts: 1, timeoutMs: 20 });
  await bus.publish([placed('1')]);
  await pass(1000);
  expect(burials, 'while the first may still be safe').toBe(1);
  await pass(30_000);
  expect(buried).toEqual(['1']);
  await bus.publish([placed('2')]);
  await pass(1);
  let closed = false;
  const closing = bus.close().then(() => {
    closed = true;
  });
  await pass(30_000);
  expect([burials, closed], 'burials, and whether the bus is closed').toEqual([3, true]);
  await closing;
});

test('what a handler does to its event is seen by no other: not the next try, not another group, not the publisher', async () => {
  const seen: unknown[] = [];
  const buried: unknown[] = [];
  const bus = new MemoryBus({ add: async (_group, event) => void buried.push(event.data) });
  const spoil = delivery.reader({
    OrderPlaced: async (event) => {
      seen.push(structuredClone(event.data));
      Object.assign(event.data, { cents: Number.NaN });
      throw new Error('the gas is out');
    },
  });
  await bus.subscribe('kitchen', spoil, { ...NOW, maxAttempts: 2 });
  const sms = await listen(bus, 'sms');
  const event = placed('1');
  const before = structuredClone(event.data);
  await bus.publish([event]);
  Object.assign(event.data, { cents: 0 });
  await until(() => buried.length === 1 && sms.got.length === 1);
  expect([...seen, ...buried, sms.got[0]?.data]).toEqual([before, before, before, before]);
});

test('a subscription that stops finishes what is in hand, and takes no more', async () => {
  for (const end of ['stop', 'close', 'close while it stops'] as const) {
    const bus = new MemoryBus();
    const gate = Promise.withResolvers<void>();
    const story: string[] = [];
    const reader = delivery.reader({
      OrderPlaced: async ({ key }, signal) => {
        await gate.promise;
        story.push(`${signal.aborted ? 'gave up' : 'cooked'} ${key}`);
      },
    });
    const kitchen = await bus.subscribe('kitchen', reader);
    await bus.publish([placed('1')]);
    const stopping = end === 'close' ? undefined : kitchen.stop();
    const stopped = (end === 'stop' ? stopping : bus.close())?.then(() => story.push('stopped'));
    await bus.publish([placed('2')]).catch((error: unknown) => expect(error).toBeInstanceOf(BusClosedError));
    await setImmediate();
    gate.resolve();
    await stopped;
    expect(story, end).toEqual(['cooked 1', 'stopped']);
  }
});

test('of two consumers of a group one serves, and the other follows when it stops', async () => {
  const bus = new MemoryBus();
  const [first, second, third] = [await listen(bus, 'sms'), await listen(bus, 'sms'), await listen(bus, 'sms')];
  const served = async (key: string) => {
    await bus.publish([placed(key)]);
    const all = () => [first, second, third].map(({ got }) => got.filter((event) => event.key === key).length);
    await until(() => all().some((count) => count > 0), { timeoutMs: 3_000, what: `${key} to come to the group` });
    return all();
  };
  expect(await served('1')).toEqual([1, 0, 0]);
  await second.subscription.stop();
  expect(await served('2')).toEqual([1, 0, 0]);
  await first.subscription.stop();
  expect(await served('3')).toEqual([0, 0, 1]);
});

test('a consumer that follows another waits for what that one still has in hand', async () => {
  const bus = new MemoryBus();
  const gate = Promise.withResolvers<void>();
  const story: string[] = [];
  const slow = async ({ data }: Envelope<string, { readonly cents: number }>) => {
    await gate.promise;
    story.push(`the first cooked ${data.cents}`);
  };
  const first = await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: slow }));
  const second = await listen(bus, 'kitchen');
  await bus.publish([placed('1', 0), placed('1', 1)]);
  const stopped = first.stop();
  await bus.publish([placed('1', 2)]);
  await setImmediate();
  expect(second.got, 'what has overtaken').toEqual([]);
  gate.resolve();
  await stopped;
  expect(story).toEqual(['the first cooked 0', 'the first cooked 1']);
  await until(() => second.got.length === 1);
});

test('who has lost his group tells each handler at work, and acknowledges nothing', async () => {
  const story: string[] = [];
  const reader = delivery.reader({
    OrderPlaced: ({ key }, signal) => {
      story.push(`begun ${key}`);
      return new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(void story.push(`told ${key}`)));
      });
    },
  });
  const options = { ...NOW, maxAttempts: 20, concurrency: 16, timeoutMs: 60_000 };
  const dispatcher = new Dispatcher('kitchen', reader, options, { add: async () => {} });
  const ack = async () => void story.push('acknowledged');
  for (const key of ['1', '2']) await dispatcher.accept({ event: placed(key), ack });
  await until(() => story.length === 2, { what: 'both to begin' });
  dispatcher.abort();
  await dispatcher.drain();
  expect(story).toEqual(['begun 1', 'begun 2', 'told 1', 'told 2']);
});

test('an acknowledgement is waited for, and one that fails ends nothing else', async () => {
  const story: string[] = [];
  const reader = delivery.reader({ OrderPlaced: async ({ data }) => void story.push(`cooked ${data.cents}`) });
  const options = { ...NOW, maxAttempts: 20, concurrency: 16, timeoutMs: 60_000 };
  const dispatcher = new Dispatcher('kitchen', reader, options, { add: async () => {} });
  const gate = Promise.withResolvers<void>();
  const ack = async () => {
    await gate.promise;
    story.push('refused');
    throw new Error('the connection is gone');
  };
  for (const event of numbered('1', 2)) await dispatcher.accept({ event, ack });
  const finished = dispatcher.drain().then(() => story.push('nothing in hand'));
  await setImmediate();
  gate.resolve();
  await finished;
  expect(story).toEqual(['cooked 0', 'refused', 'cooked 1', 'refused', 'nothing in hand']);
});

test('a replay to a group that is not here is an error', async () => {
  const bus = new MemoryBus();
  const { subscription } = await listen(bus, 'kitchen');
  await bus.publish([placed('1')], 'kitchen');
  await subscription.stop();
  await expect(bus.publish([placed('1')], 'kitchen')).rejects.toBeInstanceOf(UnroutableError);
});

test('a replay to a group that has no handler for it is a dead letter again', async () => {
  const buried: string[] = [];
  const bus = new MemoryBus({ add: async (group, { type }, { name }) => void buried.push(`${group} ${type} ${name}`) });
  onTestFinished(() => bus.close());
  await listen(bus, 'sms');
  await bus.publish([delivery.create('OrderRefunded', '1', { cents: 1 })], 'sms');
  await until(() => buried.length === 1, { what: 'its burial' });
  expect(buried).toEqual(['sms OrderRefunded UnknownEventError']);
});

test('whatever handler, backoff or cemetery throw, an event is tried again or becomes a dead letter', async () => {
  const buried: string[] = [];
  let burials = 0;
  const bus = new MemoryBus({
    add: (_group, { key }, { message }) => {
      if (++burials === 1) throw new Error('no database');
      buried.push(`${key}: ${message}`);
      return Promise.resolve();
    },
  });
  onTestFinished(() => bus.close());
  const bare: unknown = Object.assign(Object.create(null), { code: 7 });
  // Nobody can look at it: the draft of a reducer that has ended, say.
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const thrown: Readonly<Record<string, unknown>> = { 1: bare, 2: 'no rice', 3: revoked.proxy };
  const reader = delivery.reader({ OrderPlaced: ({ key }) => Promise.reject(thrown[key]) });
  const backoffMs = (attempt: number) => {
    if (attempt === 1) throw new Error('no such wait');
    return 1;
  };
  await bus.subscribe('kitchen', reader, { maxAttempts: 2, backoffMs });
  await bus.publish([placed('1')]);
  await until(() => buried.length === 1, { timeoutMs: 3_000, what: 'the first to become a dead letter' });
  await bus.publish([placed('2')]);
  await until(() => buried.length === 2, { timeoutMs: 3_000, what: 'the second to become a dead letter' });
  await bus.publish([placed('3')]);
  await until(() => buried.length === 3, { timeoutMs: 3_000, what: 'the third to become a dead letter' });
  expect(buried).toEqual([expect.stringMatching(/^1: .*code: 7/), '2: no rice', expect.stringMatching(/^3: ./)]);
});

test('a wait beyond any timer is a long one', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const bus = new MemoryBus();
  onTestFinished(() => bus.close());
  let tries = 0;
  const failing = async () => {
    tries++;
    throw new Error('closed today');
  };
  await bus.subscribe('kitchen', delivery.reader({ OrderPlaced: failing }), { backoffMs: () => 2 ** 31 });
  await bus.publish([placed('1')]);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(tries, 'in an hour').toBe(1);
});

test('a closed bus says so', async () => {
  const bus = new MemoryBus();
  await bus.close();
  await expect(bus.publish([placed('1')])).rejects.toBeInstanceOf(BusClosedError);
  await expect(bus.subscribe('sms', delivery.reader({}))).rejects.toBeInstanceOf(BusClosedError);
});
