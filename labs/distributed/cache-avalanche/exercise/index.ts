import type { Redis } from 'ioredis';
import type {
  DualCacheOptions,
  GateOptions,
  GateStats,
  Layer,
  Load,
  PerpetualCacheOptions,
  Read,
  ReadOptions,
  TtlCacheOptions,
  Warmable,
  WarmUpOptions,
  WarmUpReport,
} from '../src/index.ts';

// The words of the subject are given: what a layer is, the options with their defaults, the errors, the Redis client,
// `compose`, and the circuit breaker of the gate. src/clock.ts has `systemClock`, src/redis.ts has `Script` (Lua in one
// step: `new Script(lua).run(redis, keys, ...args)`). The caches, the gate and the warm-up are yours. The core laws need
// `jitterTtl`, `TtlCache`, `DualCache`, `DatabaseGate` and `warmUp`; values that never expire come after them.
// `h` in `pnpm lab learn cache-avalanche` gives a hint.
export type {
  BreakerOptions,
  Cache,
  CacheEvent,
  CacheOptions,
  Clock,
  DualCacheOptions,
  GateOptions,
  GateStats,
  Layer,
  Load,
  Next,
  Outcome,
  PerpetualCacheOptions,
  Read,
  ReadOptions,
  TtlCacheOptions,
  Warmable,
  WarmUpOptions,
  WarmUpReport,
} from '../src/index.ts';
export {
  Breaker,
  CacheError,
  CircuitOpenError,
  ClosedError,
  compose,
  connectRedis,
  DatabaseSparedError,
  GateFullError,
  GateTimeoutError,
  InvalidArgumentError,
  InvalidationFailedError,
  LoadTimeoutError,
  NotStoredError,
  systemClock,
  UnstorableValueError,
} from '../src/index.ts';

/**
 * Staggered expiry: `baseMs` with up to `spread` of it taken off or added, at random, in whole milliseconds, at least 1.
 * With 1/12, 60 minutes become 55 to 65. `random` is uniform in [0, 1).
 * @throws InvalidArgumentError on a base below 1 or without an end, on a spread that isn't from 0 to below 1.
 */
export function jitterTtl(_baseMs: number, _spread = 1 / 12, _random: () => number = Math.random): number {
  return missing('jitterTtl');
}

/**
 * A cache in Redis whose keys, stored together, don't expire together.
 *
 * Begin with GET, load, SET with `jitterTtl`. Then share one load among all who want the key; then see to it that a load
 * which began before an invalidation isn't stored: a generation beside the value, compared in Lua.
 */
export class TtlCache {
  protected readonly redis: Redis;
  protected readonly options: TtlCacheOptions;

  /** `redis`: a client whose commands end in bounded time. @throws InvalidArgumentError */
  constructor(redis: Redis, options: TtlCacheOptions = {}) {
    this.redis = redis;
    this.options = options;
  }

  /**
   * The value of `key` from the cache (`hit`, or `null` for a row that isn't there), or else from `load`. A failure is
   * never kept. Without Redis, load, and report `redis-down`.
   * @throws what `load` throws (everybody who waits gets it, once); LoadTimeoutError after `loadTimeoutMs`;
   *   UnstorableValueError; InvalidArgumentError on an empty key and on a load that gave undefined; the reason of `signal`.
   */
  getOrLoad<T>(_key: string, _load: Load<T>, _options: ReadOptions = {}): Promise<Read<T>> {
    return todo('getOrLoad');
  }

  /** Forgets `key`. A load that runs now, in whatever process, won't be stored. @throws InvalidationFailedError */
  invalidate(_key: string): Promise<void> {
    return todo('invalidate');
  }

  /** This cache as a layer: what lies below is its database. What is stale or refused down there isn't kept. */
  layer(): Layer {
    return { read: () => todo('layer') };
  }
}

/**
 * Two caches: A, and B that lives longer. When A has run out, B answers at once (`stale`) while one process of all loads
 * both anew, under a lease with a token and an end. Only when both have run out does anybody wait.
 */
export class DualCache {
  protected readonly redis: Redis;
  protected readonly options: DualCacheOptions;

  /** A in `redis`, B in `options.backup` or else there too. @throws InvalidArgumentError also when B could end before A. */
  constructor(redis: Redis, options: DualCacheOptions = {}) {
    this.redis = redis;
    this.options = options;
  }

  /** As in TtlCache; `stale` from B. Where one server is down, the other one goes on. */
  getOrLoad<T>(_key: string, _load: Load<T>, _options: ReadOptions = {}): Promise<Read<T>> {
    return todo('getOrLoad');
  }

  /** Forgets `key` in B, then in A, there also where B is down. @throws InvalidationFailedError */
  invalidate(_key: string): Promise<void> {
    return todo('invalidate');
  }

  layer(): Layer {
    return { read: () => todo('layer') };
  }
}

/**
 * Never expires: values without a TTL, which one process of all loads anew in the background. Who has the lease
 * refreshes, and renews it at each third of its time; when its holder dies, it ends, and another process takes it.
 */
export class PerpetualCache implements AsyncDisposable {
  protected readonly redis: Redis;
  protected readonly options: PerpetualCacheOptions;

  /** @throws InvalidArgumentError */
  constructor(redis: Redis, options: PerpetualCacheOptions = {}) {
    this.redis = redis;
    this.options = options;
  }

  /** Is this process the one that refreshes? */
  get refreshing(): boolean {
    return missing('refreshing');
  }

  /**
   * Has `key` loaded anew every `refreshMs`, by whichever process has the lease, however often this is said.
   * What a gate refuses is tried again once its `retryAfterMs` is over, at the next third of a lease.
   * @throws InvalidArgumentError once closed.
   */
  keepFresh<T>(_key: string, _load: Load<T>): void {
    missing('keepFresh');
  }

  /** The metric: how old each kept value is, in milliseconds; `Infinity` where there is none. */
  staleness(): Promise<ReadonlyMap<string, number>> {
    return todo('staleness');
  }

  /** As in TtlCache; `stale` from the age of `staleMs` on. */
  getOrLoad<T>(_key: string, _load: Load<T>, _options: ReadOptions = {}): Promise<Read<T>> {
    return todo('getOrLoad');
  }

  invalidate(_key: string): Promise<void> {
    return todo('invalidate');
  }

  layer(): Layer {
    return { read: () => todo('layer') };
  }

  /** Stops refreshing and frees the lease, if it is still ours. The Redis client stays open. */
  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The gate before the database: `maxConcurrent` loads at once, `maxWaiting` more in a queue, in the order of arrival, the
 * rest refused at once, and none tried while the circuit is open.
 */
export class DatabaseGate {
  protected readonly options: GateOptions;

  /** @throws InvalidArgumentError */
  constructor(options: GateOptions = {}) {
    this.options = options;
  }

  stats(): GateStats {
    return missing('stats');
  }

  /**
   * Runs `load` in its turn.
   * @throws GateFullError, GateTimeoutError after `maxWaitMs` in the queue, CircuitOpenError; LoadTimeoutError; what
   *   `load` throws; the reason of `signal`.
   */
  run<T>(_load: (signal: AbortSignal) => Promise<T>, _signal?: AbortSignal): Promise<T> {
    return todo('run');
  }

  layer(): Layer {
    return { read: () => todo('layer') };
  }
}

/**
 * Fills an empty cache before the crowd comes: `keys` in order, `maxLoads` at a time. A key that fails is reported.
 * One that was loaded and that Redis didn't take has failed with a NotStoredError.
 * What B answers, as A was lost, is under way until it has been loaded anew. Where another process is at it, or a load has
 * just failed, that is waited for, about as long as the lease lasts; then it has failed with a GateTimeoutError.
 * @throws the reason of `signal`; InvalidArgumentError
 */
export function warmUp<T>(
  _cache: Warmable,
  _keys: Iterable<string>,
  _load: (key: string, signal: AbortSignal) => Promise<T | null>,
  _options: WarmUpOptions = {},
): Promise<WarmUpReport> {
  return todo('warmUp');
}

function missing(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}

async function todo(method: string): Promise<never> {
  return missing(method);
}
