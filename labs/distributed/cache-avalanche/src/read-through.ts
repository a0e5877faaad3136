import type { Redis } from 'ioredis';
import { type Clock, systemClock } from './clock.ts';
import {
  InvalidArgumentError,
  InvalidationFailedError,
  LONGEST_TIMER_MS,
  LoadTimeoutError,
  named,
  whole,
} from './errors.ts';
import type { Layer, Load, Read } from './layers.ts';
import { type Entry, pack, Store, unpack } from './store.ts';

export interface CacheOptions {
  /** Put before each key in Redis. Default "cache-avalanche:1:": the lab, and the version of what it stores. */
  readonly prefix?: string;
  /**
   * How long a load may take before its callers get a LoadTimeoutError, in milliseconds. Default 5,000. The same in every
   * process: an invalidation is remembered for twice that and a minute, by the option of whoever invalidates.
   */
  readonly loadTimeoutMs?: number;
  readonly clock?: Clock;
  /** Told what went wrong without harming the caller: for logs and counters. Must not throw. */
  readonly onEvent?: (event: CacheEvent) => void;
}

/**
 * `redis-down`: the database was asked instead. `undecodable`: an entry of another version or program, which counts as
 * a miss. `fenced`: a load began before an invalidation or a newer store, so it wasn't stored. `refresh-failed`: nobody
 * noticed, the old value stays.
 */
export interface CacheEvent {
  readonly type: 'redis-down' | 'undecodable' | 'fenced' | 'refresh-failed';
  readonly key: string;
  readonly error?: unknown;
}

export interface ReadOptions {
  /** Takes this caller away and nobody else: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What was found, and the stores that a load belongs into: those that answered. */
export interface Look<T> {
  readonly read?: Read<T>;
  readonly stores: readonly Store[];
}

/** A store, with the generation that its entry had before the load. */
export interface Place {
  readonly store: Store;
  readonly generation: string;
}

/** What a flight brings to those who wait for it. */
export interface Answer<T> {
  readonly read: Read<T>;
  /** The last caller for whom it is new enough: a later one may know of an invalidation that it doesn't. */
  readonly goodFor: number;
}

/** What a load brought, and how storing it went. */
export interface Update<T> extends Answer<T> {
  /** False when a store refused it. */
  readonly kept: boolean;
  /** True when a store couldn't be asked, or had no room. */
  readonly down: boolean;
}

/** A load, with what the layer below says of its age. */
type Ask<T> = (signal: AbortSignal) => Promise<Read<T>>;

/**
 * What replaces a stale value that was handed out, for a warm-up, which waits for it: it brings 0, or how many milliseconds
 * a lease lasts that another process has, or that a load has left which failed.
 */
export const replacing = new WeakMap<Read<unknown>, Promise<number>>();

/** What was loaded, and a store didn't take: for a warm-up, to which it isn't done. */
export const unstored = new WeakSet<Read<unknown>>();

/** What the caches of this lab have in common: one flight for each key, and no value that is older than an invalidation. */
export abstract class ReadThrough {
  protected readonly redis: Redis;
  protected readonly clock: Clock;
  protected readonly prefix: string;
  readonly #loadTimeoutMs: number;
  readonly #onEvent: (event: CacheEvent) => void;
  readonly #flights = new Map<string, Promise<Answer<unknown>>>();
  /** Callers so far; each has the count as his number. */
  #asked = 0;

  constructor(redis: Redis, options: CacheOptions) {
    this.redis = redis;
    this.clock = options.clock ?? systemClock;
    this.prefix = options.prefix ?? 'cache-avalanche:1:';
    this.#loadTimeoutMs = whole('loadTimeoutMs', options.loadTimeoutMs ?? 5_000, 1, LONGEST_TIMER_MS / 4);
    this.#onEvent = options.onEvent ?? (() => {});
  }

  /**
   * The value of `key` from the cache, or else from `load`, which answers null for a row that doesn't exist. A null is
   * kept like a value; a failure never is. Who asks while the same key is being looked up or loaded for another caller
   * waits for that, and gets the same object: who changes it changes it for all of them.
   *
   * @throws what `load` throws (everybody who waits for it gets it, once); LoadTimeoutError; UnstorableValueError;
   *   InvalidArgumentError; the reason of `signal`.
   */
  getOrLoad<T>(key: string, load: Load<T>, options: ReadOptions = {}): Promise<Read<T>> {
    return this.#get<T>(key, async (signal) => asRead(key, await load(signal)), options.signal);
  }

  /**
   * Forgets `key`. A load that runs now, in whatever process, won't be stored.
   * @throws InvalidationFailedError when Redis didn't take it.
   */
  async invalidate(key: string): Promise<void> {
    named('The key', key);
    this.#flights.delete(key);
    try {
      await this.drop(key);
    } catch (cause) {
      throw new InvalidationFailedError(`${key} may be stale until its TTL ends. Invalidate it again.`, { cause });
    } finally {
      this.#flights.delete(key);
    }
  }

  /**
   * This cache as a layer: what lies below is its database. What is stale or refused down there isn't kept. `load` gets
   * the signal of the flight, not of the caller who began it: others wait for the same load.
   */
  layer(): Layer {
    return {
      read: (key, load, next, signal) => this.#get(key, (own) => next(key, load, own), signal),
      invalidate: (key) => this.invalidate(key),
    };
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** What the cache has of `key`. A `stale` read is being refreshed by `refresh`. */
  protected abstract look<T>(key: string): Promise<Look<T>>;

  protected abstract drop(key: string): Promise<void>;

  /** How long `store` keeps what is stored now, in milliseconds; 0: for ever. */
  protected abstract ttlOf(store: Store): number;

  /** Sees to it that a stale value is replaced, while its readers go on. A failure is handled, whoever waits for it. */
  protected async refresh<T>(_key: string, _looked: Look<T>, _update: () => Promise<Update<T>>): Promise<number> {
    return 0;
  }

  protected newStore(redis: Redis, suffix: string): Store {
    const tombstoneMs = 2 * this.#loadTimeoutMs + 60_000;
    return new Store(redis, this.prefix + suffix, tombstoneMs, (key, error) => this.report('undecodable', key, error));
  }

  /** One flight for each key: who comes while it is under way gets the same outcome. */
  protected coalesce<T>(key: string, fly: () => Promise<Answer<T>>): Promise<Answer<T>> {
    const flying = this.#flights.get(key);
    // A key has one type of value: that is the callers' promise, and no check at run time could tell.
    if (flying) return flying as Promise<Answer<T>>;
    const land = () => {
      if (this.#flights.get(key) === landing) this.#flights.delete(key);
    };
    const flight = fly();
    const landing = flight.then(
      (answer) => {
        land();
        return answer;
      },
      () => {
        land();
        return flight;
      },
    );
    this.#flights.set(key, landing);
    return landing;
  }

  /** Stores what was loaded wherever nothing newer has come since; false when it was refused anywhere. */
  protected async keep(key: string, text: string, places: readonly Place[]): Promise<boolean> {
    const kept = await Promise.all(
      places.map(({ store, generation }) => store.commit(key, generation, text, this.ttlOf(store))),
    );
    if (kept.every(Boolean)) return true;
    this.report('fenced', key);
    return false;
  }

  protected report(type: CacheEvent['type'], key: string, error?: unknown): void {
    this.#onEvent({ type, key, ...(error !== undefined && { error }) });
  }

  /** Loads within the time limit, or until `closing` aborts, and stores. */
  protected async update<T>(
    key: string,
    ask: Ask<T>,
    stores: readonly Store[],
    closing?: AbortSignal,
  ): Promise<Update<T>> {
    const places = await this.#places(key, stores);
    const down = places.length < stores.length;
    const [since, before] = [this.clock.mono(), this.#asked];
    const loaded = await this.#ask(ask, closing);
    // Until here an invalidation would have had the value refused, if a store could be asked.
    const goodFor = places.length > 0 ? this.#asked : before;
    const secondHand = loaded.source === 'stale' || loaded.source === 'refused';
    if (secondHand) return { read: loaded, kept: true, down, goodFor: before };
    const text = pack(key, loaded.value, Date.now() - loaded.ageMs - (this.clock.mono() - since));
    // What the next one will get.
    const read = { ...loaded, value: unpack<T>(text).value };
    if (places.length === 0) unstored.add(read);
    try {
      const kept = await this.keep(key, text, places);
      return { read, kept, down, goodFor: kept ? goodFor : before };
    } catch (error) {
      unstored.add(read);
      this.report('redis-down', key, error);
      return { read, kept: true, down: true, goodFor: before };
    }
  }

  async #places(key: string, stores: readonly Store[]): Promise<readonly Place[]> {
    try {
      return await Promise.all(stores.map(async (store) => ({ store, generation: await store.generation(key) })));
    } catch (error) {
      this.report('redis-down', key, error);
      return [];
    }
  }

  // Not `async`: the flight itself is handed out, so a hit goes through three promises less.
  #get<T>(key: string, ask: Ask<T>, signal?: AbortSignal): Promise<Read<T>> {
    try {
      named('The key', key);
      signal?.throwIfAborted();
      return this.#join(key, ask, ++this.#asked, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #join<T>(key: string, ask: Ask<T>, number: number, signal?: AbortSignal): Promise<Read<T>> {
    for (;;) {
      const flight = this.coalesce(key, () => this.#fly(key, ask));
      const { read, goodFor } = await (signal ? unlessAborted(flight, signal) : flight);
      // Who joined later may come from an invalidation: for him there is another flight, which began after he had asked.
      if (number <= goodFor) return read;
    }
  }

  async #fly<T>(key: string, ask: Ask<T>): Promise<Answer<T>> {
    // A crowd that comes in one turn of the event loop is one crowd.
    await null;
    for (let attempt = 1; ; attempt++) {
      const goodFor = this.#asked;
      let looked: Look<T> = { stores: [] };
      try {
        looked = await this.look<T>(key);
      } catch (error) {
        this.report('redis-down', key, error);
      }
      const { read: found, stores } = looked;
      const update = () => this.update(key, ask, stores);
      if (found?.source === 'stale') replacing.set(found, this.refresh(key, looked, update));
      if (found) return { read: found, goodFor };
      const { kept, ...answer } = await update();
      // Refused: it may be older than an invalidation, and somebody may have joined since. Look again.
      if (kept || attempt === 2) return answer;
    }
  }

  async #ask<T>(ask: Ask<T>, closing?: AbortSignal): Promise<Read<T>> {
    closing?.throwIfAborted();
    const abort = new AbortController();
    const onClose = () => abort.abort(closing?.reason);
    closing?.addEventListener('abort', onClose, { once: true });
    const expire = () => abort.abort(new LoadTimeoutError(this.#loadTimeoutMs));
    const cancel = this.clock.after(this.#loadTimeoutMs, expire);
    const since = this.clock.mono();
    try {
      const loaded = await unlessAborted(ask(abort.signal), abort.signal);
      // A process that was stopped may see the answer before its timer: no fence may be left that would refuse it.
      if (this.clock.mono() - since > this.#loadTimeoutMs) expire();
      abort.signal.throwIfAborted();
      return loaded;
    } finally {
      cancel();
      closing?.removeEventListener('abort', onClose);
    }
  }
}

/** An entry that is good, as a layer hands it up. */
export function good<T>({ value, ageMs }: Entry<T>): Read<T> {
  return { value, source: value === null ? 'null' : 'hit', ageMs };
}

function asRead<T>(key: string, value: T | null): Read<T> {
  if (value !== undefined) return { value, source: 'load', ageMs: 0 };
  throw new InvalidArgumentError(`The load of ${key} gave undefined: let it give null for a row that isn't there.`);
}

/** The outcome of `promise`, or the reason of `signal` as soon as it aborts, even if the promise never settles. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
