import { performance } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import { InvalidArgumentError } from './errors.ts';
import { nameChecked } from './labels.ts';

/** A pool as it is this moment. */
export interface PoolState {
  /** How many there can be. */
  readonly size: number;
  /** How many are out. */
  readonly used: number;
  /** How many callers wait for one. */
  readonly waiting: number;
}

/**
 * USE for what callers have to share (utilization, saturation, errors: Brendan Gregg, https://www.brendangregg.com/usemethod.html):
 * `pool_size`, `pool_used` and `pool_waiting`, read when Prometheus asks.
 *
 * @param pools Each by its name: `{ database: () => ({ size: 10, used: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }) }`.
 * @throws InvalidArgumentError
 */
export function poolMetrics(registry: Registry, pools: Readonly<Record<string, () => PoolState>>): void {
  const named = Object.entries(pools);
  for (const [pool] of named) nameChecked(pool);
  const gauge = (name: string, help: string, read: (state: PoolState) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['pool'],
      registers: [registry],
      collect() {
        for (const [pool, state] of named) this.set({ pool }, read(state()));
      },
    });
  gauge('pool_size', 'How many there can be.', ({ size }) => size);
  gauge('pool_used', 'How many are out.', ({ used }) => used);
  gauge('pool_waiting', 'Callers who wait for one.', ({ waiting }) => waiting);
}

/**
 * `event_loop_active_seconds_total`: its rate is the share of the time in which the event loop had something to do. A counter, so that two
 * scrapers don't take anything from each other, and a peak between two scrapes isn't lost.
 */
export function eventLoopMetrics(registry: Registry): void {
  new Counter({
    name: 'event_loop_active_seconds_total',
    help: 'Time in which the event loop was at work.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(performance.eventLoopUtilization().active / 1000);
    },
  });
}

/**
 * `cache_requests_total` by cache and result. All its series are there from the first scrape on, at 0: of a series that begins at 1
 * a rate doesn't see the 1.
 *
 * @returns counts one read
 * @throws InvalidArgumentError for a name that is no text, and for a cache that was not named
 */
export function cacheMetrics<const Name extends string>(
  registry: Registry,
  names: readonly Name[],
): (cache: Name, hit: boolean) => void {
  names.forEach(nameChecked);
  const reads = new Counter({
    name: 'cache_requests_total',
    help: 'Reads of a cache, by result.',
    labelNames: ['cache', 'result'],
    registers: [registry],
  });
  const known = new Set<string>(names);
  for (const cache of names) for (const result of ['hit', 'miss']) reads.inc({ cache, result }, 0);
  return (cache, hit) => {
    if (!known.has(cache)) throw new InvalidArgumentError(`No cache "${cache}": name it when the metrics are made.`);
    reads.inc({ cache, result: hit ? 'hit' : 'miss' });
  };
}

/**
 * The release marker: `app_build_info{version} 1`, for joins, and `app_release_timestamp_seconds{version}`, for the line across the dashboard.
 * Prometheus keeps numbers, not logs: what nobody exports it can't know afterwards.
 *
 * @param version 1 to 128 characters.
 * @param releasedAt Unix time in seconds. Default: when this process began.
 * @throws InvalidArgumentError
 */
export function releaseMetrics(
  registry: Registry,
  version: string,
  releasedAt: number = performance.timeOrigin / 1000,
): void {
  nameChecked(version);
  if (!Number.isFinite(releasedAt)) throw new InvalidArgumentError(`releasedAt is ${releasedAt}: give Unix seconds.`);
  const registers = [registry];
  const labelNames = ['version'];
  new Gauge({ name: 'app_build_info', help: 'Which version runs.', labelNames, registers }).set({ version }, 1);
  new Gauge({
    name: 'app_release_timestamp_seconds',
    help: 'When this version went live, in Unix time.',
    labelNames,
    registers,
  }).set({ version }, releasedAt);
}
