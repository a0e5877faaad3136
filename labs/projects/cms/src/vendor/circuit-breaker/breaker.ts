import { type Call, type Policy, promised, runCancellable, type TimeLimit } from './call.ts';
import { type Clock, systemClock } from './clock.ts';
import { CallTimeoutError, CircuitOpenError, FallbackError, RejectedError, tellable } from './errors.ts';
import { LONGEST_TIMER_MS, numberOf } from './options.ts';
import { type BreakerOptions, type Plan, planOf } from './plan.ts';
import { CountWindow, TimeWindow, type Window } from './window.ts';

export interface RunOptions<T> {
  /** Milliseconds after which the call is cancelled and has failed. */
  readonly timeoutMs?: number;
  /** Plan B, when the call has failed or was refused. Not for an error that is an answer, nor for a caller who left. */
  readonly fallback?: (error: unknown) => T | PromiseLike<T>;
  /** Aborting it ends this call, and no other. */
  readonly signal?: AbortSignal | undefined;
}

export type StateName = 'closed' | 'open' | 'half-open' | 'isolated';

/**
 * The circuit's state, with what is known in it and nothing else. A call keeps the state object that it began in; a
 * result is evidence only while that very object is current, so each period of a circuit is a generation of its own.
 */
export type State =
  | { readonly name: 'closed'; readonly window: Window; lastFailure?: unknown }
  | { readonly name: 'open'; readonly until: number; readonly times: number }
  | { readonly name: 'half-open'; readonly times: number; started: number; done: number; failed: number }
  | { readonly name: 'isolated'; holders: number };

/** A state in which calls are let through. */
export type Pass = Extract<State, { name: 'closed' | 'half-open' }>;
export type Outcome = 'success' | 'failure' | 'ignored';

export interface Transition {
  readonly breaker: string;
  readonly from: StateName;
  readonly to: StateName;
  /** When, in milliseconds of the breaker's monotonic clock. */
  readonly at: number;
  /** The last failure before it opened; undefined where slowness opened it, or where nothing did. */
  readonly cause?: unknown;
}

/** Since the breaker was made. */
export interface Totals {
  readonly success: number;
  readonly failure: number;
  /** Answers that are errors, refusals of an inner policy, callers who left. */
  readonly ignored: number;
  /** Refused by this circuit. */
  readonly rejected: number;
  /** Of the failures: those that ran into the time limit. */
  readonly timeout: number;
  /** Successes and failures that took `slowMs` or longer. */
  readonly slow: number;
  /** Results that came after the period they belonged to, and decided nothing. */
  readonly late: number;
  /** Answered by their fallback. */
  readonly fallback: number;
  readonly opened: number;
}

export interface Snapshot {
  readonly name: string;
  readonly state: StateName;
  /** What the window holds now; zeros unless closed. */
  readonly window: { readonly calls: number; readonly failures: number; readonly slow: number };
  /** Milliseconds until a probe may go through; 0 unless open. */
  readonly retryAfterMs: number;
  readonly totals: Totals;
}

/**
 * A circuit breaker: counts how calls to one dependency end, and stops calling when too many end badly.
 *
 * Make one for each dependency and keep it; a breaker made for each request remembers nothing. It has no timer of its
 * own: an open circuit looks at the clock when it is called, so it needs no `close()` and survives a frozen process.
 * Source: Michael Nygard, "Release It!"; https://martinfowler.com/bliki/CircuitBreaker.html
 */
export class CircuitBreaker implements Policy {
  readonly name: string;
  protected readonly clock: Clock;
  protected readonly plan: Plan;
  protected current: State;
  readonly #limit: TimeLimit;
  readonly #totals: { -readonly [K in keyof Totals]: number };
  readonly #listeners = new Set<{ tell(transition: Transition): unknown }>();
  /** Changes that not every listener has heard of yet. */
  readonly #news: Transition[] = [];

  /** @throws InvalidOptionError on a number that is none, or on a threshold that can never be met or always is. */
  constructor(options: BreakerOptions = {}) {
    this.name = options.name ?? 'circuit';
    this.clock = options.clock ?? systemClock;
    this.plan = this.check(options);
    this.#totals = {
      success: 0,
      failure: 0,
      ignored: 0,
      rejected: 0,
      timeout: 0,
      slow: 0,
      late: 0,
      fallback: 0,
      opened: 0,
    };
    this.#limit = {
      clock: this.clock,
      timeoutError: (ms) => {
        this.#totals.timeout++;
        return new CallTimeoutError(`${this.name}: no answer within ${ms} ms; the call was cancelled.`);
      },
    };
    this.current = this.closed();
  }

  /** What the next call meets: an open circuit whose time has passed is half-open. */
  get state(): StateName {
    const { current } = this;
    return current.name === 'open' && this.clock.mono() >= current.until ? 'half-open' : current.name;
  }

  /**
   * Runs `call`, unless the circuit is open.
   *
   * @throws CircuitOpenError when refused; CallTimeoutError after `timeoutMs`; the signal's reason when it aborts;
   *   FallbackError when the fallback fails too; else what the call throws.
   * @throws InvalidOptionError on a time limit that no timer can keep.
   */
  run<T>(call: Call<T>, options: RunOptions<T> = {}): Promise<T> {
    try {
      const { signal, fallback, timeoutMs = this.plan.timeoutMs } = options;
      if (options.timeoutMs !== undefined) numberOf('timeoutMs', options.timeoutMs, 1, LONGEST_TIMER_MS);
      if (signal?.aborted) throw signal.reason;
      const pass = this.admit();
      if (pass === undefined) {
        this.#totals.rejected++;
        const refusal = this.refusal();
        return fallback ? this.fallBack(refusal, fallback, signal) : Promise.reject(refusal);
      }
      // To ask the clock is a good part of the price of a call, so it's asked only where the answer matters.
      const start = this.plan.slowMs < Number.POSITIVE_INFINITY ? this.clock.mono() : 0;
      const limitMs = pass.name === 'half-open' ? Math.min(timeoutMs, this.plan.probeTimeoutMs) : timeoutMs;
      const settled = promised(() => this.execute(call, signal, limitMs));
      return settled.then(
        (value) => {
          this.settle(pass, 'success', start, undefined);
          return value;
        },
        (error: unknown) => {
          const outcome = this.judge(error, signal);
          this.settle(pass, outcome, start, error);
          // The rejection itself is handed on: to throw its error anew is what a failing call costs most.
          return fallback && this.deservesFallback(error, outcome) ? this.fallBack(error, fallback, signal) : settled;
        },
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Tells of each change of state, in order. Returns the function that ends it. What a listener throws is a warning. */
  on(_event: 'transition', listener: (transition: Transition) => void): () => void {
    const subscription = { tell: listener };
    this.#listeners.add(subscription);
    return () => this.#listeners.delete(subscription);
  }

  /** Holds the circuit open by hand (a deployment, an incident) until every handle has been disposed; then it closes. */
  isolate(): Disposable {
    const { current } = this;
    const held = current.name === 'isolated' ? current : { name: 'isolated' as const, holders: 0 };
    // Before anybody is told: a listener may take it too, and let go.
    held.holders++;
    if (held !== current) this.enter(held);
    let holding = true;
    return {
      [Symbol.dispose]: () => {
        if (holding && --held.holders === 0) this.enter(this.closed());
        holding = false;
      },
    };
  }

  snapshot(): Snapshot {
    const now = this.clock.mono();
    const { current } = this;
    let window = { calls: 0, failures: 0, slow: 0 };
    if (current.name === 'closed') {
      current.window.advance(now);
      const { calls, failures, slow } = current.window;
      window = { calls, failures, slow };
    }
    const retryAfterMs = current.name === 'open' ? Math.max(0, current.until - now) : 0;
    return { name: this.name, state: this.state, window, retryAfterMs, totals: { ...this.#totals } };
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** The period that a call beginning now belongs to; undefined: it is refused. */
  protected admit(): Pass | undefined {
    const state = this.current;
    switch (state.name) {
      case 'closed':
        return state;
      case 'isolated':
        return undefined;
      case 'open':
        if (this.clock.mono() < state.until) return undefined;
        this.enter({ name: 'half-open', times: state.times, started: 0, done: 0, failed: 0 });
        return this.admit();
      case 'half-open':
        if (state.started >= this.plan.permits) return undefined;
        state.started++;
        return state;
    }
  }

  /** Runs the call with a signal of its own, for `limitMs` at most. */
  protected execute<T>(call: Call<T>, signal: AbortSignal | undefined, limitMs: number): T | PromiseLike<T> {
    if (!signal && limitMs === Number.POSITIVE_INFINITY) return call(new AbortController().signal);
    return runCancellable(call, signal, limitMs, this.#limit);
  }

  /** What an error says of the dependency's health. */
  protected judge(error: unknown, signal: AbortSignal | undefined): Outcome {
    if (signal?.aborted) return 'ignored';
    try {
      if (error instanceof RejectedError) return 'ignored';
      return error instanceof CallTimeoutError || this.plan.isFailure(error) ? 'failure' : 'ignored';
    } catch {
      // Who trips over an error that he did not expect (a revoked proxy can't even be looked at) has not found it harmless.
      return 'failure';
    }
  }

  /** Counts the result of a call that began at `start`, and moves the circuit if it is time to. */
  protected settle(pass: Pass, outcome: Outcome, start: number, error: unknown): void {
    const now = this.clock.mono();
    const slow = now - start >= this.plan.slowMs && outcome !== 'ignored';
    this.#totals[outcome]++;
    if (slow) this.#totals.slow++;
    if (!this.isCurrent(pass)) {
      this.#totals.late++;
    } else if (pass.name === 'half-open') {
      this.settleProbe(pass, outcome, slow, error);
    } else if (outcome !== 'ignored') {
      const { window } = pass;
      window.record(now, outcome === 'failure', slow);
      if (outcome === 'failure') pass.lastFailure = error;
      if (this.trips(window)) this.open(1, this.isFailing(window) ? pass.lastFailure : undefined);
    }
  }

  /** Whether a result that began in `pass` is evidence of how things are now. */
  protected isCurrent(pass: Pass): boolean {
    return pass === this.current;
  }

  protected trips(window: Window): boolean {
    const { minCalls, slowRate } = this.plan;
    return window.calls >= minCalls && (this.isFailing(window) || window.slow / window.calls >= slowRate);
  }

  protected isFailing({ calls, failures }: Window): boolean {
    return failures / calls >= this.plan.failureRate;
  }

  protected settleProbe(pass: Extract<State, { name: 'half-open' }>, outcome: Outcome, slow: boolean, error: unknown) {
    if (outcome === 'ignored') {
      // It has proved nothing: the permit is free for another probe. Kept, it would lock the circuit for ever.
      pass.started--;
      return;
    }
    const { permits, maxFailureRate } = this.plan;
    pass.done++;
    if (outcome === 'failure' || slow) pass.failed++;
    if (pass.failed / permits > maxFailureRate) this.open(pass.times + 1, error);
    else if (pass.done === permits) this.enter(this.closed());
  }

  protected open(times: number, cause: unknown): void {
    this.#totals.opened++;
    this.enter({ name: 'open', until: this.clock.mono() + this.plan.openMs(times), times }, cause);
  }

  protected closed(): State {
    return { name: 'closed', window: this.createWindow() };
  }

  protected createWindow(): Window {
    const { window } = this.plan;
    return window.type === 'count'
      ? new CountWindow(window.size)
      : new TimeWindow(window.size, window.buckets ?? 10, this.clock.mono());
  }

  protected enter(next: State, cause?: unknown): void {
    const from = this.current.name;
    this.current = next;
    this.#news.push(Object.freeze({ breaker: this.name, from, to: next.name, at: this.clock.mono(), cause }));
    // A listener that changes the state brings us here again: his news waits until all have heard of this one.
    if (this.#news.length > 1) return;
    for (let news = this.#news[0]; news; news = this.#news[0]) {
      // Of the live set, one who leaves and comes back would be told again, without end.
      for (const subscription of [...this.#listeners]) {
        if (this.#listeners.has(subscription)) promised(() => subscription.tell(news)).catch(warn);
      }
      this.#news.shift();
    }
  }

  protected refusal(): CircuitOpenError {
    const { current } = this;
    if (current.name === 'isolated') {
      return new CircuitOpenError(`${this.name} is held open by hand; not called.`, this.plan.openMs(1));
    }
    if (current.name !== 'open') {
      return new CircuitOpenError(`${this.name} is being probed; no more calls for now.`, this.plan.probeTimeoutMs);
    }
    // It may have ended since it refused.
    const ms = Math.max(0, Math.ceil(current.until - this.clock.mono()));
    return new CircuitOpenError(`${this.name} is open for another ${ms} ms; not called.`, ms);
  }

  /** A refusal by this circuit or by a policy within it is worth a plan B, though it is no evidence. */
  protected deservesFallback(error: unknown, outcome: Outcome): boolean {
    return outcome === 'failure' || error instanceof RejectedError;
  }

  protected async fallBack<T>(error: unknown, fallback: (error: unknown) => T | PromiseLike<T>, signal?: AbortSignal) {
    try {
      const answer = await runCancellable<T>(() => fallback(error), signal);
      this.#totals.fallback++;
      return answer;
    } catch (fallbackError) {
      signal?.throwIfAborted();
      throw new FallbackError(error, fallbackError);
    }
  }

  protected check(options: BreakerOptions): Plan {
    return planOf(options);
  }
}

const warn = (error: unknown) => process.emitWarning(tellable(error));
