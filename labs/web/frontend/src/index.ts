export { type Api, type ApiOptions, createApi, dataOf, renewAt, signed } from './api.ts';
export {
  ApiError,
  ForeignAnswerError,
  IN_FLIGHT,
  OfflineError,
  ProblemError,
  RateLimitedError,
  SignedOutError,
  SlowServerError,
} from './errors.ts';
export { type ExchangeOptions, exchange, type Fetch, jsonOf, retryAfterMs } from './exchange.ts';
export { type Piece, pieces } from './highlight.ts';
export { type FieldErrors, fieldErrors, type Problem, readProblem } from './problem.ts';
export { type Found, nextOf, Search, type SearchOptions, type SearchState } from './search.ts';
export { Session, type SessionOptions, type Tokens } from './session.ts';
export { type Readable, type Store, store } from './store.ts';
export { Submission, type SubmissionOptions, type SubmissionState } from './submission.ts';
