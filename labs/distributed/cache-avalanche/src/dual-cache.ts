import type { Redis } from 'ioredis';
import { InvalidArgumentError, LONGEST_TIMER_MS, LONGEST_TTL_MS, whole } from './errors.ts';
import { jitterTtl } from './jitter.ts';
import { Lease } from './lease.ts';
import { type CacheOptions, good, type Look, ReadThrough, type Update } from './read-through.ts';
import type { Entry, Store } from './store.ts';

export interface DualCacheOptions extends CacheOptions {
  /** How long A keeps a value, in milliseconds. Default 7,200,000: two hours. */
  readonly ttlAMs?: number;
  /** How long B does. Default 10,800,000: three hours. Must outlast A, whatever the jitter. */
  readonly ttlBMs?: number;
  /** Share of both TTLs taken off or added at random. Default 1/12. */
  readonly spread?: number;
  /** How long the process that refreshes may take before another one may try, in milliseconds. Default 10,000. */
  readonly leaseMs?: number;
  /** The Redis that has B; a server of its own lets B answer when A's is lost. Default: the one that has A. */
  readonly backup?: Redis;
}

/**
 * Two caches (双缓存策略): A, and B that lives longer. When A has run out, B answers at once while one process of all
 * loads both anew. Only when both have run out does anybody wait.
 */
export class DualCache extends ReadThrough {
  readonly #ttlMs: readonly [a: number, b: number];
  readonly #spread: number | undefined;
  readonly #leaseMs: number;
  readonly #backup: Redis;
  readonly #refreshing = new Map<string, Promise<number>>();
  protected readonly a: Store;
  protected readonly b: Store;

  /** `redis`: a client whose commands end in bounded time, as `connectRedis` makes it. @throws InvalidArgumentError */
  constructor(redis: Redis, options: DualCacheOptions = {}) {
    super(redis, options);
    const a = whole('ttlAMs', options.ttlAMs ?? 7_200_000, 1, LONGEST_TTL_MS / 2);
    const b = whole('ttlBMs', options.ttlBMs ?? 10_800_000, 1, LONGEST_TTL_MS / 2);
    this.#spread = options.spread;
    if (jitterTtl(b, this.#spread, () => 0) <= jitterTtl(a, this.#spread, () => 1)) {
      throw new InvalidArgumentError(`B must outlast A, jitter included: ttlBMs is ${b}, ttlAMs ${a}.`);
    }
    this.#ttlMs = [a, b];
    this.#leaseMs = whole('leaseMs', options.leaseMs ?? 10_000, 1, LONGEST_TIMER_MS);
    this.#backup = options.backup ?? redis;
    this.a = this.newStore(redis, 'a:');
    this.b = this.newStore(this.#backup, 'b:');
  }

  protected override async look<T>(key: string): Promise<Look<T>> {
    const stores = [this.a, this.b];
    const one = async (store: Store): Promise<Entry<T> | undefined> => {
      try {
        return await store.read<T>(key);
      } catch (error) {
        // This one's Redis is down: the other one goes on.
        stores.splice(stores.indexOf(store), 1);
        this.report('redis-down', key, error);
        return undefined;
      }
    };
    const a = await one(this.a);
    if (a) return { read: good(a), stores: [] };
    const b = await one(this.b);
    return b ? { read: { ...b, source: 'stale' }, stores } : { stores };
  }

  /** B first: once A is empty, a reader would find the old value in B and take it for good. A even where B is down. */
  protected override async drop(key: string): Promise<void> {
    try {
      await this.b.drop(key);
    } finally {
      await this.a.drop(key);
    }
  }

  protected override ttlOf(store: Store): number {
    return jitterTtl(this.#ttlMs[store === this.a ? 0 : 1], this.#spread);
  }

  protected override refresh<T>(key: string, looked: Look<T>, update: () => Promise<Update<T>>): Promise<number> {
    const begun = this.#refreshing.get(key);
    if (begun) return begun;
    const refreshing = this.refreshOnce(key, looked, update);
    this.#refreshing.set(key, refreshing);
    refreshing.catch((error: unknown) => this.refreshFailed(key, error)).finally(() => this.#refreshing.delete(key));
    return refreshing;
  }

  /** One process of all refreshes. Where that fails, or A is down or full, the lease stays: next try after `leaseMs`. */
  protected async refreshOnce<T>(key: string, looked: Look<T>, update: () => Promise<Update<T>>): Promise<number> {
    const lease = this.newLease(key);
    if (!(await lease.claim())) return this.#leaseMs;
    const asksA = looked.stores.includes(this.a);
    // Another process may have refreshed it, and have freed the lease, since this one found nothing in A.
    const done = (asksA && (await this.a.read(key))) || !(await update()).down;
    if (asksA && done) await lease.release();
    return 0;
  }

  protected newLease(key: string): Lease {
    return new Lease(this.#backup, `${this.prefix}lease:${key}`, this.#leaseMs);
  }

  protected refreshFailed(key: string, error: unknown): void {
    this.report('refresh-failed', key, error);
  }
}
