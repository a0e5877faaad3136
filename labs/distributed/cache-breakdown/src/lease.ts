import type { Redis } from 'ioredis';
import type { Clock } from './clock.ts';
import { Script } from './redis.ts';

/**
 * What Redis says of a key. `value`: its text, and how long Redis will keep it. `granted`: there is none, and the lease
 * is ours: load it. `held`: somebody else is loading, whose lease ends in `leftMs` unless he extends it. `failed`: the
 * holder whom we waited for could not load.
 */
export type Found =
  | { readonly kind: 'value'; readonly text: string; readonly leftMs: number }
  | { readonly kind: 'granted' }
  | { readonly kind: 'held'; readonly holder: string; readonly leftMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

// The look at the value and the taking of the lease are one step: between two steps another process could finish its
// load, and this one would load a second time.
const FIND = new Script(`
local left = redis.call('PTTL', KEYS[1])
if left > tonumber(ARGV[3]) then
  return {'value', redis.call('GET', KEYS[1]), left}
end
local failure = redis.call('GET', KEYS[3])
if failure then return {'failed', failure, 0} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {'granted', '', 0}
end
local holder = redis.call('GET', KEYS[2])
return {'held', holder, redis.call('PTTL', KEYS[2])}`);

// An invalidation deletes the lease, and an expired lease may have a new holder: either way the value is too old to keep.
// The deletion first, here and below: a server whose memory is full refuses SET, but not in a script that has already
// deleted. Else the lease would stay, and hold up whoever asks next.
const COMMIT = new Script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`);

const RENEW = new Script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])`);

const REST = new Script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return redis.call('DEL', KEYS[2]) end
return redis.call('PEXPIRE', KEYS[2], math.min(left, ARGV[2]))`);

const RELEASE = new Script(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3]) end
return 1`);

/** Who waits looks again within 125 ms, and on a busy machine somewhat later. */
const FAILURE_MS = 2_000;

/**
 * A value in Redis and the right to load it: a lease that one process has at a time, with a random token as its
 * generation, and that ends by itself when its holder dies.
 * Source: Nishtala and others, "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1, Leases.
 */
export class LeasedStore {
  protected readonly redis: Redis;
  protected readonly prefix: string;
  protected readonly leaseMs: number;

  constructor(redis: Redis, prefix: string, leaseMs: number) {
    this.redis = redis;
    this.prefix = prefix;
    this.leaseMs = leaseMs;
  }

  /**
   * The value of `key`, or the lease on it for `token`.
   * @param beyondMs a value that Redis keeps no longer than this doesn't count: the caller has seen it, and wants a newer.
   * @param waitedFor the token of the holder whom the caller waited for, to learn how that ended.
   */
  async find(key: string, token: string, beyondMs = 0, waitedFor = ''): Promise<Found> {
    // A question that waits for a broken connection would keep the caller waiting, and take the lease for nobody.
    if (['reconnecting', 'close', 'end'].includes(this.redis.status))
      throw new Error(`not connected (${this.redis.status})`);
    let answer: unknown;
    try {
      answer = await FIND.run(this.redis, this.keys(key, waitedFor), token, this.leaseMs, Math.max(0, beyondMs));
    } catch (error) {
      // It may have been heard all the same, and the lease taken for nobody.
      this.release(key, token).catch(() => {});
      throw error;
    }
    const [kind, text, left] = Array.isArray(answer) ? answer : [];
    if (kind === 'value') return { kind, text: String(text), leftMs: Number(left) };
    if (kind === 'held') return { kind, holder: String(text), leftMs: Number(left) };
    if (kind === 'failed') return { kind, reason: String(text) };
    return { kind: 'granted' };
  }

  /** Stores `text` for `keepMs` and frees the lease; false, and nothing stored, when the lease isn't `token`'s any more. */
  async commit(key: string, token: string, text: string, keepMs: number): Promise<boolean> {
    return Number(await COMMIT.run(this.redis, this.keys(key), token, text, keepMs)) === 1;
  }

  /** Has the lease last for its time from now. */
  async renew(key: string, token: string): Promise<boolean> {
    return Number(await RENEW.run(this.redis, this.keys(key), token, this.leaseMs)) === 1;
  }

  /** Has the lease last for its time from now, but no longer than there is a value. */
  async rest(key: string, token: string): Promise<void> {
    await REST.run(this.redis, this.keys(key), token, this.leaseMs);
  }

  /** Renews the lease at each third of its time, until the returned function is called or the lease is lost. */
  keepAlive(key: string, token: string, clock: Clock): () => void {
    let cancel = () => {};
    let stopped = false;
    const wait = () => {
      if (!stopped) cancel = clock.after(this.leaseMs / 3, renew, 'background');
    };
    const renew = () => {
      this.renew(key, token).then((ours) => ours && wait(), wait);
    };
    wait();
    return () => {
      stopped = true;
      cancel();
    };
  }

  /** Frees the lease, if it is `token`'s. With a `reason`, those who wait for this holder fail with it. */
  async release(key: string, token: string, reason = ''): Promise<void> {
    await RELEASE.run(this.redis, this.keys(key, token), token, reason, FAILURE_MS);
  }

  /** Deletes the value and the lease, so that nobody who loads now can store what he has read. */
  async invalidate(key: string): Promise<void> {
    const [value, lease] = this.keys(key);
    await this.redis.del(value, lease);
  }

  /** Deletes the value, whatever it is by now: one that isn't text was not read as it is, so none could be compared. */
  async discard(key: string): Promise<void> {
    await this.redis.del(this.keys(key)[0]);
  }

  /**
   * The braces keep the three on one node of a Redis Cluster. Each holder's failure has a key of its own: another holder
   * may fail before those who wait for the first one look again.
   */
  protected keys(key: string, holder = ''): [value: string, lease: string, failure: string] {
    const value = `${this.prefix}{${key}}`;
    return [value, `${value}:lease`, `${value}:failure:${holder}`];
  }
}
