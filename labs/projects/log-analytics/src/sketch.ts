/** Quantiles are within 1 %. */
const GAMMA = 1.01 / 0.99;
const LEAST_MS = 0.001;
const MOST_MS = 1e9;

/**
 * How long answers took, in bins whose bounds grow by 2 % each: bounded, since what is shorter than a microsecond or longer
 * than eleven days counts as that, and additive.
 * @see Masson, Rim, Lee: DDSketch, VLDB 2019
 */
export class Sketch {
  /** From bin to how many. */
  readonly bins: Map<number, number>;

  constructor(bins: Iterable<readonly [number, number]> = []) {
    this.bins = new Map(bins);
  }

  add(ms: number): void {
    const bounded = Math.min(MOST_MS, Math.max(LEAST_MS, ms));
    const bin = Math.ceil(Math.log(bounded) / Math.log(GAMMA));
    this.bins.set(bin, (this.bins.get(bin) ?? 0) + 1);
  }

  /** @param q from 0 to 1: the least value that this share of all values does not exceed. @returns undefined when it is empty */
  quantile(q: number): number | undefined {
    const count = [...this.bins.values()].reduce((sum, n) => sum + n, 0);
    let rank = Math.max(1, Math.ceil(q * count));
    for (const [bin, n] of [...this.bins].sort(([a], [b]) => a - b)) {
      rank -= n;
      if (rank <= 0) return (2 * GAMMA ** bin) / (GAMMA + 1);
    }
    return undefined;
  }

  toJSON(): [number, number][] {
    return [...this.bins];
  }
}

/** The quantile of all lines of several windows, which no arithmetic makes of the windows' own quantiles. @returns undefined without a line */
export function latencyOf(windows: readonly Sketch[], q: number): number | undefined {
  const all = new Sketch();
  for (const { bins } of windows) for (const [bin, n] of bins) all.bins.set(bin, (all.bins.get(bin) ?? 0) + n);
  return all.quantile(q);
}
