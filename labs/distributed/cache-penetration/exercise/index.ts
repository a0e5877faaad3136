import type { Redis } from 'ioredis';
import { statsOf } from '../src/filter.ts';
import type {
  BloomShape,
  Cache,
  CacheEvent,
  Clock,
  Defences,
  FilterOptions,
  FilterStats,
  GuardOptions,
  Layer,
  Load,
  LookupOptions,
  Next,
  OnEvent,
  Read,
  SharedBloomOptions,
  Verdict,
} from '../src/index.ts';
import {
  BannedError,
  CacheError,
  compose,
  connectRedis,
  Filter,
  FilterUnavailableError,
  InvalidArgumentError,
  InvalidationFailedError,
  RebuildLostError,
  SharedBloom,
  UnstorableValueError,
} from '../src/index.ts';

// Given: the layers and `compose`, the options with their defaults, the errors, a client with timeouts (`connectRedis`), and
// `Filter`, which hashes ids, feeds a rebuild in batches and asks your filter for the rest, and `SharedBloom`, the same in
// Redis, whose Lua is worth reading afterwards. src/redis.ts has `Script`: `new Script(lua).run(redis, keys, ...args)`.
// src/errors.ts has `whole` and `named` for arguments. Let your editor show a type where you hover over it: the file that
// declares it may hold the solution, too. The defences are yours. The core laws need `LookupCache`, `LocalBloom`, `MissGuard`,
// `protect`, `insertRow` and `changeRow`; no sizes, no addresses, no checks of arguments, and Redis stays up.
// `h` in `pnpm lab learn cache-penetration` gives a hint.
export type {
  BloomShape,
  Cache,
  CacheEvent,
  Clock,
  Defences,
  FilterOptions,
  FilterStats,
  GuardOptions,
  Layer,
  Load,
  LookupOptions,
  Next,
  OnEvent,
  Read,
  SharedBloomOptions,
  Verdict,
};
export {
  BannedError,
  CacheError,
  compose,
  connectRedis,
  Filter,
  FilterUnavailableError,
  InvalidArgumentError,
  InvalidationFailedError,
  RebuildLostError,
  SharedBloom,
  UnstorableValueError,
};

type Answer = 'maybe' | 'unknown' | 'missing';
/** Two independent numbers below 2^48, made from an id. The i-th bit of the id is (a + i·step) mod m. */
interface Fingerprint {
  readonly a: number;
  readonly b: number;
}
/** A filter that is being built beside the one in use. Once another one has begun, `add` and `swap` throw RebuildLostError. */
interface Build {
  add(prints: readonly Fingerprint[]): Promise<void>;
  swap(): Promise<void>;
  abandon(): Promise<void>;
}

/**
 * How long a bitmap must be for `capacity` ids (n) and a false-positive rate of `fpp` (p), and how many bits an id sets.
 * m = ⌈−n·ln p / (ln 2)²⌉, at least 8; k = round(m/n · ln 2), at least 1.
 * @throws InvalidArgumentError on a capacity below 1, an `fpp` outside (0, 1), or more than 2^32 bits.
 */
export function bloomShape(_capacity: number, _fpp: number): BloomShape {
  throw unwritten('bloomShape');
}

/** The false-positive rate to expect with `ids` ids in the filter: (1 − e^(−k·ids/m))^k. */
export function predictedFpp(_shape: BloomShape, _ids: number): number {
  throw unwritten('predictedFpp');
}

/** One name for one client: an IPv4 address, also when it's written as IPv6, or the /64 of an IPv6 address; else the text itself. */
export function clientName(_client: string): string {
  throw unwritten('clientName');
}

/**
 * The address that a request came from: of the hops in `X-Forwarded-For` and the socket's, the last that isn't in one of
 * the `trusted` networks; undefined when a hop before that is no address. @throws InvalidArgumentError on a network that is none.
 */
export function clientAddress(
  _remote: string,
  _forwardedFor: string | undefined,
  _trusted: readonly string[] = [],
): string | undefined {
  throw unwritten('clientAddress');
}

/**
 * A read-through cache in Redis that also remembers what does not exist.
 *
 * Begin with GET, load, SET with a TTL. Then think of a row that isn't there, of a value that looks like your marker, and
 * of somebody who commits the row while a load is under way. Each key in Redis begins with `options.prefix`.
 */
export class LookupCache {
  protected readonly redis: Redis;
  protected readonly options: LookupOptions;

  /** @throws InvalidArgumentError unless the TTLs are whole numbers above 0 and the marker's is at most half of the value's. */
  constructor(redis: Redis, options: LookupOptions = {}) {
    this.redis = redis;
    this.options = options;
  }

  /**
   * The value of `key`, from the cache or else from `load`. Redis down: the load runs, nothing is stored, `onEvent` is told.
   * @throws what `load` throws, and stores nothing then; UnstorableValueError when JSON can't hold the value.
   */
  async lookup<T>(key: string, load: Load<T>, signal?: AbortSignal): Promise<T | null> {
    // Given: a layer by itself is a cache.
    return (await compose(this.layer()).read(key, load, signal)).value;
  }

  /**
   * Forgets `key`; loads that are running now will not be stored, wherever they run. @throws InvalidationFailedError when
   * Redis didn't take it, and tells `onEvent` of it as `invalidation-failed`.
   */
  invalidate(_key: string): Promise<void> {
    return todo('invalidate');
  }

  /**
   * Where the reading is done: `read(key, load, next)` looks into Redis, or else answers `await next(key, load)`, a `Read`
   * with the database's `value`, and stores it. `source` is `hit`, `null` for a marker, or what `next` says; `ageMs` may
   * be 0 for a start. A load that an invalidation has overtaken is answered and not stored: `onEvent` is told `fenced`.
   * The layer has `invalidate`, too.
   */
  layer(): Layer {
    throw unwritten('layer');
  }
}

/**
 * A Bloom filter in this process. What `Filter` asks of it: `ask`, `insert`, `begin`. The i-th bit of an id, for i from 0 to
 * `hashes` − 1, is (a + i · (1 + b mod (bits − 1))) mod bits, with `bits` and `hashes` of `this.shape`.
 */
export class LocalBloom extends Filter {
  /** The filter in use, eight bits a byte; undefined before the first rebuild. */
  protected bitmap: Uint8Array | undefined;
  /** The one that is being built beside it, if any. */
  protected building: Uint8Array | undefined;
  /** The time in milliseconds, which never goes back. */
  protected readonly now: () => number;

  constructor(options: FilterOptions & { readonly clock?: Clock }) {
    super(options);
    const { clock = { mono: () => performance.now() } } = options;
    this.now = () => clock.mono();
  }

  /** Given: `mayContain` without a promise. */
  has(id: string): boolean {
    return this.passes(this.ask(this.fingerprint(id)));
  }

  /** Given. undefined when there's no filter in use. */
  async stats(): Promise<FilterStats | undefined> {
    let set = 0;
    for (let byte of this.bitmap ?? []) for (; byte; byte &= byte - 1) set++;
    return this.bitmap && statsOf(this.shape, set);
  }

  /** Sets all bits of an id. */
  protected mark(_bitmap: Uint8Array, _print: Fingerprint): void {
    throw unwritten('mark');
  }

  /** `missing` before the first rebuild. */
  protected override ask(_print: Fingerprint): Answer {
    throw unwritten('ask');
  }

  /** Into the filter in use, into the one that is being built, and into a list for `pending`. */
  protected override insert(_prints: readonly Fingerprint[]): Promise<void> {
    return todo('insert');
  }

  /** What a new filter starts from: what was inserted in the last `this.pendingMs`. */
  protected pending(): readonly Fingerprint[] {
    throw unwritten('pending');
  }

  /** Given: a filter beside the one in use. Of two that are being built, the one that began last comes into use. */
  protected override async begin(): Promise<Build> {
    const next = new Uint8Array(Math.ceil(this.shape.bits / 8));
    const put = (prints: readonly Fingerprint[]) => {
      for (const print of prints) this.mark(next, print);
    };
    put(this.pending());
    this.building = next;
    const check = () => {
      if (this.building !== next) throw new RebuildLostError('Another rebuild of this filter has begun since.');
    };
    return {
      add: async (prints) => {
        check();
        put(prints);
      },
      swap: async () => {
        check();
        [this.bitmap, this.building] = [next, undefined];
      },
      abandon: async () => {
        if (this.building === next) this.building = undefined;
      },
    };
  }
}

/**
 * Bans whoever asks too often for what doesn't exist. Redis down: everybody is allowed, `onEvent` is told. Each key in Redis
 * begins with `options.prefix`, and none is without an end.
 */
export class MissGuard {
  protected readonly redis: Redis;
  protected readonly options: GuardOptions;

  /** @throws InvalidArgumentError on a limit or a duration that isn't a whole number above 0. */
  constructor(redis: Redis, options: GuardOptions = {}) {
    this.redis = redis;
    this.options = options;
  }

  /** May this client ask? Changes nothing. */
  allow(_client: string): Promise<Verdict> {
    return todo('allow');
  }

  /** Counts a miss, and bans at the limit for `banMs`. A banned client's misses change neither the count nor the time. */
  recordMiss(_client: string): Promise<Verdict> {
    return todo('recordMiss');
  }

  /** Ends a ban, and forgets the misses. */
  forgive(_client: string): Promise<void> {
    return todo('forgive');
  }

  /** Refuses a banned client with a BannedError, and counts the reads whose value is null. */
  layer(_client: string): Layer {
    throw unwritten('layer');
  }
}

/** The three defences in the order that makes each cheap for the next. Without `client` there's no guard. */
export function protect(_defences: Defences, _client?: string): Cache {
  throw unwritten('protect');
}

/**
 * Inserts a row so that nobody is told that it doesn't exist. `commit` writes and commits.
 * @throws FilterUnavailableError, and then `commit` hasn't run; what `commit` throws. An invalidation that fails after the
 * commit undoes nothing.
 */
export function insertRow<R>(
  _defences: Pick<Defences, 'filter' | 'cache'>,
  _key: string,
  _commit: () => Promise<R>,
): Promise<R> {
  return todo('insertRow');
}

/** Changes or deletes a row. */
export function changeRow<R>(_defences: Pick<Defences, 'cache'>, _key: string, _commit: () => Promise<R>): Promise<R> {
  return todo('changeRow');
}

/** `by` is left out of the trace, so that the place which is shown is the one that called. */
function unwritten(what: string, by: (what: string) => unknown = unwritten): Error {
  const error = new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
  Error.captureStackTrace(error, by);
  return error;
}

async function todo(what: string): Promise<never> {
  throw unwritten(what, todo);
}
