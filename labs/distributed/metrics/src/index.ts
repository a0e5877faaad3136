export {
  type Dashboard,
  type DashboardOptions,
  dashboard,
  type PanelOptions,
  type ProvisioningOptions,
  provisioning,
  servicePanels,
} from './dashboard.ts';
export { InvalidArgumentError } from './errors.ts';
export {
  type HttpMetrics,
  type HttpMetricsOptions,
  httpInstruments,
  httpMetrics,
  knownMethod,
  matched,
} from './http.ts';
export { boundedLabel, storable } from './labels.ts';
export { metricsPage } from './page.ts';
export { type Queries, type QueryOptions, queries, queryParts, runsOut } from './queries.ts';
export { cacheMetrics, eventLoopMetrics, type PoolState, poolMetrics, releaseMetrics } from './resources.ts';
export {
  type AlertRule,
  alertHeldFor,
  alerts,
  type RecordingRule,
  type RuleFile,
  type RuleOptions,
  ruleFile,
  type Severity,
} from './rules.ts';
export { sloBuckets } from './slo.ts';
