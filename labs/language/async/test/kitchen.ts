import { setImmediate } from 'node:timers/promises';

/** One turn of the event loop: whatever can go on without time has gone on. */
export const turn = (): Promise<void> => setImmediate();

/** A promise that a law may leave behind when it turns red half-way. */
export function begun<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A dish that is ready when the test says so, whatever its signal says. */
export function dish<T = string>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Stops when told to, with the reason, and not before. */
export const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

/** `pending`, or how the promise has ended so far. */
export function watch<T>(promise: Promise<T>): { readonly state: 'pending' | 'done' | 'failed' } {
  const watched: { state: 'pending' | 'done' | 'failed' } = { state: 'pending' };
  promise.then(
    () => {
      watched.state = 'done';
    },
    () => {
      watched.state = 'failed';
    },
  );
  return watched;
}
