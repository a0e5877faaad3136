import { CounterRangeError, InvalidArgumentError } from './errors.ts';
import { sharedMemory } from './shared.ts';

const MAX = 2 ** 31 - 1;
const MIN = -(2 ** 31);

/** A number that many threads count up and down at once: `new SharedCounter(buffer)` in each, on the first one's buffer. */
export class SharedCounter {
  /** To be handed to the other threads: it is shared, not copied. */
  readonly buffer: SharedArrayBuffer;
  protected readonly words: Int32Array<SharedArrayBuffer>;

  /** @throws InvalidArgumentError on a buffer that is no counter's. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = sharedMemory(buffer, 4);
    this.words = new Int32Array(this.buffer);
  }

  get value(): number {
    return Atomics.load(this.words, 0);
  }

  /**
   * Adds in one step that no other thread can come between.
   * @returns the value afterwards
   * @throws InvalidArgumentError unless `by` is a whole number of 32 bits; CounterRangeError when the sum is none.
   */
  add(by = 1): number {
    if (!Number.isInteger(by) || by > MAX || by < MIN) {
      throw new InvalidArgumentError(`by must be a whole number from ${MIN} to ${MAX}; it is ${String(by)}.`);
    }
    // Atomics.add would be one step, but it wraps around: others would count on from the wrong end before it is undone.
    for (let before = this.value; ; ) {
      const after = before + by;
      if (after > MAX || after < MIN) {
        throw new CounterRangeError(`${after} is beyond the range of a shared counter, ${MIN} to ${MAX}.`);
      }
      const seen = Atomics.compareExchange(this.words, 0, before, after);
      if (seen === before) return after;
      before = seen;
    }
  }
}
