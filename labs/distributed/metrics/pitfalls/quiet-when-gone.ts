// Flaw: `up == 0` for a job that has no targets any more: there is no `up` to be 0, and all alerts fall silent together.
// Seen in: https://github.com/scylladb/scylla-monitoring/issues/623
// Caught by: a job without targets and a target without an answer are alerts, not silence
import { type AlertRule, type RuleOptions, alerts as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function alerts(options: Pick<RuleOptions, 'jobs' | 'hold'>): AlertRule[] {
  return reference(options).map((rule) =>
    rule.alert === 'JobMissing' ? { ...rule, expr: rule.expr.replace(/^absent\((.*)\)$/, '$1 == 0') } : rule,
  );
}
