import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';
import { onAbort } from './signal.ts';

/** Time as this library sees it. Inject another one in a test; a product passes nothing. */
export interface Clock {
  /** Calls `callback` once, `ms` milliseconds from now, and returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void;
}

// Never unref'd, unlike the timer of AbortSignal.timeout: who waits for it must not see the process end first.
export const systemClock: Clock = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError on what is no number, or lies beyond any timer and isn't Infinity. */
export function assertMs(name: string, ms: number): void {
  if (typeof ms === 'number' && (ms <= LONGEST_TIMER_MS || ms === Number.POSITIVE_INFINITY)) return;
  throw new InvalidArgumentError(
    `${name} must be milliseconds up to ${LONGEST_TIMER_MS}, or Infinity for no limit; it is ${inspect(ms)}.`,
  );
}

/** `clock.after`, for which Infinity never comes. */
export function after(clock: Clock, ms: number, callback: () => void): () => void {
  return ms === Number.POSITIVE_INFINITY ? () => {} : clock.after(Math.max(0, ms), callback);
}

export interface SleepOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/**
 * Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts, and leaves no timer behind.
 * A time of 0 or less still lets timers and I/O have their turn.
 * @throws InvalidArgumentError on a time that is none.
 */
async function sleepFor(ms: number, { signal, clock = systemClock }: SleepOptions = {}): Promise<void> {
  assertMs('The time to sleep', ms);
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = after(clock, ms, resolve);
  using _ = onAbort(signal, reject);
  try {
    await promise;
  } finally {
    cancel();
  }
}

export { sleepFor as sleep };
