import type { Redis } from 'ioredis';
import pLimit, { type LimitFunction } from 'p-limit';
import { ClosedError, DatabaseSparedError, InvalidArgumentError, LONGEST_TIMER_MS, named, whole } from './errors.ts';
import type { Load } from './layers.ts';
import { Lease } from './lease.ts';
import { type CacheOptions, good, type Look, ReadThrough } from './read-through.ts';
import type { Store } from './store.ts';

export interface PerpetualCacheOptions extends CacheOptions {
  /** How often each kept key is loaded anew, in milliseconds. Default 60,000. */
  readonly refreshMs?: number;
  /** How long a refresher that has died goes unnoticed, in milliseconds. Default: `refreshMs`. */
  readonly leaseMs?: number;
  /** Age from which a value is `stale`, in milliseconds. Default: twice `refreshMs`. */
  readonly staleMs?: number;
  /** Loads that the refresher waits for at once. Default 4. One that goes on after `loadTimeoutMs` counts no more. */
  readonly maxLoads?: number;
}

interface Kept {
  load: Load<unknown>;
  dueAt: number;
  loading: boolean;
}

/**
 * Never expires (永不过期): values without a TTL, which one process of all loads anew in the background. When that one
 * dies the old values are served, their age is in `staleness()`, and another process takes over.
 *
 * For data of which there is a list: every key that is kept or read stays in Redis until it is invalidated, and one that is
 * only read is never loaded anew.
 */
export class PerpetualCache extends ReadThrough implements AsyncDisposable {
  readonly #refreshMs: number;
  readonly #leaseMs: number;
  readonly #staleMs: number;
  readonly #store: Store;
  readonly #limit: LimitFunction;
  readonly #kept = new Map<string, Kept>();
  readonly #lease: Lease;
  #cancel: (() => void) | undefined;
  #leading = false;
  readonly #closing = new AbortController();

  /** `redis`: a client whose commands end in bounded time, as `connectRedis` makes it. @throws InvalidArgumentError */
  constructor(redis: Redis, options: PerpetualCacheOptions = {}) {
    super(redis, options);
    this.#refreshMs = whole('refreshMs', options.refreshMs ?? 60_000, 1, LONGEST_TIMER_MS);
    this.#leaseMs = whole('leaseMs', options.leaseMs ?? this.#refreshMs, 3, LONGEST_TIMER_MS);
    this.#staleMs = whole('staleMs', options.staleMs ?? 2 * this.#refreshMs, 1, Number.MAX_SAFE_INTEGER);
    this.#limit = pLimit(whole('maxLoads', options.maxLoads ?? 4, 1, 10_000));
    this.#store = this.newStore(redis, 'kept:');
    this.#lease = this.newLease(`${this.prefix}refresher`, this.#leaseMs);
  }

  /** Is this process the one that refreshes? */
  get refreshing(): boolean {
    return this.#leading;
  }

  /**
   * Has `key` loaded anew every `refreshMs`, by this process or another one that keeps it too. All caches that share
   * the prefix should keep the same keys: one of them refreshes. `load` passes no layer: with
   * `(signal) => gate.run(load, signal)` one that hangs keeps its place, and what the gate refuses is tried again
   * once `retryAfterMs` is over, at the next third of a lease. No reader waits for it: who finds nothing loads beside it.
   * Fill an empty cache with `warmUp` first. @throws InvalidArgumentError once closed.
   */
  keepFresh<T>(key: string, load: Load<T>): void {
    named('The key', key);
    if (this.#closing.signal.aborted)
      throw new InvalidArgumentError(`This cache is closed, ${key} can't be kept fresh.`);
    // Said again while it is being loaded, it stays the same one: else the next beat would load it beside that.
    const kept = this.#kept.get(key) ?? { loading: false };
    this.#kept.set(key, Object.assign(kept, { load, dueAt: Number.NEGATIVE_INFINITY }));
    this.#cancel ??= this.clock.after(0, () => this.#tick(), 'background');
  }

  /**
   * The metric: how old each kept value is, in milliseconds; `Infinity` where there is none. Alarm on the greatest.
   * @throws when Redis doesn't answer.
   */
  async staleness(): Promise<ReadonlyMap<string, number>> {
    const keys = [...this.#kept.keys()];
    const entries = await Promise.all(keys.map((key) => this.#store.read(key)));
    return new Map(keys.map((key, index) => [key, entries[index]?.ageMs ?? Number.POSITIVE_INFINITY]));
  }

  /**
   * Stops refreshing and lets another process do it. Refreshes that are under way end with a ClosedError, which their
   * loads' signals have as the reason. The Redis client stays open.
   */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('The cache was closed.'));
    this.#cancel?.();
    this.#kept.clear();
    this.#limit.clearQueue();
    // Not only if it leads: a claim may be on its way.
    if (this.#cancel) await this.#lease.release().catch(() => {});
    this.#leading = false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected override async look<T>(key: string): Promise<Look<T>> {
    const found = await this.#store.read<T>(key);
    if (!found) return { stores: [this.#store] };
    return { read: found.ageMs > this.#staleMs ? { ...found, source: 'stale' } : good(found), stores: [] };
  }

  protected override drop(key: string): Promise<void> {
    return this.#store.drop(key);
  }

  protected override ttlOf(): number {
    return 0;
  }

  protected newLease(key: string, ms: number): Lease {
    return new Lease(this.redis, key, ms);
  }

  /** May this process refresh, until the next beat? Asked at least at each third of a lease. */
  protected async lead(): Promise<boolean> {
    return this.#lease.claim();
  }

  protected refreshFailed(key: string, error: unknown): void {
    this.report('refresh-failed', key, error);
  }

  #tick(): void {
    this.#beat()
      .catch((error: unknown) => {
        this.#leading = false;
        this.report('redis-down', '', error);
      })
      .finally(() => {
        if (!this.#closing.signal.aborted)
          this.#cancel = this.clock.after(this.#beatMs, () => this.#tick(), 'background');
      });
  }

  get #beatMs(): number {
    // At each third of a lease, or sooner: a time that does not go into `refreshMs` would bring loads too early or too late.
    return this.#refreshMs / Math.ceil((3 * this.#refreshMs) / this.#leaseMs);
  }

  async #beat(): Promise<void> {
    const leads = await this.lead();
    // What became due while somebody else led was loaded by somebody else: look at each value's age first.
    if (leads && !this.#leading) for (const kept of this.#kept.values()) kept.dueAt = Number.NEGATIVE_INFINITY;
    this.#leading = leads && !this.#closing.signal.aborted;
    if (!this.#leading) return;
    const soon = this.clock.mono() + this.#beatMs / 2;
    for (const [key, kept] of this.#kept) {
      if (kept.dueAt > soon || kept.loading) continue;
      const first = kept.dueAt === Number.NEGATIVE_INFINITY;
      kept.dueAt = this.clock.mono() + this.#refreshMs;
      kept.loading = true;
      this.#limit(() => this.#refreshKept(key, kept, first))
        .catch((error: unknown) => {
          // The database wasn't asked, and may be well again long before `refreshMs` is over.
          if (error instanceof DatabaseSparedError)
            kept.dueAt = Math.min(kept.dueAt, this.clock.mono() + error.retryAfterMs);
          if (!(error instanceof ClosedError)) this.refreshFailed(key, error);
        })
        .finally(() => {
          kept.loading = false;
        });
    }
  }

  async #refreshKept(key: string, kept: Kept, first: boolean): Promise<void> {
    if (!this.#leading) return;
    if (first) {
      const found = await this.#store.read(key);
      const leftMs = this.#refreshMs - (found?.ageMs ?? Number.POSITIVE_INFINITY);
      if (leftMs > this.#beatMs / 2) {
        kept.dueAt = this.clock.mono() + leftMs;
        return;
      }
    }
    const ask = async (signal: AbortSignal) => ({ value: await kept.load(signal), source: 'load' as const, ageMs: 0 });
    await this.update(key, ask, [this.#store], this.#closing.signal);
  }
}
