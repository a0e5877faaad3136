import type { Delta, Steps } from './generator.ts';
import type { Plan, Settings } from './plan.ts';
import type { Share } from './stages.ts';
import { type Failure, type SeriesData, Stats } from './stats.ts';
import type { Verdict } from './verdict.ts';

/** Milliseconds, of good answers and of timeouts. */
export type Latency = Readonly<Record<'mean' | 'p50' | 'p90' | 'p95' | 'p99' | 'p999' | 'max', number>>;

/** What was measured of one name, or of all. */
export interface Row {
  readonly name: string;
  /** Good answers and failures together. */
  readonly requests: number;
  readonly failed: number;
  readonly failures: readonly (readonly [failure: Failure, count: number])[];
  /** Good answers a second: an error is no throughput. */
  readonly perSecond: number;
  /** Missing when there was no good answer and no timeout. */
  readonly latency?: Latency;
}

/** A stretch of the run; `at` is its end, in seconds after the start. */
export interface Point extends Row {
  readonly at: number;
  readonly users: number;
}

/** A worker whose share of the load ended before its time; what it had reported until then counts. */
export interface Missing extends Share {
  readonly atSeconds: number;
  /** `SIGKILL`, `exit code 1`, `silent`. */
  readonly reason: string;
}

export interface Report extends Verdict {
  readonly target: string;
  readonly model: Plan['model'];
  readonly begunAt: string;
  readonly seconds: number;
  readonly seed: number;
  readonly total: Row;
  readonly rows: readonly Row[];
  readonly points: readonly Point[];
  readonly users: { readonly most: number; readonly turnedAway: number; readonly unfinished: number };
  readonly generator: { readonly workers: number; readonly utilization: number; readonly missing: readonly Missing[] };
}

/** Puts together what the generators report, in one process or in many, and reaches the verdict. */
export class Recorder {
  readonly #plan: Plan;
  readonly #settings: Settings;
  readonly #steps: Steps;
  readonly #workers: number;
  readonly #begunAt = new Date();
  readonly #start = performance.now();
  readonly #total: Stats;
  readonly #stretch: Stats;
  readonly #points: Point[] = [];
  readonly #users = new Map<number, number>();
  readonly #meters = new Map<number, BusiestSecond>();
  /** What time each has reported of since the last point, in milliseconds. */
  readonly #spent = new Map<number, number>();
  readonly #missing: Missing[] = [];
  readonly #ticker: NodeJS.Timeout;
  readonly #told: Promise<void>[] = [];
  readonly #thrown: unknown[] = [];
  #most = 0;
  #turnedAway = 0;
  #unfinished = 0;

  constructor(plan: Plan, settings: Settings, steps: Steps, workers = 1) {
    this.#plan = plan;
    this.#settings = settings;
    this.#steps = steps;
    this.#workers = workers;
    this.#total = new Stats(steps.histogram);
    this.#stretch = new Stats(steps.histogram);
    this.#ticker = setInterval(() => this.#guard(() => this.#tick()), settings.everyMs);
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1_000;
  }

  /** @param worker from 0 */
  add(delta: Delta, worker = 0): void {
    this.#guard(() => this.#add(delta, worker));
  }

  #add(delta: Delta, worker: number): void {
    this.#stretch.merge(delta.series);
    this.#users.set(worker, delta.users);
    this.#turnedAway += delta.turnedAway;
    this.#unfinished += delta.unfinished;
    const meter = this.#meters.get(worker) ?? new BusiestSecond();
    this.#meters.set(worker, meter);
    // Time in which the process did not get its turn is as good as busy: what came in it was seen too late.
    meter.add(delta.utilization, delta.ms - delta.lateMs);
    meter.add(1, delta.lateMs);
    this.#spent.set(worker, (this.#spent.get(worker) ?? 0) + delta.ms);
    const here = [...this.#users.values()].reduce((sum, users) => sum + users, 0);
    this.#most = Math.max(this.#most, here);
  }

  lose(missing: Missing): void {
    this.#missing.push(missing);
    this.#users.delete(missing.index);
  }

  /** @throws what `onPoint` has thrown, or rejected with */
  async report(): Promise<Report> {
    this.close();
    this.#tick();
    const { seconds } = this;
    await Promise.all(this.#told);
    if (this.#thrown.length > 0) throw this.#thrown[0];
    const rows = this.#total.toJSON().map((series) => this.#row(series.name, [series], seconds));
    const total = this.#row('all', this.#total.toJSON(), seconds);
    const utilization = Math.max(0, ...[...this.#meters.values()].map(({ busiest }) => busiest));
    const [missing, unfinished, { maxUtilization }] = [this.#missing, this.#unfinished, this.#settings];
    const evidence = { total, rows, utilization, maxUtilization, missing, unfinished };
    return {
      ...this.#steps.judge(evidence, this.#plan.thresholds ?? []),
      target: this.#settings.origin,
      model: this.#settings.model,
      begunAt: this.#begunAt.toISOString(),
      seconds,
      seed: this.#settings.seed,
      total,
      rows,
      points: this.#points,
      users: { most: this.#most, turnedAway: this.#turnedAway, unfinished },
      generator: { workers: this.#workers, utilization, missing },
    };
  }

  close(): void {
    clearInterval(this.#ticker);
  }

  /** Runs in a timer, where nobody would catch it. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#thrown.push(error);
    }
  }

  #tick(): void {
    // Reports come when they come: a stretch is as long as what was reported of it, not as the time between two ticks.
    const seconds = Math.max(0, ...this.#spent.values()) / 1_000;
    if (seconds === 0) return;
    this.#spent.clear();
    const series = this.#stretch.take();
    const users = [...this.#users.values()].reduce((sum, it) => sum + it, 0);
    const point = { ...this.#row('all', series, seconds), at: this.seconds, users };
    this.#total.merge(series);
    this.#points.push(point);
    this.#told.push(this.#tell(point));
  }

  async #tell(point: Point): Promise<void> {
    try {
      await this.#plan.onPoint?.(point);
    } catch (error) {
      this.#thrown.push(error);
    }
  }

  /** The durations of several names are merged before a percentile is read: percentiles have no mean. */
  #row(name: string, series: readonly SeriesData[], seconds: number): Row {
    const times = this.#steps.histogram();
    const failures = new Map<Failure, number>();
    let ok = 0;
    for (const it of series) {
      ok += it.ok;
      times.merge(it.times);
      for (const [failure, count] of it.failures) failures.set(failure, (failures.get(failure) ?? 0) + count);
    }
    const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
    const row = { name, requests: ok + failed, failed, failures: [...failures], perSecond: ok / seconds };
    if (times.count === 0) return row;
    const [p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0] = [50, 90, 95, 99, 99.9].map((it) => times.percentile(it));
    return { ...row, latency: { mean: times.mean, p50, p90, p95, p99, p999, max: times.max } };
  }
}

/** The largest share of any second, or of the whole when it was shorter, that an event loop was busy. */
class BusiestSecond {
  readonly #window: { readonly share: number; readonly ms: number }[] = [];
  #busiest: number | undefined;

  get busiest(): number {
    return this.#busiest ?? this.#share();
  }

  add(share: number, ms: number): void {
    this.#window.push({ share, ms });
    while (this.#length() - (this.#window[0]?.ms ?? 0) >= 1_000) this.#window.shift();
    if (this.#length() >= 1_000) this.#busiest = Math.max(this.#busiest ?? 0, this.#share());
  }

  #length(): number {
    return this.#window.reduce((sum, { ms }) => sum + ms, 0);
  }

  #share(): number {
    return Math.min(1, this.#window.reduce((sum, { share, ms }) => sum + share * ms, 0) / Math.max(this.#length(), 1));
  }
}
