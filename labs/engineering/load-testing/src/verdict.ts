import type { Latency, Missing, Row } from './recorder.ts';

export const METRICS = ['mean', 'p50', 'p90', 'p95', 'p99', 'p999', 'max', 'failureRatio', 'perSecond'] as const;

/**
 * A bound that decides whether a run passes: `{ metric: 'p99', max: 200 }` in milliseconds, `{ metric: 'failureRatio', max:
 * 0.001 }`, `{ metric: 'perSecond', min: 500 }` good answers a second.
 */
export interface Threshold {
  readonly metric: (typeof METRICS)[number];
  readonly max?: number;
  readonly min?: number;
  /** Of one row; default: of all together. */
  readonly name?: string;
}

/** What a verdict is reached from. */
export interface Evidence {
  readonly total: Row;
  readonly rows: readonly Row[];
  /** Of the busiest second of the busiest generator, from 0 to 1. */
  readonly utilization: number;
  readonly maxUtilization: number;
  readonly missing: readonly Missing[];
  /** Sessions that did not end. */
  readonly unfinished: number;
}

/** `passed`, `failed`: what was measured keeps the thresholds, or doesn't. `refused`: it says nothing about the target. */
export interface Verdict {
  readonly verdict: 'passed' | 'failed' | 'refused';
  /** Why it is not `passed`. */
  readonly reasons: readonly string[];
}

/** Unless a plan says otherwise. */
export const FAILURES: Threshold = { metric: 'failureRatio', max: 0.001 };

/** A figure of which it isn't known whose it is, the target's or the generator's, is neither good nor bad: it is refused. */
export function judge(evidence: Evidence, thresholds: readonly Threshold[]): Verdict {
  const doubts = doubtsOf(evidence);
  if (doubts.length > 0) return { verdict: 'refused', reasons: doubts };
  const ownFailures = thresholds.some(({ metric, name }) => metric === 'failureRatio' && name === undefined);
  const crossed = [...thresholds, ...(ownFailures ? [] : [FAILURES])].flatMap((it) => crossing(evidence, it));
  return { verdict: crossed.length > 0 ? 'failed' : 'passed', reasons: crossed };
}

function doubtsOf({ total, utilization, maxUtilization, missing, unfinished }: Evidence): string[] {
  const own = total.failures.find(([failure]) => failure === 'generator')?.[1] ?? 0;
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  return [
    ...(total.requests === 0 ? ['not one request was made'] : []),
    ...(utilization > maxUtilization
      ? [
          `a generator was busy for ${percent(utilization)} of a second, more than ${percent(maxUtilization)}: ` +
            'the times are its own; use more workers, or fewer users',
        ]
      : []),
    ...(own > 0 ? [`${own} requests found no port or descriptor on this machine`] : []),
    ...missing.map(
      (it) => `worker ${it.index} of ${it.of} is missing since ${it.atSeconds.toFixed(1)} s (${it.reason})`,
    ),
    ...(unfinished > 0 ? [`${unfinished} sessions had not ended when the drain was over`] : []),
  ];
}

/** What a run has against a threshold, in words; nothing when it is kept. */
export function crossing({ total, rows }: Evidence, { metric, max, min, name }: Threshold): string[] {
  const row = name === undefined ? total : rows.find((it) => it.name === name);
  const value = row === undefined ? undefined : figureOf(row, metric);
  const what = name === undefined ? metric : `${metric} of ${name}`;
  // What was never measured keeps no promise.
  if (value === undefined) return [`${what} was not measured`];
  const shown = Number(value.toPrecision(3));
  if (max !== undefined && value > max) return [`${what} is ${shown}, above ${max}`];
  return min !== undefined && value < min ? [`${what} is ${shown}, below ${min}`] : [];
}

function figureOf(row: Row, metric: Threshold['metric']): number | undefined {
  if (metric === 'failureRatio') return row.requests === 0 ? undefined : row.failed / row.requests;
  if (metric === 'perSecond') return row.perSecond;
  return latencyOf(row.latency, metric);
}

const latencyOf = (latency: Latency | undefined, metric: keyof Latency) => latency?.[metric];

/** For the end of a script: 0 passed, 1 failed, 2 refused. `process.exitCode = exitCode(report)`. */
export function exitCode({ verdict }: Pick<Verdict, 'verdict'>): 0 | 1 | 2 {
  return verdict === 'passed' ? 0 : verdict === 'failed' ? 1 : 2;
}
