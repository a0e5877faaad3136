export { type Askable, type AskOptions, ask } from './ask.ts';
export { type Bucket, type BucketOptions, type BucketReport, bucketReport, type Edge } from './bucket.ts';
export {
  AggregationError,
  InexactAmountError,
  InvalidArgumentError,
  LimitExceededError,
  PipelineRefusedError,
  ServerUnreachableError,
} from './errors.ts';
export { type AsOf, type Joined, joinRefs, lookupAsOf, lookupRefs, type Refs } from './join.ts';
export { amounts, readCents, type Total } from './money.ts';
export { equals, type Field, fieldName, fieldPath, literal, type Where } from './outside.ts';
export { type FacetPage, facetPage, type PageOptions } from './page.ts';
export { type ReachOptions, reachable } from './reach.ts';
export { type Running, type RunningOptions, runningTotals } from './running.ts';
export {
  type Day,
  type DayDocument,
  type Refreshed,
  readView,
  refreshView,
  type ViewOptions,
  type Watermark,
} from './view.ts';
