import { getEventListeners, once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { describeWith, History, random, stillLoading, unhandledRejections, until, whileBusy } from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  BannedError,
  bloomShape,
  type CacheEvent,
  changeRow,
  clientAddress,
  clientName,
  compose,
  connectRedis,
  type Filter,
  FilterUnavailableError,
  InvalidArgumentError,
  InvalidationFailedError,
  insertRow,
  type Layer,
  LocalBloom,
  LookupCache,
  MissGuard,
  predictedFpp,
  protect,
  RebuildLostError,
  SharedBloom,
  UnstorableValueError,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const MINUTE = 60_000;

await describeWith('cache penetration', { redis: () => startRedis() }, ({ redis: servers }) => {
  const [node] = servers.nodes;
  /** A client of the test's own. On a slow machine it is patient. */
  const connect = (url = node.url, timeoutMs = 5_000) => {
    const redis = connectRedis(url, { timeoutMs });
    onTestFinished(() => redis.disconnect());
    return redis;
  };
  let prefixes = 0;
  const freshPrefix = () => `${servers.namespace}${++prefixes}:`;
  const setUp = () => {
    const redis = connect();
    const prefix = freshPrefix();
    const events: CacheEvent[] = [];
    const keys = async () => (await redis.keys(`${prefix}*`)).sort();
    return { redis, prefix, events, keys, onEvent: (event: CacheEvent) => void events.push(event) };
  };
  const names = (what: string, count: number) => Array.from({ length: count }, (_, index) => `${what}${index}`);
  /** A filter of each kind, with nothing in it yet. */
  const filters = (
    options: { capacity?: number; fpp?: number; pendingMs?: number } = {},
    { redis, prefix, onEvent } = setUp(),
  ): { kind: string; filter: Filter }[] => {
    const all = { capacity: 2_000, ...options, onEvent };
    return [
      { kind: 'in process', filter: new LocalBloom(all) },
      { kind: 'shared', filter: new SharedBloom(redis, { ...all, name: 'parcels', prefix }) },
    ];
  };
  const refused = async (filter: Filter, ids: readonly string[]) => {
    const answers = await Promise.all(ids.map((id) => filter.mayContain(id)));
    return ids.filter((_, index) => !answers[index]);
  };
  const deferred = <T>() => Promise.withResolvers<T>();
  /** How long a key is kept that `store` writes, at most. */
  const longest = async (store: (redis: Redis, prefix: string) => Promise<unknown>) => {
    const [{ redis, prefix, keys }, lefts] = [setUp(), [0]];
    // One of so many is looked at in the millisecond in which it was stored.
    for (let key = ''; lefts.length < 20; await redis.unlink(key)) {
      await store(redis, prefix);
      key ||= (await keys())[0] ?? '';
      lefts.push(await redis.pttl(key));
    }
    return Math.max(...lefts);
  };

  // ── what can be computed ──────────────────────────────────────────────────────────────────────────────────────────

  test('a filter is sized from the number of ids and the share of strangers it may let pass', () => {
    expect(bloomShape(1, 0.01)).toEqual({ bits: 10, hashes: 7 });
    expect(bloomShape(1_000, 0.01)).toEqual({ bits: 9_586, hashes: 7 });
    expect(bloomShape(1_000_000, 0.001)).toEqual({ bits: 14_377_588, hashes: 10 });
    expect(bloomShape(1, 0.9), 'a byte at least').toEqual({ bits: 8, hashes: 6 });
    expect(bloomShape(1_000, 0.9), 'a bit at least').toEqual({ bits: 220, hashes: 1 });
    expect(predictedFpp({ bits: 9_586, hashes: 7 }, 1_000)).toBeCloseTo(0.01, 3);
    expect(predictedFpp({ bits: 9_586, hashes: 7 }, 0)).toBe(0);
    expect(predictedFpp({ bits: 9_586, hashes: 7 }, 3_000)).toBeGreaterThan(0.3);
  });

  test('what no defence can be made from is refused', async () => {
    const { redis } = setUp();
    const bad: [string, () => unknown][] = [
      ['a capacity of 0', () => bloomShape(0, 0.01)],
      ['half an id', () => new LocalBloom({ capacity: 1.5 })],
      ['no false positives at all', () => bloomShape(1_000, 0)],
      ['nothing but false positives', () => new LocalBloom({ capacity: 10, fpp: 1 })],
      ['not a number', () => bloomShape(1_000, Number.NaN)],
      ['more bits than Redis has', () => bloomShape(1_000_000_000, 0.000_001)],
      ['one bit more than Redis has', () => bloomShape(4_039_597_636, 0.6)],
      ['more ids than Redis has bits', () => bloomShape(2 ** 32 + 1, 0.9)],
      ['a commit before its id was added', () => new LocalBloom({ capacity: 10, pendingMs: -1 })],
      ['a filter without a name', () => new SharedBloom(redis, { capacity: 10, name: '' })],
      ['a TTL of 0', () => new LookupCache(redis, { ttlMs: 0 })],
      ['half a millisecond', () => new LookupCache(redis, { ttlMs: 1_000.5 })],
      ['a marker that outlives half of a value', () => new LookupCache(redis, { ttlMs: 1_000, nullTtlMs: 501 })],
      ['a limit of 0', () => new MissGuard(redis, { limit: 0 })],
      ['a ban that never ends', () => new MissGuard(redis, { banMs: Number.POSITIVE_INFINITY })],
      ['a network that is none', () => clientAddress('10.0.0.1', '203.0.113.7', ['10.0.0.0/33'])],
      ['commands without an end', () => connectRedis(node.url, { timeoutMs: Number.POSITIVE_INFINITY })],
      ['commands without a time', () => connectRedis(node.url, { timeoutMs: Number.NaN })],
      ['a wait beyond any timer', () => connectRedis(node.url, { timeoutMs: 2 ** 31 })],
    ];
    // Short for another network, and octal for another one again.
    for (const network of ['10/8', '10.0/16', '010.0.0.0/8', '10.0.0.0', '']) {
      bad.push([`${network} as a network`, () => clientAddress('10.0.0.1', '203.0.113.7', [network])]);
    }
    for (const [what, make] of bad) expect(make, what).toThrow(InvalidArgumentError);
    const load = async () => 'a row';
    // UTF-8 has one text for all halves of a character: the second key would read the first one's value.
    const unnamed = ['', 'k'.repeat(513), 'user\ud83d', 'user\ud83c'];
    for (const key of unnamed) {
      const [cache, what] = [new LookupCache(redis), JSON.stringify(key)];
      await expect(cache.lookup(key, load), what).rejects.toThrow(InvalidArgumentError);
      await expect(cache.invalidate(key), what).rejects.toThrow(InvalidArgumentError);
    }
    const guard = new MissGuard(redis);
    for (const ask of [guard.allow(''), guard.recordMiss('')]) await expect(ask).rejects.toThrow(InvalidArgumentError);
    for (const { kind, filter } of filters()) {
      for (const id of unnamed) {
        await expect(filter.mayContain(id), kind).rejects.toThrow(InvalidArgumentError);
        await expect(filter.add(id), `${kind}: nobody could ask for it`).rejects.toThrow(InvalidArgumentError);
      }
    }
  });

  test('what stands at a limit is within it', async () => {
    const { redis, events, onEvent } = setUp();
    const [most, longestName] = [Number.MAX_SAFE_INTEGER, 'k'.repeat(512)];
    expect(bloomShape(4_039_597_635, 0.6), 'all bits that Redis has').toEqual({ bits: 2 ** 32, hashes: 1 });
    expect(bloomShape(2 ** 32, 0.9)).toEqual({ bits: 941_861_027, hashes: 1 });
    for (const options of [
      { ttlMs: 2, nullTtlMs: 1 },
      { ttlMs: 2 },
      { ttlMs: 1_000, nullTtlMs: 500 },
      { ttlMs: most },
    ]) {
      const cache = new LookupCache(redis, { prefix: freshPrefix(), ...options, onEvent });
      expect(await cache.lookup(longestName, async () => 'a row')).toBe('a row');
      expect(await cache.lookup('unknown', async () => null)).toBeNull();
    }
    const misses = async (limit: number, ms: number) =>
      new MissGuard(redis, { prefix: freshPrefix(), limit, windowMs: ms, banMs: ms, onEvent }).recordMiss(longestName);
    expect(await misses(1, 1)).toEqual({ allowed: false, misses: 1, retryAfterMs: 1 });
    expect(await misses(1, most)).toMatchObject({ allowed: false, misses: 1 });
    expect(await misses(most, most)).toEqual({ allowed: true, misses: 1, retryAfterMs: 0 });
    const ids = names('parcel ', 10);
    for (const pendingMs of [0, most]) {
      for (const { kind, filter } of filters({ capacity: 10, pendingMs }, { ...setUp(), onEvent })) {
        expect(await filter.rebuild(ids), kind).toBe(10);
        await filter.add(longestName);
        expect(await refused(filter, [...ids, longestName]), kind).toEqual([]);
      }
    }
    const patient = connect(node.url, 2 ** 31 - 1);
    expect(await patient.ping()).toBe('PONG');
    expect(patient.options.socketTimeout).toBe(2 ** 31 - 1);
    expect(connect(node.url, 1).options.commandTimeout).toBe(1);
    expect(events, 'what went beyond a limit').toEqual([]);
    const local = new LocalBloom({ capacity: 10, onEvent });
    await local.rebuild([...ids, 'one too many']);
    expect(events).toEqual([{ type: 'over-capacity', ids: 11, capacity: 10 }]);
  });

  test('what is not said is as the options say', async () => {
    const upTo = (most: number) => expect.toSatisfy((ms: number) => ms > 0.98 * most && ms <= most, `at most ${most}`);
    const kept = (row: string | null, options = {}) =>
      longest((redis, prefix) => new LookupCache(redis, { prefix, ...options }).lookup('parcel', async () => row));
    expect(await kept('a row')).toEqual(upTo(600_000));
    expect(await kept(null)).toEqual(upTo(30_000));
    expect(await kept(null, { ttlMs: 200_000 }), 'a tenth').toEqual(upTo(20_000));
    const missed = (options = {}) =>
      longest((redis, prefix) => new MissGuard(redis, { prefix, ...options }).recordMiss('203.0.113.7'));
    expect(await missed()).toEqual(upTo(60_000));
    expect(await missed({ limit: 1 })).toEqual(upTo(600_000));
    const { redis, prefix } = setUp();
    const guard = new MissGuard(redis, { prefix });
    const misses = await Promise.all(names('miss ', 100).map(() => guard.recordMiss('203.0.113.7')));
    expect(misses.filter(({ allowed }) => allowed).length).toBe(99);
    let now = 0;
    const filter = new LocalBloom({ capacity: 100, clock: { mono: () => now } });
    await filter.add('in a transaction');
    for (const [ms, carried] of [
      [59_999, true],
      [60_000, false],
    ] as const) {
      now = ms;
      await filter.rebuild([]);
      expect(filter.has('in a transaction'), `after ${ms} ms`).toBe(carried);
    }
    expect(await filter.stats()).toMatchObject(bloomShape(100, 0.01));
    const waits = [{}, { timeoutMs: 60 }, { timeoutMs: 200 }].map((options) => {
      const client = connectRedis(node.url, options);
      onTestFinished(() => client.disconnect());
      return [client.options.commandTimeout, client.options.socketTimeout];
    });
    expect(waits, 'for an answer, and for anything at all').toEqual([
      [250, 2_500],
      [60, 1_000],
      [200, 2_000],
    ]);
  });

  test('a client has one name, however its address is written', () => {
    expect(clientName('203.0.113.7')).toBe('203.0.113.7');
    expect(clientName('::ffff:203.0.113.7')).toBe('203.0.113.7');
    expect(clientName('::FFFF:CB00:7107')).toBe('203.0.113.7');
    expect(clientName('2001:db8:0:1::1')).toBe('2001:db8:0:1::/64');
    expect(clientName('2001:db8:0:1::1')).toBe(clientName('2001:0DB8:0000:0001:ffff::42'));
    expect(clientName('2001:db8:0:1::1')).not.toBe(clientName('2001:db8:0:2::1'));
    expect(clientName('customer-42')).toBe('customer-42');
  });

  test('only our own proxies are believed about where a request came from', () => {
    const trusted = ['10.0.0.0/8', 'fd00::/8'];
    expect(clientAddress('203.0.113.7', '198.51.100.1'), 'no proxy of ours').toBe('203.0.113.7');
    expect(clientAddress('203.0.113.7', '198.51.100.1', trusted), 'not from our proxy').toBe('203.0.113.7');
    expect(clientAddress('10.0.0.1', '203.0.113.7', trusted)).toBe('203.0.113.7');
    expect(clientAddress('10.0.0.1', '1.2.3.4, 203.0.113.7', trusted), 'he wrote 1.2.3.4 himself').toBe('203.0.113.7');
    expect(clientAddress('10.0.0.1', '1.2.3.4, 203.0.113.7, 10.9.9.9', trusted)).toBe('203.0.113.7');
    expect(clientAddress('::ffff:10.0.0.1', '203.0.113.7:4711', trusted)).toBe('203.0.113.7');
    expect(clientAddress('fd00::1', '[2001:db8::1]:443', trusted)).toBe('2001:db8::1');
    expect(clientAddress('10.0.0.1', '1.2.3.4, unknown', trusted), 'nobody to blame').toBeUndefined();
    expect(clientAddress('10.0.0.1', undefined, trusted)).toBe('10.0.0.1');
    const asIPv6 = ['::ffff:10.0.0.0/104'];
    expect(clientAddress('::ffff:10.0.0.5', '203.0.113.7', asIPv6), 'IPv4, written as IPv6').toBe('203.0.113.7');
    expect(clientAddress('11.0.0.5', '203.0.113.7', asIPv6), 'another network').toBe('11.0.0.5');
    expect(clientAddress('10.0.0.5', '203.0.113.7', ['::/0']), 'IPv6 alone').toBe('10.0.0.5');
    expect(clientAddress('11.0.0.5', '203.0.113.7', ['::ffff:0:0/96']), 'all of IPv4').toBe('203.0.113.7');
    expect(clientAddress('2001:db8::5', '203.0.113.7', ['2001:db8::5/128']), 'one alone').toBe('203.0.113.7');
  });

  // ── null markers ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('a row is loaded once, and so is the news that there is none', async () => {
    const { redis, prefix } = setUp();
    const cache = new LookupCache(redis, { prefix });
    const row = vi.fn(async () => ({ shelf: 7 }));
    const nothing = vi.fn(async () => null);
    for (let call = 0; call < 5; call++) {
      expect(await cache.lookup('known', row)).toEqual({ shelf: 7 });
      expect(await cache.lookup('unknown', nothing)).toBeNull();
    }
    expect({ row: row.mock.calls.length, nothing: nothing.mock.calls.length }).toEqual({ row: 1, nothing: 1 });
    const sources = async (key: string) => (await compose(cache.layer()).read(key, row)).source;
    expect([await sources('known'), await sources('unknown'), await sources('new')]).toEqual(['hit', 'null', 'load']);
  });

  test('a value is as old as the time since it was stored, and no younger', async () => {
    const { redis, prefix } = setUp();
    const cache = new LookupCache(redis, { prefix });
    const start = Date.now();
    onTestFinished(() => void vi.useRealTimers());
    for (const [passedMs, ageMs] of [
      [0, 0],
      [5_000, 5_000],
      [-5_000, 0],
    ] as const) {
      vi.setSystemTime(start);
      await cache.lookup('known', async () => 'a row');
      vi.setSystemTime(start + passedMs);
      const read = await compose(cache.layer()).read('known', async () => 'loaded again');
      expect(read, `when the clock has gone on by ${passedMs} ms`).toEqual({ value: 'a row', source: 'hit', ageMs });
    }
    const loaded = await compose(cache.layer()).read('new', async () => 'a row');
    expect(loaded, 'what comes from the database').toEqual({ value: 'a row', source: 'load', ageMs: 0 });
    const filter = new LocalBloom({ capacity: 10 });
    await filter.rebuild([]);
    const refusal = await protect({ filter, cache }).read('stranger', async () => 'a row');
    expect(refusal).toEqual({ value: null, source: 'refused', ageMs: 0 });
  });

  test('no value is taken for a marker, and no marker for a value', async () => {
    const { redis, prefix, keys } = setUp();
    const cache = new LookupCache(redis, { prefix });
    await cache.lookup('nothing', async () => null);
    const [stored = ''] = await keys();
    const marker = await redis.get(stored);
    const values = ['', 0, false, 'null', 'undefined', marker, `${marker}:x`, [], {}, [null], { value: null }, '\n"é"'];
    for (const [index, value] of values.entries()) {
      await cache.lookup(`key ${index}`, async () => value);
      const again = await compose(cache.layer()).read(`key ${index}`, async () => 'loaded again');
      expect(again, `after ${JSON.stringify(value)} was stored`).toMatchObject({ value, source: 'hit' });
    }
    const forgotten: () => Promise<string | null> = vi.fn();
    expect(await cache.lookup('undefined', forgotten), 'a loader that returns undefined has no row').toBeNull();
    expect(await cache.lookup('undefined', async () => 'loaded again')).toBeNull();
  });

  test('a marker lives for a short time, a value for a long one', async () => {
    const { redis, prefix, keys } = setUp();
    const cache = new LookupCache(redis, { prefix, ttlMs: 10 * MINUTE, nullTtlMs: MINUTE });
    await cache.lookup('unknown', async () => null);
    const [marker = ''] = await keys();
    expect(await redis.pttl(marker)).toSatisfy((ms: number) => ms > 0 && ms <= MINUTE);
    await cache.lookup('known', async () => 'a row');
    const [value = ''] = (await keys()).filter((key) => key !== marker);
    expect(await redis.pttl(value)).toSatisfy((ms: number) => ms > MINUTE && ms <= 10 * MINUTE);
    const brief = new LookupCache(redis, { prefix, ttlMs: 100, nullTtlMs: 20 });
    await brief.lookup('soon', async () => null);
    expect(await until(() => brief.lookup('soon', async () => 'here now'))).toBe('here now');
  });

  test('a load that fails is thrown to its caller and stored as nothing', async () => {
    const { redis, prefix, keys } = setUp();
    const cache = new LookupCache(redis, { prefix });
    const failing = async () => {
      throw new Error('the database is down');
    };
    await expect(cache.lookup('known', failing)).rejects.toThrow('the database is down');
    expect(await keys()).toEqual([]);
    expect(await cache.lookup('known', async () => 'a row')).toBe('a row');
  });

  test('what JSON cannot hold is refused, and what cannot be decoded is loaded again', async () => {
    const { redis, prefix, keys, events, onEvent } = setUp();
    const cache = new LookupCache(redis, { prefix, onEvent });
    await expect(cache.lookup('big', async () => 1n)).rejects.toThrow(UnstorableValueError);
    await expect(cache.lookup('code', async () => () => {})).rejects.toThrow(UnstorableValueError);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, { toJSON: () => null }]) {
      await expect(cache.lookup('null in JSON', async () => value)).rejects.toThrow(UnstorableValueError);
    }
    expect(await keys()).toEqual([]);
    await cache.lookup('known', async () => 'a row');
    const [key = ''] = await keys();
    for (const junk of ['', 'x', '{"value":1}', 'v', 'vzz:{', '\u0000']) {
      await redis.set(key, junk);
      expect(await cache.lookup('known', async () => 'from the database'), JSON.stringify(junk)).toBe(
        'from the database',
      );
    }
    expect(events.map(({ type }) => type)).toEqual(Array.from({ length: 6 }, () => 'undecodable'));
  });

  test('the first caller gets what the next ones will get: what JSON makes of it', async () => {
    const { redis, prefix } = setUp();
    const load = async () => ({
      sent: new Date(0),
      stops: new Map([['Kiel', 2]]),
      weight: Number.NaN,
      note: undefined,
    });
    const stored = { sent: '1970-01-01T00:00:00.000Z', stops: {}, weight: null };
    for (const cache of [new LookupCache(redis, { prefix }), new LookupCache(connect('redis://127.0.0.1:1'))]) {
      for (const call of [1, 2]) expect(await cache.lookup('parcel', load), `call ${call}`).toStrictEqual(stored);
    }
  });

  test('what is stored has the lab and its version in its name', async ({ skip }) => {
    skip(!servers.faults, 'it stores under the default prefix, and this server is not ours');
    const { redis } = setUp();
    await new LookupCache(redis).lookup('mine', async () => 'a row');
    await new MissGuard(redis).recordMiss('mine');
    await new SharedBloom(redis, { capacity: 10, name: 'mine' }).rebuild(['mine']);
    const keys = await redis.keys('*mine*');
    expect(keys.length).toBeGreaterThanOrEqual(3);
    expect(keys.filter((key) => !key.startsWith('cache-penetration:1:'))).toEqual([]);
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
    skip(!servers.faults, 'it makes the server a replica, and this one is not ours');
    const { redis, prefix } = setUp();
    const admin = connect();
    await admin.replicaof('127.0.0.1', 1);
    try {
      const left = once(redis, 'reconnecting', { signal: AbortSignal.timeout(2_000) });
      expect(await new LookupCache(redis, { prefix }).lookup('known', async () => 'a row')).toBe('a row');
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

  test('a database that is chosen on a client that never was connected is refused, and the process goes on', async () => {
    const unhandled = unhandledRejections();
    const client = connectRedis(node.url);
    client.disconnect();
    await expect(client.select(1)).rejects.toThrow('closed');
    await setImmediate();
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('a database that could not be chosen, as Redis was busy with a script, is no reason to go on in another', async ({
    skip,
  }) => {
    skip(!servers.faults, 'it keeps the server busy, and this one is not ours');
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
    expect(await client.exists('parcel')).toEqual(expect.any(Number));
  });

  test('a load that began before an invalidation stores nothing after it', async () => {
    const { redis, prefix, events, onEvent } = setUp();
    const history = new History<string>();
    const ours = new LookupCache(redis, { prefix, onEvent });
    const theirs = new LookupCache(connect(), { prefix });
    const [asked, answer] = [deferred<void>(), deferred<string | null>()];
    const reading = ours.lookup('parcel', () => {
      asked.resolve();
      return answer.promise;
    });
    await Promise.race([asked.promise, reading]);
    history.record('a reader asks the database: there is no such row yet');
    await theirs.invalidate('parcel');
    history.record('elsewhere the row is committed, and the key invalidated');
    answer.resolve(null);
    await reading;
    const after = await theirs.lookup('parcel', async () => 'the row');
    history.record(`the reader has stored what it read; the next one is told ${JSON.stringify(after)}`);
    expect(after, history.toString()).toBe('the row');
    expect(events.map(({ type }) => type)).toEqual(['fenced']);
    expect(await ours.lookup('parcel', async () => 'loaded again'), 'the newer load was stored').toBe('the row');
  });

  test('what a lower layer found stale, or refused, is not kept', async () => {
    const { redis, prefix } = setUp();
    const cache = new LookupCache(redis, { prefix });
    for (const [source, value] of [
      ['stale', 'the old row'],
      ['refused', null],
    ] as const) {
      // A value has the type of its key: this layer's are texts.
      const below: Layer = { read: async () => ({ value: value as never, source, ageMs: 0 }) };
      expect(await compose(cache.layer(), below).read(source, async () => 'the row')).toMatchObject({ value, source });
      expect(await cache.lookup(source, async () => 'the row'), `after one that was ${source}`).toBe('the row');
    }
  });

  test('a load that outlives its fence is not stored', async () => {
    const { redis, prefix } = setUp();
    let now = 0;
    const cache = new LookupCache(redis, { prefix, clock: { mono: () => now } });
    const slow = async () => {
      now += MINUTE;
      return null;
    };
    await cache.lookup('parcel', slow);
    expect(await cache.lookup('parcel', async () => 'the row')).toBe('the row');
    const fenced = await longest((redis, prefix) => new LookupCache(redis, { prefix }).invalidate('parcel'));
    expect(fenced, 'longer than any load, and no longer than two').toSatisfy((ms) => ms > MINUTE && ms <= 2 * MINUTE);
  });

  // ── the filter ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('every id that was added passes, and of the strangers no more than half again the share asked for', async () => {
    const ids = names('parcel ', 1_000);
    const strangers = names('stranger ', 4_000);
    for (const { kind, filter } of filters({ capacity: 1_000, fpp: 0.01 })) {
      await filter.rebuild(ids.slice(0, 800));
      await filter.add(...ids.slice(800));
      expect(await refused(filter, ids), kind).toEqual([]);
      const passed = 1 - (await refused(filter, strangers)).length / strangers.length;
      expect(passed, `${kind}: false positives`).toBeLessThanOrEqual(0.015);
      expect(passed, `${kind}: a filter of this size lets some pass`).toBeGreaterThan(0);
      expect((await filter.stats())?.ids, kind).toSatisfy((count: number) => count > 900 && count < 1_100);
    }
  }, 20_000);

  test('of more ids than go into one request each is added', async () => {
    const ids = names('parcel ', 2_500);
    for (const { kind, filter } of filters()) {
      await filter.rebuild([]);
      await filter.add(...ids);
      expect(await refused(filter, ids), kind).toEqual([]);
    }
  });

  test('filters of one size refuse the same strangers, whatever their kind and their version', async () => {
    const strangers = names('stranger ', 20);
    for (const { kind, filter } of filters({ capacity: 20, fpp: 0.3 })) {
      await filter.rebuild([]);
      expect(await filter.stats(), kind).toMatchObject({ bits: 51, hashes: 2, fill: 0, fpp: 0 });
      await filter.rebuild(names('parcel ', 20));
      const turnedAway = await refused(filter, strangers);
      const passed = strangers.filter((id) => !turnedAway.includes(id));
      // A change of these asks for another prefix: the old and the new version of a program share one filter.
      expect(passed, kind).toEqual([0, 2, 5, 8, 10, 13].map((number) => `stranger ${number}`));
      expect(await filter.stats(), kind).toMatchObject({ fill: 31 / 51, ids: 24 });
    }
  });

  test('a filter that was never built lets everybody pass, one that was built of nothing lets nobody', async () => {
    const setting = setUp();
    for (const { kind, filter } of filters({}, setting)) {
      expect(await filter.mayContain('parcel'), kind).toBe(true);
      await filter.add('another');
      expect(await filter.mayContain('parcel'), `${kind}: one id does not make a filter`).toBe(true);
      expect(await filter.stats(), kind).toBeUndefined();
      await filter.rebuild([]);
      expect(await filter.mayContain('parcel'), kind).toBe(false);
      expect(await filter.mayContain('another'), `${kind}: it may not be committed yet`).toBe(true);
    }
    expect(new Set(setting.events.map(({ type }) => type))).toEqual(new Set(['filter-missing']));
  });

  test('a filter that lost a key to eviction lets everybody pass until it is rebuilt', async () => {
    const { redis, prefix, keys } = setUp();
    const filter = new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix, pendingMs: 0 });
    const ids = names('parcel ', 100);
    await filter.rebuild(ids);
    await filter.add('before');
    for (const key of await keys()) {
      await filter.rebuild(ids);
      await redis.del(key);
      expect(await refused(filter, ids), `without ${key}`).toEqual([]);
      await filter.add('since');
      expect(await refused(filter, ids), `without ${key}, and an id was added since`).toEqual([]);
    }
    await filter.rebuild(ids);
    expect(await refused(filter, ['stranger'])).toEqual(['stranger']);
  });

  test('processes that were configured for different sizes agree on one shared filter', async () => {
    const { redis, prefix } = setUp();
    const small = new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix });
    const large = new SharedBloom(connect(), { capacity: 5_000, fpp: 0.001, name: 'parcels', prefix });
    const ids = names('parcel ', 100);
    await large.rebuild(ids.slice(0, 50));
    await small.add(...ids.slice(50));
    expect(await refused(large, ids)).toEqual([]);
    expect(await refused(small, ids)).toEqual([]);
    const strangers = names('stranger ', 200);
    const turnedAway = await refused(small, strangers);
    expect(turnedAway.length).toBeGreaterThan(190);
    const local = new LocalBloom({ capacity: 5_000, fpp: 0.001 });
    await local.rebuild(ids);
    expect(await refused(local, strangers), 'a filter in the process, of the same size').toEqual(turnedAway);
  });

  test('a client of the caller that gives numbers as text is understood', async () => {
    const client = new Redis(node.url, { stringNumbers: true });
    onTestFinished(() => client.disconnect());
    const { prefix, events, onEvent } = setUp();
    const filter = new SharedBloom(client, { capacity: 100, name: 'parcels', prefix, onEvent });
    expect(await filter.rebuild(['a'])).toBe(1);
    await filter.add('b');
    expect(await refused(filter, ['a', 'b', 'c'])).toEqual(['c']);
    const cache = new LookupCache(client, { prefix, onEvent });
    await cache.lookup('a', async () => 'row');
    const guard = new MissGuard(client, { prefix, limit: 1, onEvent });
    expect(await guard.recordMiss('10.0.0.1')).toMatchObject({ allowed: false, misses: 1 });
    expect(events, 'what was told of a value that was stored').toEqual([]);
  });

  test('a secret that has changed refuses nobody, and strangers again after a rebuild', async () => {
    const { redis, prefix } = setUp();
    const under = (secret: string) => new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix, secret });
    const ids = names('parcel ', 100);
    await under('of autumn').rebuild(ids);
    const filter = under('of winter');
    expect(await refused(filter, ids)).toEqual([]);
    await filter.add('newest');
    expect(await refused(filter, ids), 'and an id was added since').toEqual([]);
    await filter.rebuild(ids);
    expect(await refused(filter, ['newest', ...ids])).toEqual([]);
    expect(await refused(filter, ['stranger'])).toEqual(['stranger']);
  });

  test('while some processes have another secret, and after a change back, no row of theirs is refused', async () => {
    const { redis, prefix } = setUp();
    const under = (secret: string) => new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix, secret });
    const [autumn, winter] = [under('of autumn'), under('of winter')];
    const rows = names('parcel ', 20);
    const added = async (by: Filter, id: string) => {
      await by.add(id);
      rows.push(id);
      return [await refused(autumn, rows), await refused(winter, rows)];
    };
    await autumn.rebuild(rows);
    expect(await added(winter, 'first')).toEqual([[], []]);
    expect(await added(autumn, 'second')).toEqual([[], []]);
    await winter.rebuild(rows);
    expect(await refused(winter, ['stranger'])).toEqual(['stranger']);
    expect(await added(autumn, 'third')).toEqual([[], []]);
    expect(await added(winter, 'fourth')).toEqual([[], []]);
    const overtaken = winter.rebuild(
      (async function* () {
        await autumn.add('fifth');
        yield* rows;
      })(),
    );
    await expect(overtaken).rejects.toThrow(RebuildLostError);
    expect(await added(autumn, 'fifth')).toEqual([[], []]);
    await winter.rebuild(rows);
    expect(await added(winter, 'sixth')).toEqual([[], []]);
    await autumn.stats();
    expect(await refused(winter, ['stranger']), 'of who only looks nobody takes note').toEqual(['stranger']);
  });

  test('an id that is gone is refused after a rebuild, and no other with it', async () => {
    const ids = names('parcel ', 1_000);
    const [stay, gone] = [ids.slice(0, 500), ids.slice(500)];
    for (const { kind, filter } of filters({ capacity: 1_000, pendingMs: 0 })) {
      await filter.rebuild(ids);
      await filter.rebuild(stay);
      expect(await refused(filter, stay), `${kind}: rows that are still there`).toEqual([]);
      expect((await refused(filter, gone)).length, kind).toBeGreaterThan(475);
    }
  });

  test('nobody is refused while a filter is rebuilt', async () => {
    const ids = names('parcel ', 2_500);
    for (const { kind, filter } of filters({ pendingMs: 0 })) {
      await filter.rebuild(ids);
      const seen: string[][] = [];
      await filter.rebuild(
        (async function* () {
          for (const [index, id] of ids.entries()) {
            if (index % 400 === 0) seen.push(await refused(filter, ids.slice(-20)));
            yield id;
          }
        })(),
      );
      expect(seen.flat(), kind).toEqual([]);
    }
  });

  test('a process serves others while it rebuilds a filter from a list that it has at hand', async () => {
    for (const { kind, filter } of filters({ capacity: 5_000 })) {
      let [rebuilt, turns] = [false, 0];
      const rebuilding = filter.rebuild(names('parcel ', 5_000)).finally(() => {
        rebuilt = true;
      });
      for (; !rebuilt; turns++) await setImmediate();
      expect(await rebuilding).toBe(5_000);
      expect(turns, `${kind}: turns of the event loop`).toBeGreaterThan(3);
    }
  });

  test('what is added during a rebuild is in the old filter and in the new', async () => {
    for (const { kind, filter } of filters({ pendingMs: 0 })) {
      await filter.rebuild(names('parcel ', 10));
      const [reading, more] = [deferred<void>(), deferred<void>()];
      const rebuilding = filter.rebuild(
        (async function* () {
          yield 'parcel 0';
          reading.resolve();
          await more.promise;
          yield 'parcel 1';
        })(),
      );
      await Promise.race([reading.promise, rebuilding]);
      await filter.add('meanwhile');
      expect(await filter.mayContain('meanwhile'), `${kind}, before the change-over`).toBe(true);
      more.resolve();
      await rebuilding;
      expect(await filter.mayContain('meanwhile'), `${kind}, after it`).toBe(true);
    }
  });

  test('an id that was added before a rebuild and committed during it is not lost', async () => {
    for (const { kind, filter } of filters({ pendingMs: MINUTE })) {
      const committed = names('parcel ', 10);
      await filter.rebuild(committed);
      await filter.add('in a transaction');
      // The rebuild reads a snapshot of the database in which the transaction hasn't been committed.
      await filter.rebuild(committed);
      expect(await filter.mayContain('in a transaction'), kind).toBe(true);
    }
  });

  test('an id is added as quickly after two hundred thousand in the minute before as after none', async () => {
    const quickest = async (before: number) => {
      let now = 0;
      const clock = { mono: () => now };
      const filter = new LocalBloom({ capacity: 1_000, pendingMs: before, clock });
      const add = async (many: number) => {
        const start = performance.now();
        // Each at a time of its own: from now on one goes for each that comes.
        for (let n = 0; n < many; n++) await filter.add(`parcel ${now++}`);
        return performance.now() - start;
      };
      await add(before);
      const rounds: number[] = [];
      for (let round = 0; round < 10; round++) rounds.push(await add(100));
      return Math.min(...rounds);
    };
    const [few, many] = [await quickest(1), await quickest(200_000)];
    expect(many / few, `${few} ms for a hundred, and ${many} ms`).toBeLessThan(12);
  });

  test('others are answered while a rebuild begins, however much was added in the minute before', async () => {
    const { redis, prefix } = setUp();
    const options = { capacity: 10_000, fpp: 0.5, prefix };
    // Redis knows the scripts from here on.
    await new SharedBloom(redis, { ...options, name: 'none' }).rebuild([]);
    const filter = new SharedBloom(redis, { ...options, name: 'parcels' });
    const lately = names('parcel ', 8_000);
    await filter.add(...lately);
    const other = connect();
    await other.ping();
    let [begun, answered] = [false, 0];
    const ids = function* () {
      begun = true;
      yield 'newest';
    };
    const rebuilding = filter.rebuild(ids()).finally(() => {
      begun = true;
    });
    while (!begun) {
      await other.ping();
      answered++;
    }
    await rebuilding;
    expect(answered, 'times that another client was answered').toBeGreaterThan(5);
    expect(
      await refused(
        filter,
        lately.filter((_, index) => index % 40 === 0),
      ),
    ).toEqual([]);
  });

  test('others are answered while an id is added, however many ended in the minute before', async () => {
    const { redis, prefix, keys } = setUp();
    const filter = new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix });
    await filter.rebuild([]);
    await filter.add('first');
    const types = await Promise.all((await keys()).map(async (key) => ({ key, type: await redis.type(key) })));
    // Where it is kept with its time: thirty thousand at once, all of whose time is over.
    for (const { key } of types.filter(({ type }) => type === 'zset')) {
      const fill = "for i = 1, 30000 do redis.call('ZADD', KEYS[1], i / 1e6, 'parcel ' .. i) end";
      await redis.eval(fill, 2, `${prefix}ended`, key);
      // The quickest of each: another process may hold up any one of them.
      let [one, all] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      for (let round = 0; round < 10; round++) {
        const quickest = async (before: number, work: () => Promise<unknown>) => {
          await redis.copy(`${prefix}ended`, key, 'REPLACE');
          const start = performance.now();
          await work();
          return Math.min(before, performance.now() - start);
        };
        one = await quickest(one, () => filter.add('second'));
        all = await quickest(all, () => redis.zremrangebyscore(key, '-inf', 1));
      }
      expect(one / all, `${one} ms for one, and ${all} ms for all`).toBeLessThan(0.5);
    }
  });

  test('a rebuild that fails, or that another one overtakes, leaves the filter in use as it is', async () => {
    const ids = names('parcel ', 100);
    for (const { kind, filter } of filters({ pendingMs: 0 })) {
      await filter.rebuild(ids);
      const failing = filter.rebuild(
        (async function* () {
          yield 'parcel 0';
          throw new Error('the database is down');
        })(),
      );
      await expect(failing, kind).rejects.toThrow('the database is down');
      expect(await refused(filter, ids), kind).toEqual([]);
      const begun = async (first: readonly string[]) => {
        const [reading, more] = [deferred<void>(), deferred<void>()];
        const rebuilding = filter.rebuild(
          (async function* () {
            yield* first;
            reading.resolve();
            await more.promise;
            yield* names('late ', 1_000);
          })(),
        );
        await Promise.race([reading.promise, rebuilding]);
        return { rebuilding, goOn: more.resolve };
      };
      const overtaken = [await begun(['parcel 0']), await begun(['parcel 0'])];
      const newest = await begun([...ids, 'newest']);
      // One learns of it while the newest is being built, the other one when that is in use.
      for (const { rebuilding, goOn } of overtaken) {
        goOn();
        await expect(rebuilding, kind).rejects.toThrow(RebuildLostError);
        expect(await refused(filter, ids), kind).toEqual([]);
        newest.goOn();
        await newest.rebuilding;
        expect(await refused(filter, [...ids, 'newest', 'stranger']), kind).toEqual(['stranger']);
      }
    }
  });

  test('a rebuild that another one overtakes at any of its steps says so', async () => {
    const { redis, prefix } = setUp();
    const options = { capacity: 100, name: 'parcels', prefix };
    const [slow, quick] = [new SharedBloom(redis, options), new SharedBloom(connect(), options)];
    // Redis knows the scripts from here on.
    await slow.rebuild(['old']);
    let [steps, overtakenAt] = [0, 0];
    const send = redis.sendCommand.bind(redis);
    vi.spyOn(redis, 'sendCommand').mockImplementation(async (command, stream) => {
      if (++steps === overtakenAt) await quick.rebuild(['newest']);
      return send(command, stream);
    });
    await slow.rebuild(['old']);
    for (const last = steps; overtakenAt < last; ) {
      [steps, overtakenAt] = [0, Math.max(2, overtakenAt + 1)];
      await expect(slow.rebuild(['old']), `step ${overtakenAt} of ${last}`).rejects.toThrow(RebuildLostError);
      expect(await refused(quick, ['newest', 'old']), 'the newer one is in use').toEqual(['old']);
    }
  });

  // ── the guard ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('the miss at the limit bans, and no number of hits does', async () => {
    const { redis, prefix } = setUp();
    const guard = new MissGuard(redis, { prefix });
    const cache = new LookupCache(redis, { prefix });
    const busy = protect({ guard, cache }, '198.51.100.1');
    for (let hit = 0; hit < 150; hit++) expect((await busy.read('known', async () => 'a row')).value).toBe('a row');
    expect(await guard.allow('198.51.100.1')).toEqual({ allowed: true, misses: 0, retryAfterMs: 0 });
    const nuisance = protect({ guard, cache }, '203.0.113.7');
    for (let miss = 1; miss <= 100; miss++) await nuisance.read(`unknown ${miss}`, async () => null);
    const load = vi.fn(async () => 'a row');
    const error: unknown = await nuisance.read('known', load).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BannedError);
    expect(error).toHaveProperty(
      'retryAfterMs',
      expect.toSatisfy((ms: number) => ms > 0 && ms <= 600_000),
    );
    expect((await busy.read('known', load)).value, 'others are served').toBe('a row');
    await guard.forgive('203.0.113.7');
    expect((await nuisance.read('known', load)).value).toBe('a row');
  });

  test('an error of the database is not held against the client', async () => {
    const { redis, prefix } = setUp();
    const guard = new MissGuard(redis, { prefix, limit: 3 });
    const client = protect({ guard, cache: new LookupCache(redis, { prefix }) }, '203.0.113.7');
    for (let call = 0; call < 5; call++) {
      const failing = client.read(`parcel ${call}`, async () => Promise.reject(new Error('the database is down')));
      await expect(failing).rejects.toThrow('the database is down');
    }
    expect(await guard.allow('203.0.113.7')).toMatchObject({ allowed: true, misses: 0 });
  });

  test('all the ways to write one address share one count', async () => {
    const { redis, prefix } = setUp();
    const guard = new MissGuard(redis, { prefix, limit: 3 });
    await guard.recordMiss('203.0.113.7');
    await guard.recordMiss('::ffff:203.0.113.7');
    expect(await guard.recordMiss('::ffff:cb00:7107')).toMatchObject({ allowed: false, misses: 3 });
    for (const last of ['1', '2', '3']) await guard.recordMiss(`2001:db8:0:1::${last}`);
    expect(await guard.allow('2001:db8:0:1:ffff::')).toMatchObject({ allowed: false, misses: 3 });
    expect(await guard.allow('2001:db8:0:2::1')).toMatchObject({ allowed: true, misses: 0 });
  });

  test('a ban ends in its own time, whatever the banned client does meanwhile', async () => {
    const { redis, prefix, keys } = setUp();
    const guard = new MissGuard(redis, { prefix, limit: 2, windowMs: 10 * MINUTE, banMs: MINUTE });
    await guard.recordMiss('203.0.113.7');
    const { retryAfterMs } = await guard.recordMiss('203.0.113.7');
    expect(retryAfterMs, 'the ban, not the window').toBeLessThanOrEqual(MINUTE);
    // All but a second of it is over.
    for (const key of await keys()) await redis.pexpire(key, 1_000);
    for (let call = 0; call < 10; call++) await guard.recordMiss('203.0.113.7');
    expect((await guard.allow('203.0.113.7')).retryAfterMs).toBeLessThanOrEqual(1_000);
    const brief = new MissGuard(redis, { prefix, limit: 1, banMs: 30 });
    expect((await brief.recordMiss('198.51.100.1')).allowed).toBe(false);
    await until(async () => (await brief.allow('198.51.100.1')).allowed, { what: 'the ban to end' });
  });

  test('a client that dies between two commands leaves no count without an end', async () => {
    const { redis, prefix, keys } = setUp();
    const doomed = connect();
    const guard = new MissGuard(doomed, { prefix, limit: 2 });
    await new MissGuard(redis, { prefix }).recordMiss('198.51.100.1');
    // Each process gets one command more through before it dies.
    for (let survived = 1; survived <= 3; survived++) {
      let sent = 0;
      const send = doomed.sendCommand.bind(doomed);
      const spy = vi.spyOn(doomed, 'sendCommand').mockImplementation((command, stream) => {
        if (++sent > survived) command.reject(new Error('this process is dead'));
        return sent > survived ? command.promise : send(command, stream);
      });
      await guard.recordMiss('203.0.113.7').catch(() => {});
      spy.mockRestore();
      for (const key of await keys())
        expect(await redis.pttl(key), `${key} after ${survived} command(s)`).toBeGreaterThan(0);
    }
  });

  test('of concurrent misses each is counted once, and the ban falls once', async () => {
    const { prefix, redis, keys } = setUp();
    const guards = Array.from({ length: 8 }, () => new MissGuard(connect(), { prefix, limit: 150 }));
    const verdicts = await Promise.all(
      Array.from({ length: 149 }, (_, miss) => guards[miss % 8]?.recordMiss('203.0.113.7')),
    );
    expect(verdicts.map((verdict) => verdict?.misses).sort((a = 0, b = 0) => a - b)).toEqual(
      Array.from({ length: 149 }, (_, index) => index + 1),
    );
    expect(verdicts.filter((verdict) => !verdict?.allowed)).toEqual([]);
    const more = await Promise.all(guards.map((guard) => guard.recordMiss('203.0.113.7')));
    expect(more.map(({ misses, allowed }) => ({ misses, allowed }))).toEqual(
      guards.map(() => ({ misses: 150, allowed: false })),
    );
    for (const key of await keys()) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });

  // ── together ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('an attack of random ids costs the database next to nothing and Redis no memory', async () => {
    const { redis, prefix, keys } = setUp();
    const filter = new LocalBloom({ capacity: 1_000, fpp: 0.01 });
    const cache = new LookupCache(redis, { prefix });
    await filter.rebuild(names('parcel ', 1_000));
    const dice = random(SEED);
    const load = vi.fn(async () => null);
    const station = protect({ filter, cache });
    const ids = Array.from({ length: 2_000 }, () => `no such parcel ${dice.int(0, 1e9)}`);
    await Promise.all(ids.map((id) => station.read(id, load)));
    expect(load.mock.calls.length, 'queries').toBeLessThan(100);
    expect((await keys()).length, 'keys in Redis').toBeLessThan(100);
    expect((await station.read('parcel 1', async () => 'a row')).value).toBe('a row');
  });

  test('an invalidation that fails after a commit undoes nothing, and the cache tells of it', async () => {
    const { prefix, events, onEvent } = setUp();
    const cache = new LookupCache(connect('redis://127.0.0.1:1'), { prefix, onEvent });
    expect(await insertRow({ cache }, 'parcel', async () => 'inserted')).toBe('inserted');
    expect(await changeRow({ cache }, 'parcel', async () => 'changed')).toBe('changed');
    const told = { type: 'invalidation-failed', key: 'parcel', error: expect.any(InvalidationFailedError) };
    expect(events, 'so that somebody hears of a row that is stale').toEqual([told, told]);
  });

  test('a read that is aborted ends with the reason, before the database is asked', async () => {
    const { redis, prefix } = setUp();
    const cache = protect({ cache: new LookupCache(redis, { prefix }) });
    const load = vi.fn(async () => 'a row');
    const gone = AbortSignal.abort(new Error('the caller hung up'));
    await expect(cache.read('parcel', load, gone)).rejects.toThrow('the caller hung up');
    expect(load).not.toHaveBeenCalled();
    const late = new AbortController();
    const waiting = cache.read(
      'parcel',
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      late.signal,
    );
    late.abort(new Error('and so did this one'));
    await expect(waiting).rejects.toThrow('and so did this one');
    const [deaf, begun] = [new AbortController(), Promise.withResolvers<void>()];
    const hanging = cache.read('parcel', () => new Promise<never>(() => begun.resolve()), deaf.signal);
    await begun.promise;
    deaf.abort(new Error('the warehouse does not listen'));
    await expect(hanging).rejects.toThrow('the warehouse does not listen');
  });

  test('a layer that fails to forget keeps no other from being told', async () => {
    const failure = new Error('the inner one was not told');
    const told = vi.fn(async () => {});
    const read: Layer['read'] = (key, load, next) => next(key, load);
    const cache = compose({ read, invalidate: told }, { read, invalidate: () => Promise.reject(failure) });
    await expect(cache.invalidate('parcel')).rejects.toBe(failure);
    expect(told).toHaveBeenCalledWith('parcel');
    await compose({ read, invalidate: told }, { read }).invalidate('where none fails');
  });

  test('what a load leaves on its signal is not left on a signal that outlives the read', async () => {
    const { redis, prefix } = setUp();
    const lasting = new AbortController();
    const signals: AbortSignal[] = [];
    const load = async (signal: AbortSignal) => {
      signal.addEventListener('abort', () => {});
      signals.push(signal);
      return 'a row';
    };
    const cache = new LookupCache(redis, { prefix });
    for (const [n, signal] of [lasting.signal, lasting.signal, undefined, undefined].entries()) {
      await protect({ cache }).read(`${n}`, load, signal);
      await cache.lookup(`again ${n}`, load, signal);
    }
    expect(new Set([...signals, lasting.signal]).size, 'signals').toBe(9);
    expect(getEventListeners(lasting.signal, 'abort')).toEqual([]);
  });

  test('what has ended has nothing under way in Redis, so that its process may leave', async () => {
    const { redis, prefix } = setUp();
    let [underWay, sent, lost] = [0, 0, 0];
    const send = redis.sendCommand.bind(redis);
    vi.spyOn(redis, 'sendCommand').mockImplementation((command, stream) => {
      underWay++;
      const answered = () => void underWay--;
      command.promise.then(answered, answered);
      if (++sent !== lost) return send(command, stream);
      command.reject(new Error('no answer'));
      return command.promise;
    });
    const filter = new SharedBloom(redis, { capacity: 5_000, name: 'parcels', prefix });
    const [cache, guard] = [new LookupCache(redis, { prefix }), new MissGuard(redis, { prefix })];
    const [known, client] = [names('parcel ', 2_500), '203.0.113.7'];
    const failing = async function* () {
      yield 'parcel 0';
      throw new Error('the database is down');
    };
    const broken = (step: number) => {
      [sent, lost] = [0, step];
      return expect(filter.rebuild(['parcel 0'])).rejects.toThrow('no answer');
    };
    const work: [string, () => Promise<unknown>][] = [
      ['a rebuild', () => filter.rebuild(known)],
      ['a rebuild that does not begin', () => broken(1)],
      ['a rebuild that cannot carry anything over', () => broken(2)],
      ['a rebuild that is cut off', () => broken(3)],
      ['a rebuild that is not changed over to', () => broken(4)],
      ['a rebuild that fails', () => expect(filter.rebuild(failing())).rejects.toThrow('the database is down')],
      ['an id', () => filter.add('added')],
      ['an insert', () => insertRow({ filter, cache }, 'inserted', async () => 'committed')],
      ['a change', () => changeRow({ cache }, 'inserted', async () => 'committed')],
      ['a read', () => protect({ guard, filter, cache }, client).read('inserted', async () => 'a row')],
      ['a miss', () => protect({ guard, filter, cache }, client).read('inserted too', async () => null)],
      ['a miss that is stored', () => protect({ guard, cache }, client).read('unknown', async () => null)],
      ['an invalidation', () => protect({ cache }).invalidate('unknown')],
      ['a pardon', () => guard.forgive(client)],
    ];
    for (const [what, done] of work) {
      await done();
      expect(underWay, `requests after ${what}`).toBe(0);
    }
  });

  test('with Redis full the filter still refuses strangers, a row is inserted, and a changed one is not served', async ({
    skip,
  }) => {
    skip(!servers.faults, 'it limits the memory of a server, and this one is not ours');
    const { redis, prefix } = setUp();
    const filter = new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix });
    const cache = new LookupCache(redis, { prefix });
    await filter.rebuild(['known']);
    await cache.lookup('known', async () => 'old');
    onTestFinished(async () => void (await redis.config('SET', 'maxmemory', '0')));
    await redis.config('SET', 'maxmemory', '1');
    const station = protect({ guard: new MissGuard(redis, { prefix }), filter, cache }, '203.0.113.7');
    const load = vi.fn(async () => 'new');
    expect((await station.read('stranger', load)).source).toBe('refused');
    expect(await insertRow({ filter }, 'inserted', async () => 'committed')).toBe('committed');
    expect(await refused(filter, ['inserted', 'stranger'])).toEqual(['stranger']);
    const winter = new SharedBloom(redis, { capacity: 100, name: 'parcels', prefix, secret: 'of winter' });
    expect(await insertRow({ filter: winter }, 'newest', async () => 'under a new secret')).toBe('under a new secret');
    expect(await refused(winter, ['inserted', 'newest'])).toEqual([]);
    expect((await station.read('known', load)).value).toBe('old');
    await cache.invalidate('known').catch((error: unknown) => expect(error).toBeInstanceOf(InvalidationFailedError));
    expect((await station.read('known', load)).value).toBe('new');
  });

  test('with Redis down or hung everybody is served from the database', async () => {
    const { prefix, events, onEvent } = setUp();
    await using link = await node.proxy();
    const hung = connect(link.url, 60);
    await until(() => hung.ping());
    link.partition();
    const down = connect('redis://127.0.0.1:1', 60);
    for (const redis of [down, hung]) {
      const filter = new SharedBloom(redis, { capacity: 10, name: 'parcels', prefix, onEvent });
      const cache = new LookupCache(redis, { prefix, onEvent });
      const guard = new MissGuard(redis, { prefix, limit: 1, onEvent });
      const station = protect({ guard, filter, cache }, '203.0.113.7');
      const sends = vi.spyOn(redis, 'sendCommand');
      expect(await cache.lookup('known', async () => 'a row')).toBe('a row');
      expect(sends.mock.calls.length, 'times that one lookup waited for Redis').toBe(1);
      sends.mockClear();
      await protect({ guard }, '203.0.113.7').read('unknown', async () => null);
      expect(sends.mock.calls.length, 'times that the guard of one miss waited for it').toBe(1);
      expect((await station.read('unknown', async () => null)).value).toBeNull();
      expect(await station.read('known', async () => 'a row')).toMatchObject({ value: 'a row', source: 'load' });
      const untold = { allowed: true, misses: 0, retryAfterMs: 0 };
      expect([await guard.allow('203.0.113.7'), await guard.recordMiss('203.0.113.7')]).toEqual([untold, untold]);
      await expect(guard.forgive('203.0.113.7')).rejects.toThrow(Error);
      await expect(cache.invalidate('known')).rejects.toThrow(InvalidationFailedError);
      const commit = vi.fn(async () => {});
      await expect(insertRow({ filter, cache }, 'new', commit)).rejects.toThrow(FilterUnavailableError);
      expect(commit, 'a row whose id the filter has not got is not committed').not.toHaveBeenCalled();
    }
    const told = ['redis-down', 'filter-missing', 'invalidation-failed'];
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(told));
    link.heal();
  });
});
