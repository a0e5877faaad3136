import { getEventListeners, once } from 'node:events';
import { startRedis } from '@shared/services';
import {
  describeWith,
  History,
  lateAnswers,
  ManualClock,
  outcome,
  random,
  stillLoading,
  unhandledRejections,
  until,
  whileBusy,
} from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type CacheEvent,
  type Clock,
  ClosedError,
  compose,
  connectRedis,
  HotCache,
  type HotCacheOptions,
  InvalidArgumentError,
  InvalidationFailedError,
  type Layer,
  type Load,
  LoadFailedElsewhereError,
  LoadTimeoutError,
  OverloadedError,
  refreshEarly,
  SingleFlight,
  systemClock,
  UnstorableValueError,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_262);
const MINUTE = 60_000;
/** No early refresh, and no lease that runs out on a busy machine, where a law counts loads. */
const CALM = { ttlMs: MINUTE, beta: 0, leaseMs: 20_000 };

await describeWith('cache breakdown', { redis: () => startRedis() }, ({ redis }) => {
  const [node] = redis.nodes;
  const connect = (url = node.url) => {
    const client = connectRedis(url, { timeoutMs: 2_000 });
    onTestFinished(() => client.disconnect());
    return client;
  };
  /** A cache with a connection of its own: to the others it is another process. */
  const shop = (options: HotCacheOptions = {}, client = connect()) => {
    const cache = new HotCache(client, { ...CALM, prefix: redis.namespace, ...options });
    onTestFinished(() => cache.close());
    return cache;
  };
  /** A clock that also notes for how long it is set. */
  const noting = (mono = systemClock.mono) => {
    const set: number[] = [];
    const after: Clock['after'] = (ms, ...rest) => {
      set.push(ms);
      return systemClock.after(ms, ...rest);
    };
    return { clock: { mono, after }, set };
  };
  let tags = 0;
  const fresh = () => `price:${++tags}`;

  /** A database that answers when the test says so, and counts. */
  const depot = (answer: () => string | Promise<string>) => {
    const open = Promise.withResolvers<void>();
    const signals: AbortSignal[] = [];
    const load = async (signal: AbortSignal) => {
      signals.push(signal);
      // Read at the beginning, as a query does; it may be a rejection that nobody has looked at yet.
      const value = Promise.resolve(answer());
      value.catch(() => {});
      await open.promise;
      return value;
    };
    /** Resolves once a load has begun; rejects if `call`, which should have begun it, ends without one. */
    const asked = async (call: Promise<unknown>) => {
      const ended = () => expect(signals.length, 'loads begun when the call ended').toBeGreaterThan(0);
      await Promise.race([until(() => signals.length > 0, { what: 'a load to begin' }), call.then(ended, ended)]);
    };
    return { load, open: open.resolve, signals, asked };
  };
  const price = (cache: HotCache, key: string, load: Load<string>) => {
    const reading = cache.getOrLoad(key, load).then(({ value }) => value);
    // A law that is broken elsewhere may never look at it.
    reading.catch(() => {});
    return reading;
  };

  // ── a cache ───────────────────────────────────────────────────────────────────────────────────────────────────────

  test('what no cache can be made from is refused', async () => {
    const bad: HotCacheOptions[] = [
      { ttlMs: 0 },
      { ttlMs: 1.5 },
      { ttlMs: Number.NaN },
      { staleMs: -1 },
      { beta: -1 },
      { beta: Number.NaN },
      { beta: Number.POSITIVE_INFINITY },
      { leaseMs: 0 },
      { timeoutMs: 0 },
      { maxLoads: 0 },
      { maxWaiting: -1 },
      { abandonMs: -1 },
      { nearMs: -1 },
      { nearKeys: 0 },
      // Node fires such a timer at once, and Redis can't add such a TTL to its clock.
      { leaseMs: 2 ** 31 },
      { timeoutMs: 2 ** 31 },
      { abandonMs: 2 ** 31 },
      { nearMs: 2 ** 31 },
      { ttlMs: 100 * 365 * 86_400_000 + 1 },
      { staleMs: 100 * 365 * 86_400_000 + 1 },
    ];
    for (const options of bad) expect(() => shop(options), JSON.stringify(options)).toThrow(InvalidArgumentError);
    for (const timeoutMs of [0, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
      expect(() => connectRedis(node.url, { timeoutMs }), `commands of ${timeoutMs} ms`).toThrow(InvalidArgumentError);
      expect(() => new SingleFlight({ timeoutMs }), `flights of ${timeoutMs} ms`).toThrow(InvalidArgumentError);
    }
    const load = async () => '12.90';
    // UTF-8 has one text for all halves of a character: the second key would read the first one's value.
    for (const key of ['', 'k'.repeat(513), 'user\ud83d', 'user\ud83c']) {
      await expect(shop().getOrLoad(key, load), JSON.stringify(key)).rejects.toThrow(InvalidArgumentError);
      await expect(shop().invalidate(key), JSON.stringify(key)).rejects.toThrow(InvalidArgumentError);
    }
    await expect(shop().getOrLoad(fresh(), load, { ttlMs: -1 })).rejects.toThrow(InvalidArgumentError);
  });

  test('what stands at a limit is within it, and what lies beyond is refused', async () => {
    const [longest, century] = [2 ** 31 - 1, 100 * 365 * 86_400_000];
    const times = { leaseMs: longest, timeoutMs: longest, abandonMs: longest, nearMs: longest };
    const most = { ttlMs: century, staleMs: century, maxLoads: 100_000, maxWaiting: 1_000_000, ...times };
    const least = { ttlMs: 1, beta: 0, leaseMs: 10, timeoutMs: 1, maxLoads: 1, maxWaiting: 0, nearMs: 0, nearKeys: 1 };
    expect(shop({ ...least, staleMs: 0, abandonMs: 0 })).toBeInstanceOf(HotCache);
    for (const beyond of [{ leaseMs: 9 }, { maxLoads: 100_001 }, { maxWaiting: 1_000_001 }, { nearKeys: 10_000_001 }])
      expect(() => shop(beyond), JSON.stringify(beyond)).toThrow(InvalidArgumentError);
    for (const timeoutMs of [1, longest]) expect(new SingleFlight({ timeoutMs }).size).toBe(0);
    const client = connectRedis(node.url, { timeoutMs: longest });
    onTestFinished(() => client.disconnect());
    for (const key of ['k', 'k'.repeat(512)]) {
      const cache = shop(most, client);
      expect(await cache.getOrLoad(key, async () => '12.90')).toMatchObject({ value: '12.90', source: 'load' });
      expect(await shop().getOrLoad(key, async () => '9.90')).toMatchObject({ value: '12.90', source: 'hit' });
      await cache.invalidate(key);
    }
  });

  test('a client gives a command the time that is said, 250 ms else, and a silent connection ten times that, at least 1 s', () => {
    const bounds = [1, 100, 101, undefined, 2 ** 31 - 1].map((timeoutMs) => {
      const client = connectRedis(node.url, timeoutMs === undefined ? {} : { timeoutMs });
      onTestFinished(() => client.disconnect());
      return [client.options.commandTimeout, client.options.socketTimeout];
    });
    const longest = 2 ** 31 - 1;
    expect(bounds).toEqual([
      [1, 1_000],
      [100, 1_000],
      [101, 1_010],
      [250, 2_500],
      [longest, longest],
    ]);
  });

  test('what is not said of a value is as documented', async () => {
    // Such dice say yes from one time of a load before the end.
    vi.spyOn(Math, 'random').mockReturnValue(1 - 1 / Math.E);
    onTestFinished(() => void vi.restoreAllMocks());
    let now = 0;
    const client = connect();
    const options = { prefix: redis.namespace, nearMs: 2 * MINUTE, maxLoads: 1_001 };
    const clock = { ...systemClock, mono: () => now };
    const cache = new HotCache(client, { ...options, clock });
    onTestFinished(() => cache.close());
    const slow = async () => {
      now += 100;
      return '12.90';
    };
    const sends = vi.spyOn(client, 'sendCommand');
    const asksRedis = async (key: string, options = {}, of = cache) => {
      sends.mockClear();
      await of.getOrLoad(key, slow, options);
      return sends.mock.calls.length > 0;
    };
    const [key, other] = [fresh(), fresh()];
    await cache.getOrLoad(key, slow);
    const lefts = await Promise.all((await client.keys(`${redis.namespace}*${key}*`)).map((at) => client.pttl(at)));
    expect(Math.max(...lefts), 'staleMs: 0').toBeLessThanOrEqual(MINUTE);
    now += MINUTE - 1;
    expect(await asksRedis(key, { beta: 0 }), 'ttlMs: a minute, but for 1 ms').toBe(false);
    now += 1;
    expect(await asksRedis(key, { beta: 0 }), 'ttlMs: a minute').toBe(true);
    const forgetful = shop({ clock }, client);
    for (const time of ['first', 'second'])
      expect(await asksRedis(key, {}, forgetful), `nearMs: 0, ${time}`).toBe(true);
    await cache.getOrLoad(other, slow);
    now += MINUTE - 101;
    expect(await asksRedis(other), 'beta: 1, earlier than the time of a load').toBe(false);
    now += 2;
    expect(await asksRedis(other), 'beta: 1, within the time of a load').toBe(true);
    const keys = Array.from({ length: 1_001 }, fresh);
    for (const crowd of [keys.slice(0, 1), keys.slice(1, 2), keys.slice(2)])
      await Promise.all(crowd.map((at) => cache.getOrLoad(at, async () => '12.90', { beta: 0 })));
    expect(await asksRedis(keys[1] ?? '', { beta: 0 }), 'nearKeys: the last 1,000').toBe(false);
    expect(await asksRedis(keys[0] ?? '', { beta: 0 }), 'nearKeys: no more').toBe(true);
  });

  test('what is not said is as documented', async () => {
    const { clock, set } = noting();
    const cache = new HotCache(connect(), { prefix: redis.namespace, clock });
    onTestFinished(() => cache.close());
    const { load, open } = depot(() => '12.90');
    const crowd = Array.from({ length: 73 }, () => outcome(cache.getOrLoad(fresh(), load)));
    expect((await Promise.race(crowd)).error, '8 load, 64 wait').toBeInstanceOf(OverloadedError);
    open();
    expect((await Promise.all(crowd)).filter(({ value }) => value?.value === '12.90').length).toBe(72);
    set.length = 0;
    const [leaving, lasting] = [new AbortController(), depot(() => 'never')];
    const left = outcome(cache.getOrLoad(fresh(), lasting.load, { signal: leaving.signal }));
    await lasting.asked(left);
    leaving.abort();
    await left;
    expect([...new Set(set)], 'timeoutMs, a third of leaseMs, abandonMs').toEqual([5_000, 1_000 / 3, 30_000]);
    await new SingleFlight({ clock }).run('a', async () => '12.90');
    expect(set.at(-1), 'timeoutMs').toBe(5_000);
  });

  test('a value is loaded once, and then comes from the cache', async () => {
    const key = fresh();
    const cache = shop();
    expect(await cache.getOrLoad(key, async () => '12.90')).toEqual({ value: '12.90', source: 'load', ageMs: 0 });
    expect(await cache.getOrLoad(key, async () => 'another')).toMatchObject({ value: '12.90', source: 'hit' });
    expect(await shop().getOrLoad(key, async () => 'another')).toMatchObject({ value: '12.90', source: 'hit' });
  });

  test('null, nothing, zero and a stored text itself are values like any other', async () => {
    const key = fresh();
    const client = connect();
    await price(shop({}, client), key, async () => 'any');
    const [stored] = await client.keys(`${redis.namespace}*${key}*`);
    const text = await client.get(stored ?? '');
    for (const value of [null, '', 0, false, text, 'milk\u2028\u2029', { tag: '12.90' }, []]) {
      const other = fresh();
      await shop().getOrLoad(other, async () => value);
      const read = await shop().getOrLoad<unknown>(other, async () => 'loaded again');
      expect(read.value, `${JSON.stringify(value)} comes back`).toEqual(value);
    }
  });

  test('what cannot be stored is an error, and leaves no lease', async () => {
    const key = fresh();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    for (const value of [circle, 1n, Number.NaN, Number.NEGATIVE_INFINITY, { toJSON: () => null }, () => {}]) {
      await expect(shop().getOrLoad(key, async () => value)).rejects.toThrow(UnstorableValueError);
    }
    const nothing: Load<string> = async () => JSON.parse('{}').tag;
    await expect(shop().getOrLoad(key, nothing)).rejects.toThrow(InvalidArgumentError);
    // A lease left behind would hold this one up for a minute.
    const { value } = await outcome(shop({ leaseMs: MINUTE }).getOrLoad(key, async () => '12.90'));
    expect(value?.source).toBe('load');
  });

  test('the first caller gets what the next ones will get: what JSON makes of it', async () => {
    const load = async () => ({ since: new Date(0), sizes: new Map([['M', 2]]), rating: Number.NaN, note: undefined });
    const stored = { since: '1970-01-01T00:00:00.000Z', sizes: {}, rating: null };
    for (const cache of [shop(), shop({ nearMs: MINUTE }), shop({ nearMs: MINUTE }, connect('redis://127.0.0.1:1'))]) {
      const key = fresh();
      const reads = [await cache.getOrLoad(key, load), await cache.getOrLoad(key, load)];
      for (const { value } of reads) expect(value).toStrictEqual(stored);
    }
  });

  test('what is stored has the lab and its version in its name', async ({ skip }) => {
    skip(!redis.faults, 'it stores under the default prefix, and this server is not ours');
    const client = connect();
    const cache = new HotCache(client);
    onTestFinished(() => cache.close());
    await cache.getOrLoad('price:0', async () => '12.90');
    expect(await client.keys('*price:0*')).toEqual(['cache-breakdown:1:{price:0}']);
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
      const left = outcome(once(client, 'reconnecting'));
      expect(await price(shop({}, client), fresh(), async () => '12.90')).toBe('12.90');
      expect((await left).error).toBeUndefined();
    } finally {
      await admin.replicaof('NO', 'ONE');
    }
  });

  test('a lost server fails its commands at once, and is looked for ever more seldom', async () => {
    const client = connect('redis://127.0.0.1:1');
    let attempts = 0;
    client.on('close', () => attempts++);
    for (const _ of ['first', 'second']) expect((await outcome(client.ping())).error).toBeInstanceOf(Error);
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
    expect(await client.exists('price')).toEqual(expect.any(Number));
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

  test('a text that is none of ours counts as missing', async () => {
    const key = fresh();
    const client = connect();
    const events: CacheEvent[] = [];
    await price(shop({}, client), key, async () => '12.90');
    const [stored] = await client.keys(`${redis.namespace}*${key}*`);
    await client.set(stored ?? '', '{"price":', 'PX', MINUTE);
    const cache = shop({ onEvent: (event) => events.push(event) });
    expect(await price(cache, key, async () => '13.50')).toBe('13.50');
    expect(events).toEqual([{ type: 'undecodable', key, error: expect.any(Error) }]);
    expect(await price(shop(), key, async () => 'loaded again')).toBe('13.50');
    // Nor is it text, as what another program has compressed.
    await client.set(stored ?? '', Buffer.from([0x1f, 0x8b, 0xff]), 'PX', MINUTE);
    expect((await outcome(shop({ timeoutMs: 1_000 }).getOrLoad(key, async () => '13.90'))).value?.value).toBe('13.90');
    expect(await price(shop(), key, async () => 'loaded again')).toBe('13.90');
    // Nor can it be deleted: Redis takes no writes, as a primary that has lost its replicas.
    await client.set(stored ?? '', '{"price":', 'PX', MINUTE);
    onTestFinished(async () => void (await client.config('SET', 'min-replicas-to-write', '0')));
    await client.config('SET', 'min-replicas-to-write', '1');
    expect(await price(cache, key, async () => '14.90')).toBe('14.90');
    expect(events.map(({ type }) => type)).toEqual(['undecodable', 'undecodable', 'redis-down']);
  });

  // ── one load in a process ─────────────────────────────────────────────────────────────────────────────────────────

  test('a thousand callers of one process cause one load', async () => {
    const key = fresh();
    const cache = shop();
    const { load, open, signals, asked } = depot(() => '12.90');
    const crowd = Array.from({ length: 1_000 }, () => price(cache, key, load));
    await asked(Promise.all(crowd));
    open();
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(['12.90']));
    expect(signals.length).toBe(1);
  });

  test('a load that fails rejects all who wait, once, and is not kept', async () => {
    const key = fresh();
    const cache = shop();
    const { load, open, signals, asked } = depot(() => Promise.reject(new Error('the depot is closed')));
    const crowd = Array.from({ length: 50 }, () => outcome(cache.getOrLoad(key, load)));
    await asked(Promise.all(crowd));
    open();
    const errors = (await Promise.all(crowd)).map(({ error }) => String(error));
    expect(new Set(errors)).toEqual(new Set(['Error: the depot is closed']));
    expect(signals.length, 'loads').toBe(1);
    expect(await price(cache, key, async () => '12.90'), 'who asks later').toBe('12.90');
  });

  test('a loader that throws before it awaits is like one that rejects', async () => {
    const key = fresh();
    const flights = new SingleFlight();
    const failing = flights.run(key, () => {
      throw new Error('no connection');
    });
    await expect(failing).rejects.toThrow('no connection');
    expect(flights.size, 'flights left').toBe(0);
    expect((await outcome(flights.run(key, async () => '12.90'))).value).toBe('12.90');
    const cache = shop();
    const broken: Load<string> = () => {
      throw new Error('no connection');
    };
    await expect(cache.getOrLoad(key, broken)).rejects.toThrow('no connection');
    expect((await outcome(price(cache, key, async () => '12.90'))).value).toBe('12.90');
  });

  test('whatever a load throws reaches its caller, and holds nobody up', async () => {
    const key = fresh();
    const client = connect();
    for (const thrown of [undefined, null, 'closed', Object.create(null), new Error('x'.repeat(1_000_000))]) {
      const { error } = await outcome(
        shop({ leaseMs: MINUTE }).getOrLoad(key, async () => {
          throw thrown;
        }),
      );
      expect(error === thrown, `the caller gets what was thrown: ${String(Object(error).message).slice(0, 80)}`).toBe(
        true,
      );
      const after = await outcome(price(shop(), key, async () => '12.90'));
      expect(after.value, String(after.error).slice(0, 200)).toBe('12.90');
      for (const stored of await client.keys(`${redis.namespace}*${key}*`)) {
        expect(await client.strlen(stored), 'a note of the failure is short').toBeLessThan(10_000);
      }
      await shop().invalidate(key);
    }
  });

  test('who asks again after a failure loads again', async ({ skip }) => {
    skip(!redis.faults, 'it makes a server forget its scripts, and this one is not ours');
    const cache = shop();
    await connect().script('FLUSH');
    // The server knows again how to look and to store, but not how to free a lease: that takes two requests.
    await price(cache, fresh(), async () => 'any');
    const key = fresh();
    const failing = price(cache, key, () => Promise.reject(new Error('the depot is closed')));
    const again = await outcome(failing.catch(() => price(cache, key, async () => '12.90')));
    expect(again.value, String(again.error)).toBe('12.90');
  });

  test('a caller who gives up leaves at once, and takes nobody along', async () => {
    const key = fresh();
    const cache = shop();
    const { load, open, signals, asked } = depot(() => '12.90');
    const leaving = new AbortController();
    const first = outcome(cache.getOrLoad(key, load, { signal: leaving.signal }));
    const second = outcome(price(cache, key, load));
    const third = outcome(cache.getOrLoad(key, load, { signal: new AbortController().signal }));
    await asked(first);
    leaving.abort(new Error('the customer went home'));
    expect((await first).error).toEqual(new Error('the customer went home'));
    expect(signals[0]?.aborted, 'the load is told to stop').toBe(false);
    open();
    expect((await second).value).toBe('12.90');
    expect((await third).value?.value).toBe('12.90');
    expect(signals.length).toBe(1);
  });

  test('when the last caller has gone, the load may stop and the next caller starts anew', async () => {
    const key = fresh();
    const cache = shop({ leaseMs: MINUTE });
    const { load, signals, asked } = depot(() => '12.90');
    const leaving = new AbortController();
    const crowd = [1, 2].map(() => outcome(cache.getOrLoad(key, load, { signal: leaving.signal })));
    await asked(Promise.all(crowd));
    leaving.abort(new Error('closing time'));
    await Promise.all(crowd);
    expect(signals[0]?.aborted).toBe(true);
    // Elsewhere too: a lease left behind would hold it up for a minute.
    expect((await outcome(price(shop(), key, async () => '13.50'))).value).toBe('13.50');
  });

  test('a load that has ended is not told to stop: what it left on its signal may still be at work', async () => {
    const { load, open, signals } = depot(() => '12.90');
    open();
    await shop().getOrLoad(fresh(), load);
    await shop().getOrLoad(fresh(), load, { signal: new AbortController().signal });
    await new SingleFlight().run('a', load);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
  });

  test('a load that hangs ends in bounded time, and the next one may run', async () => {
    const key = fresh();
    const cache = shop({ timeoutMs: 100, maxLoads: 1, abandonMs: 20 });
    const { load, signals } = depot(() => 'never');
    const { error } = await outcome(cache.getOrLoad(key, load), 800);
    expect(error).toBeInstanceOf(LoadTimeoutError);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
    expect((await outcome(price(shop(), key, async () => '12.90'))).value).toBe('12.90');
    expect((await outcome(price(cache, fresh(), async () => '13.50'))).value, 'the only turn is free again').toBe(
      '13.50',
    );
  });

  test('a load that goes on after its time keeps its place: the database is still at work', async () => {
    const cache = shop({ timeoutMs: 100, maxLoads: 2, abandonMs: MINUTE });
    const open = Promise.withResolvers<void>();
    let [running, most] = [0, 0];
    const deaf = async () => {
      most = Math.max(most, ++running);
      await open.promise;
      running--;
      return '12.90';
    };
    const leaving = new AbortController();
    const late = outcome(cache.getOrLoad(fresh(), deaf));
    const left = outcome(cache.getOrLoad(fresh(), deaf, { signal: leaving.signal }));
    await Promise.race([until(() => running === 2, { what: 'two loads to run' }), late]);
    leaving.abort(new Error('the customer went home'));
    await left;
    expect((await late).error).toBeInstanceOf(LoadTimeoutError);
    const crowd = await Promise.all([1, 2, 3].map(() => outcome(cache.getOrLoad(fresh(), deaf))));
    for (const { error } of crowd) expect(error).toBeInstanceOf(LoadTimeoutError);
    expect(most, 'loads at once').toBe(2);
    open.resolve();
    expect((await outcome(price(cache, fresh(), async () => '13.50'))).value, 'once they have ended').toBe('13.50');
  });

  test('who gives up in the line leaves his place in it to another', async () => {
    const cache = shop({ maxLoads: 1, maxWaiting: 1 });
    const { load, open, asked } = depot(() => '12.90');
    const first = price(cache, fresh(), load);
    await asked(first);
    const leaving = new AbortController();
    const left = outcome(cache.getOrLoad(fresh(), load, { signal: leaving.signal }));
    expect((await outcome(cache.getOrLoad(fresh(), load))).error, 'the line is full').toBeInstanceOf(OverloadedError);
    leaving.abort(new Error('the customer went home'));
    await left;
    const next = outcome(cache.getOrLoad(fresh(), async () => '9.90'));
    expect((await outcome(cache.getOrLoad(fresh(), load))).error, 'it is full again').toBeInstanceOf(OverloadedError);
    open();
    const { value, error } = await next;
    expect(value?.value, String(error)).toBe('9.90');
  });

  test('a closed cache ends what runs and takes nothing new', async () => {
    const key = fresh();
    const cache = shop();
    const { load, signals, asked } = depot(() => 'never');
    const forgotten = outcome(cache.getOrLoad(key, load));
    await asked(forgotten);
    await cache.invalidate(key);
    const waiting = outcome(cache.getOrLoad(key, load));
    await until(() => signals.length === 2, { what: 'a second load, since the key was invalidated' });
    cache.close();
    expect((await waiting).error).toBeInstanceOf(ClosedError);
    expect((await forgotten).error).toBeInstanceOf(ClosedError);
    await expect(cache.getOrLoad(key, load)).rejects.toThrow(ClosedError);
    // Closed while Redis says that the value is past its time.
    const client = connect();
    const closing = shop({ ttlMs: 1, staleMs: MINUTE }, client);
    await price(closing, key, async () => '12.90');
    const begins = vi.fn(async () => '9.90');
    const answers = lateAnswers(client);
    answers.hold();
    const reading = outcome(closing.getOrLoad(key, begins));
    await answers.held;
    closing.close();
    answers.release();
    expect((await reading).error).toBeInstanceOf(ClosedError);
    await closing.invalidate(key);
    await price(shop(), key, async () => '9.90');
    expect(begins.mock.calls.length, 'loads that began after the close').toBe(0);
  });

  // ── one load in the cluster ───────────────────────────────────────────────────────────────────────────────────────

  test('of two processes one loads', async () => {
    const key = fresh();
    const client = connect();
    const { load, open, signals, asked } = depot(() => '12.90');
    const a = price(shop(), key, load);
    await asked(a);
    const sends = vi.spyOn(client, 'sendCommand');
    const b = price(shop({}, client), key, load);
    await until(() => signals.length > 1 || sends.mock.calls.length > 5, { what: 'B to load, or to look again' });
    open();
    expect(await Promise.all([a, b])).toEqual(['12.90', '12.90']);
    expect(signals.length, 'loads').toBe(1);
  });

  test('nobody can finish a load between the look at the value and the taking of the lease', async () => {
    const key = fresh();
    const client = connect();
    const [a, b] = [shop(), shop({}, client)];
    // So that Redis knows the scripts.
    await price(b, fresh(), async () => 'any');
    let loads = 0;
    const load = async () => `load ${++loads}`;
    // Whoever needs two commands finds, at the second, that another process has loaded in the meantime.
    let commands = 0;
    const send = client.sendCommand.bind(client);
    vi.spyOn(client, 'sendCommand').mockImplementation(async (command, stream) => {
      if (++commands === 2 && loads === 0) await price(a, key, load);
      return send(command, stream);
    });
    await price(b, key, load);
    expect(await price(shop(), key, load)).toBe('load 1');
    expect(loads).toBe(1);
  });

  test('a load that fails in one process fails who waits in another, once', async () => {
    const key = fresh();
    const client = connect();
    const { load, open, signals, asked } = depot(() => Promise.reject(new Error('the depot is closed')));
    const a = outcome(shop().getOrLoad(key, load));
    await asked(a);
    const sends = vi.spyOn(client, 'sendCommand');
    const b = outcome(shop({}, client).getOrLoad(key, load));
    await until(() => sends.mock.calls.length > 2, { what: 'B to wait' });
    open();
    expect(String((await a).error)).toBe('Error: the depot is closed');
    const { error } = await b;
    expect(error).toBeInstanceOf(LoadFailedElsewhereError);
    expect(String(error)).toContain('the depot is closed');
    expect(signals.length, 'loads').toBe(1);
    expect((await outcome(price(shop({}, client), key, async () => '12.90'))).value).toBe('12.90');
  });

  /** A clock whose owner looks again only when the test says so. */
  const lookingLater = () => {
    const looks: (() => void)[] = [];
    const after: Clock['after'] = (ms, callback, ...rest) => {
      if (ms > 1_000) return systemClock.after(ms, callback, ...rest);
      looks.push(callback);
      return () => {};
    };
    const waits = () => until(() => looks.length > 0, { what: 'B to wait' });
    return { clock: { mono: systemClock.mono, after }, waits, look: () => looks.shift()?.() };
  };

  test('who waits hears that the load he waits for has failed, even if another one failed before he looked', async () => {
    const key = fresh();
    const { load, open, asked } = depot(() => Promise.reject(new Error('the depot is closed')));
    const { clock, waits, look } = lookingLater();
    const a = shop();
    const first = outcome(a.getOrLoad(key, load));
    await asked(first);
    const b = outcome(shop({ clock, timeoutMs: 1_500 }).getOrLoad(key, async () => '12.90'));
    await waits();
    open();
    await first;
    await outcome(a.getOrLoad(key, () => Promise.reject(new Error('the depot has burnt down'))));
    look();
    expect(String((await b).error)).toContain('the depot is closed');
  });

  test('who waits for a load whose value is not kept asks the lower layer himself, whoever loads by then', async () => {
    const key = fresh();
    const stale: Layer = {
      async read(_at, load, _next, signal) {
        return { value: await load(signal), source: 'stale', ageMs: 1 };
      },
    };
    const { clock, waits, look } = lookingLater();
    const a = compose(shop().layer(), stale);
    const b = compose(shop({ clock, timeoutMs: 1_500 }).layer(), stale);
    const [one, two] = [depot(() => '12.90'), depot(() => '12.90')];
    const first = a.read(key, one.load);
    await one.asked(first);
    const waiting = outcome(b.read(key, async () => '9.90'));
    await waits();
    one.open();
    await first;
    const second = a.read(key, two.load);
    await two.asked(second);
    look();
    const { value, error } = await waiting;
    two.open();
    await second;
    expect(error).toBeUndefined();
    expect(value).toMatchObject({ value: '9.90', source: 'stale' });
  });

  test('who waits elsewhere for a load that was not made or not finished is not failed by that: he loads himself', async () => {
    for (const end of ['its caller left', 'its cache was closed', 'it was refused']) {
      const key = fresh();
      const [here, there] = [connect(), connect()];
      const a = shop({ maxLoads: 1, maxWaiting: 0 }, here);
      // So that Redis knows the scripts.
      await price(a, fresh(), async () => 'any');
      const leaving = new AbortController();
      const answers = lateAnswers(here);
      if (end === 'it was refused') {
        const busy = depot(() => 'never');
        await busy.asked(price(a, fresh(), busy.load));
        // The lease is A's; A hears of it once B waits for it.
        answers.hold();
      }
      const { load, asked } = depot(() => 'never');
      const first = outcome(a.getOrLoad(key, load, { signal: leaving.signal }));
      await (end === 'it was refused' ? Promise.race([answers.held, first]) : asked(first));
      const sends = vi.spyOn(there, 'sendCommand');
      const waiting = outcome(shop({}, there).getOrLoad(key, async () => '9.90'));
      await Promise.race([until(() => sends.mock.calls.length > 2, { what: 'B to wait' }), waiting]);
      if (end === 'its caller left') leaving.abort(new Error('the customer went home'));
      if (end === 'its cache was closed') a.close();
      answers.release();
      expect((await first).error, `A's own caller: ${end}`).toBeInstanceOf(Error);
      const { value, error } = await waiting;
      expect(error, `who waits in another process: ${end}`).toBeUndefined();
      expect(value, end).toMatchObject({ value: '9.90', source: 'load' });
    }
  });

  test('a process that dies while it loads has a successor', async () => {
    const key = fresh();
    const client = connect();
    const dying = depot(() => 'never');
    const dead = price(shop({ leaseMs: 300 }, client), key, dying.load);
    await dying.asked(dead);
    // No message of his comes any more: no renewal, no release.
    client.disconnect();
    const other = connect();
    for (const stored of await other.keys(`${redis.namespace}*${key}*`)) {
      expect(await other.pttl(stored), 'what he leaves behind has an end').toSatisfy(
        (ms: number) => ms !== -1 && ms <= 300,
      );
    }
    const { value } = await outcome(shop({ leaseMs: 300 }).getOrLoad(key, async () => '12.90'));
    expect(value).toMatchObject({ value: '12.90', source: 'load' });
  });

  test('who waits for a process that died looks again no later than its lease ends', async () => {
    const pauses = async () => {
      const key = fresh();
      const client = connect();
      const dying = depot(() => 'never');
      const dead = price(shop({ leaseMs: 60 }, client), key, dying.load);
      await dying.asked(dead);
      client.disconnect();
      let now = 0;
      // Always a wait of which an eighth would be longer.
      const { clock, set } = noting(() => (now += 8_000));
      expect(await price(shop({ clock }), key, async () => '12.90')).toBe('12.90');
      return set.filter((ms) => ms < 1_000);
    };
    // On a busy machine the lease may be over before the first look, or as good as over.
    await until(async () => (await pauses()).some((ms) => ms <= 60), { what: 'a pause no longer than the lease' });
  });

  test('who waits for a holder that never ends waits in bounded time', async () => {
    const key = fresh();
    const client = connect();
    const { load, asked } = depot(() => 'never');
    const stuck = price(shop(), key, load);
    await asked(stuck);
    for (const stored of await client.keys(`${redis.namespace}*${key}*`)) await client.persist(stored);
    const { error } = await outcome(shop({ timeoutMs: 150 }).getOrLoad(key, load));
    expect(error).toBeInstanceOf(LoadTimeoutError);
  });

  test('who waits for another process looks again after an eighth of his wait, at least 2 ms, at most 100', async () => {
    const key = fresh();
    const { load, open, asked } = depot(() => '12.90');
    const first = price(shop(), key, load);
    await asked(first);
    let now = 0;
    const { clock, set } = noting(() => now);
    const second = price(shop({ clock }), key, load);
    const dice = vi.spyOn(Math, 'random');
    onTestFinished(() => void vi.restoreAllMocks());
    for (const [waited, thrown, pause] of [
      [0, 0.5, 2],
      [160, 0.5, 20],
      [8_000, 0.5, 100],
      [160, 0, 15],
      [160, 0.75, 22.5],
    ] as const) {
      now = waited;
      dice.mockReturnValue(thrown);
      set.length = 0;
      await until(() => set.length > 0, { what: 'a pause' });
      expect(set[0], `after ${waited} ms, give or take a quarter`).toBe(pause);
    }
    open();
    expect(await Promise.all([first, second])).toEqual(['12.90', '12.90']);
  });

  test('a lease is renewed no more once its load has ended', async () => {
    const renewals: (() => void)[] = [];
    const after: Clock['after'] = (ms, callback, bg) => {
      if (bg) renewals.push(callback);
      return bg ? () => {} : systemClock.after(ms, callback);
    };
    const { load, open, asked } = depot(() => '12.90');
    const reading = price(shop({ clock: { ...systemClock, after } }), fresh(), load);
    await asked(reading);
    renewals[0]?.();
    await until(() => renewals.length === 2, { what: 'a renewal' });
    // Redis hears of the next one, and then of the value.
    renewals[1]?.();
    open();
    await reading;
    await new Promise(setImmediate);
    expect(renewals.length).toBe(2);
  });

  test('a client of the caller that gives numbers as text is understood', async () => {
    const client = new Redis(node.url, { stringNumbers: true });
    onTestFinished(() => client.disconnect());
    const renewals: (() => void)[] = [];
    const after: Clock['after'] = (ms, callback, bg) => {
      if (bg) renewals.push(callback);
      return bg ? () => {} : systemClock.after(ms, callback);
    };
    const { load, open, asked } = depot(() => '12.90');
    const events: CacheEvent[] = [];
    const onEvent = (event: CacheEvent) => events.push(event);
    const reading = price(shop({ clock: { ...systemClock, after }, onEvent }, client), fresh(), load);
    await asked(reading);
    renewals[0]?.();
    await until(() => renewals.length === 2, { timeoutMs: 1_000, what: 'the lease to be renewed again' });
    open();
    expect(await reading).toBe('12.90');
    expect(events, 'what was told of a value that was stored').toEqual([]);
  });

  test('a load that is slow keeps its lease', async () => {
    const key = fresh();
    const client = connect();
    const clock = new ManualClock();
    const { load, open, signals, asked } = depot(() => '12.90');
    const a = price(shop({ leaseMs: MINUTE, timeoutMs: 2 ** 31 - 1, clock }), key, load);
    await asked(a);
    const lefts = async () =>
      Promise.all((await client.keys(`${redis.namespace}*${key}*`)).map((at) => client.pttl(at)));
    for (let round = 1; round <= 3; round++) {
      // Redis says that it runs out sooner; A's clock, that a third of its time is over.
      for (const stored of await client.keys(`${redis.namespace}*${key}*`)) await client.pexpire(stored, MINUTE / 2);
      await until(
        async () => {
          await clock.advance(MINUTE / 3);
          return Math.max(...(await lefts())) > MINUTE / 2;
        },
        { timeoutMs: 700, what: `a lease that lasts longer than before, for the ${round}. time` },
      );
    }
    const sends = vi.spyOn(client, 'sendCommand');
    const b = price(shop({ leaseMs: MINUTE }, client), key, load);
    await until(() => signals.length > 1 || sends.mock.calls.length > 4, { what: 'B to load, or to look again' });
    open();
    expect(await Promise.all([a, b])).toEqual(['12.90', '12.90']);
    expect(signals.length, 'loads').toBe(1);
  });

  test('a holder whose lease ran out stores nothing, and takes no lease from its successor', async () => {
    const key = fresh();
    const history = new History<string>();
    // A process that stands still does not renew.
    const stalled: Clock = {
      ...systemClock,
      after: (ms, callback, bg) => (bg ? () => {} : systemClock.after(ms, callback)),
    };
    const [old, next] = [depot(() => 'old'), depot(() => 'new')];
    let refused = 0;
    const slow = price(shop({ leaseMs: 100, clock: stalled, onEvent: () => refused++ }), key, old.load);
    await old.asked(slow);
    history.record('A loads, and its lease runs out');
    const second = price(shop({ leaseMs: MINUTE }), key, next.load);
    await next.asked(second);
    history.record('B has the lease and loads');
    old.open();
    let gotOld = false;
    slow.then(() => (gotOld = true));
    await until(() => refused > 0 || gotOld, { what: 'A to try and store' });
    const client = connect();
    const sends = vi.spyOn(client, 'sendCommand');
    let third = 0;
    const c = price(shop({}, client), key, async () => `load ${++third} of C`);
    await until(() => third > 0 || sends.mock.calls.length > 4, { what: 'C to load, or to wait' });
    history.record(`A has tried to store; C, who asks now, loaded ${third} times`);
    expect(third, history.toString()).toBe(0);
    next.open();
    expect(await second, history.toString()).toBe('new');
    expect(await c, history.toString()).toBe('new');
    expect(await slow, 'A looked again').toBe('new');
    expect(await price(shop(), key, async () => 'loaded again')).toBe('new');
  });

  // ── invalidation ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('an invalidation during a load leaves nothing of the old value', async () => {
    const key = fresh();
    let tag = '12.90';
    const events: CacheEvent[] = [];
    const { load, open, asked } = depot(() => tag);
    const a = price(shop({ onEvent: (event) => events.push(event) }), key, load);
    await asked(a);
    tag = '9.90';
    await shop().invalidate(key);
    open();
    expect(await a, 'who waits').toBe('9.90');
    expect(await price(shop(), key, async () => tag), 'who asks later').toBe('9.90');
    expect(events).toEqual([{ type: 'refused', key }]);
  });

  test('who asks after an invalidation does not get what was being loaded before', async () => {
    const key = fresh();
    const cache = shop();
    const { load, open, asked } = depot(() => '12.90');
    const before = price(cache, key, load);
    await asked(before);
    await cache.invalidate(key);
    const after = price(cache, key, async () => '9.90');
    open();
    expect(await after).toBe('9.90');
    await before;
    expect(await price(cache, key, async () => 'loaded again')).toBe('9.90');
  });

  test('who asks after an invalidation elsewhere does not get what was on its way to or from Redis', async () => {
    for (const way of ['to', 'from']) {
      const key = fresh();
      const client = connect();
      const cache = shop({}, client);
      if (way === 'from') await price(shop(), key, async () => '12.90');
      // Redis has done what it was asked, and its answer takes its time.
      const answers = lateAnswers(client);
      if (way === 'from') answers.hold();
      const before = price(cache, key, async () => {
        answers.hold();
        return '12.90';
      });
      await Promise.race([answers.held, before]);
      await shop().invalidate(key);
      const after = price(cache, key, async () => '9.90');
      answers.release();
      expect(await after, `${way} Redis`).toBe('9.90');
      expect(await before, 'who asked before').toBe('12.90');
    }
  });

  test('where Redis is out of reach, who asks after an invalidation elsewhere does not get what was loaded before', async () => {
    for (const lost of ['the look', 'the store']) {
      const link = await node.proxy();
      onTestFinished(() => link[Symbol.asyncDispose]());
      const client = connectRedis(link.url, { timeoutMs: 100 });
      onTestFinished(() => client.disconnect());
      const cache = shop({}, client);
      await price(cache, fresh(), async () => 'any');
      const key = fresh();
      if (lost === 'the look') link.partition();
      const { load, open, asked } = depot(() => '12.90');
      const before = price(cache, key, load);
      await asked(before);
      await shop().invalidate(key);
      const after = price(cache, key, async () => '9.90');
      link.partition();
      open();
      expect(await after, `${lost} was not answered`).toBe('9.90');
      expect(await before, 'who asked before').toBe('12.90');
    }
  });

  test('what a lower layer found stale is not for who asks after an invalidation elsewhere', async () => {
    const key = fresh();
    const stale: Layer = {
      async read(_at, load, _next, signal) {
        return { value: await load(signal), source: 'stale', ageMs: 1 };
      },
    };
    const cache = compose(shop().layer(), stale);
    const { load, open, asked } = depot(() => '12.90');
    const before = cache.read(key, load);
    await asked(before);
    await shop().invalidate(key);
    const after = cache.read(key, async () => '9.90');
    open();
    expect(await after).toMatchObject({ value: '9.90', source: 'stale' });
    expect((await before).value, 'who asked before').toBe('12.90');
  });

  test('who asks after the second of two invalidations does not get the price from in between', async () => {
    const key = fresh();
    const cache = shop();
    const turns = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const tags = ['12.90', '11.90', '9.90'];
    let [now, loads] = [0, 0];
    const load = async () => {
      const tag = tags[now];
      await turns[loads++]?.promise;
      return tag ?? null;
    };
    const before = price(cache, key, load);
    for (const number of [1, 2]) {
      await Promise.race([until(() => loads === number, { what: `load ${number}` }), before]);
      now = number;
      await shop().invalidate(key);
      if (number === 1) turns[0]?.resolve();
    }
    const after = price(cache, key, load);
    turns[1]?.resolve();
    expect(await after).toBe('9.90');
    expect(await before, 'who asked before').not.toBe('12.90');
  });

  test('of a key that is invalidated during each load, the second load is handed out', async () => {
    const key = fresh();
    const other = shop();
    let loads = 0;
    const load = async () => {
      await other.invalidate(key);
      return `load ${++loads}`;
    };
    expect((await outcome(price(shop(), key, load))).value).toBe('load 2');
    expect(await price(other, key, async () => 'kept nowhere')).toBe('kept nowhere');
  });

  test('the memory of a process answers without Redis until its time is over or it is told', async () => {
    const key = fresh();
    const client = connect();
    let now = 0;
    const cache = shop({ nearMs: 1_000, clock: { ...systemClock, mono: () => now } }, client);
    let tag = '12.90';
    const read = () => price(cache, key, async () => tag);
    await read();
    const sends = vi.spyOn(client, 'sendCommand');
    tag = '9.90';
    expect(await read()).toBe('12.90');
    expect(sends.mock.calls.length, 'requests').toBe(0);
    await shop().invalidate(key);
    now += 1_000;
    expect(await read(), 'after nearMs').toBe('9.90');
    tag = '8.90';
    await cache.invalidate(key);
    expect(await read(), 'after its own invalidation').toBe('8.90');
    // Where a sum of milliseconds is rounded, no value comes from the future.
    now = 0.3;
    await cache.invalidate(key);
    await read();
    expect((await cache.getOrLoad(key, async () => tag)).ageMs).toBe(0);
  });

  test('a value says how old it is, from Redis and from memory, and past its TTL it is stale in both', async () => {
    const key = fresh();
    const client = connect();
    let now = 0;
    const times = { staleMs: MINUTE, nearMs: MINUTE, clock: { ...systemClock, mono: () => now } };
    await price(shop(times, client), key, async () => '12.90');
    /** In Redis. The time that the law itself takes comes on top. */
    const grows = async (old: number) => {
      for (const stored of await client.keys(`${redis.namespace}*${key}*`))
        await client.pexpire(stored, 2 * MINUTE - old);
    };
    const age = (ms: number) => expect.toSatisfy((ageMs: number) => ageMs >= ms && ageMs < ms + 15_000, `${ms} ms`);
    const cache = shop(times, client);
    const read = () => cache.getOrLoad(key, async () => '9.90');
    await grows(20_000);
    expect(await read(), 'from Redis').toEqual({ value: '12.90', source: 'hit', ageMs: age(20_000) });
    await grows(MINUTE + 1_000);
    now += 20_000;
    expect(await read(), 'from memory').toEqual({ value: '12.90', source: 'hit', ageMs: age(40_000) });
    now += 20_001;
    expect(await read(), 'past its TTL').toEqual({ value: '12.90', source: 'stale', ageMs: age(MINUTE + 1_000) });
  });

  test('what was on its way when a key was invalidated elsewhere does not begin its time in the memory then', async () => {
    for (const way of ['to Redis', 'from Redis', 'past Redis']) {
      const key = fresh();
      const client = way === 'past Redis' ? connect('redis://127.0.0.1:1') : connect();
      let now = 0;
      const cache = shop({ nearMs: 1_000, clock: { ...systemClock, mono: () => now } }, client);
      await price(cache, fresh(), async () => 'any');
      if (way === 'from Redis') await price(shop(), key, async () => '12.90');
      const answers = lateAnswers(client);
      if (way === 'from Redis') answers.hold();
      const { load, open, asked } = depot(() => '12.90');
      const before = price(cache, key, load);
      if (way !== 'from Redis') await asked(before);
      if (way === 'to Redis') {
        answers.hold();
        open();
      }
      if (way !== 'past Redis') await Promise.race([answers.held, before]);
      await shop().invalidate(key);
      now += 1_000;
      open();
      answers.release();
      expect(await before, `who asked before, ${way}`).toBe('12.90');
      expect(await price(cache, key, async () => '9.90'), `nearMs later, ${way}`).toBe('9.90');
    }
  });

  test('what was loaded before an invalidation does not get into the memory after it', async () => {
    const key = fresh();
    const cache = shop({ nearMs: MINUTE });
    const { load, open, asked } = depot(() => '12.90');
    const before = price(cache, key, load);
    await asked(before);
    await cache.invalidate(key);
    open();
    await before;
    await cache.invalidate(key);
    expect(await price(cache, key, async () => '9.90')).toBe('9.90');
  });

  // ── nobody waits ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('past its TTL a value is handed out, while one process loads it anew', async () => {
    const key = fresh();
    const times = { ttlMs: 30, staleMs: MINUTE };
    const clients = [connect(), connect(), connect()];
    const caches = clients.map((client) => shop(times, client));
    await Promise.all(caches.map((cache) => price(cache, key, async () => '12.90')));
    const { load, open, signals } = depot(() => '9.90');
    const read = (cache: HotCache) => outcome(cache.getOrLoad(key, load));
    await until(async () => {
      const reads = await Promise.all(caches.map(read));
      return signals.length > 0 && reads.every(({ value }) => value?.source === 'stale');
    });
    const sends = clients.map((client) => vi.spyOn(client, 'sendCommand'));
    for (const cache of caches) expect((await read(cache)).value).toMatchObject({ value: '12.90', source: 'stale' });
    await until(() => signals.length > 1 || sends.every(({ mock }) => mock.calls.length > 0));
    // Whatever was asked for in the background has been answered once these are.
    for (const client of clients) await client.ping();
    await new Promise(setImmediate);
    expect(signals.length, 'loads').toBe(1);
    open();
    await until(async () => (await price(shop(times), key, load)) === '9.90', { what: 'the new value' });
  });

  test('a refresh that fails in the background bothers nobody, and is not repeated by every reader', async () => {
    const key = fresh();
    const events: CacheEvent[] = [];
    const unhandled = unhandledRejections();
    const cache = shop({ ttlMs: 1, staleMs: MINUTE, leaseMs: MINUTE, onEvent: (event) => events.push(event) });
    await price(cache, key, async () => '12.90');
    const { load, open, signals } = depot(() => Promise.reject(new Error('the depot is closed')));
    await until(async () => (await cache.getOrLoad(key, load)).source === 'stale' && signals.length > 0);
    for (let reader = 0; reader < 5; reader++) expect(await price(cache, key, load)).toBe('12.90');
    open();
    await until(() => events.length > 0 || unhandled.mock.calls.length > 0);
    for (let reader = 0; reader < 20; reader++) expect(await price(cache, key, load)).toBe('12.90');
    await new Promise(setImmediate);
    expect(unhandled.mock.calls).toEqual([]);
    expect(events).toMatchObject([{ type: 'refresh-failed', key, error: { message: 'the depot is closed' } }]);
    expect(signals.length, 'loads').toBe(1);
  });

  test('a closed cache ends the refresh that runs, begins none and tells of none', async () => {
    for (const running of [true, false]) {
      const key = fresh();
      const client = connect();
      const events: CacheEvent[] = [];
      // From its memory, and nearly always with a refresh.
      const cache = shop({ nearMs: MINUTE, beta: 1e12, onEvent: (event) => events.push(event) }, client);
      await price(cache, key, async () => '12.90');
      const { load, signals } = depot(() => 'never');
      const answers = lateAnswers(client);
      // Redis has given the lease for the refresh, and says so after the close.
      if (!running) answers.hold();
      expect(await price(cache, key, load)).toBe('12.90');
      await (running ? until(() => signals.length > 0, { what: 'a refresh' }) : answers.held);
      cache.close();
      answers.release();
      // Whatever was sent by then has been answered once these are.
      for (const _ of ['the lease', 'its end']) {
        await client.ping();
        await new Promise(setImmediate);
      }
      expect(
        signals.map(({ reason }) => reason),
        'loads, and why they ended',
      ).toEqual(running ? [expect.any(ClosedError)] : []);
      await expect(cache.getOrLoad(key, load), 'a read from memory').rejects.toThrow(ClosedError);
      expect(events).toEqual([]);
    }
  });

  test('refreshes leave half of the line to those who wait', async () => {
    const events: CacheEvent[] = [];
    const onEvent = (event: CacheEvent) => events.push(event);
    const cache = shop({ ttlMs: 1, staleMs: MINUTE, maxLoads: 1, maxWaiting: 2, onEvent });
    const keys = [fresh(), fresh(), fresh()];
    for (const key of keys) await price(cache, key, async () => '12.90');
    const { load, open, signals } = depot(() => '9.90');
    for (const key of keys) await until(async () => (await cache.getOrLoad(key, load)).source === 'stale');
    const customer = outcome(price(cache, fresh(), async () => 'any'));
    const refused = until(() => events.length > 0, { what: 'a refresh that finds no place' });
    await Promise.race([refused, customer]);
    open();
    expect(await customer, 'what the customer got').toEqual({ value: 'any' });
    expect(events).toMatchObject([{ type: 'refresh-failed', key: keys[2], error: expect.any(OverloadedError) }]);
    expect(signals.length, 'refreshes').toBe(2);
  });

  test('once the old value is gone, a refresh that failed holds nobody up', async () => {
    const key = fresh();
    const client = connect();
    const failed = vi.fn();
    const cache = shop({ staleMs: MINUTE, leaseMs: MINUTE, onEvent: failed }, client);
    const failing = () => Promise.reject(new Error('the depot is closed'));
    await price(cache, key, async () => 'any');
    await until(
      async () => {
        await cache.invalidate(key);
        await price(cache, key, async () => '12.90');
        const [stored] = await client.keys(`${redis.namespace}*${key}*`);
        await client.pexpire(stored ?? '', 300);
        const { value } = await outcome(cache.getOrLoad(key, failing));
        // On a slow machine it may have been gone already, and then it was no refresh that failed.
        return value?.source === 'stale';
      },
      { what: 'the old value to be handed out while a refresh fails' },
    );
    await until(() => failed.mock.calls.length > 0, { what: 'the refresh to fail' });
    const patient = shop({ leaseMs: MINUTE, timeoutMs: 60_000 });
    await until(async () => (await outcome(price(patient, key, async () => '9.90'))).value === '9.90', {
      timeoutMs: 4_000,
      what: 'a new value, once the old one is gone',
    });
  }, 15_000);

  test('a refresh that fails after an invalidation elsewhere holds nobody up', async () => {
    const key = fresh();
    const failed = vi.fn();
    // From its memory, and nearly always with a refresh.
    const cache = shop({ nearMs: MINUTE, leaseMs: MINUTE, beta: 1e12, onEvent: failed });
    const other = shop({ leaseMs: MINUTE, timeoutMs: 1_000 });
    await price(cache, key, async () => '12.90');
    await other.invalidate(key);
    expect(await price(cache, key, () => Promise.reject(new Error('the depot is closed')))).toBe('12.90');
    await until(() => failed.mock.calls.length > 0, { what: 'the refresh to fail' });
    expect((await outcome(price(other, key, async () => '9.90'))).value, 'the next one who loads').toBe('9.90');
  });

  test('a refresh whose lease is answered too late takes it for nobody', async () => {
    const key = fresh();
    const link = await node.proxy();
    onTestFinished(() => link[Symbol.asyncDispose]());
    const client = connectRedis(link.url, { timeoutMs: 250 });
    onTestFinished(() => client.disconnect());
    const failed = vi.fn();
    // From its memory, and nearly always with a refresh.
    const cache = shop({ nearMs: MINUTE, leaseMs: MINUTE, beta: 1e12, onEvent: failed }, client);
    const load = async () => '12.90';
    await until(async () => (await outcome(cache.getOrLoad(key, load))).value?.source === 'load', {
      what: 'a value in the memory',
    });
    link.partition('down');
    expect(await price(cache, key, load)).toBe('12.90');
    await until(() => failed.mock.calls.length > 0, { what: 'the refresh to fail' });
    link.heal();
    const other = connect();
    await other.del(`${redis.namespace}{${key}}`);
    const patient = shop({ timeoutMs: 1_000 }, other);
    expect((await outcome(price(patient, key, async () => '9.90'))).value, 'the next one who loads').toBe('9.90');
  });

  test('the dice of the early refresh: e to the power of −remaining / (load time · beta)', () => {
    expect(
      refreshEarly(0, 100, 1, () => 0),
      'nothing remains',
    ).toBe(true);
    expect(refreshEarly(1, 100, 1, () => 0)).toBe(false);
    expect(refreshEarly(100, 100, undefined, () => 1 - 1 / Math.E - 0.01)).toBe(false);
    expect(refreshEarly(100, 100, 1, () => 1 - 1 / Math.E + 0.01)).toBe(true);
    expect(refreshEarly(0, 100, 0), 'beta 0').toBe(false);
    const dice = random(SEED);
    for (const [remaining, loadMs, beta] of [
      [100, 100, 1],
      [300, 100, 1],
      [300, 100, 3],
    ] as const) {
      const yes = Array.from({ length: 20_000 }, () => refreshEarly(remaining, loadMs, beta, dice.next)).filter(
        Boolean,
      );
      expect(yes.length / 20_000).toBeCloseTo(Math.exp(-remaining / (loadMs * beta)), 1);
    }
  });

  test('an early refresh keeps nobody waiting, and one process does it', async () => {
    const key = fresh();
    const eager = { beta: 1e12 };
    const caches = [shop(eager), shop({ ...eager, nearMs: MINUTE })];
    const first = depot(() => '12.90');
    const loading = price(shop(), key, first.load);
    await first.asked(loading);
    // A load that took no time is never due early.
    const start = performance.now();
    await until(() => performance.now() - start > 5);
    first.open();
    await loading;
    const { load, open, signals } = depot(() => '9.90');
    for (const cache of [...caches, ...caches]) {
      expect((await outcome(cache.getOrLoad(key, load))).value).toMatchObject({ value: '12.90', source: 'hit' });
    }
    await until(() => signals.length > 0);
    expect(signals.length, 'loads').toBe(1);
    open();
    await until(async () => (await price(shop(), key, load)) === '9.90', { what: 'the new value' });
  });

  test('the wait for a turn is no part of the time that a load takes', async () => {
    for (const url of [node.url, 'redis://127.0.0.1:1']) {
      let now = performance.now();
      const clock: Clock = { ...systemClock, mono: () => now };
      const repeated = vi.fn(async () => '9.90');
      const onEvent = ({ type }: CacheEvent) => type === 'refresh-failed' && repeated();
      const cache = shop({ maxLoads: 1, maxWaiting: 1, nearMs: MINUTE, clock, onEvent }, connect(url));
      const [busy, key] = [depot(() => '5.90'), fresh()];
      const first = price(cache, fresh(), busy.load);
      await busy.asked(first);
      const second = price(cache, key, async () => '12.90');
      await expect(price(cache, fresh(), busy.load), 'the line is full').rejects.toThrow(OverloadedError);
      now += 60 * MINUTE;
      busy.open();
      expect(await Promise.all([first, second])).toEqual(['5.90', '12.90']);
      // The dice of a load that took an hour say yes, those of one that took no time say no.
      const again = cache.getOrLoad(key, repeated, { beta: 1_000 });
      expect(await again, `in the memory of the process, ${url}`).toMatchObject({ value: '12.90', source: 'hit' });
      await price(cache, fresh(), async () => 'any');
      expect(repeated, `early refreshes, ${url}`).not.toHaveBeenCalled();
    }
  });

  // ── without Redis ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('without Redis the value is loaded all the same, and the database stays gated', async () => {
    const link = await node.proxy();
    onTestFinished(() => link[Symbol.asyncDispose]());
    for (const fault of ['hung', 'refused'] as const) {
      const client = connectRedis(link.url, { timeoutMs: 100 });
      onTestFinished(() => client.disconnect());
      const events: CacheEvent[] = [];
      const cache = shop({ maxLoads: 4, maxWaiting: 10, onEvent: (event) => events.push(event) }, client);
      await price(cache, fresh(), async () => 'any');
      if (fault === 'hung') link.partition();
      else await link[Symbol.asyncDispose]();
      let [running, most, loads] = [0, 0, 0];
      const open = Promise.withResolvers<void>();
      const load = async () => {
        loads++;
        most = Math.max(most, ++running);
        await open.promise;
        running--;
        return '12.90';
      };
      const keys = Array.from({ length: 40 }, fresh);
      const crowd = keys.flatMap((key) => Array.from({ length: 10 }, () => outcome(price(cache, key, load), 4_000)));
      await until(() => events.length >= 40 && loads >= 4, { what: 'all keys to be asked for' });
      open.resolve();
      const ends = await Promise.all(crowd);
      expect(most, `${fault}: loads at once`).toBe(4);
      expect(loads, `${fault}: loads`).toBe(14);
      expect(ends.filter(({ value }) => value === '12.90').length, fault).toBe(140);
      expect(ends.filter(({ error }) => error instanceof OverloadedError).length, fault).toBe(260);
      link.heal();
    }
  }, 15_000);

  test('a client of the caller that keeps commands for its next connection keeps no reader waiting', async () => {
    const client = new Redis('redis://127.0.0.1:1', { maxRetriesPerRequest: null, retryStrategy: () => MINUTE });
    client.on('error', () => {});
    onTestFinished(() => client.disconnect());
    await until(() => client.status === 'reconnecting', { what: 'the connection to be refused' });
    const { value, error } = await outcome(
      shop({}, client).getOrLoad(fresh(), async () => '12.90'),
      1_000,
    );
    expect(value, String(error)).toEqual({ value: '12.90', source: 'load', ageMs: 0 });
  });

  test('where Redis is lost during a load its value is handed out, and not loaded again', async () => {
    const client = connect();
    const { load, open, signals, asked } = depot(() => '12.90');
    const reading = price(shop({}, client), fresh(), load);
    await asked(reading);
    client.disconnect();
    open();
    expect(await reading).toBe('12.90');
    expect(signals.length, 'loads').toBe(1);
  });

  test('without Redis a process keeps what it loaded for nearMs, and no longer than the TTL', async () => {
    for (const [nearMs, ttlMs] of [
      [100, MINUTE],
      [MINUTE, 100],
    ] as const) {
      let now = 0;
      const times = { ttlMs, staleMs: 5 * MINUTE, nearMs, clock: { ...systemClock, mono: () => now } };
      const [cache, key] = [shop(times, connect('redis://127.0.0.1:1')), fresh()];
      await price(cache, key, async () => '12.90');
      const read = () => cache.getOrLoad(key, async () => '9.90');
      now += 99;
      expect(await read(), `nearMs ${nearMs}`).toEqual({ value: '12.90', source: 'hit', ageMs: 99 });
      now += 1;
      expect(await read(), `nearMs ${nearMs}`).toEqual({ value: '9.90', source: 'load', ageMs: 0 });
    }
  });

  test('a lease ends with its load, also where the memory of Redis is full by then', async ({ skip }) => {
    skip(!redis.faults, 'it limits the memory of a server, and this one is not ours');
    const client = connect();
    const [here, there] = [shop({}, client), shop({ timeoutMs: 1_000 })];
    onTestFinished(async () => void (await client.config('SET', 'maxmemory', '0')));
    for (const end of [async () => '12.90', () => Promise.reject(new Error('the depot is closed'))]) {
      const key = fresh();
      const load = async () => {
        await client.config('SET', 'maxmemory', '1');
        return end();
      };
      await outcome(price(here, key, load));
      await client.config('SET', 'maxmemory', '0');
      const next = (await outcome(price(there, key, async () => '9.90'))).value;
      expect(['12.90', '9.90'], 'the price for the next one').toContain(next);
    }
  });

  test('an invalidation that Redis did not take is an error', async () => {
    const client = connect('redis://127.0.0.1:1');
    await expect(shop({}, client).invalidate(fresh())).rejects.toThrow(InvalidationFailedError);
    const read = await shop({}, client).getOrLoad(fresh(), async () => '12.90');
    expect(read).toEqual({ value: '12.90', source: 'load', ageMs: 0 });
  });

  // ── layers ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('layers answer outermost first, and are invalidated innermost first', async () => {
    const told: string[] = [];
    const layer = (name: string): Layer => ({
      read(key, load, next) {
        told.push(name);
        return next(key, load);
      },
      invalidate: async () => void told.push(`forget ${name}`),
    });
    const cache = compose(layer('outer'), layer('inner'));
    expect(await cache.read('a', async () => 1)).toEqual({ value: 1, source: 'load', ageMs: 0 });
    await cache.invalidate('a');
    expect(told).toEqual(['outer', 'inner', 'forget inner', 'forget outer']);
    const failure = new Error('the inner one was not told');
    const failing: Layer = { ...layer('inner'), invalidate: () => Promise.reject(failure) };
    expect((await outcome(compose(layer('outer'), failing).invalidate('a'))).error).toBe(failure);
    expect(told.slice(4), 'the others are told all the same').toEqual(['forget outer']);
  });

  test('what a load leaves on its signal is not left on a signal that outlives the read', async () => {
    const lasting = new AbortController();
    const signals: AbortSignal[] = [];
    const load = async (signal: AbortSignal) => {
      signal.addEventListener('abort', () => {});
      signals.push(signal);
      return '12.90';
    };
    for (const signal of [lasting.signal, lasting.signal, undefined, undefined]) {
      await compose().read(fresh(), load, signal);
      await shop().getOrLoad(fresh(), load, { ...(signal && { signal }) });
      await compose(shop().layer()).read(fresh(), load, signal);
    }
    expect(new Set([...signals, lasting.signal]).size, 'signals').toBe(13);
    expect(getEventListeners(lasting.signal, 'abort')).toEqual([]);
    const gone = new Error('the customer went home');
    const reading = outcome(
      compose().read(
        fresh(),
        (own) => new Promise((_, no) => own.addEventListener('abort', () => no(own.reason))),
        lasting.signal,
      ),
    );
    const deaf = outcome(compose().read(fresh(), () => new Promise<never>(() => {}), lasting.signal));
    lasting.abort(gone);
    expect((await reading).error).toBe(gone);
    expect((await deaf).error, 'of a load that does not listen').toBe(gone);
  });

  test('each technique is a layer, and keeps nothing that a lower one refused', async () => {
    const key = fresh();
    let refusing = true;
    const bouncer: Layer = {
      async read(at, load, next) {
        return refusing ? { value: null, source: 'refused', ageMs: 0 } : next(at, load);
      },
    };
    const cache = compose(new SingleFlight().layer(), shop().layer(), bouncer);
    expect(await cache.read(key, async () => '12.90')).toMatchObject({ value: null, source: 'refused' });
    refusing = false;
    expect(await cache.read(key, async () => '12.90')).toMatchObject({ value: '12.90', source: 'load' });
    expect(await cache.read(key, async () => 'again')).toMatchObject({ value: '12.90', source: 'hit' });
    await cache.invalidate(key);
    const { load, open, signals, asked } = depot(() => '9.90');
    const crowd = Array.from({ length: 20 }, () => cache.read(key, load));
    await asked(Promise.all(crowd));
    open();
    expect((await Promise.all(crowd)).every(({ value }) => value === '9.90')).toBe(true);
    expect(signals.length).toBe(1);
  });

  test('through layers too, a caller who gives up takes nobody along', async () => {
    const gone = new Error('the customer went home');
    for (const layer of [new SingleFlight().layer(), shop().layer()]) {
      // He gives up while the database is asked, or while his turn to ask it has yet to come.
      for (const asking of [true, false]) {
        const key = fresh();
        const [reached, turn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        const queue: Layer = {
          async read(at, load, next) {
            reached.resolve();
            await turn.promise;
            return next(at, load);
          },
        };
        const cache = compose(layer, queue);
        const { load, open, signals, asked } = depot(() => '12.90');
        const leaving = new AbortController();
        const first = outcome(cache.read(key, load, leaving.signal));
        const second = outcome(cache.read(key, load));
        await Promise.race([reached.promise, first]);
        if (asking) {
          turn.resolve();
          await asked(first);
        }
        leaving.abort(gone);
        expect((await first).error, 'who gives up need not wait').toBe(gone);
        turn.resolve();
        await asked(second);
        expect(signals[0]?.aborted, 'the load is told to stop').toBe(false);
        open();
        expect((await second).value?.value).toBe('12.90');
      }
    }
  });

  // ── many processes, many changes ──────────────────────────────────────────────────────────────────────────────────

  test('nobody reads a price from before an invalidation of his own process, and nothing old is left', async () => {
    const keys = [fresh(), fresh()];
    const tags = new Map(keys.map((key) => [key, 0]));
    const caches = [0, 1, 2].map((n) => shop({ ttlMs: 40, staleMs: n * 20, beta: 1, nearMs: n * 10 }));
    const history = new History<string>();
    const pause = async (ms: number) => {
      const start = performance.now();
      await until(() => performance.now() - start >= ms, { intervalMs: 1 });
    };
    const worker = async (number: number) => {
      const dice = random(SEED + number);
      const cache = dice.pick(caches);
      for (let turn = 0; turn < 40; turn++) {
        const key = dice.pick(keys);
        const load = async () => {
          const tag = tags.get(key) ?? 0;
          await pause(dice.int(0, 8));
          return tag;
        };
        if (dice.next() < 0.15) {
          const tag = (tags.get(key) ?? 0) + 1;
          tags.set(key, tag);
          await cache.invalidate(key);
          history.record(`${number}: ${key} is now ${tag}`);
          const { value } = await cache.getOrLoad(key, load);
          history.record(`${number}: and reads ${value}`);
          expect(value, history.toString()).toBeGreaterThanOrEqual(tag);
        } else {
          await cache.getOrLoad(key, load);
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => worker(number)));
    for (const key of keys) {
      await until(
        async () => {
          const reads = await Promise.all(caches.map((cache) => cache.getOrLoad(key, async () => tags.get(key) ?? 0)));
          return reads.every(({ value }) => value === tags.get(key));
        },
        { what: `the newest price of ${key} everywhere` },
      );
    }
  }, 15_000);
});
