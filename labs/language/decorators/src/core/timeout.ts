import { AsyncLocalStorage } from 'node:async_hooks';
import { TimeoutError } from './errors.ts';
import { type Behaviour, checkOption, LONGEST_TIMER_MS, refuseGenerator } from './method.ts';

const signals = new AsyncLocalStorage<AbortSignal | undefined>();

/** Aborts when the innermost `@timeout` around this code, or one further out, gives up. Hand it to `fetch` and the like. */
export function currentSignal(): AbortSignal | undefined {
  return signals.getStore();
}

/** Calls `fn` so that no `@timeout` around this code aborts what it does: others wait for it, too. */
export function unhurried<T>(fn: () => T): T {
  return signals.run(undefined, fn);
}

/**
 * Rejects when the method takes longer than `ms` milliseconds, and aborts `currentSignal()` within it. A method that
 * doesn't look at the signal goes on; only nobody waits for it any more, and no `@retry` or `@timeout` in it begins
 * another call. What it undoes in a `finally` it calls without them.
 *
 * @throws TimeoutError from the call; MisuseError on a bad `ms`, on a generator.
 */
export function timingOut(ms: number): Behaviour {
  checkOption('ms of @timeout', ms, Number.MIN_VALUE, LONGEST_TIMER_MS);
  return (method, name) => {
    refuseGenerator('timeout', method, name);
    return async function (...args) {
      const outer = currentSignal();
      outer?.throwIfAborted();
      const late = new AbortController();
      const signal = outer ? AbortSignal.any([outer, late.signal]) : late.signal;
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const giveUp = () => reject(signal.reason);
      signal.addEventListener('abort', giveUp);
      const timer = setTimeout(() => late.abort(new TimeoutError(name, ms)), ms);
      try {
        return await Promise.race([signals.run(signal, async () => Reflect.apply(method, this, args)), aborted]);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
      }
    };
  };
}
