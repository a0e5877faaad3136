import { type Clock, systemClock } from './clock.ts';
import { HttpError } from './errors.ts';
import { type Behaviour, checkOption, LONGEST_TIMER_MS, refuseGenerator } from './method.ts';
import { currentSignal } from './timeout.ts';

export interface RetryOptions {
  /** How often the method is called at most, the first call included. */
  readonly attempts: number;
  /** Milliseconds before the second call; doubled before each further one, up to 30 s. */
  readonly delayMs: number;
  /** Share of each wait that is random, from 0 to 1. Default 0.5: those who failed together don't return together. */
  readonly jitter?: number;
  /** Is it worth another call? Default: all errors but an HttpError below 500, which says that the call is wrong. */
  readonly retryOn?: (error: unknown) => boolean;
  /** Ends the wait, and begins no call, the first included: it rejects with the signal's reason. So does a `@timeout` around it. */
  readonly signal?: AbortSignal;
  readonly clock?: Pick<Clock, 'sleep'>;
}

/**
 * Calls again what rejected. The last error is thrown as it came. Only for what may happen twice.
 *
 * @throws MisuseError on bad options, on a generator.
 */
export function retrying(options: RetryOptions): Behaviour {
  const { attempts, delayMs, jitter = 0.5, retryOn = isWorthIt, clock = systemClock } = options;
  checkOption('attempts of @retry', attempts, 1, Number.POSITIVE_INFINITY, true);
  checkOption('delayMs of @retry', delayMs, 0, LONGEST_TIMER_MS);
  checkOption('jitter of @retry', jitter, 0, 1);
  const longest = Math.max(30_000, delayMs);
  return (method, name) => {
    refuseGenerator('retry', method, name);
    return async function (...args) {
      const signals = [options.signal, currentSignal()].filter((signal) => signal !== undefined);
      const signal = signals.length > 0 ? AbortSignal.any(signals) : undefined;
      for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted();
        try {
          return await Reflect.apply(method, this, args);
        } catch (error) {
          if (attempt >= attempts || !retryOn(error)) throw error;
        }
        const wait = Math.min(delayMs * 2 ** Math.min(attempt - 1, 64), longest);
        await clock.sleep(wait * (1 - jitter * Math.random()), signal);
      }
    };
  };
}

function isWorthIt(error: unknown): boolean {
  return !(error instanceof HttpError) || error.status >= 500;
}
