import type { Redis } from 'ioredis';
import { clientName } from './address.ts';
import { BannedError, named, whole } from './errors.ts';
import type { Layer, Load, Next, OnEvent, Read } from './layers.ts';
import { Script } from './redis.ts';

export interface GuardOptions {
  /** The miss that bans: with 100, the hundredth. Default 100. */
  readonly limit?: number;
  /** Misses are counted for this long from the first, in milliseconds. Default one minute. */
  readonly windowMs?: number;
  /** How long a ban lasts, in milliseconds. Default 10 minutes. */
  readonly banMs?: number;
  /** Default "cache-penetration:1:". */
  readonly prefix?: string;
  readonly onEvent?: OnEvent;
}

export interface Verdict {
  readonly allowed: boolean;
  /** Misses in this window; `limit` for a banned client. */
  readonly misses: number;
  /** Milliseconds until the ban ends; 0 for a client that isn't banned. */
  readonly retryAfterMs: number;
}

// The counter is the ban: a count at the limit, with the ban's TTL. What a banned client still does changes neither.
const RECORD = new Script(`
local misses, limit = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])
if misses < limit then
  misses = redis.call('INCR', KEYS[1])
  if misses >= limit then redis.call('PEXPIRE', KEYS[1], ARGV[3])
  elseif redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return { misses, redis.call('PTTL', KEYS[1]) }`);

const LOOK = new Script(`return { tonumber(redis.call('GET', KEYS[1]) or '0'), redis.call('PTTL', KEYS[1]) }`);

/** Redis can't tell. */
const UNTOLD: Verdict = Object.freeze({ allowed: true, misses: 0, retryAfterMs: 0 });

/**
 * Bans whoever asks too often for what doesn't exist (请求监控: 1 minute, 100 misses). Only misses count, so a busy
 * customer is never banned. Each step is one script, so the count is exact and never without an end.
 *
 * Costs one small request to Redis a read and one more a miss. It doesn't stop a thousand addresses that miss 99 times
 * each, and it bans all who share an address. Requests that are under way when the ban falls still end.
 * Redis down: everybody is allowed, `onEvent` is told.
 */
export class MissGuard {
  protected readonly redis: Redis;
  protected readonly limit: number;
  protected readonly windowMs: number;
  protected readonly banMs: number;
  readonly #prefix: string;
  readonly #onEvent: OnEvent;

  /** @throws InvalidArgumentError on a limit or a duration that isn't a whole number above 0. */
  constructor(redis: Redis, options: GuardOptions = {}) {
    this.redis = redis;
    this.limit = whole('limit', options.limit ?? 100, 1, Number.MAX_SAFE_INTEGER);
    this.windowMs = whole('windowMs', options.windowMs ?? 60_000, 1, Number.MAX_SAFE_INTEGER);
    this.banMs = whole('banMs', options.banMs ?? 600_000, 1, Number.MAX_SAFE_INTEGER);
    this.#prefix = options.prefix ?? 'cache-penetration:1:';
    this.#onEvent = options.onEvent ?? (() => {});
  }

  /** May this client ask? An address (see `clientAddress`), or any other name of a client. Never rejects on Redis. */
  async allow(client: string): Promise<Verdict> {
    return this.#judge('look for a ban', LOOK, this.key(client));
  }

  /** Counts a miss of this client, and bans it at the limit. Never rejects on Redis. */
  async recordMiss(client: string): Promise<Verdict> {
    return this.#judge('count a miss', RECORD, this.key(client), this.limit, this.windowMs, this.banMs);
  }

  /** Ends a ban, and forgets the misses. @throws what Redis throws. */
  async forgive(client: string): Promise<void> {
    await this.redis.unlink(this.key(client));
  }

  /** Guards the reads of one client. Its reads reject with a BannedError while it's banned: the row may well exist. */
  layer(client: string): Layer {
    return {
      read: async <T>(key: string, load: Load<T>, next: Next) => {
        const verdict = await this.allow(client);
        if (!verdict.allowed) throw new BannedError(client, verdict.retryAfterMs);
        const read = await next(key, load);
        // A Redis that hangs has cost its time once.
        if (verdict !== UNTOLD && this.counts(read)) await this.recordMiss(client);
        return read;
      },
    };
  }

  /** What is held against a client: an answer that there is no such thing, whoever gave it. */
  protected counts(read: Read<unknown>): boolean {
    return read.value === null;
  }

  protected key(client: string): string {
    return `${this.#prefix}misses:${clientName(named('The client', client))}`;
  }

  async #judge(doing: string, script: Script, key: string, ...args: number[]): Promise<Verdict> {
    try {
      return this.verdict(await script.run(this.redis, [key], ...args));
    } catch (error) {
      this.#onEvent({ type: 'redis-down', doing, error });
      return UNTOLD;
    }
  }

  protected verdict(answer: unknown): Verdict {
    const [misses = 0, ttl = 0] = Array.isArray(answer) ? answer.map(Number) : [];
    const allowed = misses < this.limit;
    return { allowed, misses, retryAfterMs: allowed ? 0 : Math.max(1, ttl) };
  }
}
