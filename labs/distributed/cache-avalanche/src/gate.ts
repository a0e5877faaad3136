import { Breaker, type BreakerOptions } from './breaker.ts';
import { type Clock, systemClock } from './clock.ts';
import { GateFullError, GateTimeoutError, LONGEST_TIMER_MS, LoadTimeoutError, whole } from './errors.ts';
import type { Layer } from './layers.ts';
import { unlessAborted } from './read-through.ts';

export interface GateOptions {
  /**
   * Loads that this process has under way at once; over all processes, no more than the database's pool. Default 10. A
   * load that goes through the same gate once more needs a second place: so many of them at once wait for each other,
   * until `maxWaitMs`.
   */
  readonly maxConcurrent?: number;
  /** Loads that may wait for their turn; the next one is refused at once. Default 100. */
  readonly maxWaiting?: number;
  /**
   * How long one may wait, in milliseconds. Default 1,000. A cache above needs a `loadTimeoutMs` beyond this and a load
   * together: what it gives up is a failure to the breaker, also where the queue took the time.
   */
  readonly maxWaitMs?: number;
  /** How long a load may take before it is cancelled and has failed, in milliseconds. Default 5,000. */
  readonly loadTimeoutMs?: number;
  /**
   * A load that goes on after it was cancelled still burdens the database, so it keeps its place; for so long at most,
   * in milliseconds. Default 30,000. Better: have the driver stop it (`statement_timeout`).
   */
  readonly abandonMs?: number;
  /** When to stop asking altogether; false: never. With a window above `maxConcurrent`, loads that hang don't fill it. */
  readonly breaker?: BreakerOptions | false;
  readonly clock?: Clock;
}

export interface GateStats {
  readonly running: number;
  readonly waiting: number;
  /** Since the gate was made. */
  readonly refused: number;
  readonly circuit: 'closed' | 'open' | 'probing';
}

/**
 * The gate before the database (熔断与限流): so many loads at once, so many waiting, the rest refused at once, and none
 * tried while the database is down. Put it below the caches: what they have is handed out whatever the gate says.
 */
export class DatabaseGate {
  protected readonly maxConcurrent: number;
  protected readonly maxWaiting: number;
  readonly #maxWaitMs: number;
  readonly #loadTimeoutMs: number;
  readonly #abandonMs: number;
  readonly #breaker: Breaker | undefined;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #refused = 0;

  /** @throws InvalidArgumentError */
  constructor(options: GateOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.maxConcurrent = whole('maxConcurrent', options.maxConcurrent ?? 10, 1, 100_000);
    this.maxWaiting = whole('maxWaiting', options.maxWaiting ?? 100, 0, 1_000_000);
    this.#maxWaitMs = whole('maxWaitMs', options.maxWaitMs ?? 1_000, 1, LONGEST_TIMER_MS);
    this.#loadTimeoutMs = whole('loadTimeoutMs', options.loadTimeoutMs ?? 5_000, 1, LONGEST_TIMER_MS);
    this.#abandonMs = whole('abandonMs', options.abandonMs ?? 30_000, 0, LONGEST_TIMER_MS);
    if (options.breaker !== false) this.#breaker = new Breaker(this.#clock, options.breaker);
  }

  stats(): GateStats {
    return {
      running: this.#running,
      waiting: this.#waiting.size,
      refused: this.#refused,
      circuit: this.#breaker?.state ?? 'closed',
    };
  }

  /**
   * Runs `load` in its turn.
   * @throws GateFullError, GateTimeoutError or CircuitOpenError (all DatabaseSparedError) when it wasn't tried;
   *   LoadTimeoutError; what `load` throws; the reason of `signal`.
   */
  async run<T>(load: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    try {
      this.#breaker?.check();
      await this.enter(signal);
    } catch (error) {
      this.#refused++;
      throw error;
    }
    return this.#load(load, signal);
  }

  /** This gate as a layer, the innermost: the database lies below. */
  layer(): Layer {
    return {
      read: (key, load, next, signal) => this.run((own) => next(key, load, own), signal),
    };
  }

  /** Takes a place, or waits for one in the order of arrival. */
  protected async enter(signal?: AbortSignal): Promise<void> {
    if (this.#running < this.maxConcurrent) {
      this.#running++;
      return;
    }
    const { size } = this.#waiting;
    if (size >= this.maxWaiting) {
      throw new GateFullError(this.#running, size, this.#maxWaitMs);
    }
    const turn = Promise.withResolvers<void>();
    // Out of the queue in the same step: a place that is handed to somebody who has gone would be lost for ever.
    const giveUp = (reason: unknown) => {
      this.forget(turn.resolve);
      turn.reject(reason);
    };
    const cancel = this.#clock.after(this.#maxWaitMs, () => giveUp(new GateTimeoutError(this.#maxWaitMs)));
    const onAbort = () => giveUp(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(turn.resolve);
    try {
      await turn.promise;
    } finally {
      cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Takes somebody who has gone out of the queue. */
  protected forget(waiter: () => void): void {
    this.#waiting.delete(waiter);
  }

  /** Hands the place to whoever has waited longest. */
  protected leave(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#running--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }

  /** The place is free when the load has really ended, not when its caller has been told that it is too late. */
  protected leaveAfter(loading: Promise<unknown>): void {
    let left = false;
    const once = () => {
      if (!left) this.leave();
      left = true;
    };
    const cancel = this.#clock.after(this.#abandonMs, once, 'background');
    loading.then(once, once).finally(cancel);
  }

  async #load<T>(load: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
    const abort = new AbortController();
    const { signal } = abort;
    let ended: ReturnType<Breaker['begin']> | undefined;
    try {
      // He may have gone, and it may have opened, since the place was handed over.
      outer?.throwIfAborted();
      ended = this.#breaker?.begin();
    } catch (error) {
      this.#refused++;
      this.leave();
      throw error;
    }
    // By hand: `AbortSignal.any` would keep what a load leaves on its signal for as long as the outer one lives.
    const onAbort = () => abort.abort(outer?.reason);
    outer?.addEventListener('abort', onAbort, { once: true });
    const expire = () => abort.abort(new LoadTimeoutError(this.#loadTimeoutMs));
    const cancel = this.#clock.after(this.#loadTimeoutMs, expire);
    // In an async function, so that a load which throws before its first await is like one that rejects.
    const loading = (async () => load(signal))();
    try {
      const value = await unlessAborted(loading, signal);
      ended?.('success');
      return value;
    } catch (error) {
      ended?.(left(outer) ? 'ignored' : (this.#breaker?.judge(error) ?? 'ignored'));
      throw error;
    } finally {
      cancel();
      outer?.removeEventListener('abort', onAbort);
      this.leaveAfter(loading);
    }
  }
}

/** Has the caller gone? A cache above that gave the load up has not: the database took too long. */
function left(outer?: AbortSignal): boolean {
  // By name: a cache of another lab has an error of its own.
  return outer?.aborted === true && !(outer.reason instanceof Error && outer.reason.name === LoadTimeoutError.name);
}
