import type { Outcome, Pass, State } from '../src/breaker.ts';
import { promised } from '../src/call.ts';
import { systemClock } from '../src/clock.ts';
import {
  type BreakerOptions,
  BulkheadFullError,
  type BulkheadOptions,
  type Call,
  CircuitOpenError,
  type Clock,
  type Policy,
  RejectedError,
  type RunOptions,
  type Snapshot,
  type StateName,
  type Totals,
  type Transition,
} from '../src/index.ts';
import { LONGEST_TIMER_MS, numberOf, wholeNumberOf } from '../src/options.ts';
import { type Plan, planOf } from '../src/plan.ts';
import { CountWindow, type Window } from '../src/window.ts';

// What is not the idea is given: options are checked, changes of state are told, errors have their words, a retry waits.
// The fuse is yours. `h` in `pnpm lab learn circuit-breaker` gives a hint. The numbers to compare with are in `this.plan`;
// an error that you throw is exported by src/index.ts: add it to the import above. The other files of src/ hold solutions.
export type {
  BreakerOptions,
  BulkheadOptions,
  Call,
  Clock,
  MetricRegistry,
  Policy,
  RetryOptions,
  RunOptions,
  Snapshot,
  StateName,
  Totals,
  Transition,
  WindowOptions,
} from '../src/index.ts';
export {
  BulkheadFullError,
  CallTimeoutError,
  CircuitOpenError,
  FallbackError,
  InvalidOptionError,
  promMetrics,
  QueueTimeoutError,
  RejectedError,
  ResilienceError,
  retry,
} from '../src/index.ts';

/**
 * A circuit breaker: counts how calls to one dependency end, and stops calling when too many end badly.
 *
 * What is known in a state stands in that state, and a call remembers the state that it began in. A `State`, by name:
 *
 * - closed: `window`, the results of late (and `lastFailure`, for a hardening law);
 * - open: `until`, when its time has passed, and `times`, how often in a row it has opened;
 * - half-open: `times` again, and its probes: how many have `started`, are `done`, and have `failed`.
 *
 * A `Pass` is one that lets calls through: closed or half-open. An `Outcome` is 'success', 'failure' or 'ignored'.
 */
export class CircuitBreaker implements Policy {
  readonly name: string;
  protected readonly clock: Clock;
  protected readonly plan: Plan;
  protected current: State;
  protected readonly totals: { -readonly [K in keyof Totals]: number };
  readonly #listeners = new Set<(transition: Transition) => void>();

  constructor(options: BreakerOptions = {}) {
    this.name = options.name ?? 'circuit';
    this.clock = options.clock ?? systemClock;
    this.plan = planOf(options);
    const [calls, more] = [
      { success: 0, failure: 0, ignored: 0, rejected: 0 },
      { timeout: 0, slow: 0, late: 0, fallback: 0, opened: 0 },
    ];
    this.totals = { ...calls, ...more };
    this.current = this.closed();
  }

  /** What the next call meets: an open circuit whose time has passed is half-open. */
  get state(): StateName {
    return this.current.name;
  }

  /** Given: the way of a call through the steps below. */
  async run<T>(call: Call<T>, options: RunOptions<T> = {}): Promise<T> {
    const { signal, fallback, timeoutMs = this.plan.timeoutMs } = options;
    if (options.timeoutMs !== undefined) numberOf('timeoutMs', options.timeoutMs, 1, LONGEST_TIMER_MS);
    signal?.throwIfAborted();
    const pass = this.admit();
    const start = this.clock.mono();
    let outcome: Outcome = 'failure';
    try {
      if (!pass) throw this.refusal();
      const value = await this.execute(call, signal, this.limitOf(pass, timeoutMs));
      outcome = 'success';
      return value;
    } catch (error) {
      if (pass) outcome = this.judge(error, signal);
      if (pass) this.settle(pass, outcome, start, error);
      const deserved = outcome === 'failure' || error instanceof RejectedError;
      if (fallback && deserved) return await this.fallBack(error, fallback);
      throw error;
    } finally {
      if (pass && outcome === 'success') this.settle(pass, outcome, start, undefined);
    }
  }

  /** The period that a call beginning now belongs to; undefined: it is refused. */
  protected admit(): Pass | undefined {
    return this.current.name === 'closed' ? this.current : undefined;
  }

  /** How long a call may take that was admitted in `pass`, in milliseconds; Infinity: as long as it likes. */
  protected limitOf(_pass: Pass, timeoutMs: number): number {
    return timeoutMs;
  }

  /**
   * Runs the call with a signal of its own, until it settles, `limitMs` have passed or `signal` aborts, whichever is
   * first. In the latter two cases it rejects at once, with a `CallTimeoutError` of your words or with the signal's
   * reason, and the call's own signal aborts with the same. `this.clock.after` is the timer.
   */
  protected execute<T>(call: Call<T>, _signal: AbortSignal | undefined, _limitMs: number): Promise<T> {
    return promised(() => call(new AbortController().signal));
  }

  /** What an error says of the dependency's health. Is every error its fault, and the caller's (`signal`) never? */
  protected judge(_error: unknown, _signal: AbortSignal | undefined): Outcome {
    return 'failure';
  }

  /**
   * Counts the result of a call that was admitted in `pass` at `start`, and moves the circuit if it is time to: by
   * `this.open(…)` or `this.enter(…)`. A success can be too slow (`plan.slowMs`) to be a good sign.
   */
  protected settle(_pass: Pass, outcome: Outcome, _start: number, _error: unknown): void {
    this.totals[outcome]++;
    throw new Error(todo('settle'));
  }

  /** Answers in place of the call. @throws FallbackError, of both errors, when the fallback fails too. */
  protected async fallBack<T>(error: unknown, fallback: (error: unknown) => T | PromiseLike<T>): Promise<T> {
    const answer = await fallback(error);
    this.totals.fallback++;
    return answer;
  }

  /** Given: opens the circuit, for the `times`th time in a row. */
  protected open(times: number, cause: unknown): void {
    this.totals.opened++;
    this.enter({ name: 'open', until: this.clock.mono() + this.plan.openMs(times), times }, cause);
  }

  /** Given: a closed circuit knows nothing of the past. */
  protected closed(): State {
    const { type, size } = this.plan.window;
    return { name: 'closed', window: type === 'count' ? new CountWindow(size) : this.timeWindow() };
  }

  protected timeWindow(): Window {
    const { window } = this.plan;
    return new TimeWindow(window.size, window.type === 'time' ? (window.buckets ?? 10) : 10);
  }

  /** Given: changes the state, and tells of it. */
  protected enter(next: State, cause?: unknown): void {
    const transition = { breaker: this.name, from: this.current.name, to: next.name, at: this.clock.mono(), cause };
    this.current = next;
    for (const listener of this.#listeners) listener(transition);
  }

  on(_event: 'transition', listener: (transition: Transition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Given: the words of a refusal. */
  protected refusal(): CircuitOpenError {
    const { current, plan } = this;
    this.totals.rejected++;
    let ms = current.name === 'isolated' ? plan.openMs(1) : plan.probeTimeoutMs;
    // It may have ended since it refused.
    if (current.name === 'open') ms = Math.max(0, Math.ceil(current.until - this.clock.mono()));
    return new CircuitOpenError(`${this.name} is ${current.name} for another ${ms} ms; not called.`, ms);
  }

  /** Holds the circuit open by hand until every handle has been disposed; then it closes. (A hardening law.) */
  isolate(): Disposable {
    throw new Error(todo('isolate'));
  }

  snapshot(): Snapshot {
    const { name, current, totals } = this;
    const now = this.clock.mono();
    let window = { calls: 0, failures: 0, slow: 0 };
    if (current.name === 'closed') {
      current.window.advance(now);
      const { calls, failures, slow } = current.window;
      window = { calls, failures, slow };
    }
    const retryAfterMs = current.name === 'open' ? Math.max(0, current.until - now) : 0;
    return { name, state: this.state, window, retryAfterMs, totals: { ...totals } };
  }
}

interface Bucket {
  calls: number;
  failures: number;
  slow: number;
}

/** The last `sizeMs` milliseconds, in `buckets` parts, each with its totals. (`CountWindow`, the last calls, is given.) */
class TimeWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  protected readonly bucketMs: number;
  protected readonly ring: readonly Bucket[];

  constructor(sizeMs: number, buckets: number) {
    this.bucketMs = sizeMs / buckets;
    this.ring = Array.from({ length: buckets }, () => ({ calls: 0, failures: 0, slow: 0 }));
  }

  /** Counts one result at `now`: in the bucket of `now`, and in the totals above. */
  record(_now: number, _failed: boolean, _slow: boolean): void {
    throw new Error(todo('record'));
  }

  /** Forgets the buckets that are too old at `now`. */
  advance(_now: number): void {
    throw new Error(todo('advance'));
  }
}

/** Lets `concurrent` calls run at once, and a bounded number wait in line, first come first served. */
export class Bulkhead implements Policy {
  readonly name: string;
  protected readonly clock: Clock;
  protected readonly concurrent: number;
  protected readonly queue: number;
  protected readonly queueTimeoutMs: number;
  protected active = 0;
  /** Who waits, in order of arrival: a function that lets him in. */
  protected readonly waiting = new Set<() => void>();

  constructor(options: BulkheadOptions) {
    this.name = options.name ?? 'bulkhead';
    this.clock = options.clock ?? systemClock;
    this.concurrent = wholeNumberOf('concurrent', options.concurrent, 1, Number.MAX_SAFE_INTEGER);
    this.queue = wholeNumberOf('queue', options.queue ?? 0, 0, Number.MAX_SAFE_INTEGER);
    this.queueTimeoutMs = numberOf('queueTimeoutMs', options.queueTimeoutMs ?? 1_000, 1, LONGEST_TIMER_MS);
  }

  /** Calls under way, and callers in the queue. */
  get load(): { readonly active: number; readonly waiting: number } {
    return { active: this.active, waiting: this.waiting.size };
  }

  /**
   * Runs `call` in a slot, which is free again when the call has settled; waits in line where there is none. The call is
   * given the caller's signal, or one that never aborts.
   * (Who waits too long, or leaves, is for the hardening laws.)
   *
   * @throws `this.full()` at once when slots and queue are full; else what the call throws.
   */
  run<T>(_call: Call<T>, _options: { readonly signal?: AbortSignal | undefined } = {}): Promise<T> {
    return Promise.reject(new Error(todo('run')));
  }

  protected full(): BulkheadFullError {
    return new BulkheadFullError(`${this.name} is full: ${this.waiting.size} waiting.`, this.queueTimeoutMs);
  }
}

/** One policy out of several, the first the outermost: `compose(retry, breaker, bulkhead)`. */
export function compose(..._policies: readonly Policy[]): Policy {
  throw new Error(todo('compose'));
}

function todo(what: string): string {
  return `${what} is not written yet: its comment in attempt/index.ts is the task.`;
}
