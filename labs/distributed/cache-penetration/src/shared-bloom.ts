import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { FilterUnavailableError, named, RebuildLostError } from './errors.ts';
import { type Answer, type Build, Filter, type FilterOptions, type FilterStats, statsOf } from './filter.ts';
import { Script } from './redis.ts';
import type { Fingerprint } from './sizing.ts';

// KEYS: 1 what is known of the filter, 2 and 3 the two bitmaps (one in use, one being built), 4 what was added lately,
// 5 KEYS[1] of who wrote last: under another secret it's another, and what is added there this filter can't know.
// The size travels with the filter, so clients that were configured differently still agree on its bits.
const COMMON = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function open(role)
  local slot = tonumber(redis.call('HGET', KEYS[1], role) or '')
  if not slot or redis.call('GET', KEYS[5]) ~= KEYS[1] then return nil end
  local of = redis.call('HMGET', KEYS[1], slot .. 'bits', slot .. 'hashes')
  local filter = { key = KEYS[slot], bits = tonumber(of[1]), hashes = tonumber(of[2]) }
  -- A bitmap that was evicted, or evicted and begun anew by somebody, would say no to everybody.
  if filter.bits and redis.call('STRLEN', filter.key) == math.ceil(filter.bits / 8) then return filter end
  redis.call('HDEL', KEYS[1], role)
  return nil
end
-- The deletion first, as in ADD: a full server refuses SET, but not in a script that has already deleted.
local function claim()
  if redis.call('GET', KEYS[5]) == KEYS[1] then return end
  redis.call('HDEL', KEYS[1], 'current', 'next')
  redis.call('SET', KEYS[5], KEYS[1])
end
local function positions(filter, print)
  local a, b = string.match(print, '(%d+):(%d+)')
  local at, step, list = a % filter.bits, 1 + b % (filter.bits - 1), {}
  for i = 1, filter.hashes do
    list[i] = at
    at = (at + step) % filter.bits
  end
  return list
end
local function put(filter, print)
  for _, at in ipairs(positions(filter, print)) do redis.call('SETBIT', filter.key, string.format('%.0f', at), 1) end
end`;

const script = (body: string) => new Script(COMMON + body);

const ASK = script(`
local filter = open('current')
if not filter then return 'missing' end
local get = { filter.key }
for _, at in ipairs(positions(filter, ARGV[1])) do
  get[#get + 1] = 'GET'
  get[#get + 1] = 'u1'
  get[#get + 1] = string.format('%.0f', at)
end
-- Not BITFIELD, which a server whose memory is full refuses, though it only reads here.
for _, bit in ipairs(redis.call('BITFIELD_RO', unpack(get))) do
  if bit == 0 then return 'unknown' end
end
return 'maybe'`);

const ADD = script(`
claim()
local at, current, next = now(), open('current'), open('next')
-- Of what has ended some two thousand at a time: nobody is answered while a whole import is forgotten.
local bound = redis.call('ZRANGE', KEYS[4], 2000, 2000, 'WITHSCORES')[2] or at
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', math.min(at, bound))
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[4], at + ARGV[1], ARGV[i])
  if current then put(current, ARGV[i]) end
  if next then put(next, ARGV[i]) end
end`);

const BEGIN = script(`
claim()
local token, bits, hashes = unpack(ARGV)
local slot = redis.call('HGET', KEYS[1], 'current') == '2' and 3 or 2
redis.call('DEL', KEYS[slot])
redis.call('SETBIT', KEYS[slot], string.format('%.0f', bits - 1), 0)
redis.call('HSET', KEYS[1], 'next', slot, 'token', token, slot .. 'bits', bits, slot .. 'hashes', hashes)
return now()`);

// What was added lately, a page at a time: nobody else is answered while a script runs. What is added from now on goes
// into both filters, and what ends before its page is reached has been committed before `ids` is asked.
const CARRY = script(`
local next = redis.call('HGET', KEYS[1], 'token') == ARGV[1] and open('next')
if not next then return 'lost' end
local page = redis.call('ZSCAN', KEYS[4], ARGV[3], 'COUNT', 1000)
for i = 1, #page[2], 2 do
  if tonumber(page[2][i + 1]) > tonumber(ARGV[2]) then put(next, page[2][i]) end
end
return page[1]`);

const FILL = script(`
local next = redis.call('HGET', KEYS[1], 'token') == ARGV[1] and open('next')
if not next then return 0 end
for i = 2, #ARGV do put(next, ARGV[i]) end
return 1`);

const SWAP = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or not open('next') then return 0 end
local slot = redis.call('HGET', KEYS[1], 'next')
redis.call('HSET', KEYS[1], 'current', slot)
redis.call('HDEL', KEYS[1], 'next', 'token')
redis.call('UNLINK', KEYS[5 - slot])
return 1`);

const ABANDON = script(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return end
local slot = redis.call('HGET', KEYS[1], 'next')
redis.call('HDEL', KEYS[1], 'next', 'token')
if slot then redis.call('UNLINK', KEYS[tonumber(slot)]) end`);

const STATS = script(`
local filter = open('current')
if not filter then return nil end
return { filter.bits, filter.hashes, redis.call('BITCOUNT', filter.key) }`);

export interface SharedBloomOptions extends FilterOptions {
  /** The name that all processes use for this filter. */
  readonly name: string;
  /** Default "cache-penetration:1:". */
  readonly prefix?: string;
}

/**
 * A Bloom filter in Redis that all processes share: a bitmap and Lua, on any Redis from 6.2. (RedisBloom's `BF.*` need a module.)
 *
 * Redis allocates a bitmap in one step. One of 400 MB took longer than the 250 ms of `connectRedis`: for a rebuild of
 * that size, use a client with more patience.
 * Give its keys no TTL and the server no `allkeys-*` eviction. A server that comes back empty lets everybody pass: rebuild
 * it `pendingMs` later and not at once, since an id that was added before the restart, and whose row isn't committed yet, is
 * known to nobody. One with an older copy of its data (an old snapshot, a replica promoted too early) has lost the newest
 * ids, committed ones too: rebuild at once, and again `pendingMs` later.
 */
export class SharedBloom extends Filter {
  protected readonly redis: Redis;
  protected readonly keys: readonly [about: string, a: string, b: string, recent: string, writer: string];

  constructor(redis: Redis, options: SharedBloomOptions) {
    super(options);
    this.redis = redis;
    const name = `${options.prefix ?? 'cache-penetration:1:'}bloom:{${named('The name', options.name)}}`;
    // Under another secret the bits of this one say no to everybody.
    const key = `${name}:${this.fingerprint('').a}`;
    this.keys = [key, `${key}:a`, `${key}:b`, `${key}:recent`, `${name}:writer`];
  }

  async stats(): Promise<FilterStats | undefined> {
    const found = await STATS.run(this.redis, this.keys);
    if (!Array.isArray(found)) return undefined;
    const [bits, hashes, set] = found.map(Number);
    return statsOf({ bits: bits ?? 0, hashes: hashes ?? 0 }, set ?? 0);
  }

  protected override async ask(print: Fingerprint): Promise<Answer> {
    try {
      const answer = await ASK.run(this.redis, this.keys, text(print));
      return answer === 'maybe' || answer === 'unknown' ? answer : 'missing';
    } catch (error) {
      this.onEvent({ type: 'redis-down', doing: 'ask the filter', error });
      return 'missing';
    }
  }

  protected override async insert(prints: readonly Fingerprint[]): Promise<void> {
    try {
      for (let from = 0; from < prints.length; from += 1_000) {
        await ADD.run(this.redis, this.keys, this.pendingMs, ...prints.slice(from, from + 1_000).map(text));
      }
    } catch (cause) {
      throw new FilterUnavailableError("Don't commit the row: the filter would refuse whoever asks for it.", { cause });
    }
  }

  protected override async begin(): Promise<Build> {
    const token = randomUUID();
    const begun = await BEGIN.run(this.redis, this.keys, token, this.shape.bits, this.shape.hashes);
    const check = (done: unknown) => {
      if (Number(done) !== 1)
        throw new RebuildLostError('Another rebuild or another secret came in between, or the new filter was evicted.');
    };
    const build: Build = {
      add: async (prints) => check(await FILL.run(this.redis, this.keys, token, ...prints.map(text))),
      swap: async () => check(await SWAP.run(this.redis, this.keys, token)),
      // A build that is never abandoned costs its memory and is overwritten by the next.
      abandon: async () => void (await ABANDON.run(this.redis, this.keys, token).catch(() => {})),
    };
    try {
      let cursor = '0';
      do {
        cursor = String(await CARRY.run(this.redis, this.keys, token, Number(begun), cursor));
        check(cursor === 'lost' ? 0 : 1);
      } while (cursor !== '0');
    } catch (error) {
      await build.abandon();
      throw error;
    }
    return build;
  }
}

const text = ({ a, b }: Fingerprint) => `${a}:${b}`;
