// Flaw: the main thread waits for a mutex as a worker does. Node allows it, and everything stands still: the timers, the
// requests, and the messages without which the other thread will never let go.
// Seen in: https://github.com/nodejs/node/issues/25630
// Caught by: the main thread is never put to sleep: it waits for a mutex in its event loop
import { type LockOptions, LockTimeoutError, Mutex as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Mutex extends Reference {
  override lock<R>(body: () => R extends PromiseLike<unknown> ? never : R, { timeoutMs }: LockOptions = {}): R {
    for (let seen = this.take(this.me); seen !== 0; seen = this.take(this.me | 1)) {
      const value = this.announce(seen);
      if (value !== undefined && Atomics.wait(this.word, 0, value, timeoutMs) === 'timed-out') {
        throw new LockTimeoutError(`not free within ${timeoutMs} ms`);
      }
    }
    try {
      return body();
    } finally {
      this.release();
    }
  }
}
