import { InvalidArgumentError } from './errors.ts';
import { durationChecked, type QueryOptions, queries } from './queries.ts';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** How long `expr` must be true before anybody is told. */
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RecordingRule {
  /** level:metric:operation, https://prometheus.io/docs/practices/rules/ */
  readonly record: string;
  readonly expr: string;
}

export interface RuleFile {
  readonly groups: readonly {
    readonly name: string;
    /** How often the rules are asked. Default: Prometheus' `evaluation_interval`. */
    readonly interval?: string;
    /** One after the other, so that an alert may read what was recorded above it. */
    readonly rules: readonly (AlertRule | RecordingRule)[];
  }[];
}

export interface RuleOptions extends QueryOptions {
  /** The jobs that have to be there: Prometheus doesn't miss a target that nobody told it of. */
  readonly jobs: readonly string[];
  /** How long something must be wrong before anybody is told: a PromQL duration. */
  readonly hold: string;
  readonly interval?: string;
}

/** Symptoms page somebody; causes and what is missing say where to look. */
export type Severity = 'page' | 'ticket';

/** The rules for Prometheus' `rule_files`: `JSON.stringify` it, since YAML reads JSON. @throws InvalidArgumentError */
export function ruleFile(options: RuleOptions): RuleFile {
  const { window, hold, interval, jobs } = options;
  for (const duration of [window, ...(hold === '0s' ? [] : [hold]), ...(interval === undefined ? [] : [interval])]) {
    durationChecked(duration);
    // Grafana puts a duration in its place; Prometheus would refuse the whole file.
    if (duration.startsWith('$'))
      throw new InvalidArgumentError(`${duration} is Grafana's: rules need a duration such as 5m.`);
  }
  for (const job of jobs) {
    // YAML folds or refuses these, PromQL has no half surrogates, and `up{job=""}` is never there.
    if (!/^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(job))
      throw new InvalidArgumentError(`A job is a line of text, not ${JSON.stringify(job)}.`);
  }
  const { requestRate, errorRatio, slowRatio, hitRatio } = queries(options);
  const rules = [
    { record: 'job_route:http_requests:rate', expr: requestRate },
    { record: 'job:http_requests:error_ratio', expr: errorRatio },
    { record: 'job:http_requests:slow_ratio', expr: slowRatio },
    { record: 'job_cache_version:cache_requests:hit_ratio', expr: hitRatio },
    ...alerts(options),
  ];
  return { groups: [{ name: 'service', ...(interval !== undefined && { interval }), rules }] };
}

/** Two symptoms, one cause, and two kinds of silence; over what `ruleFile` records. */
export function alerts({ jobs, hold }: Pick<RuleOptions, 'jobs' | 'hold'>): AlertRule[] {
  const alert = alertHeldFor(hold);
  return [
    alert('RequestsSlow', 'job:http_requests:slow_ratio > 0.05', 'page', {
      summary: '{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} take longer than promised.',
    }),
    alert('RequestsFail', 'job:http_requests:error_ratio > 0.01', 'page', {
      summary: '{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail.',
    }),
    alert('CacheMisses', 'job_cache_version:cache_requests:hit_ratio < 0.9', 'ticket', {
      summary: `The cache {{ $labels.cache }} of {{ $labels.job }} answers {{ $value | humanizePercentage }} of the reads of version {{ $labels.version }}, ${age}.`,
      action: 'Roll back to the version before.',
    }),
    alert('InstanceDown', 'up == 0', 'ticket', {
      summary: '{{ $labels.instance }} of {{ $labels.job }} does not answer.',
    }),
    // One rule for all: promtool takes several of one name and the same labels for a mistake.
    ...(jobs.length === 0
      ? []
      : [
          alert('JobMissing', jobs.map((job) => `absent(up{job=${JSON.stringify(job)}})`).join(' or '), 'page', {
            summary: 'Nobody is asked about {{ $labels.job }}: it has no targets.',
          }),
        ]),
  ];
}

/** Makes alerts that share their `for`. */
export function alertHeldFor(hold: string) {
  return (
    name: string,
    expr: string,
    severity: Severity,
    annotations: { readonly summary: string; readonly action?: string },
  ): AlertRule => ({ alert: name, expr, for: hold, labels: { severity }, annotations });
}

/** Asked by Prometheus for the text alone: what an annotation says is no part of who the alert is. */
const age =
  '{{ with printf "time() - max(app_release_timestamp_seconds{job=%q,version=%q})" $labels.job $labels.version | query }}' +
  'live for {{ . | first | value | humanizeDuration }}{{ end }}';
