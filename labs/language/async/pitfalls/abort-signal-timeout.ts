// Flaw: the limit is a timer that doesn't hold the process, as that of AbortSignal.timeout: who waits for nothing else
// sees the process end before its limit does.
// Seen in: https://github.com/nodejs/node/issues/46417
// Caught by: a limit keeps the process alive, and leaves no timer behind
import { type Clock, timeout as reference, type Task, type TimeoutOptions } from '../src/index.ts';

export * from '../src/index.ts';

const unheld: Clock = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};

export function timeout<T>(ms: number, work: Task<T>, options: TimeoutOptions = {}): Promise<T> {
  return reference(ms, work, { clock: unheld, ...options });
}
