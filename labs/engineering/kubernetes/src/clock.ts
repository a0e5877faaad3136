import { InvalidArgumentError } from './errors.ts';

/** Monotonic time. A test hands in its own. */
export interface Clock {
  /** Milliseconds since some moment; never set back. */
  mono(): number;
  /** Calls `callback` in `ms` milliseconds. @returns what cancels it */
  after(ms: number, callback: () => void): () => void;
}

/** A timer of Node that is to go off later goes off at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  mono: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` milliseconds, or at once when the signal aborts. */
export function rest(ms: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}

/**
 * NaN, as of a setting that is missing, would be "at once" to a timer.
 * @throws InvalidArgumentError unless each is 0 milliseconds or more
 */
export function refuseNoTime(times: Readonly<Record<string, number>>): void {
  for (const [name, ms] of Object.entries(times)) {
    if (!(ms >= 0)) throw new InvalidArgumentError(`${name} is ${ms}: give milliseconds, 0 or more`);
  }
}

/** A listener that throws shall not end what it listens to. */
export const unharmedBy =
  <A extends unknown[]>(listener: (...heard: A) => void) =>
  (...heard: A): void => {
    try {
      listener(...heard);
    } catch {
      // It was told.
    }
  };
