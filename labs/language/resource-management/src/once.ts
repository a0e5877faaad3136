import { AsyncLocalStorage } from 'node:async_hooks';
import { ReentrantError } from './errors.ts';

/** The works around a call, outermost first. */
const around = new AsyncLocalStorage<readonly object[]>();

/**
 * `work` runs at the first call; every other call waits for that run and gets its result. A call from inside the run
 * would wait for itself: it rejects with a ReentrantError.
 */
export function once<P extends readonly unknown[], R>(
  work: (...args: P) => R | PromiseLike<R>,
): (...args: P) => Promise<R> {
  const me = {};
  let over = false;
  let result: Promise<R> | undefined;
  const run = async (args: P): Promise<R> => {
    try {
      return await work(...args);
    } finally {
      over = true;
    }
  };
  return (...args) => {
    const works = around.getStore() ?? [];
    if (!over && works.includes(me)) {
      return Promise.reject(new ReentrantError('An exit that waits for its own end would wait for ever.'));
    }
    result ??= around.run([...works, me], run, args);
    return result;
  };
}
