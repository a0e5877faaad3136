import { Histogram, type HistogramData, type Times } from './histogram.ts';

/**
 * Why a request failed. `timeout`: no whole answer in time. `refused`: nobody listens. `network`: the connection broke.
 * `status`: 400 or more. `assertion`: an answer that the check or the task found wrong. `script`: the task itself threw.
 * `dropped`: an arrival of the open model that was never sent, since too many were under way. `generator`: this machine
 * had no port or descriptor left.
 */
export type Failure = 'timeout' | 'refused' | 'network' | 'status' | 'assertion' | 'script' | 'dropped' | 'generator';

/** What was counted for one name. */
export interface SeriesData {
  readonly name: string;
  readonly ok: number;
  readonly failures: readonly (readonly [failure: Failure, count: number])[];
  readonly times: HistogramData;
}

class Series {
  ok = 0;
  readonly failures = new Map<Failure, number>();
  readonly times: Times;

  constructor(times: Times) {
    this.times = times;
  }
}

/** More names than these share one row: a name with an id in it would else take a histogram for each id. */
const MAX_NAMES = 200;
const OTHER = '(other names)';

/** Counts and durations by name. Its size depends on the number of names, not on that of the requests. */
export class Stats {
  readonly #series = new Map<string, Series>();
  readonly #histogram: () => Times;

  constructor(histogram: () => Times = () => new Histogram()) {
    this.#histogram = histogram;
  }

  /**
   * One request that took `ms`. Of the failures only a timeout goes into the durations, since its user has waited so long:
   * an error that comes fast would make a broken server look quick.
   */
  record(name: string, ms: number, failure?: Failure): void {
    const series = this.#of(name);
    if (failure === undefined) series.ok++;
    else this.fail(name, failure);
    if (failure === undefined || failure === 'timeout') series.times.record(ms);
  }

  /** What failed without having taken a time. */
  fail(name: string, failure: Failure, count = 1): void {
    const { failures } = this.#of(name);
    if (count > 0) failures.set(failure, (failures.get(failure) ?? 0) + count);
  }

  /** Adds what another has counted, in this process or in another. */
  merge(data: readonly SeriesData[]): void {
    for (const { name, ok, failures, times } of data) {
      const series = this.#of(name);
      series.ok += ok;
      series.times.merge(times);
      for (const [failure, count] of failures) this.fail(name, failure, count);
    }
  }

  /** All that was counted since the last time. */
  take(): SeriesData[] {
    const data = this.toJSON();
    this.#series.clear();
    return data;
  }

  toJSON(): SeriesData[] {
    return [...this.#series].map(([name, { ok, failures, times }]) => {
      return { name, ok, failures: [...failures], times: times.toJSON() };
    });
  }

  #of(name: string): Series {
    const full = this.#series.size >= MAX_NAMES && !this.#series.has(name);
    const row = full ? OTHER : name;
    const series = this.#series.get(row) ?? new Series(this.#histogram());
    this.#series.set(row, series);
    return series;
  }
}
