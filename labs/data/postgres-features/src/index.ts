export { type Card, Cards, type Scalar } from './cards.ts';
export type { Statement } from './database.ts';
export {
  DisconnectedError,
  FeatureError,
  InvalidArgumentError,
  MissingFieldError,
  QueryRefusedError,
  StaleSegmentsError,
  UnstorableJsonError,
} from './errors.ts';
export type { Json, JsonObject } from './json.ts';
export { type Plan, planOf } from './plan.ts';
export { type Doc, type Found, type Hit, TextSearch } from './search.ts';
export { intlSegmenter, type Segmenter, segment } from './segment.ts';
