import { Line } from './line.ts';
import { type WaitOptions, wholeNumber } from './options.ts';

/**
 * At most `permits` holders at once, in the order of their arrival: a permit that comes back goes to the first in line,
 * and nobody who comes later gets in between. With `using`, it comes back however the block ends.
 *
 * Source: asyncio.Semaphore, and what it took to mend it, https://github.com/python/cpython/issues/90155
 */
export class Semaphore {
  readonly #line = new Line();
  #free: number;

  /** @throws InvalidArgumentError on what is no whole number of permits, 1 or more. */
  constructor(permits: number) {
    this.#free = wholeNumber('The number of permits', permits);
  }

  /** Permits that nobody holds. */
  get free(): number {
    return this.#free;
  }

  /** How many wait for a permit. */
  get waiting(): number {
    return this.#line.length;
  }

  /** A permit; disposing of it gives it back, a second time changes nothing. @throws the signal's reason. */
  async acquire({ signal }: WaitOptions = {}): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
    } else {
      await this.#line.join(undefined, signal);
      // Served and aborted in one turn.
      if (signal?.aborted) {
        this.#giveBack();
        throw signal.reason;
      }
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#giveBack();
        held = false;
      },
    };
  }

  #giveBack(): void {
    const next = this.#line.next();
    if (next) next.serve();
    else this.#free++;
  }
}

/** One holder at a time. In one thread it is needed only where a state must hold across an `await`. */
export class Lock extends Semaphore {
  constructor() {
    super(1);
  }

  get locked(): boolean {
    return this.free === 0;
  }
}
