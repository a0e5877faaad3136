export { type ContractRoutesOptions, contractRoutes, fromRoutes } from './contract.ts';
export { answersOf, type BreakingChange, diffContracts, nameOf, notWithin, requestOf, type Within } from './diff.ts';
export {
  type Exchange,
  type Finding,
  type FuzzAnswer,
  type FuzzOptions,
  type FuzzReport,
  type FuzzRequest,
  fuzz,
  judge,
  parsed,
} from './fuzz.ts';
export {
  type Answer,
  type Claim,
  committed,
  type IdempotencyOptions,
  IdempotencyStore,
  idempotencyKey,
  idempotent,
  inFlight,
  type Reply,
  requireIdempotencyKey,
  usedBefore,
  type Work,
} from './idempotency.ts';
export { badCursor, Keyset, type KeysetOptions, type Page, type PageRequest } from './keyset.ts';
export {
  type Contract,
  ContractError,
  mediaTypeOf,
  type Operation,
  operationsOf,
  promised,
  type Schema,
} from './operations.ts';
export { contractPage } from './page.ts';
export {
  entityTags,
  etag,
  ifMatch,
  ifMatchHeader,
  ifNoneMatch,
  preconditionRequired,
  requireIfMatch,
  stale,
} from './precondition.ts';
export {
  type FieldError,
  fieldErrorsOf,
  isFastifyError,
  PROBLEM_JSON,
  Problem,
  type ProblemDetails,
  type ProblemOptions,
  problemSchema,
  problemServer,
  problems,
  refusals,
  SECRET,
  toProblem,
} from './problem.ts';
export { wholeNumber, writing } from './text.ts';
