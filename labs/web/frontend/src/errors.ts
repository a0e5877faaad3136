import type { Problem } from './problem.ts';

/** What a call to the API can come to, other than an answer. Each says what its reader can do. */
export abstract class ApiError extends Error {
  abstract readonly code: string;
  /**
   * Whether the server may have done what it was asked all the same. Whoever asks again sends the same Idempotency-Key as
   * long as this is true.
   */
  abstract readonly outcomeUnknown: boolean;
}

/** The type of the API's problem which says that the same request is still being worked on. */
export const IN_FLIGHT = 'tag:bookshop.example,2026:in-flight';

/** The server has refused, and said why (RFC 9457). */
export class ProblemError extends ApiError {
  override readonly name = 'ProblemError';
  readonly code = 'PROBLEM';
  readonly status: number;
  readonly problem: Problem;
  readonly outcomeUnknown: boolean;

  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.problem = problem;
    // What fails inside of the server may have failed behind the commit.
    this.outcomeUnknown = status >= 500 || problem.type === IN_FLIGHT;
  }
}

/** 429: too many requests. */
export class RateLimitedError extends ApiError {
  override readonly name = 'RateLimitedError';
  readonly code = 'RATE_LIMITED';
  readonly outcomeUnknown = false;
  /** Milliseconds to wait, by Retry-After; undefined where the server doesn't say. */
  readonly retryAfterMs: number | undefined;

  constructor(retryAfterMs: number | undefined) {
    const wait = retryAfterMs === undefined ? 'a moment' : `${Math.ceil(retryAfterMs / 1000)} s`;
    super(`Too many requests: wait ${wait}, then try again.`);
    this.retryAfterMs = retryAfterMs;
  }
}

/** No whole answer in time. */
export class SlowServerError extends ApiError {
  override readonly name = 'SlowServerError';
  readonly code = 'SLOW_SERVER';
  readonly outcomeUnknown = true;
  readonly afterMs: number;

  constructor(afterMs: number) {
    super(`The server has not answered within ${afterMs / 1000} s: try again.`);
    this.afterMs = afterMs;
  }
}

/** No connection, or one that broke before the whole answer was here. A browser doesn't say which: `cause` is all it tells. */
export class OfflineError extends ApiError {
  override readonly name = 'OfflineError';
  readonly code = 'OFFLINE';
  readonly outcomeUnknown = true;

  constructor(cause: unknown) {
    super('The server cannot be reached: look at your connection, then try again.', { cause });
  }
}

/** Something between us and the API has answered: a gateway, a hotel's login page. */
export class ForeignAnswerError extends ApiError {
  override readonly name = 'ForeignAnswerError';
  readonly code = 'FOREIGN_ANSWER';
  readonly outcomeUnknown = true;
  readonly status: number;
  readonly contentType: string | null;

  constructor(status: number, contentType: string | null) {
    super(`The answer is not the shop's (status ${status}, ${contentType ?? 'of no type'}): try again later.`);
    this.status = status;
    this.contentType = contentType;
  }
}

/** There is no session, or the server has ended it: only signing in helps. */
export class SignedOutError extends ApiError {
  override readonly name = 'SignedOutError';
  readonly code = 'SIGNED_OUT';
  readonly outcomeUnknown = false;

  constructor() {
    super('You are signed out: sign in again.');
  }
}
