/** What a run keeps of durations, in milliseconds. */
export interface Times {
  readonly count: number;
  readonly max: number;
  readonly mean: number;
  record(ms: number): void;
  percentile(percent: number): number;
  merge(other: HistogramData): void;
  toJSON(): HistogramData;
}

/**
 * A histogram of durations with a constant relative error, as Gil Tene's HdrHistogram: 128 buckets for each doubling, so
 * that a percentile is at most 1 % too large from 1 µs to 71 min. It takes 27 kB however much it has seen, and two of
 * them merge without a loss, which percentiles never do. Node's `createHistogram` can't be sent to another process.
 * Source: https://github.com/HdrHistogram/HdrHistogram
 */
export class Histogram implements Times {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** Milliseconds, exact; 0 when nothing was recorded. */
  get max(): number {
    return this.#max;
  }

  /** Milliseconds; NaN when nothing was recorded. */
  get mean(): number {
    return this.#sum / this.#count;
  }

  /**
   * @param ms rounded to whole microseconds; what is above 71 min counts as 71 min in the percentiles
   * @throws RangeError for what is no duration
   */
  record(ms: number): void {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) throw new RangeError(`${ms} ms is no duration.`);
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sum += ms;
    this.#max = Math.max(this.#max, ms);
  }

  /**
   * Milliseconds which `percent` of all values don't exceed; at most 1 % above the true one, never above `max`. NaN when
   * nothing was recorded.
   * @param percent above 0, at most 100
   */
  percentile(percent: number): number {
    if (this.#count === 0) return Number.NaN;
    let left = Math.ceil((percent / 100) * this.#count);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return Math.min(edgeOf(bucket), this.#max);
    }
    return this.#max;
  }

  /** Adds all that `other` has seen, as if it had been recorded here. */
  merge(other: HistogramData): void {
    for (const [bucket, count] of other.counts) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    this.#count += other.counts.reduce((sum, [, count]) => sum + count, 0);
    this.#sum += other.sum;
    this.#max = Math.max(this.#max, other.max);
  }

  /** Plain data, for JSON and for another process. */
  toJSON(): HistogramData {
    const counts: [number, number][] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#counts[bucket] ?? 0;
      if (count > 0) counts.push([bucket, count]);
    }
    return { counts, sum: this.#sum, max: this.#max };
  }
}

/** A histogram on its way: the buckets that aren't empty with their counts, the sum and the largest value in ms. */
export interface HistogramData {
  readonly counts: readonly (readonly [bucket: number, count: number])[];
  readonly sum: number;
  readonly max: number;
}

/** Two to this power are the buckets of each doubling. */
const BITS = 7;
const HALF = 2 ** BITS;
const LARGEST_US = 2 ** 32 - 1;
const BUCKETS = (32 - BITS + 1) * HALF;

/** The bucket of a duration: its microseconds one by one up to 256, then in steps that double with each doubling. */
export function bucketOf(ms: number): number {
  const us = Math.min(Math.round(ms * 1_000), LARGEST_US);
  const shift = Math.max(0, 31 - BITS - Math.clz32(us));
  return shift * HALF + Math.floor(us / 2 ** shift);
}

/** The longest duration in milliseconds that falls into a bucket. */
export function edgeOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / HALF) - 1);
  return ((bucket - shift * HALF + 1) * 2 ** shift - 1) / 1_000;
}
