/** Every error of this lab; `instanceof CacheError` tells it from the errors of the loader, which pass untouched. */
export abstract class CacheError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be made from. */
export class InvalidArgumentError extends CacheError {}

/** A value that JSON can't hold (a function, a BigInt, a circle). Nothing was stored. */
export class UnstorableValueError extends CacheError {}

/** Redis didn't take an invalidation, so what is cached may be stale until its TTL ends. Call `invalidate` again. */
export class InvalidationFailedError extends CacheError {}

/** A warm-up loaded the value, and Redis didn't take it: the crowd won't find it there. */
export class NotStoredError extends CacheError {}

/** The load wasn't done in time. Its signal has aborted; whoever asks again starts a new one. */
export class LoadTimeoutError extends CacheError {
  constructor(timeoutMs: number) {
    super(`The load took longer than ${timeoutMs} ms. Look at the database, or raise loadTimeoutMs.`);
  }
}

/** The cache was closed. */
export class ClosedError extends CacheError {}

/** The database wasn't asked, to spare it. Answer with something older, or with 503 and `retryAfterMs` as Retry-After. */
export abstract class DatabaseSparedError extends CacheError {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** As many loads are running and waiting as the gate allows: this one was turned away at once. */
export class GateFullError extends DatabaseSparedError {
  constructor(running: number, waiting: number, retryAfterMs: number) {
    super(`Not loaded: ${running} loads are running and ${waiting} are waiting. Try again later.`, retryAfterMs);
  }
}

/** The load's turn didn't come in time. */
export class GateTimeoutError extends DatabaseSparedError {
  constructor(maxWaitMs: number) {
    super(`Not loaded: its turn did not come within ${maxWaitMs} ms. Try again later.`, maxWaitMs);
  }
}

/** Too many loads failed of late: none is tried until the circuit lets a probe through. */
export class CircuitOpenError extends DatabaseSparedError {
  constructor(retryAfterMs: number) {
    super(`Not loaded: the database failed too often, the next try is in ${Math.ceil(retryAfterMs)} ms.`, retryAfterMs);
  }
}

/** @throws InvalidArgumentError unless `value` is a whole number from `from` to `to`. */
export function whole(name: string, value: number, from: number, to: number): number {
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  throw new InvalidArgumentError(`${name} must be a whole number from ${from} to ${to}; it is ${value}.`);
}

/**
 * A key, id or name that Redis is asked for. @throws InvalidArgumentError when it is empty, above 512 characters, or has
 * half of a surrogate pair: for UTF-8 all halves are one.
 */
export function named(what: string, text: string): string {
  if (text.length === 0 || text.length > 512)
    throw new InvalidArgumentError(`${what} must have 1 to 512 characters; it has ${text.length}.`);
  if (text.isWellFormed()) return text;
  throw new InvalidArgumentError(
    `${what} has half of a character, as if an emoji had been cut: ${JSON.stringify(text)}.`,
  );
}

/** Node fires a timer beyond this at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A hundred years: what Redis adds to its clock must not overflow. */
export const LONGEST_TTL_MS = 100 * 365 * 86_400_000;
