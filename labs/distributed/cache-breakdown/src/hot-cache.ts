import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { type Clock, sleep, systemClock } from './clock.ts';
import { refreshEarly } from './early.ts';
import { decode, type Envelope, encode } from './envelope.ts';
import {
  ClosedError,
  InvalidArgumentError,
  InvalidationFailedError,
  LoadFailedElsewhereError,
  named,
  OverloadedError,
  whole,
} from './errors.ts';
import type { Layer, Load, Read } from './layers.ts';
import { type Found, LeasedStore } from './lease.ts';
import { AbandonedError, SingleFlight, unlessAborted } from './single-flight.ts';

/** How long a value lasts. Durations are whole milliseconds. */
export interface Freshness {
  /** How long a value is good. Default 60,000. */
  readonly ttlMs?: number;
  /** How long after that it is still handed out, as `stale`, while one process loads it anew. Default 0. */
  readonly staleMs?: number;
  /** XFetch: above 1 refreshes earlier before the TTL ends, 0 never. Default 1. */
  readonly beta?: number;
}

export interface HotCacheOptions extends Freshness {
  /** Put before each key in Redis. Default "cache-breakdown:1:": the lab, and the version of what it stores. */
  readonly prefix?: string;
  /**
   * How long this process may answer from its own memory; as long an invalidation elsewhere isn't heard. Default 0. It
   * counts from when Redis was asked, or, without Redis, the database: a load that takes longer isn't kept there.
   */
  readonly nearMs?: number;
  /** Keys in that memory. Default 1,000. */
  readonly nearKeys?: number;
  /** A process that dies while it loads has a successor after this time. Default 1,000. */
  readonly leaseMs?: number;
  /** Bound of one read: waiting for others and the load together. Who joins too late for it waits once more. Default 5,000. */
  readonly timeoutMs?: number;
  /**
   * Loads of this process at once, whatever Redis does. Default 8. A load that reads another key of this cache may need a
   * second turn: so many of them at once wait for each other, until `timeoutMs`. Give those a cache of their own.
   */
  readonly maxLoads?: number;
  /**
   * A load that goes on after its time, or when its callers have gone, still burdens the database, so it keeps its turn;
   * for so long at most. Default 30,000. Better: have the driver stop it (`statement_timeout`).
   */
  readonly abandonMs?: number;
  /** Loads that may wait for their turn; in the second half of the line only those that somebody waits for. Default 64. */
  readonly maxWaiting?: number;
  readonly clock?: Clock;
  /** Told of what went wrong without harming a caller; must not throw. Default: nobody is told. */
  readonly onEvent?: (event: CacheEvent) => void;
}

export interface GetOptions extends Freshness {
  /** Gives up this caller's wait; others who wait for the same key are not touched. */
  readonly signal?: AbortSignal;
}

/**
 * `redis-down`: a read went on without Redis. `undecodable`: a stored text was none of ours; it counts as a miss.
 * `refused`: a loaded value was not stored, since the key was invalidated meanwhile or the lease ran out.
 * `refresh-failed`: a load in the background failed; the old value stays until its time is over.
 */
export type CacheEvent =
  | { readonly type: 'redis-down' | 'undecodable' | 'refresh-failed'; readonly key: string; readonly error: unknown }
  | { readonly type: 'refused'; readonly key: string };

interface Plan {
  readonly ttlMs: number;
  readonly staleMs: number;
  readonly beta: number;
}

interface Answer<T> {
  readonly read: Read<T>;
  /** The last caller for whom it is new enough: a later one may know of an invalidation that it doesn't. */
  readonly goodFor: number;
}

/** A value with its times, on the clock of this process. */
interface Entry {
  readonly value: unknown;
  readonly loadMs: number;
  readonly bornAt: number;
  readonly freshUntil: number;
  /** When Redis will have dropped it. */
  readonly goneAt: number;
  /** How long this process may answer from its memory. */
  readonly nearUntil: number;
}

/**
 * A read-through cache for keys that a crowd asks for: when the value has run out, the database is asked once.
 *
 * Once in this process (single flight), once in the cluster (a lease in Redis), and best of all before anybody has to
 * wait: past the TTL the old value is handed out while one process loads (`staleMs`), and shortly before the TTL ends one
 * reader loads ahead of time (XFetch, `beta`). Values are what JSON makes of them (a Date is its text), for the first caller too, and shared: don't change what you get.
 *
 * Redis down or hung: reads go on, each process for itself, at most `maxLoads` at once.
 */
export class HotCache {
  protected readonly store: LeasedStore;
  protected readonly flights: SingleFlight;
  protected readonly refreshes: SingleFlight;
  protected readonly clock: Clock;
  protected readonly leaseMs: number;
  readonly #plan: Plan;
  readonly #near: LRUCache<string, Entry>;
  readonly #nearMs: number;
  readonly #maxLoads: number;
  readonly #maxWaiting: number;
  readonly #abandonMs: number;
  readonly #onEvent: (event: CacheEvent) => void;
  /** Loads under way, and those that wait for their turn, in the order of arrival. */
  #loading = 0;
  readonly #line = new Set<() => void>();
  /** Callers so far; each has the count as his number. */
  #asked = 0;
  #closed = false;

  /** `redis`: a client whose commands end in bounded time, as `connectRedis` makes it. @throws InvalidArgumentError */
  constructor(redis: Redis, options: HotCacheOptions = {}) {
    const { clock = systemClock, prefix = 'cache-breakdown:1:', onEvent = () => {} } = options;
    this.#plan = planOf({ ttlMs: 60_000, staleMs: 0, beta: 1 }, options);
    this.#nearMs = whole('nearMs', options.nearMs ?? 0, 0, LONGEST_TIMER_MS);
    this.#near = new LRUCache({ max: whole('nearKeys', options.nearKeys ?? 1_000, 1, 10_000_000) });
    this.#maxWaiting = whole('maxWaiting', options.maxWaiting ?? 64, 0, 1_000_000);
    this.#abandonMs = whole('abandonMs', options.abandonMs ?? 30_000, 0, LONGEST_TIMER_MS);
    this.#onEvent = onEvent;
    this.leaseMs = whole('leaseMs', options.leaseMs ?? 1_000, 10, LONGEST_TIMER_MS);
    this.clock = clock;
    this.#maxLoads = whole('maxLoads', options.maxLoads ?? 8, 1, 100_000);
    const timeoutMs = whole('timeoutMs', options.timeoutMs ?? 5_000, 1, LONGEST_TIMER_MS);
    this.store = this.newStore(redis, prefix);
    this.flights = this.newFlights(timeoutMs);
    this.refreshes = this.newFlights(timeoutMs);
  }

  /**
   * The value of `key`, from memory, from Redis, or else from `load`, which answers null for a row that doesn't exist.
   * A null is kept like a value.
   *
   * @throws what `load` throws (it is never stored, and everybody who waits for this load gets it, once);
   *   LoadFailedElsewhereError when another process loaded for us and failed; LoadTimeoutError after `timeoutMs`;
   *   OverloadedError; InvalidArgumentError; the reason of `signal`.
   */
  async getOrLoad<T>(key: string, load: Load<T>, options: GetOptions = {}): Promise<Read<T>> {
    options.signal?.throwIfAborted();
    if (this.#closed) throw new ClosedError('The cache was closed.');
    const entry = this.#near.get(key);
    const now = this.clock.mono();
    if (entry !== undefined && now < entry.nearUntil) {
      const beta = options.beta ?? this.#plan.beta;
      if (refreshEarly(entry.freshUntil - now, entry.loadMs, beta)) this.#refresh(key, load, options, entry);
      // A key has one type of value: that is the callers' promise, and no check at run time could tell.
      return { value: entry.value as T | null, source: 'hit', ageMs: Math.max(0, now - entry.bornAt) };
    }
    const plan = planOf(this.#plan, options);
    named('The key', key);
    const number = ++this.#asked;
    for (;;) {
      const flight = this.flights.run(key, (signal) => this.#fly(key, load, plan, signal), options.signal);
      const { read, goodFor } = await flight;
      // Who joined later may come from an invalidation: for him there is another flight, which began after he had asked.
      if (number <= goodFor) return read;
    }
  }

  /**
   * Forgets `key`: call it after the commit that changes the row. A load that runs now, wherever it runs, will not be
   * stored, and who asks from now on doesn't get its value. Another process's memory may have the old one for `nearMs`.
   * @throws InvalidationFailedError when Redis didn't take it.
   */
  async invalidate(key: string): Promise<void> {
    named('The key', key);
    this.forget(key);
    try {
      await this.store.invalidate(key);
    } catch (cause) {
      throw new InvalidationFailedError(`${key} may be stale until its TTL ends: invalidate it again.`, { cause });
    } finally {
      // Again: what was read from Redis in the meantime may be the old value.
      this.forget(key);
    }
  }

  /**
   * This cache as a layer: what lies below it is its database. What a lower layer refused or found stale isn't kept. The
   * load gets the flight's signal, not that of the caller who came first.
   */
  layer(options: Freshness = {}): Layer {
    return {
      read: (key, load, next, signal) => {
        const below = async (own: AbortSignal) => {
          const read = await next(key, load, own);
          if (read.source === 'refused' || read.source === 'stale') throw new Unkept(read);
          return read.value;
        };
        return this.getOrLoad(key, below, { ...options, signal });
      },
      invalidate: (key) => this.invalidate(key),
    };
  }

  /** Ends what is running with a ClosedError, and so every later read; `invalidate` works on. The Redis client stays open: it is yours. */
  close(): void {
    this.#closed = true;
    this.flights.close();
    this.refreshes.close();
    this.#near.clear();
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  protected newStore(redis: Redis, prefix: string): LeasedStore {
    return new LeasedStore(redis, prefix, this.leaseMs);
  }

  protected newFlights(timeoutMs: number): SingleFlight {
    return new SingleFlight({ timeoutMs, clock: this.clock });
  }

  /** Runs a load in its turn: the database has no more than `maxLoads` of this process's at once. */
  protected async gate<T>(key: string, load: () => Promise<T>, signal: AbortSignal, refresh: boolean): Promise<T> {
    const line = this.#line;
    // Else a thousand values that become stale at once would have the customer refused for whom there is none.
    const longest = refresh ? Math.floor(this.#maxWaiting / 2) : this.#maxWaiting;
    signal.throwIfAborted();
    if (this.#loading < this.#maxLoads) this.#loading++;
    else if (line.size >= longest) throw new OverloadedError(key, this.#loading, line.size);
    else {
      await new Promise<void>((resolve, reject) => {
        const next = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        // Out of the line at once: who has gone takes nobody's place in it.
        const leave = () => {
          line.delete(next);
          reject(signal.reason);
        };
        signal.addEventListener('abort', leave, { once: true });
        line.add(next);
      });
    }
    try {
      return await load();
    } finally {
      const [next] = line;
      if (next && line.delete(next)) next();
      else this.#loading--;
    }
  }

  /** The turn is over when the load has really ended, not when its callers have been told that it is too late. */
  protected turn<T>(loading: Promise<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      let cancel = () => {};
      const onAbort = () => {
        cancel = this.clock.after(this.#abandonMs, () => reject(signal.reason), 'background');
      };
      signal.addEventListener('abort', onAbort, { once: true });
      loading.then(resolve, reject).finally(() => {
        signal.removeEventListener('abort', onAbort);
        cancel();
      });
    });
  }

  /** Nobody who comes from now on is answered with what was read before. */
  protected forget(key: string): void {
    this.#near.delete(key);
    this.flights.forget(key);
    this.refreshes.forget(key);
  }

  /** How long to wait until Redis is asked again for what somebody else is loading: an eighth of the wait so far. */
  protected nextLook(waitedMs: number, leaseLeftMs: number): number {
    const pause = Math.min(Math.max(waitedMs / 8, 2), 100) * (0.75 + Math.random() / 2);
    return leaseLeftMs > 0 ? Math.min(pause, leaseLeftMs) : pause;
  }

  /** Nobody waits for it; the old value stays until its time is over. */
  protected refreshFailed(key: string, error: unknown): void {
    this.#onEvent({ type: 'refresh-failed', key, error });
  }

  async #fly<T>(key: string, load: Load<T>, plan: Plan, signal: AbortSignal): Promise<Answer<T>> {
    // A crowd that comes in one turn of the event loop is one crowd.
    await null;
    const goodFor = this.#asked;
    try {
      return await this.#fetch(key, load, plan, signal);
    } catch (error) {
      // It was thrown by the `below` of a layer, whose type is that of the key.
      if (error instanceof Unkept) return { read: error.read as Read<T>, goodFor };
      throw error;
    }
  }

  async #fetch<T>(key: string, load: Load<T>, plan: Plan, signal: AbortSignal): Promise<Answer<T>> {
    const since = this.clock.mono();
    let waitedFor = '';
    for (let refused = 0; ; ) {
      signal.throwIfAborted();
      const token = randomUUID();
      const goodFor = this.#asked;
      const asked = this.clock.mono();
      let found: Found;
      try {
        found = await this.store.find(key, token, 0, waitedFor);
        const read = found.kind === 'value' && (await this.#read<T>(key, found, load, plan, asked, signal));
        if (read) return { read, goodFor };
      } catch (error) {
        this.#onEvent({ type: 'redis-down', key, error });
        return await this.#alone(key, load, plan, signal);
      }
      // Nor would that of the next holder be kept: in turns, the last process would wait for all the others.
      if (found.kind === 'failed' && found.reason === UNKEPT) return await this.#alone(key, load, plan, signal);
      if (found.kind === 'failed') throw new LoadFailedElsewhereError(key, found.reason);
      if (found.kind === 'granted') {
        const { kept, ...answer } = await this.#load(key, load, plan, token, signal);
        // Refused: what was loaded may be older than an invalidation. Once more, and whoever joined the first is served.
        if (kept || ++refused === 2) return answer;
      }
      if (found.kind === 'held') {
        waitedFor = found.holder;
        await sleep(this.clock, this.nextLook(this.clock.mono() - since, found.leftMs), signal);
      }
    }
  }

  /** Hands up what Redis had, and sees to it that somebody loads anew where that is due; undefined for what isn't ours. */
  async #read<T>(
    key: string,
    found: Found & { kind: 'value' },
    load: Load<T>,
    plan: Plan,
    asked: number,
    signal: AbortSignal,
  ): Promise<Read<T> | undefined> {
    const envelope = await this.#open<T>(key, found.text);
    if (!envelope) return undefined;
    const now = this.clock.mono();
    const entry = this.#remember(key, envelope, now + found.leftMs, asked, signal);
    const remaining = entry.freshUntil - now;
    if (remaining <= 0 || refreshEarly(remaining, entry.loadMs, plan.beta)) this.#refresh(key, load, plan, entry);
    return { value: envelope.value, source: remaining > 0 ? 'hit' : 'stale', ageMs: Math.max(0, now - entry.bornAt) };
  }

  async #open<T>(key: string, text: string): Promise<Envelope<T> | undefined> {
    try {
      return decode<T>(text);
    } catch (error) {
      this.#onEvent({ type: 'undecodable', key, error });
      // Where that is refused the text would be found again and again: then it's as if Redis were down.
      await this.store.discard(key);
      return undefined;
    }
  }

  /** Loads under the lease `token` and stores; `kept` is false when the lease was lost meanwhile. */
  async #load<T>(key: string, load: Load<T>, plan: Plan, token: string, signal: AbortSignal, refresh = false) {
    const stop = this.store.keepAlive(key, token, this.clock);
    const before = this.#asked;
    const { text, envelope } = await this.#ask(key, load, plan, signal, refresh)
      .finally(stop)
      .catch(async (error: unknown) => {
        // Before anybody hears of it: whoever asks again may load again.
        await this.#giveUp(key, token, error, refresh).catch(() => {});
        throw error;
      });
    const read: Read<T> = { value: envelope.value, source: 'load', ageMs: 0 };
    // Until here an invalidation would have had the value refused.
    const goodFor = this.#asked;
    const asked = this.clock.mono();
    try {
      const keepMs = plan.ttlMs + plan.staleMs;
      const kept = await this.store.commit(key, token, text, keepMs);
      if (kept) this.#remember(key, envelope, this.clock.mono() + keepMs, asked, signal);
      else this.#onEvent({ type: 'refused', key });
      return { read, kept, goodFor: kept ? goodFor : before };
    } catch (error) {
      this.#onEvent({ type: 'redis-down', key, error });
      // Whether an invalidation would have had it refused was not heard.
      return { read, kept: true, goodFor: before };
    }
  }

  /** A failed refresh keeps its lease while there is an old value: the next attempt shall not be the next reader's. */
  async #giveUp(key: string, token: string, error: unknown, refresh: boolean): Promise<void> {
    if (refresh) await this.store.rest(key, token);
    else await this.store.release(key, token, reasonFor(error));
  }

  /** Without a lease, so nothing is stored but in this process, for `nearMs`. */
  async #alone<T>(key: string, load: Load<T>, plan: Plan, signal: AbortSignal): Promise<Answer<T>> {
    const goodFor = this.#asked;
    const { envelope, asked } = await this.#ask(key, load, { ...plan, staleMs: 0 }, signal);
    this.#remember(key, envelope, this.clock.mono() + plan.ttlMs, asked, signal);
    return { read: { value: envelope.value, source: 'load', ageMs: 0 }, goodFor };
  }

  /** What the database gives, as Redis and as everybody gets it, and when it was asked. */
  async #ask<T>(key: string, load: Load<T>, { ttlMs, staleMs }: Plan, signal: AbortSignal, refresh = false) {
    let asked = 0;
    const ask = async () => {
      signal.throwIfAborted();
      // Not before its turn: the longer the line, the sooner each value would be due, and the line would never end.
      asked = this.clock.mono();
      return this.turn(load(signal), signal);
    };
    const turn = this.gate(key, ask, signal, refresh);
    const value = await unlessAborted(turn, signal);
    if (value === undefined)
      throw new InvalidArgumentError(`The load of ${key} gave undefined: let it give null for a row that isn't there.`);
    const text = encode(key, { value, loadMs: this.clock.mono() - asked, ttlMs, staleMs });
    return { text, envelope: decode<T>(text), asked };
  }

  /** Loads anew in the background: one process does, under the lease, and nobody waits for it. */
  #refresh<T>(key: string, load: Load<T>, options: GetOptions, entry: Entry): void {
    // Not joined: a failure is reported once, and a hot key asks often.
    if (this.#closed || this.refreshes.has(key)) return;
    const refreshing = this.refreshes.run(key, async (signal) => {
      const plan = planOf(this.#plan, options);
      const token = randomUUID();
      const asked = this.clock.mono();
      const found = await this.store.find(key, token, Math.ceil(entry.goneAt - asked));
      if (found.kind === 'granted') await this.#load(key, load, plan, token, signal, true);
      if (found.kind !== 'value') return;
      // Somebody was quicker.
      const envelope = await this.#open(key, found.text);
      if (envelope) this.#remember(key, envelope, this.clock.mono() + found.leftMs, asked, signal);
    });
    refreshing.catch((error: unknown) => {
      if (!this.#closed) this.refreshFailed(key, error);
    });
  }

  /**
   * An entry of this process; in its memory only if nothing was invalidated since the flight of `signal` began. `asked`:
   * an invalidation elsewhere after that may not be in it.
   */
  #remember(key: string, envelope: Envelope<unknown>, goneAt: number, asked: number, signal: AbortSignal): Entry {
    const { value, loadMs, ttlMs, staleMs } = envelope;
    const freshUntil = goneAt - staleMs;
    const nearUntil = Math.min(asked + this.#nearMs, freshUntil);
    const entry = { value, loadMs, bornAt: freshUntil - ttlMs, freshUntil, goneAt, nearUntil };
    const current = this.flights.isCurrent(key, signal) || this.refreshes.isCurrent(key, signal);
    if (current && this.#nearMs > 0) this.#near.set(key, entry);
    return entry;
  }
}

/** What a layer below answered, and is not to be kept. */
class Unkept extends Error {
  readonly read: Read<unknown>;

  constructor(read: Read<unknown>) {
    super(`the layer below answered "${read.source}"`);
    this.read = read;
  }
}

/** Instead of a reason, which begins with the name of an error: the load didn't fail, but others can't have its value. */
const UNKEPT = '-';

/** What those who wait in other processes are told; nothing where the load itself didn't fail: then one of them loads. */
function reasonFor(error: unknown): string {
  if (error instanceof Unkept) return UNKEPT;
  const notTheLoads = [AbandonedError, ClosedError, OverloadedError];
  if (notTheLoads.some((kind) => error instanceof kind)) return '';
  return (error instanceof Error ? String(error) : inspect(error)).slice(0, 500);
}

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A hundred years: what Redis adds to its clock must not overflow. */
const LONGEST_TTL_MS = 100 * 365 * 86_400_000;

function planOf(base: Plan, { ttlMs = base.ttlMs, staleMs = base.staleMs, beta = base.beta }: Freshness): Plan {
  whole('ttlMs', ttlMs, 1, LONGEST_TTL_MS);
  whole('staleMs', staleMs, 0, LONGEST_TTL_MS);
  if (!(beta >= 0 && beta < Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError(`beta must be a number from 0; it is ${beta}.`);
  }
  return { ttlMs, staleMs, beta };
}
