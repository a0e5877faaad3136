import type { InvalidationFailedError } from './errors.ts';

/** What a read falls back on: the database. `null`: there is no such row. */
export type Load<T> = (signal: AbortSignal) => Promise<T | null>;

/**
 * A value as a layer hands it up. `source`: `hit` a cached value, `null` a cached "no such row", `refused` the filter
 * has never seen the id, `load` the database answered; `stale` is for layers of other kinds. `ageMs` is the time since
 * the value was stored, by the wall clock: good for a dashboard, not for a decision.
 */
export interface Read<T> {
  readonly value: T | null;
  readonly source: 'hit' | 'stale' | 'null' | 'load' | 'refused';
  readonly ageMs: number;
}

/** `signal`: that of the work below, where it isn't the caller's: many may wait for it. */
export type Next = <T>(key: string, load: Load<T>, signal?: AbortSignal) => Promise<Read<T>>;

/** A layer: it answers, or asks the next. Layers compose like middleware, outermost first. */
export interface Layer {
  /** `signal` takes this caller away. A layer that shares its work gives `next` a signal of the work's own. */
  read<T>(key: string, load: Load<T>, next: Next, signal: AbortSignal): Promise<Read<T>>;
  invalidate?(key: string): Promise<void>;
}

export interface Cache {
  /**
   * @throws what `load` throws, what a layer throws (a BannedError; an InvalidArgumentError on a key that is empty or above
   *   512 characters: look at what strangers send), and the reason of `signal` when it aborts.
   */
  read<T>(key: string, load: Load<T>, signal?: AbortSignal): Promise<Read<T>>;
  /** Tells every layer that the row has changed. @throws the first failure of a layer, once all are told. */
  invalidate(key: string): Promise<void>;
}

/** One cache out of layers, outermost first. The last asks the database. */
export function compose(...layers: readonly Layer[]): Cache {
  return {
    async read(key, load, signal) {
      signal?.throwIfAborted();
      const step = async <U>(index: number, at: string, ask: Load<U>, until: AbortSignal): Promise<Read<U>> => {
        until.throwIfAborted();
        const layer = layers[index];
        if (layer) return layer.read(at, ask, (key, load, signal = until) => step(index + 1, key, load, signal), until);
        return { value: (await ask(until)) ?? null, source: 'load', ageMs: 0 };
      };
      // A signal of this read's own: what a load leaves on it goes with it, however long the caller's lives.
      const own = new AbortController();
      const left = Promise.withResolvers<never>();
      const onAbort = () => {
        // At once: a load may not listen to its signal.
        left.reject(signal?.reason);
        own.abort(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        return await Promise.race([step(0, key, load, own.signal), left.promise]);
      } finally {
        signal?.removeEventListener('abort', onAbort);
      }
    },
    async invalidate(key) {
      const failures: unknown[] = [];
      for (const layer of layers.toReversed()) {
        try {
          await layer.invalidate?.(key);
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** What went wrong without harming the caller: for logs and counters. */
export type CacheEvent =
  | { readonly type: 'redis-down'; readonly doing: string; readonly error: unknown }
  | { readonly type: 'undecodable'; readonly key: string; readonly error: unknown }
  | { readonly type: 'fenced'; readonly key: string }
  | { readonly type: 'filter-missing' }
  | { readonly type: 'over-capacity'; readonly ids: number; readonly capacity: number }
  | { readonly type: 'invalidation-failed'; readonly key: string; readonly error: InvalidationFailedError };

/** Told of every event; must not throw. Default: nobody is told. */
export type OnEvent = (event: CacheEvent) => void;
