export { type Clock, systemClock } from './clock.ts';
export { refreshEarly } from './early.ts';
export {
  CacheError,
  ClosedError,
  InvalidArgumentError,
  InvalidationFailedError,
  LoadFailedElsewhereError,
  LoadTimeoutError,
  OverloadedError,
  UnstorableValueError,
} from './errors.ts';
export { type CacheEvent, type Freshness, type GetOptions, HotCache, type HotCacheOptions } from './hot-cache.ts';
export { type Cache, compose, type Layer, type Load, type Next, type Read } from './layers.ts';
export { connectRedis } from './redis.ts';
export { SingleFlight, type SingleFlightOptions } from './single-flight.ts';
