import type { Clock } from './clock.ts';
import { CircuitOpenError, InvalidArgumentError, LONGEST_TIMER_MS, whole } from './errors.ts';

export interface BreakerOptions {
  /** The last so many loads are looked at; nothing is decided before there are so many. Default 10. */
  readonly window?: number;
  /** Share of them that may fail, above 0 and at most 1; at this share the circuit opens. Default 0.5. */
  readonly failureRate?: number;
  /** Milliseconds until one load is tried again. Default 5,000. */
  readonly openMs?: number;
  /** Whether an error says that the database is unwell. Default: every error does, as does one for which this throws. */
  readonly isFailure?: (error: unknown) => boolean;
}

/** How a load ended. `ignored`: says nothing of the database (the caller left, a business error). */
export type Outcome = 'success' | 'failure' | 'ignored';

type State =
  | { readonly name: 'closed'; readonly failed: boolean[] }
  | { readonly name: 'open'; readonly until: number }
  | { readonly name: 'probing' };

/**
 * A circuit breaker (熔断): after too many failures it refuses every load for a while, then lets one through to see.
 * A load's outcome counts only in the period in which it began.
 */
export class Breaker {
  readonly #window: number;
  readonly #failureRate: number;
  readonly #openMs: number;
  readonly #isFailure: (error: unknown) => boolean;
  readonly #clock: Clock;
  #state: State = { name: 'closed', failed: [] };

  /** @throws InvalidArgumentError */
  constructor(clock: Clock, options: BreakerOptions = {}) {
    this.#clock = clock;
    this.#window = whole('breaker.window', options.window ?? 10, 1, 100_000);
    this.#failureRate = options.failureRate ?? 0.5;
    if (!(this.#failureRate > 0 && this.#failureRate <= 1)) {
      throw new InvalidArgumentError(`breaker.failureRate must be above 0 and at most 1; it is ${this.#failureRate}.`);
    }
    this.#openMs = whole('breaker.openMs', options.openMs ?? 5_000, 1, LONGEST_TIMER_MS);
    this.#isFailure = options.isFailure ?? (() => true);
  }

  get state(): 'closed' | 'open' | 'probing' {
    return this.#state.name;
  }

  /** Milliseconds until a load may be tried; 0 unless open. */
  get retryAfterMs(): number {
    if (this.#state.name === 'probing') return this.#openMs;
    return this.#state.name === 'open' ? Math.max(0, this.#state.until - this.#clock.mono()) : 0;
  }

  /** @throws CircuitOpenError when a load would be refused. */
  check(): void {
    if (this.retryAfterMs > 0) throw new CircuitOpenError(this.retryAfterMs);
  }

  /** Lets a load begin; call what it returns once, with how the load ended. @throws CircuitOpenError */
  begin(): (outcome: Outcome) => void {
    this.check();
    if (this.#state.name === 'open') this.#state = { name: 'probing' };
    const began = this.#state;
    return (outcome) => {
      if (this.#state === began) this.#ended(began, outcome);
    };
  }

  /** What `error` says of the database. */
  judge(error: unknown): Outcome {
    try {
      return this.#isFailure(error) ? 'failure' : 'ignored';
    } catch {
      return 'failure';
    }
  }

  #ended(state: State, outcome: Outcome): void {
    if (state.name === 'probing') {
      // A probe that says nothing leaves the question open: the next load is the next probe.
      if (outcome === 'success') this.#state = { name: 'closed', failed: [] };
      else this.#state = { name: 'open', until: this.#clock.mono() + (outcome === 'failure' ? this.#openMs : 0) };
    }
    if (state.name !== 'closed' || outcome === 'ignored') return;
    const { failed } = state;
    failed.push(outcome === 'failure');
    if (failed.length > this.#window) failed.shift();
    const failures = failed.filter(Boolean).length;
    if (failed.length === this.#window && failures / this.#window >= this.#failureRate) {
      this.#state = { name: 'open', until: this.#clock.mono() + this.#openMs };
    }
  }
}
