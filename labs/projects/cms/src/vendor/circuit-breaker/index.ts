export type {
  RunOptions,
  Snapshot,
  StateName,
  Totals,
  Transition,
} from './breaker.ts';
export { CircuitBreaker } from './breaker.ts';
export type { BulkheadOptions } from './bulkhead.ts';
export { Bulkhead } from './bulkhead.ts';
export type { Call, Policy } from './call.ts';
export type { Clock } from './clock.ts';
export type { RetryOptions } from './compose.ts';
export { compose, retry } from './compose.ts';
export {
  BulkheadFullError,
  CallTimeoutError,
  CircuitOpenError,
  FallbackError,
  InvalidOptionError,
  QueueTimeoutError,
  RejectedError,
  ResilienceError,
} from './errors.ts';
export type { MetricRegistry } from './metrics.ts';
export { promMetrics } from './metrics.ts';
export type { BreakerOptions, WindowOptions } from './plan.ts';
