import type { Redis } from 'ioredis';
import { LONGEST_TTL_MS, whole } from './errors.ts';
import { jitterTtl } from './jitter.ts';
import { type CacheOptions, good, type Look, ReadThrough } from './read-through.ts';
import type { Store } from './store.ts';

export interface TtlCacheOptions extends CacheOptions {
  /** How long a value is kept, in milliseconds. Default 3,600,000: one hour. */
  readonly ttlMs?: number;
  /** Share of `ttlMs` taken off or added at random. Default 1/12: one hour becomes 55 to 65 minutes. 0: none. */
  readonly spread?: number;
}

/** Staggered expiry (错峰过期): a cache in Redis whose keys, stored together, don't expire together. */
export class TtlCache extends ReadThrough {
  readonly #ttlMs: number;
  readonly #spread: number | undefined;
  readonly #store: Store;

  /** `redis`: a client whose commands end in bounded time, as `connectRedis` makes it. @throws InvalidArgumentError */
  constructor(redis: Redis, options: TtlCacheOptions = {}) {
    super(redis, options);
    this.#ttlMs = whole('ttlMs', options.ttlMs ?? 3_600_000, 1, LONGEST_TTL_MS / 2);
    this.#spread = options.spread;
    jitterTtl(this.#ttlMs, this.#spread);
    this.#store = this.newStore(redis, 'ttl:');
  }

  protected override async look<T>(key: string): Promise<Look<T>> {
    const found = await this.#store.read<T>(key);
    return found ? { read: good(found), stores: [] } : { stores: [this.#store] };
  }

  protected override drop(key: string): Promise<void> {
    return this.#store.drop(key);
  }

  protected override ttlOf(): number {
    return this.jitter(this.#ttlMs, this.#spread);
  }

  protected jitter(ttlMs: number, spread?: number): number {
    return jitterTtl(ttlMs, spread);
  }
}
