import { type Clock, systemClock } from './clock.ts';
import { ClosedError, LoadTimeoutError, whole } from './errors.ts';
import type { Layer } from './layers.ts';

export interface SingleFlightOptions {
  /** How long one flight may take, in milliseconds, whatever its work does. Default 5,000. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

/** Everybody who waits for it has gone: the work may stop. */
export class AbandonedError extends Error {
  override readonly name = 'AbandonedError';
}

/** One piece of work, and those who wait for it. */
export interface Flight {
  readonly result: Promise<unknown>;
  readonly abort: AbortController;
  waiting: number;
  landed: boolean;
}

/**
 * One piece of work for each key at a time: who asks while it runs gets its result, or its error, and none is kept.
 *
 * A caller's signal takes that caller away and nobody else; when the last one has gone, the work's own signal aborts.
 */
export class SingleFlight {
  protected readonly timeoutMs: number;
  protected readonly flights = new Map<string, Flight>();
  readonly #clock: Clock;
  /** Of all flights, those that were taken off the map too. */
  readonly #aborts = new Set<AbortController>();

  /** @throws InvalidArgumentError */
  constructor(options: SingleFlightOptions = {}) {
    this.timeoutMs = whole('timeoutMs', options.timeoutMs ?? 5_000, 1, 2 ** 31 - 1);
    this.#clock = options.clock ?? systemClock;
  }

  /** Keys in flight. */
  get size(): number {
    return this.flights.size;
  }

  /** Is there a flight that a caller would join? */
  has(key: string): boolean {
    return this.flights.has(key);
  }

  /**
   * The result of the flight for `key`, which `work` starts unless there is one.
   * @throws what the work throws; LoadTimeoutError; the reason of `signal` when that aborts.
   */
  async run<T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    let flight = this.flights.get(key);
    if (!flight) {
      flight = this.start(key, work);
      this.flights.set(key, flight);
    }
    // A key has one type of value: that is the callers' promise, and no check at run time could tell.
    return (await this.join(key, flight, signal)) as T;
  }

  /** Later callers start a new flight; those who wait keep theirs. */
  forget(key: string): void {
    this.flights.delete(key);
  }

  /** Is the flight whose work got `signal` still the one that callers join? */
  isCurrent(key: string, signal: AbortSignal): boolean {
    return this.flights.get(key)?.abort.signal === signal;
  }

  /** Ends every flight with a ClosedError. */
  close(): void {
    for (const abort of this.#aborts) abort.abort(new ClosedError('The cache was closed.'));
  }

  /**
   * One flight as a layer: one read of whatever lies below at a time, for each key. The load gets the flight's signal, not
   * that of the caller who came first. It hears of invalidations in this process only.
   */
  layer(): Layer {
    return {
      read: (key, load, next, signal) => this.run(key, (own) => next(key, load, own), signal),
      invalidate: async (key) => this.forget(key),
    };
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  protected start(key: string, work: (signal: AbortSignal) => Promise<unknown>): Flight {
    const abort = new AbortController();
    const { signal } = abort;
    const cancel = this.limit(key, abort);
    this.#aborts.add(abort);
    // In an async function, so that work which throws before its first await is like work that rejects.
    const result = unlessAborted((async () => work(signal))(), signal).finally(() => {
      cancel();
      this.#aborts.delete(abort);
      flight.landed = true;
      if (this.isCurrent(key, signal)) this.flights.delete(key);
    });
    // Those who wait have their own handlers; when all of them have gone, nobody has.
    result.catch(() => {});
    const flight: Flight = { result, abort, waiting: 0, landed: false };
    return flight;
  }

  /** Bounds a flight; returns what cancels the bound. */
  protected limit(key: string, abort: AbortController): () => void {
    return this.#clock.after(this.timeoutMs, () => abort.abort(new LoadTimeoutError(key, this.timeoutMs)));
  }

  protected async join(key: string, flight: Flight, signal: AbortSignal | undefined): Promise<unknown> {
    flight.waiting++;
    try {
      return await (signal ? unlessAborted(flight.result, signal) : flight.result);
    } finally {
      if (--flight.waiting === 0 && !flight.landed) {
        if (this.isCurrent(key, flight.abort.signal)) this.flights.delete(key);
        flight.abort.abort(new AbandonedError(`Nobody waits for ${key} any more.`));
      }
    }
  }
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
