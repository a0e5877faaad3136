import { getEventListeners, once } from 'node:events';
import { startRedis } from '@shared/services';
import { describeWith, lateAnswers, stillLoading, unhandledRejections, until, whileBusy } from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type CacheEvent,
  type Clock,
  ClosedError,
  compose,
  connectRedis,
  DatabaseGate,
  DualCache,
  type DualCacheOptions,
  GateTimeoutError,
  InvalidArgumentError,
  InvalidationFailedError,
  jitterTtl,
  type Layer,
  LoadTimeoutError,
  PerpetualCache,
  type PerpetualCacheOptions,
  systemClock,
  TtlCache,
  type TtlCacheOptions,
  UnstorableValueError,
  warmUp,
} from '#lab';
import { answered, Depot, handClock, later, Refresher } from './kitchen.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * 24 * HOUR;
const NOT_OURS = 'it kills a server, and this one is not ours';

await describeWith('cache avalanche', { redis: () => startRedis({ nodes: 2 }) }, ({ redis }) => {
  const [node, second] = redis.nodes;
  const connect = (url = node.url, timeoutMs = 3_000) => {
    const client = connectRedis(url, { timeoutMs });
    onTestFinished(() => client.disconnect());
    return client;
  };
  let shelves = 0;
  const fresh = () => `${redis.namespace}shelf${++shelves}:`;
  // To the others a cache with a connection of its own is another process.
  const ttlCache = (options: TtlCacheOptions = {}, client = connect()) =>
    new TtlCache(client, { prefix: fresh(), ...options });
  const dualCache = (options: DualCacheOptions = {}, client = connect()) =>
    new DualCache(client, { prefix: fresh(), spread: 0, ...options });
  const perpetualCache = (options: PerpetualCacheOptions = {}, client = connect()) => {
    const cache = new PerpetualCache(client, { prefix: fresh(), refreshMs: 30, leaseMs: 3_000, ...options });
    onTestFinished(() => cache.close());
    return cache;
  };
  const pttls = async (prefix: string) => {
    const client = connect();
    const keys = await client.keys(`${prefix}*`);
    return Promise.all(keys.map((key) => client.pttl(key)));
  };

  // ── staggered expiry ──────────────────────────────────────────────────────────────────────────────────────────────

  test('sixty minutes with jitter are 55 to 65, in whole milliseconds', () => {
    for (let n = 0; n < 1_000; n++) {
      const ttl = jitterTtl(HOUR);
      expect(Number.isInteger(ttl)).toBe(true);
      expect(ttl).toBeGreaterThanOrEqual(55 * MINUTE);
      expect(ttl).toBeLessThanOrEqual(65 * MINUTE);
    }
    expect(jitterTtl(HOUR, undefined, () => 0)).toBe(55 * MINUTE);
    expect(jitterTtl(HOUR, 1 / 12, () => 0.5)).toBe(HOUR);
    expect(jitterTtl(HOUR, 0)).toBe(HOUR);
    expect(jitterTtl(1, 0.9, () => 0)).toBe(1);
  });

  test('what nothing can be made from is refused', async () => {
    const client = connect();
    const bad: [string, () => unknown][] = [
      ['a TTL of 0', () => jitterTtl(0)],
      ['a TTL that is not a number', () => jitterTtl(Number.NaN)],
      ['a TTL without an end', () => jitterTtl(Number.POSITIVE_INFINITY)],
      ['a negative spread', () => jitterTtl(HOUR, -0.1)],
      ['a spread of all', () => jitterTtl(HOUR, 1)],
      ['a TTL of a fraction', () => new TtlCache(client, { ttlMs: 1.5 })],
      ['a cache with a spread of all', () => new TtlCache(client, { spread: 1 })],
      ['no time to load', () => new TtlCache(client, { loadTimeoutMs: 0 })],
      ['B as short as A', () => new DualCache(client, { ttlAMs: HOUR, ttlBMs: HOUR, spread: 0 })],
      ['B that jitter may end before A', () => new DualCache(client, { ttlAMs: HOUR, ttlBMs: HOUR + MINUTE })],
      ['no refresh', () => new PerpetualCache(client, { refreshMs: 0 })],
      ['a negative lease', () => new PerpetualCache(client, { leaseMs: -1 })],
      ['a gate that is closed', () => new DatabaseGate({ maxConcurrent: 0 })],
      ['an endless queue', () => new DatabaseGate({ maxWaiting: Number.POSITIVE_INFINITY })],
      ['a circuit that opens at nothing', () => new DatabaseGate({ breaker: { failureRate: 0 } })],
      ['a circuit that opens beyond all', () => new DatabaseGate({ breaker: { failureRate: 1.1 } })],
      ['commands without an end', () => connectRedis(node.url, { timeoutMs: Number.POSITIVE_INFINITY })],
      ['commands without a time', () => connectRedis(node.url, { timeoutMs: Number.NaN })],
    ];
    for (const [what, make] of bad) expect(make, what).toThrow(InvalidArgumentError);
    const cache = ttlCache();
    // UTF-8 has one text for all halves of a character: the second key would read the first one's value.
    for (const key of ['', 'k'.repeat(513), 'user\ud83d', 'user\ud83c']) {
      await expect(
        cache.getOrLoad(key, async () => 1),
        JSON.stringify(key),
      ).rejects.toThrow(InvalidArgumentError);
      await expect(cache.invalidate(key), JSON.stringify(key)).rejects.toThrow(InvalidArgumentError);
    }
  });

  test('what stands at a limit is within it, and what is a step beyond is refused', async () => {
    const client = connect();
    // The longest timer of Node. The TTLs: what Redis adds to its clock does not overflow.
    const longest = 2 ** 31 - 1;
    const limits: [what: string, from: number, to: number, make: (value: number) => unknown][] = [
      ['loadTimeoutMs', 1, Math.floor(longest / 4), (loadTimeoutMs) => new TtlCache(client, { loadTimeoutMs })],
      ['ttlMs', 1, 50 * YEAR, (ttlMs) => new TtlCache(client, { ttlMs })],
      ['ttlAMs', 1, 50 * YEAR - 1, (ttlAMs) => new DualCache(client, { ttlAMs, ttlBMs: 50 * YEAR, spread: 0 })],
      ['ttlBMs', 2, 50 * YEAR, (ttlBMs) => new DualCache(client, { ttlAMs: 1, ttlBMs, spread: 0 })],
      ['leaseMs of two caches', 1, longest, (leaseMs) => new DualCache(client, { leaseMs })],
      ['refreshMs', 1, longest, (refreshMs) => new PerpetualCache(client, { refreshMs, leaseMs: 3 })],
      ['leaseMs', 3, longest, (leaseMs) => new PerpetualCache(client, { leaseMs })],
      ['staleMs', 1, Number.MAX_SAFE_INTEGER, (staleMs) => new PerpetualCache(client, { staleMs })],
      ['maxLoads', 1, 10_000, (maxLoads) => new PerpetualCache(client, { maxLoads })],
      ['maxConcurrent', 1, 100_000, (maxConcurrent) => new DatabaseGate({ maxConcurrent })],
      ['maxWaiting', 0, 1_000_000, (maxWaiting) => new DatabaseGate({ maxWaiting })],
      ['maxWaitMs', 1, longest, (maxWaitMs) => new DatabaseGate({ maxWaitMs })],
      ['loadTimeoutMs of a gate', 1, longest, (loadTimeoutMs) => new DatabaseGate({ loadTimeoutMs })],
      ['abandonMs', 0, longest, (abandonMs) => new DatabaseGate({ abandonMs })],
      ['window', 1, 100_000, (window) => new DatabaseGate({ breaker: { window } })],
      ['openMs', 1, longest, (openMs) => new DatabaseGate({ breaker: { openMs } })],
      ['timeoutMs', 1, longest, (timeoutMs) => connect(node.url, timeoutMs)],
    ];
    for (const [what, from, to, make] of limits) {
      for (const within of [from, to]) expect(() => make(within), `${what}: ${within}`).not.toThrow();
      for (const beyond of [from - 1, to + 1])
        expect(() => make(beyond), `${what}: ${beyond}`).toThrow(InvalidArgumentError);
    }
    const warm = (maxLoads: number) => warmUp(ttlCache(), ['k'.repeat(512)], async () => 1, { maxLoads });
    for (const maxLoads of [1, 10_000]) expect(await warm(maxLoads)).toMatchObject({ loaded: 1, failed: [] });
    for (const maxLoads of [0, 10_001]) await expect(warm(maxLoads)).rejects.toThrow(InvalidArgumentError);
  });

  test('what is not said is as documented', async () => {
    const set: number[] = [];
    const after: Clock['after'] = (ms, ...rest) => {
      set.push(ms);
      return systemClock.after(ms, ...rest);
    };
    const clock = { ...systemClock, after };
    await new DatabaseGate({ clock }).run(async () => 1);
    expect(set.splice(0), 'loadTimeoutMs, abandonMs').toEqual([5_000, 30_000]);
    await using cache = new PerpetualCache(connect(), { prefix: fresh(), clock });
    cache.keepFresh('a', async () => 1);
    await until(() => set.length === 3, { what: 'a beat and a load' });
    expect(set.sort(), 'at once, a third of refreshMs, loadTimeoutMs').toEqual([0, MINUTE / 3, 5_000]);
    const [prefix, client] = [fresh(), connect()];
    const lefts: number[] = [];
    // One of so many is looked at in the millisecond in which it was invalidated.
    for (let key = ''; lefts.length < 20; lefts.push(await client.pttl(key))) {
      await ttlCache({ prefix }, client).invalidate('a');
      key ||= (await client.keys(`${prefix}*`))[0] ?? '';
    }
    expect(Math.max(...lefts), 'an invalidation outlasts each load by a minute').toSatisfy(
      (ms: number) => ms > 60_000 && ms <= 70_000,
    );
  });

  test('a TTL and a lease of which nothing is said last as long as documented', async () => {
    const client = connect();
    // One of so many is looked at in the millisecond in which it was stored.
    const longestOf = async (prefix: string, cache: TtlCache | DualCache) => {
      const lefts: number[][] = [];
      let names: string[] = [];
      for (let n = 0; n < 20; n++) {
        await cache.getOrLoad('a', async () => n);
        if (n === 0) names = (await client.keys(`${prefix}*`)).sort();
        lefts.push(await Promise.all(names.map((name) => client.pttl(name))));
        await cache.invalidate('a');
      }
      return names.map((_, index) => Math.max(...lefts.map((left) => left[index] ?? 0)));
    };
    const [one, two] = [fresh(), fresh()];
    const kept = await longestOf(one, ttlCache({ prefix: one, spread: 0 }, client));
    kept.push(...(await longestOf(two, dualCache({ prefix: two }, client))));
    const prefix = fresh();
    const cache = dualCache({ prefix, ttlAMs: 1 }, client);
    const fail = async () => Promise.reject(new Error('the depot is closed'));
    await cache.getOrLoad('a', async () => 1);
    await until(async () => (await cache.getOrLoad('a', fail)).source === 'stale', { what: 'A to run out' });
    const [lease = ''] = await client.keys(`${prefix}lease*`);
    const leases: number[] = [];
    for (let n = 0; n < 20; n++) {
      await answered(client);
      await client.del(lease);
      await cache.getOrLoad('a', fail);
      leases.push(await client.pttl(lease));
    }
    kept.push(Math.max(...leases));
    for (const [index, ms] of [HOUR, 2 * HOUR, 3 * HOUR, 10_000].entries()) {
      expect(kept[index], `${ms} ms`).toBeGreaterThan(ms - 1_000);
      expect(kept[index], `${ms} ms`).toBeLessThanOrEqual(ms);
    }
  });

  test('where it is not said how many load at once, four do', async () => {
    const client = connect();
    const keys = Array.from({ length: 9 }, (_, n) => `key ${n}`);
    const [kept, warmed] = [new Depot(() => 1), new Depot(() => 1)];
    const cache = perpetualCache({ refreshMs: MINUTE }, client);
    for (const key of keys) cache.keepFresh(key, kept.load);
    const warming = later(warmUp(ttlCache({}, client), keys, warmed.load));
    await until(() => kept.loads >= 4 && warmed.loads >= 4, { what: 'the first loads' });
    await answered(client, 30);
    expect([kept.running, warmed.running], 'kept, warmed').toEqual([4, 4]);
    kept.open();
    warmed.open();
    expect(await warming).toMatchObject({ loaded: 9 });
  });

  test('a command has 250 ms where nothing is said, and a silent connection ten times a command, at least a second', () => {
    const times = [undefined, 99, 101, 2 ** 31 - 1].map((timeoutMs) => {
      const client = connectRedis(node.url, timeoutMs === undefined ? {} : { timeoutMs });
      onTestFinished(() => client.disconnect());
      return [client.options.commandTimeout, client.options.socketTimeout];
    });
    expect(times).toEqual([
      [250, 2_500],
      [99, 1_000],
      [101, 1_010],
      [2 ** 31 - 1, 2 ** 31 - 1],
    ]);
  });

  test('a script that failed is not run once more, unless Redis had forgotten it', async () => {
    const client = connect();
    const cache = ttlCache({}, client);
    await cache.invalidate('a');
    const again = vi.spyOn(client, 'eval');
    client.disconnect();
    await expect(cache.invalidate('a')).rejects.toThrow(InvalidationFailedError);
    expect(again).not.toHaveBeenCalled();
  });

  test('what was loaded is kept, also that there is nothing', async () => {
    const cache = ttlCache();
    expect(await cache.getOrLoad('plain', async () => 3.5)).toEqual({ value: 3.5, source: 'load', ageMs: 0 });
    expect(await cache.getOrLoad('plain', async () => 9)).toMatchObject({ value: 3.5, source: 'hit' });
    expect(await cache.getOrLoad('none', async () => null)).toMatchObject({ value: null, source: 'load' });
    expect(await cache.getOrLoad('none', async () => 9)).toMatchObject({ value: null, source: 'null' });
  });

  test('no value is taken for a missing one', async () => {
    const cache = ttlCache();
    for (const [index, value] of ['', 0, false, 'null', '1:0:null', [], {}, ':'].entries()) {
      await cache.getOrLoad(`odd ${index}`, async () => value);
      expect(await cache.getOrLoad<unknown>(`odd ${index}`, async () => 'loaded again')).toMatchObject({
        value,
        source: 'hit',
      });
    }
  });

  test('a value that can not be kept is refused, and stored nowhere', async () => {
    const prefix = fresh();
    const cache = ttlCache({ prefix });
    for (const value of [1n, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(cache.getOrLoad('big', async () => value)).rejects.toThrow(UnstorableValueError);
    }
    const nothing: () => Promise<unknown> = async () => undefined;
    await expect(cache.getOrLoad('undefined', nothing)).rejects.toThrow(InvalidArgumentError);
    expect(await connect().keys(`${prefix}*`)).toEqual([]);
  });

  test('the first caller gets what the next ones will get: what JSON makes of it', async () => {
    const load = async () => ({ baked: new Date(0), sizes: new Map([['M', 2]]), rating: Number.NaN, note: undefined });
    const stored = { baked: '1970-01-01T00:00:00.000Z', sizes: {}, rating: null };
    for (const cache of [ttlCache(), dualCache(), ttlCache({}, connect('redis://127.0.0.1:1'))]) {
      const reads = [await cache.getOrLoad('a', load), await cache.getOrLoad('a', load)];
      for (const { value } of reads) expect(value).toStrictEqual(stored);
    }
  });

  test('what is stored has the lab and its version in its name', async ({ skip }) => {
    skip(!redis.faults, 'it stores under the default prefix, and this server is not ours');
    const client = connect();
    for (const cache of [new TtlCache(client), new DualCache(client)]) await cache.getOrLoad('mine', async () => 1);
    const keys = await client.keys('*mine*');
    expect(keys.length).toBeGreaterThanOrEqual(3);
    expect(keys.filter((key) => !key.startsWith('cache-avalanche:1:'))).toEqual([]);
  });

  test('a client of the caller that gives numbers as text is understood', async () => {
    const client = new Redis(node.url, { stringNumbers: true });
    onTestFinished(() => client.disconnect());
    const onEvent = vi.fn();
    await ttlCache({ onEvent }, client).getOrLoad('a', async () => 1);
    await dualCache({ onEvent }, client).getOrLoad('a', async () => 1);
    let loads = 0;
    perpetualCache({ onEvent }, client).keepFresh('a', async () => ++loads);
    await until(() => loads > 1, { what: 'the second of its beats', timeoutMs: 3_000 });
    expect(onEvent.mock.calls, 'what was told of values that were stored').toEqual([]);
  });

  test('a replica to which the name still leads is left once a second at most, not at each write that it refuses', () => {
    const client = connect();
    const now = vi.spyOn(performance, 'now');
    const left = [0, 1, 999, 1_000, 1_999].map((ms) => {
      now.mockReturnValue(5_000 + ms);
      return client.options.reconnectOnError?.(new Error("READONLY You can't write against a read only replica."));
    });
    now.mockRestore();
    expect(left).toEqual([true, false, false, true, false]);
  });

  test('a server that has become a replica is left for a new connection', async ({ skip }) => {
    skip(!redis.faults, 'it makes the server a replica, and this one is not ours');
    const [client, admin] = [connect(), connect()];
    await admin.replicaof('127.0.0.1', 1);
    try {
      const left = once(client, 'reconnecting', { signal: AbortSignal.timeout(2_000) });
      expect(await ttlCache({}, client).getOrLoad('a', async () => 1)).toMatchObject({ value: 1 });
      await left;
    } finally {
      await admin.replicaof('NO', 'ONE');
    }
  });

  test('a lost server fails its commands at once, and is looked for ever more seldom', async () => {
    const client = connect('redis://127.0.0.1:1');
    let attempts = 0;
    client.on('close', () => attempts++);
    for (const _ of ['first', 'second']) await expect(client.ping()).rejects.toThrow(Error);
    expect(attempts, 'attempts to connect').toBe(1);
    expect([1, 2, 99].map((attempt) => client.options.retryStrategy?.(attempt))).toEqual([50, 100, 1_000]);
    expect(await client.quit()).toBe('OK');
  });

  test('a database that is chosen on a client that never was connected is refused, and the process goes on', async () => {
    const unhandled = unhandledRejections();
    const client = connectRedis(node.url);
    client.disconnect();
    await expect(client.select(1)).rejects.toThrow('closed');
    await new Promise(setImmediate);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('a database that could not be chosen, as Redis was busy with a script, is no reason to go on in another', async ({
    skip,
  }) => {
    skip(!redis.faults, 'it keeps the server busy, and this one is not ours');
    const client = await whileBusy(node.url, async () => {
      const refused = Promise.withResolvers<Error>();
      const client = connectRedis(new URL('/2', node.url).href, { onError: refused.resolve });
      onTestFinished(() => client.disconnect());
      expect((await refused.promise).message).toMatch(/^BUSY/);
      return client;
    });
    const info = await until(() => client.client('INFO'));
    expect(info, 'where its commands go').toContain(' db=2 ');
  });

  test('a server that is still loading its data is asked nevertheless, and nothing waits until it has', async () => {
    await using link = await stillLoading(node.url);
    const client = connectRedis(link.url, { timeoutMs: 1_000 });
    onTestFinished(() => client.disconnect());
    // Its own "LOADING" comes at once, and nothing is kept for later.
    expect(await client.exists('dish')).toEqual(expect.any(Number));
  });

  test('a connection on which Redis hangs is given up with all that waits in it, and the next one serves', async () => {
    await using link = await node.proxy();
    const client = connectRedis(link.url, { timeoutMs: 60 });
    onTestFinished(() => client.disconnect());
    const served = () => until(() => client.ping());
    await served();
    link.partition();
    await expect(client.ping()).rejects.toThrow(Error);
    await until(() => client.status !== 'ready', { what: 'the connection to be given up', timeoutMs: 3_000 });
    link.heal();
    await served();
  });

  test('keys that are stored together do not expire together', async () => {
    const prefix = fresh();
    const cache = ttlCache({ prefix, ttlMs: HOUR });
    await warmUp(
      cache,
      Array.from({ length: 400 }, (_, n) => `yoghurt ${n}`),
      async (key) => key,
      { maxLoads: 50 },
    );
    const ends = (await pttls(prefix)).map((ms) => ms / MINUTE);
    expect(ends).toHaveLength(400);
    expect(Math.min(...ends)).toBeGreaterThan(54);
    expect(Math.max(...ends)).toBeLessThanOrEqual(65);
    const inOneMinute = Math.max(...ends.map((from) => ends.filter((end) => end >= from && end < from + 1).length));
    expect(inOneMinute, 'of 400 keys in the fullest minute').toBeLessThan(100);
  });

  test('one hot key under a crowd is one load', async () => {
    const cache = ttlCache();
    const depot = new Depot(() => 3.5);
    const crowd = Array.from({ length: 100 }, () => later(cache.getOrLoad('hot', depot.load)));
    await depot.begun(crowd);
    depot.open();
    const reads = await Promise.all(crowd);
    expect(new Set(reads.map(({ value }) => value))).toEqual(new Set([3.5]));
    expect(depot.loads).toBe(1);
  });

  test('who comes while a key is looked up or loaded gets the same object', async () => {
    const cache = ttlCache();
    const depot = new Depot(() => 3.5);
    const first = later(cache.getOrLoad('a', depot.load));
    await depot.begun(first);
    const second = later(cache.getOrLoad('a', depot.load));
    depot.open();
    expect(await second, 'while it is loaded').toBe(await first);
    const crowd = await Promise.all(Array.from({ length: 10 }, () => cache.getOrLoad('a', depot.load)));
    expect(new Set(crowd).size, 'objects for a crowd that comes in one turn').toBe(1);
  });

  test('a load that fails fails everybody who waits, once, and is not kept', async () => {
    const cache = ttlCache();
    const depot = new Depot(() => Promise.reject(new Error('the depot is closed')));
    const crowd = Array.from({ length: 20 }, () => cache.getOrLoad('a', depot.load).catch((error: Error) => error));
    await depot.begun(crowd);
    depot.open();
    for (const error of await Promise.all(crowd)) expect(error).toMatchObject({ message: 'the depot is closed' });
    expect(depot.loads).toBe(1);
    const thrown = () => {
      throw new Error('at once');
    };
    await expect(cache.getOrLoad('a', thrown)).rejects.toThrow('at once');
    expect(await cache.getOrLoad('a', async () => 1)).toMatchObject({ value: 1, source: 'load' });
  });

  test('a caller who leaves takes nobody along', async () => {
    const cache = ttlCache();
    const depot = new Depot(() => 1);
    const leaves = new AbortController();
    const first = later(cache.getOrLoad('a', depot.load, { signal: leaves.signal }));
    const second = later(cache.getOrLoad('a', depot.load));
    await depot.begun([first, second]);
    leaves.abort(new Error('had enough'));
    await expect(first).rejects.toThrow('had enough');
    depot.open();
    expect(await second).toMatchObject({ value: 1 });
    expect(depot.loads).toBe(1);
  });

  test('a load that hangs is given up in bounded time', async () => {
    const cache = ttlCache({ loadTimeoutMs: 30 });
    const signals: AbortSignal[] = [];
    const hang = (signal: AbortSignal) => {
      signals.push(signal);
      return new Promise<number>(() => {});
    };
    await expect(cache.getOrLoad('a', hang)).rejects.toThrow(LoadTimeoutError);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    expect(await cache.getOrLoad('a', async () => 1)).toMatchObject({ value: 1 });
  });

  test('through layers too, a load that the gate gives up is told to stop', async () => {
    const cache = compose(ttlCache().layer(), new DatabaseGate({ loadTimeoutMs: 30 }).layer());
    const signals: AbortSignal[] = [];
    const hang = (signal: AbortSignal) => {
      signals.push(signal);
      return new Promise<number>(() => {});
    };
    await expect(cache.read('a', hang)).rejects.toThrow(LoadTimeoutError);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
  });

  test('a database that hangs opens the circuit, also where a cache above the gate gives its load up', async () => {
    const gate = new DatabaseGate({ breaker: { window: 2 } });
    const cache = compose(ttlCache({ loadTimeoutMs: 30 }).layer(), gate.layer());
    const hang = () => new Promise<number>(() => {});
    for (const key of ['a', 'b']) await expect(cache.read(key, hang)).rejects.toThrow(LoadTimeoutError);
    expect(gate.stats().circuit).toBe('open');
  });

  test('a load that began before an invalidation is not stored', async () => {
    const prefix = fresh();
    const [here, there] = [ttlCache({ prefix }), ttlCache({ prefix })];
    const depot = new Depot((load) => (load === 1 ? 'old' : 'new'));
    const slow = later(here.getOrLoad('a', depot.load));
    await depot.begun(slow);
    await there.invalidate('a');
    depot.open();
    await slow;
    expect(await there.getOrLoad('a', async () => 'new')).toMatchObject({ value: 'new' });
    expect(await here.getOrLoad('a', async () => 'newest')).toMatchObject({ value: 'new', source: 'hit' });
  });

  test('a load that outlasts what was stored after an invalidation is not stored', async () => {
    const prefix = fresh();
    const [here, there] = [ttlCache({ prefix, ttlMs: 50 }), ttlCache({ prefix, ttlMs: 50 })];
    const depot = new Depot((load) => (load === 1 ? 'old' : 'newest'));
    const slow = later(here.getOrLoad('a', depot.load));
    await depot.begun(slow);
    await there.invalidate('a');
    await there.getOrLoad('a', async () => 'in between');
    await until(async () => (await connect().exists(`${prefix}ttl:a`)) === 0, { what: 'it to expire' });
    depot.open();
    await slow;
    expect((await there.getOrLoad('a', async () => 'new')).value).not.toBe('old');
  });

  test('a load through which its process was stopped is late, also where its answer comes before its timer', async () => {
    let stoppedMs = 0;
    const cache = ttlCache({ clock: { ...systemClock, mono: () => systemClock.mono() + stoppedMs } });
    const signals: AbortSignal[] = [];
    const stopped = async (signal: AbortSignal) => {
      signals.push(signal);
      // Longer than any invalidation is remembered.
      stoppedMs += HOUR;
      return 'old';
    };
    await expect(cache.getOrLoad('a', stopped)).rejects.toThrow(LoadTimeoutError);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    expect(await cache.getOrLoad('a', async () => 'new')).toMatchObject({ value: 'new', source: 'load' });
  });

  test('who asks after an invalidation elsewhere does not get what was on its way to or from Redis', async () => {
    for (const way of ['to', 'from']) {
      const [prefix, client] = [fresh(), connect()];
      const [here, there] = [ttlCache({ prefix }, client), ttlCache({ prefix })];
      if (way === 'from') await there.getOrLoad('a', async () => 'old');
      // Redis has done what it was asked, and its answer takes its time.
      const answers = lateAnswers(client);
      if (way === 'from') answers.hold();
      const load = async () => {
        answers.hold();
        return 'old';
      };
      const before = later(here.getOrLoad('a', load));
      await Promise.race([answers.held, before]);
      await there.invalidate('a');
      const after = later(here.getOrLoad('a', async () => 'new'));
      answers.release();
      expect((await after).value, `${way} Redis`).toBe('new');
      expect((await before).value, 'who asked before').toBe('old');
    }
  });

  test('where Redis is out of reach, who asks after an invalidation elsewhere does not get what was loaded before', async () => {
    for (const lost of ['the look', 'the store']) {
      const link = await node.proxy();
      onTestFinished(() => link[Symbol.asyncDispose]());
      const prefix = fresh();
      const [here, there] = [ttlCache({ prefix }, connect(link.url, 100)), ttlCache({ prefix })];
      await here.getOrLoad('any', async () => 'any');
      if (lost === 'the look') link.partition();
      const depot = new Depot(() => 'old');
      const before = later(here.getOrLoad('a', depot.load));
      await depot.begun(before);
      await there.invalidate('a');
      const after = later(here.getOrLoad('a', async () => 'new'));
      link.partition();
      depot.open();
      expect((await after).value, `${lost} was not answered`).toBe('new');
      expect((await before).value, 'who asked before').toBe('old');
    }
  });

  test('what a lower layer found stale is not for who asks after an invalidation elsewhere', async () => {
    const prefix = fresh();
    const stale: Layer = {
      async read(_key, load, _next, signal) {
        return { value: await load(signal), source: 'stale', ageMs: 1 };
      },
    };
    const cache = compose(ttlCache({ prefix }).layer(), stale);
    const depot = new Depot(() => 'old');
    const before = later(cache.read('a', depot.load));
    await depot.begun(before);
    await ttlCache({ prefix }).invalidate('a');
    const after = later(cache.read('a', async () => 'new'));
    depot.open();
    expect(await after).toMatchObject({ value: 'new', source: 'stale' });
    expect((await before).value, 'who asked before').toBe('old');
  });

  test('who asks after the second of two invalidations does not get the value from in between', async () => {
    const prefix = fresh();
    const [here, there] = [ttlCache({ prefix }), ttlCache({ prefix })];
    const turns = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let [now, loads] = [0, 0];
    const load = async () => {
      const value = now;
      await turns[loads++]?.promise;
      return value;
    };
    const before = later(here.getOrLoad('a', load));
    for (const number of [1, 2]) {
      await Promise.race([until(() => loads === number, { what: `load ${number}` }), before]);
      now = number;
      await there.invalidate('a');
      if (number === 1) turns[0]?.resolve();
    }
    const after = later(here.getOrLoad('a', load));
    turns[1]?.resolve();
    expect((await after).value).toBe(2);
    expect((await before).value, 'who asked before').toBeGreaterThan(0);
  });

  test('a load that was refused twice is handed out, and not tried a third time', async () => {
    const prefix = fresh();
    const onEvent = vi.fn();
    const [here, there] = [ttlCache({ prefix, onEvent }), ttlCache({ prefix })];
    let loads = 0;
    const outdated = async () => {
      await there.invalidate('a');
      return ++loads;
    };
    expect(await here.getOrLoad('a', outdated)).toEqual({ value: 2, source: 'load', ageMs: 0 });
    expect(loads).toBe(2);
    expect(onEvent.mock.calls).toEqual([[{ type: 'fenced', key: 'a' }], [{ type: 'fenced', key: 'a' }]]);
    expect(await there.getOrLoad('a', async () => 'new'), 'stored').toMatchObject({ value: 'new' });
  });

  test('a value is as old as a layer below says, and as its load took', async () => {
    vi.setSystemTime(Date.now());
    onTestFinished(() => void vi.useRealTimers());
    const clock = handClock();
    const below: Layer = {
      async read(_key, load, _next, signal) {
        await clock.manual.advance(2_000);
        return { value: await load(signal), source: 'hit', ageMs: 5_000 };
      },
    };
    const cache = compose(ttlCache({ clock }).layer(), below);
    expect(await cache.read('a', async () => 1)).toEqual({ value: 1, source: 'hit', ageMs: 5_000 });
    expect(await cache.read('a', async () => 2)).toEqual({ value: 1, source: 'hit', ageMs: 7_000 });
    expect(await compose().read('a', async () => 3)).toEqual({ value: 3, source: 'load', ageMs: 0 });
  });

  test('what a load leaves on its signal is not left on a signal that outlives the read', async () => {
    const lasting = new AbortController();
    const signals: AbortSignal[] = [];
    const load = async (signal: AbortSignal) => {
      signal.addEventListener('abort', () => {});
      signals.push(signal);
      return 1;
    };
    const gate = new DatabaseGate();
    const cache = ttlCache();
    for (const [n, signal] of [lasting.signal, lasting.signal, undefined, undefined].entries()) {
      await gate.run(load, signal);
      await compose(gate.layer()).read('a', load, signal);
      await compose(cache.layer(), gate.layer()).read(`${n}`, load, signal);
      await compose().read('a', load, signal);
    }
    expect(new Set([...signals, lasting.signal]).size, 'signals').toBe(17);
    expect(getEventListeners(lasting.signal, 'abort')).toEqual([]);
    const gone = new Error('the customer went home');
    const hang = () => new Promise<never>(() => {});
    const caches = [compose(), compose(gate.layer())];
    const readings = [gate.run(hang, lasting.signal), ...caches.map((each) => each.read('a', hang, lasting.signal))];
    readings.map(later);
    lasting.abort(gone);
    for (const reading of readings) await expect(reading).rejects.toBe(gone);
  });

  test('an entry that is none of ours is a miss, and an event', async () => {
    const prefix = fresh();
    const events: CacheEvent[] = [];
    const cache = ttlCache({ prefix, onEvent: (event) => events.push(event) });
    await cache.getOrLoad('a', async () => 1);
    const client = connect();
    const [key = ''] = await client.keys(`${prefix}*`);
    for (const text of ['gibberish', '2:0:1', '1:soon:1', '1:0.5:1', '1:0', '1:0:{']) {
      await client.hset(key, 'value', text);
      expect(await cache.getOrLoad('a', async () => 2), text).toMatchObject({ value: 2, source: 'load' });
      expect(await cache.getOrLoad('a', async () => 3), text).toMatchObject({ value: 2, source: 'hit' });
      expect(events.splice(0), text).toMatchObject([{ type: 'undecodable', key: 'a' }]);
    }
  });

  test('without Redis the database is asked, and an invalidation says that it failed', async () => {
    const link = await node.proxy();
    const events: CacheEvent[] = [];
    const cache = ttlCache({ onEvent: (event) => events.push(event) }, connect(link.url));
    await cache.getOrLoad('a', async () => 1);
    const load = vi.fn(async () => {
      await link[Symbol.asyncDispose]();
      return 1;
    });
    expect(await cache.getOrLoad('b', load)).toMatchObject({ value: 1, source: 'load' });
    expect(load, 'lost during the load').toHaveBeenCalledTimes(1);
    expect(await cache.getOrLoad('a', async () => 2)).toMatchObject({ value: 2, source: 'load' });
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['redis-down']));
    await expect(cache.invalidate('a')).rejects.toThrow(InvalidationFailedError);
  });

  test('where Redis answers the look and nothing after it, what is loaded is handed out, and is not stored', async () => {
    const [prefix, client, events] = [fresh(), connect(), new Array<CacheEvent>()];
    const cache = ttlCache({ prefix, onEvent: (event) => events.push(event) }, client);
    await cache.invalidate('a');
    for (const fence of await client.keys(`${prefix}*`)) {
      await client.del(fence);
      await client.lpush(fence, 'of another program');
    }
    for (const value of [1, 2]) {
      expect(await cache.getOrLoad('a', async () => value)).toEqual({ value, source: 'load', ageMs: 0 });
      expect(events.splice(0)).toMatchObject([{ type: 'redis-down', key: 'a' }]);
    }
  });

  // ── never expires ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('a value that never expires has no TTL, and is loaded anew in the background', async () => {
    const prefix = fresh();
    const cache = perpetualCache({ prefix });
    let price = 0;
    cache.keepFresh('a', async () => ++price);
    const never = vi.fn(async () => -1);
    await until(() => price > 2);
    const { value } = await cache.getOrLoad<number>('a', never);
    expect(value).toBeGreaterThanOrEqual(2);
    expect(never).not.toHaveBeenCalled();
    const client = connect();
    const keys = (await client.keys(`${prefix}*`)).filter((key) => key.endsWith('a'));
    expect(await Promise.all(keys.map((key) => client.pttl(key)))).toEqual([-1]);
  });

  test('a refresh that fails in the background bothers nobody, and the old value stays', async () => {
    const unhandled = unhandledRejections();
    const events: CacheEvent[] = [];
    const cache = perpetualCache({ onEvent: (event) => events.push(event) });
    let closed = false;
    cache.keepFresh('a', async () => {
      if (closed) throw new Error('the depot is closed');
      return 3.5;
    });
    await until(async () => (await cache.staleness()).get('a') !== Number.POSITIVE_INFINITY);
    closed = true;
    await until(() => events.length > 1 || unhandled.mock.calls.length > 0);
    await new Promise(setImmediate);
    expect(unhandled.mock.calls).toEqual([]);
    expect(events[0]).toMatchObject({ type: 'refresh-failed', key: 'a', error: { message: 'the depot is closed' } });
    expect(await cache.getOrLoad('a', async () => 9)).toMatchObject({ value: 3.5 });
  });

  test('one process of all refreshes', async () => {
    const prefix = fresh();
    const clock = handClock();
    const processes = [1, 2, 3].map(() => {
      const client = connect();
      const cache = perpetualCache({ prefix, clock, refreshMs: 30, leaseMs: 10 * MINUTE }, client);
      return { client, cache, loads: 0 };
    });
    for (const each of processes) each.cache.keepFresh('a', async () => ++each.loads);
    for (let beat = 0; beat < 6; beat++) {
      await clock.manual.advance(30);
      for (const { client } of processes) await answered(client);
    }
    const loads = processes.map((each) => each.loads);
    expect(Math.max(...loads), `loads by process: ${loads}`).toBeGreaterThan(1);
    expect(loads.filter(Boolean), `loads by process: ${loads}`).toHaveLength(1);
  });

  test('a kept value is loaded each refreshMs, also with a lease twice as long, and once where a load outlasts that', async () => {
    const clock = handClock();
    // Beats each 50 s that come a second early: the one at 98 s is the nearest to 100.
    const early: Clock = { ...clock, after: (ms, ...rest) => clock.after(Math.max(0, ms - 1_000), ...rest) };
    const client = connect();
    const options = { clock: early, refreshMs: 100_000, leaseMs: 200_000, loadTimeoutMs: HOUR };
    const cache = perpetualCache(options, client);
    const depot = new Depot((load) => load);
    const again = new Depot((load) => load);
    const began: number[] = [];
    let second = 0;
    cache.keepFresh('a', () => {
      began.push(second);
      return depot.load();
    });
    for (; second <= 301; second += 7) {
      // As a handler does that says it before each read.
      cache.keepFresh('b', again.load);
      await clock.manual.advance(second && 7_000);
      await answered(client);
      if (began.length < 3) depot.one();
      await answered(client);
    }
    expect(began, 'seconds, with a third load that does not end').toEqual([0, 98, 196]);
    expect(again.loads, 'of a key that was kept again while it was being loaded').toBe(1);
    depot.open();
    again.open();
  });

  test('what the gate refuses the refresher is tried again after retryAfterMs, not a refreshMs later', async () => {
    const [client, clock] = [connect(), handClock()];
    const gate = new DatabaseGate({ clock, breaker: { window: 1, failureRate: 1, openMs: 5_000 } });
    // Beats each 30 s.
    const cache = perpetualCache({ clock, refreshMs: 90_000, leaseMs: 90_000, maxLoads: 1 }, client);
    const began: string[] = [];
    let second = 0;
    const load = async (key: string) => {
      began.push(`${second} s: ${key}`);
      if (second === 0) throw new Error('The database is down.');
      return key;
    };
    for (const key of ['a', 'b', 'c']) cache.keepFresh(key, (signal) => gate.run(() => load(key), signal));
    for (; second <= 120; second += 30) {
      await clock.manual.advance(second && 30_000);
      await answered(client, 30);
    }
    expect(began).toEqual(['0 s: a', '30 s: b', '30 s: c', '90 s: a', '120 s: b', '120 s: c']);
    // Nor before that is over, where it is longer than a beat.
    const [start, tried] = [clock.mono(), new Array<number>()];
    perpetualCache({ clock, refreshMs: 90_000, leaseMs: 90_000 }, client).keepFresh('a', async () => {
      tried.push((clock.mono() - start) / 1_000);
      throw new GateTimeoutError(50_000);
    });
    for (second = 0; second <= 60; second += 30) {
      await clock.manual.advance(second && 30_000);
      await answered(client, 30);
    }
    expect(tried, 'seconds').toEqual([0, 60]);
  });

  test('a kept value is as old as its load, and stale beyond staleMs', async () => {
    onTestFinished(() => void vi.useRealTimers());
    // Where it is not said it is twice refreshMs.
    for (const options of [{ staleMs: 5_000 }, { refreshMs: 2_500 }]) {
      const [client, clock] = [connect(), handClock()];
      const cache = perpetualCache({ clock, ...options }, client);
      const start = Date.now();
      vi.setSystemTime(start);
      cache.keepFresh('a', async () => 1);
      await clock.manual.advance(0);
      await answered(client);
      const read = async (ageMs: number) => {
        vi.setSystemTime(start + ageMs);
        return cache.getOrLoad('a', async () => 2);
      };
      for (const ageMs of [0, 5_000]) expect(await read(ageMs)).toEqual({ value: 1, source: 'hit', ageMs });
      expect(await read(5_001)).toEqual({ value: 1, source: 'stale', ageMs: 5_001 });
    }
  });

  test('a refresher that loses Redis does not say that it refreshes, and goes on when Redis is back', async () => {
    await using link = await node.proxy();
    const events: CacheEvent[] = [];
    const cache = perpetualCache({ onEvent: (event) => events.push(event) }, connect(link.url, 100));
    expect(cache.refreshing, 'before its first beat').toBe(false);
    cache.keepFresh('a', async () => 1);
    await until(() => cache.refreshing);
    link.partition();
    await until(() => events.some(({ type, key }) => type === 'redis-down' && key === ''), { what: 'a lost beat' });
    expect(cache.refreshing, 'without Redis').toBe(false);
    link.heal();
    await until(() => cache.refreshing, { what: 'it to go on' });
  });

  test('who closes lets another one refresh, and refreshes no more', async () => {
    const prefix = fresh();
    const leaseMs = 10 * MINUTE;
    const [a, b] = [perpetualCache({ prefix, leaseMs }), perpetualCache({ prefix, leaseMs })];
    const loads = { a: 0, b: 0 };
    a.keepFresh('key', async () => ++loads.a);
    await until(() => a.refreshing && loads.a > 0);
    b.keepFresh('key', async () => ++loads.b);
    await a.close();
    const before = loads.a;
    await until(() => loads.b > 1);
    expect(loads.a).toBe(before);
    expect([a.refreshing, b.refreshing]).toEqual([false, true]);
    expect(() => a.keepFresh('key', async () => 1)).toThrow(InvalidArgumentError);
    // Closed while Redis grants its first claim.
    const client = connect();
    const answers = lateAnswers(client);
    answers.hold();
    const [early, next] = [{ prefix: fresh(), leaseMs }, vi.fn(async () => 1)];
    const c = perpetualCache(early, client);
    c.keepFresh('key', async () => 1);
    await answers.held;
    const closing = c.close();
    const first = Promise.race([closing.then(() => 'closed'), answered(connect()).then(() => 'waits for Redis')]);
    expect(await first).toBe('waits for Redis');
    answers.release();
    await closing;
    perpetualCache(early).keepFresh('key', next);
    await until(() => next.mock.calls.length > 0, { what: 'another one to refresh' });
  });

  test('who closes while a load hangs leaves nothing that keeps the process alive', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;
    const events = vi.fn();
    const cache = perpetualCache({ onEvent: events });
    const signals: AbortSignal[] = [];
    cache.keepFresh('a', (signal) => {
      signals.push(signal);
      return new Promise<never>(() => {});
    });
    await until(() => signals.length > 0);
    const before = timers();
    await cache.close();
    expect(signals.map(({ reason }) => reason)).toEqual([expect.any(ClosedError)]);
    await new Promise(setImmediate);
    expect(timers(), 'timers').toBeLessThan(before);
    expect(events, 'it is no failure').not.toHaveBeenCalled();
  });

  test('who takes over loads each kept key when it is due, and not all of them at once', async () => {
    const prefix = fresh();
    const start = Date.now();
    onTestFinished(() => void vi.useRealTimers());
    let second = 0;
    const began: string[] = [];
    const refresher = (name: string) => {
      const [client, clock] = [connect(), handClock()];
      const cache = perpetualCache({ prefix, clock, refreshMs: 90_000, leaseMs: 90_000 }, client);
      const keep = (key: string) => cache.keepFresh(key, async () => began.push(`${second} s: ${key}, by ${name}`));
      const go = async (to: number) => {
        second = to;
        vi.setSystemTime(start + 1_000 * to);
        await clock.manual.advance(1_000 * to - clock.mono());
        await answered(client);
      };
      return { cache, keep, go };
    };
    const [first, other] = [refresher('the first'), refresher('the second')];
    first.keep('a');
    await first.go(0);
    first.keep('b');
    await first.go(30);
    for (const key of ['a', 'b']) other.keep(key);
    await other.go(30);
    // The first one stalls, and its lease runs out.
    const client = connect();
    for (const key of await client.keys(`${prefix}*`)) if ((await client.type(key)) === 'string') await client.del(key);
    for (const to of [60, 90, 120]) await other.go(to);
    // It wakes, and what it knows of the keys is old.
    await first.go(120);
    await other.cache.close();
    for (const to of [150, 180, 210]) await first.go(to);
    expect(began).toEqual([
      '0 s: a, by the first',
      '30 s: b, by the first',
      '90 s: a, by the second',
      '120 s: b, by the second',
      '180 s: a, by the first',
      '210 s: b, by the first',
    ]);
  });

  test("a refresher that stalled can not end its successor's lease", async () => {
    const prefix = fresh();
    const cache = perpetualCache({ prefix, refreshMs: 10 * MINUTE, leaseMs: 10 * MINUTE });
    cache.keepFresh('a', async () => 1);
    await until(() => cache.refreshing);
    const client = connect();
    const keys = await client.keys(`${prefix}*`);
    const types = await Promise.all(keys.map((key) => client.type(key)));
    const lease = keys[types.indexOf('string')] ?? '';
    // Its lease has run out while it stalled, and somebody else has taken it.
    await client.set(lease, 'the successor', 'PX', MINUTE);
    await cache.close();
    expect(await client.get(lease)).toBe('the successor');
  });

  test("a refresher that stalled does not store over its successor's value", async () => {
    const prefix = fresh();
    const client = connect();
    const [stalled, successor] = [perpetualCache({ prefix }, client), perpetualCache({ prefix })];
    const depot = new Depot(() => 'old');
    stalled.keepFresh('a', depot.load);
    await until(() => depot.loads > 0);
    await stalled.close();
    successor.keepFresh('a', async () => 'new');
    await until(async () => (await successor.staleness()).get('a') !== Number.POSITIVE_INFINITY);
    await successor.close();
    depot.open();
    await until(() => depot.running === 0);
    await answered(client);
    expect(await successor.getOrLoad('a', async () => 'loaded')).toMatchObject({ value: 'new' });
  });

  test('the refresher is killed: the old value is served, its staleness grows, and another one takes over', async () => {
    const prefix = fresh();
    const order = { url: node.url, prefix, key: 'a', refreshMs: 30, leaseMs: 400 };
    await using first = await Refresher.start({ ...order, name: 'first' });
    const reader = perpetualCache({ prefix, staleMs: 100, refreshMs: 30, leaseMs: 400 });
    const load = vi.fn(async () => 'loaded by a customer');
    await first.kill();
    const client = connect();
    const leases = await Promise.all(
      (await client.keys(`${prefix}*`)).map(async (key) => [await client.type(key), await client.pttl(key)] as const),
    );
    expect(
      leases.filter(([type, ms]) => type === 'string' && (ms < 0 || ms > order.leaseMs)),
      'leases that outlive their holder by more than leaseMs',
    ).toEqual([]);
    // Nobody refreshes now: the reader hasn't been told to keep anything.
    const late = await until(async () => {
      const read = await reader.getOrLoad<string>('a', load);
      return read.source === 'stale' && read.ageMs > 150 ? read : undefined;
    });
    expect(late.value).toMatch(/^first/);
    reader.keepFresh('a', async () => 'second');
    const taken = await until(
      async () => {
        const read = await reader.getOrLoad<string>('a', load);
        return read.value === 'second' && read.ageMs < late.ageMs ? read : undefined;
      },
      { what: 'another one to refresh' },
    );
    expect(taken.source).toBe('hit');
    await until(async () => ((await reader.staleness()).get('a') ?? 0) < 100);
    expect(load).not.toHaveBeenCalled();
  });

  // ── two caches ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('when A has run out, B answers everybody at once, and one process of all loads anew', async () => {
    const prefix = fresh();
    const options = { prefix, ttlAMs: 40, ttlBMs: 30_000, leaseMs: 20_000 };
    const [here, there] = [dualCache(options), dualCache(options)];
    const depot = new Depot(() => 'new');
    await here.getOrLoad('a', async () => 'old');
    expect(Math.max(...(await pttls(prefix))), 'milliseconds that B has left').toBeGreaterThan(20_000);
    await until(async () => (await here.getOrLoad('a', depot.load)).source !== 'hit');
    const crowd = Array.from({ length: 40 }, (_, n) => (n % 2 ? here : there).getOrLoad('a', depot.load));
    // The door of the depot is closed: whoever waited for it would wait for ever.
    const reads = await Promise.all(crowd);
    expect(reads.map(({ value, source }) => `${source} ${value}`)).toEqual(reads.map(() => 'stale old'));
    await until(() => depot.loads > 0);
    await until(async () => (await connect().keys(`${prefix}*`)).length > 0);
    expect(depot.loads).toBe(1);
    depot.open();
    await until(async () => (await there.getOrLoad('a', depot.load)).value === 'new');
  });

  test('who took the lease after another process had refreshed does not load again', async () => {
    const prefix = fresh();
    const load = vi.fn(async () => 'new');
    await dualCache({ prefix, ttlAMs: 1 }).getOrLoad('a', async () => 'old');
    await until(async () => (await pttls(prefix)).length === 1, { what: 'A to run out' });
    const client = connect();
    const [late, quick] = [dualCache({ prefix }, client), dualCache({ prefix })];
    await client.ping();
    const answers = lateAnswers(client);
    answers.hold();
    const reading = later(late.getOrLoad('a', load));
    await answers.held;
    await until(async () => (await quick.getOrLoad('a', load)).source === 'hit');
    await until(async () => (await pttls(prefix)).length === 2, { what: 'the lease to be free' });
    answers.release();
    await reading;
    await answered(client);
    expect(load.mock.calls.length, 'loads').toBe(1);
  });

  test('B outlasts A by an hour, jitter included', async () => {
    const prefix = fresh();
    const cache = dualCache({ prefix, spread: 1 / 12 });
    for (let n = 0; n < 20; n++) await cache.getOrLoad(`key ${n}`, async () => n);
    const hours = (await pttls(prefix)).map((ms) => ms / HOUR).sort((a, b) => a - b);
    const [a, b] = [hours.slice(0, 20), hours.slice(20)];
    expect(b).toHaveLength(20);
    expect(Math.min(...a)).toBeGreaterThan(1.8);
    expect(Math.max(...a)).toBeLessThan(2.2);
    expect(Math.min(...b)).toBeGreaterThan(2.7);
    expect(new Set(a.map((ttl) => ttl.toFixed(4))).size).toBeGreaterThan(10);
  });

  test('a background load that fails bothers nobody, and is not repeated by every reader', async () => {
    const unhandled = unhandledRejections();
    const events: CacheEvent[] = [];
    const cache = dualCache({ ttlAMs: 1, ttlBMs: MINUTE, leaseMs: MINUTE, onEvent: (event) => events.push(event) });
    await cache.getOrLoad('a', async () => 'old');
    let loads = 0;
    const fail = async () => {
      loads++;
      throw new Error('the depot is closed');
    };
    await until(async () => (await cache.getOrLoad('a', fail)).source === 'stale' && loads > 0);
    await until(() => events.length > 0 || unhandled.mock.calls.length > 0);
    for (let reader = 0; reader < 20; reader++)
      expect(await cache.getOrLoad('a', fail)).toMatchObject({ value: 'old' });
    await new Promise(setImmediate);
    expect(unhandled.mock.calls).toEqual([]);
    expect(events).toMatchObject([{ type: 'refresh-failed', key: 'a', error: { message: 'the depot is closed' } }]);
    expect(loads).toBe(1);
  });

  test('a lease that can not be freed bothers nobody, and is told of', async () => {
    const unhandled = unhandledRejections();
    const events: CacheEvent[] = [];
    const [prefix, client] = [fresh(), connect()];
    const cache = dualCache({ prefix, ttlAMs: 1, onEvent: (event) => events.push(event) }, client);
    await cache.getOrLoad('a', async () => 'old');
    const spoil = async () => {
      const [lease = ''] = await client.keys(`${prefix}lease*`);
      await client.del(lease);
      await client.lpush(lease, 'of another program');
      return 'new';
    };
    await until(async () => (await cache.getOrLoad('a', spoil)).source === 'stale');
    await until(() => events.length > 0 || unhandled.mock.calls.length > 0);
    await new Promise(setImmediate);
    expect(unhandled.mock.calls).toEqual([]);
    expect(events).toMatchObject([{ type: 'refresh-failed', key: 'a' }]);
    expect(await cache.getOrLoad('a', async () => 'newer')).toMatchObject({ value: 'new' });
  });

  test('a background load that began before an invalidation is stored in neither', async () => {
    const prefix = fresh();
    const client = connect();
    const [here, there] = [dualCache({ prefix, ttlAMs: 1 }, client), dualCache({ prefix })];
    const depot = new Depot(() => 'old');
    await here.getOrLoad('a', async () => 'older');
    await until(async () => (await here.getOrLoad('a', depot.load)).source === 'stale' && depot.loads > 0);
    await there.invalidate('a');
    depot.open();
    await until(() => depot.running === 0);
    await answered(client);
    expect(await there.getOrLoad('a', async () => 'new')).toMatchObject({ value: 'new', source: 'load' });
  });

  test('an invalidation takes B before A: no reader finds the old value in B alone', async () => {
    const prefix = fresh();
    // Two servers, and the line to B's stands still: what was to follow B's answer doesn't, what wasn't gets ahead.
    await using line = await second?.proxy();
    if (!line || !second) throw new Error('two servers were asked for');
    const client = connect();
    const far = dualCache({ prefix, backup: connect(line.url) }, client);
    const near = dualCache({ prefix, backup: connect(second.url) });
    await far.getOrLoad('a', async () => 'old');
    await far.invalidate('another key, so that both servers know the scripts');
    line.partition();
    const invalidation = later(far.invalidate('a'));
    const seen: string[] = [];
    for (let reader = 0; reader < 10; reader++) {
      await answered(client, 3);
      const { source, value } = await near.getOrLoad('a', async () => 'new');
      seen.push(`${source} ${value}`);
    }
    expect(seen, 'while the invalidation waits for B').not.toContain('stale old');
    line.heal();
    await invalidation;
    expect(await near.getOrLoad('a', async () => 'new')).toMatchObject({ value: 'new' });
    // B is out of reach: that is an error, and A doesn't go on with the old value.
    const backup = connect(line.url);
    const alone = dualCache({ prefix, backup }, client);
    backup.disconnect();
    await expect(alone.invalidate('a')).rejects.toThrow(InvalidationFailedError);
    expect(await alone.getOrLoad('a', async () => 'newest'), 'without B').toMatchObject({ value: 'newest' });
  });

  test('B on a server of its own answers when the server of A is gone', async ({ skip }) => {
    skip(!redis.faults, NOT_OURS);
    if (!second) throw new Error('two servers were asked for');
    const cache = dualCache({ backup: connect(node.url), leaseMs: MINUTE }, connect(second.url, 500));
    await cache.getOrLoad('a', async () => 'old');
    await second.kill();
    try {
      const load = vi.fn(async () => 'new');
      for (let reader = 0; reader < 20; reader++) {
        expect(await cache.getOrLoad('a', load)).toMatchObject({ source: 'stale' });
      }
      expect(load.mock.calls.length, 'loads by 20 readers').toBeLessThanOrEqual(1);
      await expect(cache.invalidate('a')).rejects.toThrow(InvalidationFailedError);
    } finally {
      await second.restart();
    }
  });

  test('where A or B is out of reach the other one keeps what is loaded, and a warm-up is done with that', async () => {
    for (const [lost, source, value] of [
      ['A', 'stale', 'new'],
      ['B', 'hit', 'old'],
    ] as const) {
      const [there, gone] = [connect(), connect('redis://127.0.0.1:1')];
      const [a, backup] = lost === 'A' ? [gone, there] : [there, gone];
      const cache = dualCache({ backup, leaseMs: 10 }, a);
      const warmed = { present: 0, failed: [] };
      expect(await warmUp(cache, ['a'], async () => 'old'), `without ${lost}`).toEqual({ ...warmed, loaded: 1 });
      const again = await warmUp(cache, ['a'], async () => 'new');
      expect(again, `once more without ${lost}`).toEqual({ ...warmed, loaded: 0, present: 1 });
      expect(await cache.getOrLoad('a', async () => 'newest'), `without ${lost}`).toMatchObject({ source, value });
    }
  });

  test('what A has no room for is not loaded anew by every reader', async ({ skip }) => {
    skip(!redis.faults, 'it limits the memory of a server, and this one is not ours');
    if (!second) throw new Error('two servers were asked for');
    const full = connect(second.url);
    const cache = dualCache({ backup: connect(node.url), ttlAMs: 1, ttlBMs: MINUTE, leaseMs: MINUTE }, full);
    await cache.getOrLoad('a', async () => 'old');
    onTestFinished(async () => void (await full.config('SET', 'maxmemory', '0')));
    await full.config('SET', 'maxmemory', '1');
    const load = vi.fn(async () => 'new');
    await until(async () => (await cache.getOrLoad('a', load)).value === 'new', { what: 'B to have it' });
    for (let reader = 0; reader < 20; reader++)
      expect(await cache.getOrLoad('a', load)).toMatchObject({ source: 'stale', value: 'new' });
    expect(load.mock.calls.length, 'loads').toBe(1);
  });

  // ── an empty cache ────────────────────────────────────────────────────────────────────────────────────────────────

  test('a warm-up loads a few at a time, reports what failed, and leaves the crowd nothing to load', async () => {
    const client = connect();
    const cache = ttlCache({}, client);
    const keys = Array.from({ length: 30 }, (_, n) => `key ${n}`);
    await cache.getOrLoad('key 3', async () => 'was there');
    const depot = new Depot((load) => {
      if (load === 5) throw new Error('the depot is closed');
      return load;
    });
    const warming = later(warmUp(cache, keys, depot.load, { maxLoads: 3 }));
    await depot.begun(warming, 3);
    await answered(client);
    expect(depot.loads, 'begun before the first has ended').toBe(3);
    depot.open();
    const report = await warming;
    expect(report).toMatchObject({ loaded: 28, present: 1, failed: [{ error: { message: 'the depot is closed' } }] });
    expect(depot.most).toBe(3);
    const crowd = new Depot(() => 'loaded by a customer', true);
    await Promise.all(keys.map((key) => cache.getOrLoad<unknown>(key, crowd.load)));
    expect(crowd.loads).toBe(1);
  });

  test('a warm-up waits for what B has answered to be loaded anew, a few at a time, and reports what failed', async () => {
    const client = connect();
    const prefix = fresh();
    const cache = dualCache({ prefix, ttlAMs: 1, ttlBMs: MINUTE }, client);
    const keys = Array.from({ length: 12 }, (_, n) => `key ${n}`);
    await warmUp(cache, keys, async () => 'old');
    await until(async () => (await pttls(prefix)).length === keys.length, { what: 'A to run out' });
    const depot = new Depot((load) => {
      if (load === 5) throw new Error('the depot is closed');
      return 'new';
    });
    const behindGate = compose(cache.layer(), new DatabaseGate({ maxConcurrent: 3, maxWaiting: 0 }).layer());
    const warming = later(warmUp(behindGate, keys, depot.load, { maxLoads: 2 }));
    await until(() => depot.loads >= 2);
    await answered(client);
    expect(depot.loads, 'begun before the first has ended').toBe(2);
    depot.open();
    const report = await warming;
    expect(report).toMatchObject({ loaded: 0, present: 11, failed: [{ error: { message: 'the depot is closed' } }] });
    expect(depot).toMatchObject({ loads: 12, most: 2, running: 0 });
  });

  test('a warm-up takes nothing for done that another process loads, or that has just failed', async () => {
    const client = connect();
    const backup = connect(second?.url);
    const prefix = fresh();
    const cache = (leaseMs: number) => dualCache({ prefix, backup, leaseMs }, client);
    const loseA = async () => client.del(...(await client.keys(`${prefix}*`)));
    await cache(MINUTE).getOrLoad('a', async () => 'old');
    await loseA();
    const failing = async () => Promise.reject(new Error('the depot is closed'));
    expect(await warmUp(cache(40), ['a'], failing)).toMatchObject({ failed: [{ key: 'a' }] });
    const mended = cache(40);
    expect(await warmUp(mended, ['a'], async () => 'new'), 'once more').toMatchObject({ present: 1, failed: [] });
    expect(await mended.getOrLoad('a', failing)).toMatchObject({ source: 'hit', value: 'new' });

    await loseA();
    const depot = new Depot(() => 'newest');
    const elsewhere = cache(MINUTE);
    await elsewhere.getOrLoad('a', depot.load);
    await until(() => depot.loads > 0);
    const late = await warmUp(cache(10), ['a'], failing);
    expect(late, 'no longer than its lease').toMatchObject({ failed: [{ error: { name: 'GateTimeoutError' } }] });
    const ended = vi.fn();
    const warming = later(warmUp(cache(MINUTE), ['a'], failing).finally(ended));
    await answered(client);
    expect(ended, 'while another process loads').not.toHaveBeenCalled();
    depot.open();
    expect(await warming).toEqual({ loaded: 0, present: 1, failed: [] });
    expect(await elsewhere.getOrLoad('a', failing)).toMatchObject({ source: 'hit', value: 'newest' });
  });

  test('a warm-up reports what was loaded and Redis did not take', async () => {
    const client = connect();
    const cache = compose(ttlCache({}, client).layer(), new DatabaseGate().layer());
    const load = async (key: string) => {
      if (key === 'lost') client.disconnect();
      return key;
    };
    const report = await warmUp(cache, ['kept', 'lost', 'later'], load, { maxLoads: 1 });
    expect(report).toMatchObject({
      loaded: 1,
      present: 0,
      failed: [
        { key: 'lost', error: { name: 'NotStoredError' } },
        { key: 'later', error: { name: 'NotStoredError' } },
      ],
    });
  });

  test('a layer that fails to forget keeps no other from being told', async () => {
    const failure = new Error('the inner one was not told');
    const told = vi.fn(async () => {});
    const read: Layer['read'] = (key, load, next) => next(key, load);
    const fails = (error: Error): Layer => ({ read, invalidate: () => Promise.reject(error) });
    const cache = compose(fails(new Error('nor was the outer one')), { read, invalidate: told }, fails(failure));
    await expect(cache.invalidate('a'), 'the first failure').rejects.toBe(failure);
    expect(told).toHaveBeenCalledWith('a');
    await compose({ read, invalidate: told }, { read }).invalidate('b');
    expect(told).toHaveBeenCalledWith('b');
  });

  test('to a warm-up a value that never expires is there, however old it is', async () => {
    const cache = perpetualCache({ staleMs: 1 });
    await cache.getOrLoad('a', async () => 'old');
    await until(async () => (await cache.getOrLoad('a', async () => 'new')).source === 'stale');
    expect(await warmUp(cache, ['a'], async () => 'new')).toEqual({ loaded: 0, present: 1, failed: [] });
  });

  test('what was composed of layers is warmed like any cache', async () => {
    const cache = compose(ttlCache().layer(), new DatabaseGate().layer());
    const keys = ['a', 'b', 'c'];
    expect(await warmUp(cache, keys, async (key) => key)).toEqual({ loaded: 3, present: 0, failed: [] });
    expect(await warmUp(cache, keys, async (key) => key)).toEqual({ loaded: 0, present: 3, failed: [] });
  });

  test('a warm-up that is called off stops', async () => {
    const stop = new AbortController();
    const depot = new Depot((load) => {
      if (load === 5) stop.abort(new Error('deployed again'));
      return load;
    }, true);
    const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`);
    const warming = warmUp(ttlCache(), keys, depot.load, { maxLoads: 1, signal: stop.signal });
    await expect(warming).rejects.toThrow('deployed again');
    expect(depot.loads).toBeLessThan(10);
  });
});
