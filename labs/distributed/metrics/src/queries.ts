import { InvalidArgumentError } from './errors.ts';
import { sloBuckets } from './slo.ts';

export interface QueryOptions {
  /**
   * What a rate looks back on: a PromQL duration (`5m`), at least four scrapes long, so that one that fails leaves no gap; or Grafana's
   * `$__rate_interval`.
   */
  readonly window: string;
  /** What is promised, in seconds; an edge of the histogram (`sloBuckets`). */
  readonly sloSeconds: number;
}

/** PromQL over what this package exports, each by `job`. */
export interface Queries {
  /** Requests a second, by route. */
  readonly requestRate: string;
  /** The share of requests that ended in 5xx: 0 without an error, nothing without a request. */
  readonly errorRatio: string;
  /** The share of requests that took longer than the promise; nothing without a request. */
  readonly slowRatio: string;
  /** Seconds within which a share `q` (0 to 1) of the requests was answered, over all instances, estimated within a bucket. */
  quantile(q: number): string;
  /** Seconds, on average: for comparison only. */
  readonly mean: string;
  /**
   * The share of reads that a cache answered, by the cache and the version that asked it; nothing without a read, nor before a version has run for a
   * whole window.
   */
  readonly hitRatio: string;
  /** The share of a pool that is out, by pool, of the instance that is worst off. */
  readonly poolUse: string;
  /** The share of the time in which the event loop was at work, of the instance that is worst off. */
  readonly eventLoopUse: string;
}

/** @throws InvalidArgumentError */
export function queries(options: QueryOptions): Queries {
  const { w, le } = queryParts(options);
  const rate = (metric: string) => `rate(${metric}[${w}])`;
  const requests = `sum by (job) (${rate('http_requests_total')})`;
  const failed = `sum by (job) (${rate('http_requests_total{status=~"5.."}')})`;
  const seconds = 'http_request_duration_seconds';
  const observed = `(sum by (job) (${rate(`${seconds}_count`)}) > 0)`;
  // Which version an instance runs, once it has run it for a whole window: a rate that spans a release belongs to both.
  const version = `(app_build_info and app_build_info offset ${w})`;
  const reads = (metric: string) =>
    `sum by (job, cache, version) (${rate(metric)} * on (job, instance) group_left (version) ${version})`;
  return {
    // Rate first, then the sum: a sum would hide the restart of one instance from the rate.
    requestRate: `sum by (job, route) (${rate('http_requests_total')})`,
    errorRatio: `(${failed} or 0 * ${requests}) / (${requests} > 0)`,
    slowRatio: `1 - sum by (job) (${rate(`${seconds}_bucket{le=~"${le}"}`)}) / ${observed}`,
    // Buckets can be added up, quantiles can't be averaged.
    quantile: (q) => `histogram_quantile(${shareChecked(q)}, sum by (job, le) (${rate(`${seconds}_bucket`)}))`,
    mean: `sum by (job) (${rate(`${seconds}_sum`)}) / ${observed}`,
    hitRatio: `${reads('cache_requests_total{result="hit"}')} / (${reads('cache_requests_total')} > 0)`,
    poolUse: 'max by (job, pool) (pool_used / pool_size)',
    eventLoopUse: `max by (job) (${rate('event_loop_active_seconds_total')})`,
  };
}

/**
 * A gauge that, if it goes on as it did, is at nought within so many seconds: a stock, a disk, free connections. It draws a line through
 * the window (`predict_linear`); `rate` would take each refill for a restart, and each sale too.
 *
 * @param gauge Its name, with a selector if need be: `pearls_kg{shop="1"}`. It is PromQL, put in as it is: never from outside.
 * @param window What it looks back on: long enough for the noise, shorter than the time between two refills.
 * @throws InvalidArgumentError
 */
export function runsOut(gauge: string, window: string, withinSeconds: number): string {
  durationChecked(window);
  if (!(withinSeconds > 0 && Number.isFinite(withinSeconds))) {
    throw new InvalidArgumentError(`A forecast is for some seconds ahead, not ${withinSeconds}.`);
  }
  return `predict_linear(${gauge}[${window}], ${withinSeconds}) <= 0`;
}

/** The options, checked: the window, and what `le` matches. Prometheus 3 says `le="1.0"` where 2 says `le="1"`. */
export function queryParts({ window, sloSeconds }: QueryOptions): { readonly w: string; readonly le: string } {
  // A promise that no histogram has is an alert that never fires.
  sloBuckets(sloSeconds);
  const le = String(sloSeconds).replace('.', '\\\\.');
  return { w: durationChecked(window), le: Number.isInteger(sloSeconds) ? `${le}|${le}\\\\.0` : le };
}

function shareChecked(q: number): number {
  if (q >= 0 && q <= 1) return q;
  throw new InvalidArgumentError(`A quantile is a share from 0 to 1, such as 0.99, not ${q}.`);
}

/** Of `y w d h m s ms`, as PromQL has them: a year is 365 days. */
const UNIT_MS = [31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1];
/** Prometheus counts nanoseconds in 64 bits with a sign: 292 years. */
const MOST_MS = 2 ** 63 / 1e6;

/**
 * @throws InvalidArgumentError unless it is a PromQL duration (longer than nothing, at most 292 years, the greatest unit first, each once)
 * or one of Grafana's
 */
export function durationChecked(window: string): string {
  if (/^\$__(rate_interval|interval|range)$/.test(window)) return window;
  const counts = /^(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$/.exec(window)?.slice(1) ?? [];
  const ms = UNIT_MS.reduce((sum, unit, at) => sum + unit * Number.parseInt(counts[at] ?? '0', 10), 0);
  if (ms > 0 && ms < MOST_MS) return window;
  throw new InvalidArgumentError(`A window is a PromQL duration, such as 5m, not ${JSON.stringify(window)}.`);
}
