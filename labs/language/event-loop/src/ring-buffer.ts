import { InvalidArgumentError } from './errors.ts';

const HEADER_BYTES = 8;
const MAX_CAPACITY = 2 ** 24;
const TAKEN = 0;
const PUT = 1;

/**
 * A belt of numbers from one thread to one other, without a lock and without a message: `new RingBuffer(1024)` here,
 * `new RingBuffer(buffer)` there. One puts, one takes; with two of either kind values are lost.
 *
 * Leslie Lamport, "Proving the Correctness of Multiprocess Programs" (1977): each counter is written by one side alone.
 */
export class RingBuffer {
  /** To be handed to the other thread: it is shared, not copied. */
  readonly buffer: SharedArrayBuffer;
  /** How many values fit: a power of two. */
  readonly capacity: number;
  protected readonly counts: Int32Array<SharedArrayBuffer>;
  protected readonly values: Float64Array<SharedArrayBuffer>;

  /**
   * @param from How many values shall fit, rounded up to a power of two; or the buffer of the other thread.
   * @throws InvalidArgumentError unless it is a whole number from 1 to 2^24, or a ring's buffer.
   */
  constructor(from: number | SharedArrayBuffer) {
    const capacity = from instanceof SharedArrayBuffer ? (from.byteLength - HEADER_BYTES) / 8 : roundUp(from);
    if (!Number.isInteger(Math.log2(capacity)) || capacity < 1) {
      throw new InvalidArgumentError('The buffer is no ring: give the `buffer` of the other thread.');
    }
    this.capacity = capacity;
    this.buffer = from instanceof SharedArrayBuffer ? from : new SharedArrayBuffer(HEADER_BYTES + 8 * capacity);
    this.counts = new Int32Array(this.buffer, 0, 2);
    this.values = new Float64Array(this.buffer, HEADER_BYTES);
  }

  /** How many values lie on the belt. */
  get size(): number {
    // The counters wrap around at 2^31; their distance doesn't.
    return (Atomics.load(this.counts, PUT) - Atomics.load(this.counts, TAKEN)) | 0;
  }

  /** @returns false when the belt is full: nothing was put. */
  push(value: number): boolean {
    if (this.size === this.capacity) return false;
    this.values[Atomics.load(this.counts, PUT) & (this.capacity - 1)] = value;
    // Only now the other thread may see it.
    Atomics.add(this.counts, PUT, 1);
    return true;
  }

  /** The oldest value; undefined when the belt is empty. */
  pop(): number | undefined {
    if (this.size === 0) return undefined;
    const value = this.values[Atomics.load(this.counts, TAKEN) & (this.capacity - 1)];
    // Only now its place may be written again.
    Atomics.add(this.counts, TAKEN, 1);
    return value;
  }
}

function roundUp(capacity: number): number {
  if (Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY)
    return 2 ** Math.ceil(Math.log2(capacity));
  throw new InvalidArgumentError(
    `capacity must be a whole number from 1 to ${MAX_CAPACITY}; it is ${String(capacity)}.`,
  );
}
