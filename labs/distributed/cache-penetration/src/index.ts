export { clientAddress, clientName } from './address.ts';
export type { Clock } from './clock.ts';
export {
  BannedError,
  CacheError,
  FilterUnavailableError,
  InvalidArgumentError,
  InvalidationFailedError,
  RebuildLostError,
  UnstorableValueError,
} from './errors.ts';
export { Filter, type FilterOptions, type FilterStats } from './filter.ts';
export { type GuardOptions, MissGuard, type Verdict } from './guard.ts';
export {
  type Cache,
  type CacheEvent,
  compose,
  type Layer,
  type Load,
  type Next,
  type OnEvent,
  type Read,
} from './layers.ts';
export { LocalBloom } from './local-bloom.ts';
export { LookupCache, type LookupOptions } from './lookup.ts';
export { connectRedis } from './redis.ts';
export { SharedBloom, type SharedBloomOptions } from './shared-bloom.ts';
export { type BloomShape, bloomShape, predictedFpp } from './sizing.ts';
export { changeRow, type Defences, insertRow, protect } from './station.ts';
