import { type Call, type Policy, runCancellable } from './call.ts';
import { type Clock, sleep, systemClock } from './clock.ts';
import { RejectedError } from './errors.ts';
import { LONGEST_TIMER_MS, numberOf, wholeNumberOf } from './options.ts';

/**
 * One policy out of several, the first the outermost. `compose(retry, breaker, bulkhead)` is the order to begin with: the
 * circuit sees every attempt, an open one refuses without taking a slot, and each attempt gives its slot back while the
 * retry waits.
 */
export function compose(...policies: readonly Policy[]): Policy {
  return {
    run: async (call, options = {}) => {
      const { signal = new AbortController().signal } = options;
      const nested = policies.reduceRight<typeof call>(
        (inner, policy) => (own) => policy.run(inner, { signal: own }),
        call,
      );
      // Awaited, so that the stack of a failure goes on with our caller.
      return await (policies.length > 0 ? nested(signal) : runCancellable(call, signal));
    },
  };
}

export interface RetryOptions {
  /** Attempts in all, the first one included. */
  readonly attempts: number;
  /** Longest wait before the second attempt, in milliseconds; it doubles with each further one. Default 100. */
  readonly delayMs?: number;
  /** Whether another attempt may help, and do no harm: only for calls that are safe to repeat. Default: every error. */
  readonly isRetryable?: (error: unknown) => boolean;
  /** From 0 to below 1. Default `Math.random`. */
  readonly random?: () => number;
  readonly clock?: Clock;
}

/**
 * Tries again after a random wait ("full jitter"). A refusal by another policy and an abort end it at once: knocking at
 * an open circuit is the storm that it was opened against.
 * Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
 *
 * @throws InvalidOptionError on a number that is none, or out of range.
 */
export function retry(options: RetryOptions): Policy {
  const attempts = wholeNumberOf('attempts', options.attempts, 1, Number.MAX_SAFE_INTEGER);
  const delayMs = numberOf('delayMs', options.delayMs ?? 100, 0, LONGEST_TIMER_MS);
  const { isRetryable = () => true, random = Math.random, clock = systemClock } = options;
  return {
    async run<T>(call: Call<T>, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<T> {
      for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted();
        try {
          return await runCancellable(call, signal);
        } catch (error) {
          signal?.throwIfAborted();
          const hopeless = attempt >= attempts || holds((thrown) => thrown instanceof RejectedError, error);
          if (hopeless || !holds(isRetryable, error)) throw error;
        }
        await sleep(clock, random() * Math.min(delayMs * 2 ** Math.min(attempt - 1, 31), LONGEST_TIMER_MS), signal);
      }
    },
  };
}

/** A predicate that trips over an error it did not expect (a revoked proxy can't even be looked at) does not hold. */
function holds(predicate: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return predicate(error);
  } catch {
    return false;
  }
}
