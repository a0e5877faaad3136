/** The recent past of a circuit, as three numbers. A window keeps totals, so reading them costs nothing. */
export interface Window {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  /** Counts one result at `now`, in milliseconds of a monotonic clock. */
  record(now: number, failed: boolean, slow: boolean): void;
  /** Forgets what is too old at `now`. */
  advance(now: number): void;
}

const FAILED = 1;
const SLOW = 2;

/** The last `size` calls, however long ago: a ring of one byte a call. */
export class CountWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #ring: Uint8Array;
  #next = 0;

  constructor(size: number) {
    this.#ring = new Uint8Array(size);
  }

  record(_now: number, failed: boolean, slow: boolean): void {
    const oldest = this.#ring[this.#next] ?? 0;
    if (this.calls < this.#ring.length) this.calls++;
    else this.#add(oldest, -1);
    const mark = (failed ? FAILED : 0) | (slow ? SLOW : 0);
    this.#add(mark, 1);
    this.#ring[this.#next] = mark;
    this.#next = (this.#next + 1) % this.#ring.length;
  }

  advance(): void {}

  #add(mark: number, by: 1 | -1): void {
    if (mark & FAILED) this.failures += by;
    if (mark & SLOW) this.slow += by;
  }
}

/**
 * The last `sizeMs` milliseconds, in `buckets` parts: a ring of three counters a part, whatever the number of calls.
 * The oldest part is dropped as a whole, so the window reaches back between `sizeMs − sizeMs / buckets` and `sizeMs`.
 */
export class TimeWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #bucketMs: number;
  readonly #ring: { calls: number; failures: number; slow: number }[];
  /** The number of the newest bucket, counted from the clock's zero. */
  #newest: number;

  constructor(sizeMs: number, buckets: number, now: number) {
    this.#bucketMs = sizeMs / buckets;
    this.#ring = Array.from({ length: buckets }, () => ({ calls: 0, failures: 0, slow: 0 }));
    this.#newest = Math.floor(now / this.#bucketMs);
  }

  record(now: number, failed: boolean, slow: boolean): void {
    this.advance(now);
    const bucket = this.#bucket(this.#newest);
    bucket.calls++;
    this.calls++;
    if (failed) {
      bucket.failures++;
      this.failures++;
    }
    if (slow) {
      bucket.slow++;
      this.slow++;
    }
  }

  advance(now: number): void {
    const newest = Math.floor(now / this.#bucketMs);
    if (newest <= this.#newest) return;
    // After a gap longer than the window every bucket is old: a ring that turns by one a call would keep them.
    const steps = this.steps(newest - this.#newest);
    for (let step = 1; step <= steps; step++) this.#drop(this.#newest + step);
    this.#newest = newest;
  }

  /** How many buckets to drop when the clock is `behind` buckets ahead of us. */
  protected steps(behind: number): number {
    return Math.min(behind, this.#ring.length);
  }

  #drop(number: number): void {
    const bucket = this.#bucket(number);
    this.calls -= bucket.calls;
    this.failures -= bucket.failures;
    this.slow -= bucket.slow;
    bucket.calls = 0;
    bucket.failures = 0;
    bucket.slow = 0;
  }

  #bucket(number: number) {
    const bucket = this.#ring[number % this.#ring.length];
    if (!bucket) throw new RangeError(`The clock says ${number}: it must not run backwards, nor below zero.`);
    return bucket;
  }
}
