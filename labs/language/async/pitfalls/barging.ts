// Flaw: a permit that comes back is free for all, and who comes by just then is faster than who was woken.
// Seen in: https://github.com/smol-rs/async-lock/issues/23
// Caught by: a semaphore lets in as many as it has permits, in the order of arrival
import { Condition, type WaitOptions } from '../src/index.ts';
import { wholeNumber } from '../src/options.ts';

export * from '../src/index.ts';

export class Semaphore {
  readonly #back = new Condition();
  free: number;
  waiting = 0;

  constructor(permits: number) {
    this.free = wholeNumber('The number of permits', permits);
  }

  async acquire(options?: WaitOptions): Promise<Disposable> {
    options?.signal?.throwIfAborted();
    if (this.free === 0) await this.#wait(options);
    this.free--;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.free++;
        held = false;
        void this.#back.acquire().then((lock) => {
          lock.notifyAll();
          lock[Symbol.dispose]();
        });
      },
    };
  }

  async #wait(options?: WaitOptions): Promise<void> {
    this.waiting++;
    try {
      using lock = await this.#back.acquire();
      await lock.waitFor(() => this.free > 0, options);
    } finally {
      this.waiting--;
    }
  }
}
