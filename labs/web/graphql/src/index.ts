export {
  BatchError,
  InvalidArgumentError,
  type LimitCode,
  LimitExceededError,
  PublicError,
  type PublicErrorOptions,
} from './errors.ts';
export { aliasLimit, costLimit, depthLimit, type Measure, measure } from './limits.ts';
export {
  type Batch,
  batchByKey,
  createLoaders,
  groupByKey,
  type Key,
  Loader,
  type LoaderOptions,
  type Loaders,
  type RowsByKey,
} from './loader.ts';
export { type Incident, type MaskOptions, maskErrors } from './masking.ts';
export { hashOf, persisted, type QueryRequest } from './persisted.ts';
export type { CostLimitOptions, FieldInQuery } from './query.ts';
export { type LimitsOptions, useDeadline, useLimits, usePersisted } from './yoga.ts';
