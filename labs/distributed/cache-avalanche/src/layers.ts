/** What a read falls back on: the database. `null`: there is no such row. */
export type Load<T> = (signal: AbortSignal) => Promise<T | null>;

/**
 * A value as a layer hands it up. `source`: `hit` a cached value, `null` a cached "no such row", `stale` one that should
 * have been replaced by now, `load` the database answered; `refused` is for layers of other kinds. `ageMs` is the time
 * since its load began (0: it was loaded for this read), by the wall clocks of whoever loaded and whoever reads: good for a
 * dashboard, not for a decision.
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
  /** @throws what `load` throws, what a layer throws, and the reason of `signal` when it aborts. */
  read<T>(key: string, load: Load<T>, signal?: AbortSignal): Promise<Read<T>>;
  /**
   * Tells every layer that the row has changed, the innermost first: an outer one would be refilled from it.
   * @throws the first failure of a layer, once all are told.
   */
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
