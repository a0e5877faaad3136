export { Breaker, type BreakerOptions, type Outcome } from './breaker.ts';
export { type Clock, systemClock } from './clock.ts';
export { DualCache, type DualCacheOptions } from './dual-cache.ts';
export {
  CacheError,
  CircuitOpenError,
  ClosedError,
  DatabaseSparedError,
  GateFullError,
  GateTimeoutError,
  InvalidArgumentError,
  InvalidationFailedError,
  LoadTimeoutError,
  NotStoredError,
  UnstorableValueError,
} from './errors.ts';
export { DatabaseGate, type GateOptions, type GateStats } from './gate.ts';
export { jitterTtl } from './jitter.ts';
export { type Cache, compose, type Layer, type Load, type Next, type Read } from './layers.ts';
export { PerpetualCache, type PerpetualCacheOptions } from './perpetual-cache.ts';
export type { CacheEvent, CacheOptions, ReadOptions } from './read-through.ts';
export { connectRedis } from './redis.ts';
export { TtlCache, type TtlCacheOptions } from './ttl-cache.ts';
export { type Warmable, type WarmUpOptions, type WarmUpReport, warmUp } from './warm-up.ts';
