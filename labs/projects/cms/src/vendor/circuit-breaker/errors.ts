import { inspect } from 'node:util';

/** Every error of these policies; `instanceof ResilienceError` tells it from the errors of the call itself. */
export abstract class ResilienceError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option that no policy can be made from. */
export class InvalidOptionError extends ResilienceError {}

/**
 * Refused by a policy of ours: the dependency was not asked, so it is no evidence of the dependency's health.
 *
 * It has no stack: under an outage every caller is refused, and a stack trace would be most of the price of it (see
 * bench.ts). Resilience4j has `writableStackTraceEnabled` for this.
 */
export abstract class RejectedError extends ResilienceError {
  /** Milliseconds after which another try may be worth it; a `Retry-After` header rounds it up to seconds. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    const { stackTraceLimit } = Error;
    // An assignment would throw where it is locked (node --frozen-intrinsics).
    Reflect.set(Error, 'stackTraceLimit', 0);
    super(message);
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The circuit is open, held open by hand, or half-open with all of its probes under way. Answer with a fallback. */
export class CircuitOpenError extends RejectedError {}

/** All slots of the bulkhead are taken, and so are the places in its queue. Shed the load, or make the queue longer. */
export class BulkheadFullError extends RejectedError {}

/** Waited in the bulkhead's queue for longer than `queueTimeoutMs`. */
export class QueueTimeoutError extends RejectedError {}

/** The call took longer than its time limit; its signal was aborted with this error. Counts as a failure. */
export class CallTimeoutError extends ResilienceError {}

/** The call failed, and so did its fallback. `cause` is the error of the call: the one to look into first. */
export class FallbackError extends ResilienceError {
  readonly fallbackError: unknown;

  constructor(cause: unknown, fallbackError: unknown) {
    super(`The fallback failed (${tellable(fallbackError)}) after the call did: ${tellable(cause)}`, { cause });
    this.fallbackError = fallbackError;
  }
}

/** An error as it is, if it has a text; anything else in words, also what nobody can look at. */
export function tellable(error: unknown): Error | string {
  try {
    return error instanceof Error && String(error) ? error : inspect(error);
  } catch {
    return 'what nobody can look at';
  }
}
