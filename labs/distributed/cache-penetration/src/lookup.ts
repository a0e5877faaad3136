import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { type Clock, systemClock } from './clock.ts';
import { InvalidationFailedError, named, UnstorableValueError, whole } from './errors.ts';
import { type Cache, compose, type Layer, type Load, type Next, type OnEvent, type Read } from './layers.ts';
import { Script } from './redis.ts';

export interface LookupOptions {
  /** How long a value is kept, in milliseconds. Default 10 minutes. */
  readonly ttlMs?: number;
  /** How long "no such row" is kept, in milliseconds: at most half of `ttlMs`. Default a tenth of it, at most 30 s. */
  readonly nullTtlMs?: number;
  /** Put before each key in Redis. Default "cache-penetration:1:": the lab, and the version of what it stores. */
  readonly prefix?: string;
  readonly clock?: Clock;
  readonly onEvent?: OnEvent;
}

/** A load that takes so long isn't stored. No option: a process with less would forget what another's load must not store. */
const FENCE_MS = 60_000;

// A load that began before an invalidation must not store what it has read: the generation has changed meanwhile.
const STORE = new Script(`
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`);

// The deletion first: a server whose memory is full refuses SET, but not in a script that has already deleted.
const INVALIDATE = new Script(`
redis.call('UNLINK', KEYS[1])
return redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])`);

/** What a stored text says. */
type Entry<T> = { readonly value: T | null; readonly storedAt: number };

/**
 * A read-through cache in Redis that also remembers what does not exist (空值标记: "查无此件").
 *
 * A missing row is stored as a marker with a short TTL, so that it costs the database one query for that long, and one
 * each for those who ask at the same moment. Markers and values are fenced: one that was loaded before `invalidate` is
 * never stored after it, as long as Redis has not lost the fence in between (a restart, an eviction), nor the network held
 * a store back for a minute; then the TTL is the bound. What took a minute to load isn't stored.
 * Redis down or hung: the load runs, nothing is stored, `onEvent` is told.
 */
export class LookupCache {
  protected readonly redis: Redis;
  protected readonly ttlMs: number;
  protected readonly nullTtlMs: number;
  protected readonly onEvent: OnEvent;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #self: Cache;

  /** @throws InvalidArgumentError on a TTL that isn't a whole number of milliseconds, or a marker's that is too long. */
  constructor(redis: Redis, options: LookupOptions = {}) {
    this.redis = redis;
    this.ttlMs = whole('ttlMs', options.ttlMs ?? 600_000, 2, Number.MAX_SAFE_INTEGER);
    const short = Math.max(1, Math.floor(Math.min(30_000, this.ttlMs / 10)));
    this.nullTtlMs = whole('nullTtlMs', options.nullTtlMs ?? short, 1, Math.floor(this.ttlMs / 2));
    this.#prefix = options.prefix ?? 'cache-penetration:1:';
    this.#clock = options.clock ?? systemClock;
    this.onEvent = options.onEvent ?? (() => {});
    this.#self = compose(this.layer());
  }

  /**
   * The value of `key`, from the cache or else from `load`, which answers null for a row that doesn't exist.
   *
   * @throws what `load` throws: an error is never stored, least of all as "no such row". The reason of `signal`.
   * @throws UnstorableValueError when JSON can't hold the value, InvalidArgumentError on a key that is empty or above 512
   *   characters.
   */
  async lookup<T>(key: string, load: Load<T>, signal?: AbortSignal): Promise<T | null> {
    return (await this.#self.read(key, load, signal)).value;
  }

  /**
   * Forgets `key`: call it *after* the commit that inserts, changes or deletes the row. Loads that are running now will
   * not be stored, wherever they run.
   * @throws InvalidationFailedError when Redis didn't take it; `onEvent` is told, too.
   */
  async invalidate(key: string): Promise<void> {
    named('The key', key);
    try {
      // Random, not counted: a counter that expired would start anew and meet an old load's number again.
      // It outlives every load that may still be stored.
      await INVALIDATE.run(this.redis, this.#keys(key), randomUUID(), 2 * FENCE_MS);
    } catch (cause) {
      const error = new InvalidationFailedError(`${key} may be stale until its TTL ends: invalidate it again.`, {
        cause,
      });
      this.onEvent({ type: 'invalidation-failed', key, error });
      throw error;
    }
  }

  /** This cache as a layer. What a lower layer refused or found stale isn't kept. */
  layer(): Layer {
    return {
      read: async <T>(key: string, load: Load<T>, next: Next) => {
        named('The key', key);
        const stored = await this.#attempt('read', () => this.redis.get(this.#keys(key)[0]));
        const cached = stored == null ? undefined : this.#open<T>(key, stored);
        if (cached) {
          const ageMs = Math.max(0, Date.now() - cached.storedAt);
          return { value: cached.value, source: cached.value === null ? 'null' : 'hit', ageMs };
        }
        // A Redis that hangs has cost its time once.
        const generation = stored === undefined ? undefined : await this.generation(key);
        const start = this.#clock.mono();
        const read = await this.fetch(() => next(key, load));
        const late = this.#clock.mono() - start >= FENCE_MS;
        const secondHand = read.source === 'stale' || read.source === 'refused';
        if (secondHand) return read;
        const text = this.#textOf(key, read);
        if (generation !== undefined && !late) await this.#keep(key, generation, read, text);
        // What the next one will get.
        return { ...read, value: this.decode<T>(text).value };
      },
      invalidate: (key) => this.invalidate(key),
    };
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** Asks the database. What it throws is the caller's, and nothing is stored. */
  protected fetch<T>(next: () => Promise<Read<T>>): Promise<Read<T>> {
    return next();
  }

  /** A text for Redis. The first letter tells a value from a marker, so no value can be taken for one. */
  protected encode(value: unknown): string {
    const at = Date.now().toString(36);
    if (value === null) return `n${at}`;
    const json = JSON.stringify(value);
    // NaN and the infinities are "null" in JSON, and would come back as "no such row".
    if (json === undefined || json === 'null') throw new Error(`JSON has no text for ${inspect(value)}`);
    return `v${at}:${json}`;
  }

  /** @throws when the text is none of ours: another version wrote it, or another program. */
  protected decode<T>(text: string): Entry<T> {
    const [, tag, at = '', json = ''] = /^([nv])([0-9a-z]+)(?::(.*))?$/s.exec(text) ?? [];
    if (!tag) throw new Error('neither a value nor a marker');
    return { value: tag === 'n' ? null : JSON.parse(json), storedAt: Number.parseInt(at, 36) };
  }

  /** The key's generation, read before the load; undefined when Redis can't tell, and then nothing is stored. */
  protected generation(key: string): Promise<string | undefined> {
    return this.#attempt('read a generation', async () => (await this.redis.get(this.#keys(key)[1])) ?? '');
  }

  /** Stores `text` if `generation` is still that of the key. */
  protected async store(key: string, generation: string, text: string, ttlMs: number): Promise<boolean> {
    return Number(await STORE.run(this.redis, this.#keys(key), generation, text, ttlMs)) === 1;
  }

  #open<T>(key: string, text: string): Entry<T> | undefined {
    try {
      return this.decode<T>(text);
    } catch (error) {
      this.onEvent({ type: 'undecodable', key, error });
      return undefined;
    }
  }

  #textOf(key: string, read: Read<unknown>): string {
    try {
      return this.encode(read.value ?? null);
    } catch (cause) {
      throw new UnstorableValueError(`${key}: give the cache something that JSON can hold.`, { cause });
    }
  }

  async #keep(key: string, generation: string, read: Read<unknown>, text: string): Promise<void> {
    const ttlMs = read.value == null ? this.nullTtlMs : this.ttlMs;
    const stored = await this.#attempt('store', () => this.store(key, generation, text, ttlMs));
    if (stored === false) this.onEvent({ type: 'fenced', key });
  }

  async #attempt<T>(doing: string, command: () => Promise<T>): Promise<T | undefined> {
    try {
      return await command();
    } catch (error) {
      this.onEvent({ type: 'redis-down', doing, error });
      return undefined;
    }
  }

  /** The value's and the generation's: the braces keep both on one node of a Redis Cluster. */
  #keys(key: string): [value: string, generation: string] {
    return [`${this.#prefix}{${key}}`, `${this.#prefix}{${key}}:generation`];
  }
}
