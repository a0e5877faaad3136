// The global `performance` is a getter: to read it for each call costs a good part of asking the time.
import { performance } from 'node:perf_hooks';

/** Time as a policy sees it. Inject another one in a test; a product passes nothing. */
export interface Clock {
  /** Milliseconds on a monotonic clock: it never jumps when an administrator or NTP sets the wall clock. */
  mono(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now, and returns a function that cancels it. A timer in the
   * `background` doesn't keep the process alive.
   */
  after(ms: number, callback: () => void, background?: 'background'): () => void;
}

export const systemClock: Clock = {
  mono: () => performance.now(),
  after(ms, callback, background) {
    const timer = setTimeout(callback, ms);
    if (background) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`; rejects at once with the signal's reason when `signal` aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
