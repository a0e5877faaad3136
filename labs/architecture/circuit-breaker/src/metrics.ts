import type { Snapshot, StateName, Totals } from './breaker.ts';
import { InvalidOptionError } from './errors.ts';

/** The part of prom-client's `Registry` that is used: this file needs no package. */
export interface MetricRegistry {
  registerMetric(metric: { get(): Promise<unknown> }): unknown;
}

const STATES: readonly StateName[] = ['closed', 'half-open', 'open', 'isolated'];
const RESULTS: readonly (keyof Totals)[] = ['success', 'failure', 'ignored', 'rejected'];
const DETAILS = {
  timeout: 'Calls cancelled at their time limit',
  slow: 'Calls that took slowMs or longer',
  late: 'Results that came after their period and decided nothing',
  fallback: 'Calls answered by their fallback',
  opened: 'Times that the circuit opened',
} as const satisfies Partial<Record<keyof Totals, string>>;

/**
 * Puts the figures of `breakers` into a prom-client registry. They are read when Prometheus scrapes, so a call pays
 * nothing for them.
 *
 * `circuit_breaker_state{name,state}` is 1 for the present state; `circuit_breaker_calls_total{name,result}` has the
 * results success, failure, ignored and rejected; `circuit_breaker_<detail>_total{name}` has timeout, slow, late,
 * fallback and opened.
 *
 * @throws InvalidOptionError when two breakers have one name, which Prometheus would take for one series.
 * @throws what the registry throws when a metric of that name is there already: register all breakers in one call.
 */
export function promMetrics(breakers: readonly { snapshot(): Snapshot }[], registry: MetricRegistry): void {
  // Prometheus drops a scrape that has one series twice. Half a surrogate pair is "�" on the wire, whatever half it was.
  const names = breakers.map((breaker) => breaker.snapshot().name.toWellFormed());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new InvalidOptionError(`Two circuit breakers are named ${twice}: give each its name.`);
  const add = (name: string, type: 'counter' | 'gauge', help: string, read: (snapshot: Snapshot) => Value[]) => {
    const metric: Metric = {
      name,
      type,
      // The figures are the breakers' own.
      reset() {},
      get: async () => ({
        // A registry for OpenMetrics has taken "_total" off, and puts it on each line.
        name: metric.name,
        help,
        type,
        aggregator: 'sum',
        values: breakers.flatMap((breaker) => read(breaker.snapshot())),
      }),
    };
    registry.registerMetric(metric);
  };
  add('circuit_breaker_state', 'gauge', 'The present state of a circuit breaker: 1', ({ name, state }) =>
    STATES.map((each) => ({ labels: { name, state: each }, value: each === state ? 1 : 0 })),
  );
  add('circuit_breaker_calls_total', 'counter', 'Calls by result', ({ name, totals }) =>
    RESULTS.map((result) => ({ labels: { name, result }, value: totals[result] })),
  );
  for (const detail of ['timeout', 'slow', 'late', 'fallback', 'opened'] as const) {
    add(`circuit_breaker_${detail}_total`, 'counter', DETAILS[detail], ({ name, totals }) => [
      { labels: { name }, value: totals[detail] },
    ]);
  }
}

/** What prom-client's `Registry` asks of a metric, which it may rename. */
interface Metric {
  name: string;
  readonly type: string;
  get(): Promise<unknown>;
  reset(): void;
}

interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
