// Flaw: the percentiles of the workers are averaged, so the one slow worker of three counts a third.
// Seen in: https://github.com/dotnet/crank/pull/677
// Caught by: the histograms of several workers merge into that of the whole
import { type HistogramData, Histogram as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Histogram extends Reference {
  readonly #parts: Reference[] = [];

  override merge(other: HistogramData): void {
    super.merge(other);
    const part = new Reference();
    part.merge(other);
    if (part.count > 0) this.#parts.push(part);
  }

  override percentile(percent: number): number {
    if (this.#parts.length === 0) return super.percentile(percent);
    return this.#parts.reduce((sum, part) => sum + part.percentile(percent), 0) / this.#parts.length;
  }
}
