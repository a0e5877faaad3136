/** Every error of this lab; `instanceof CacheError` tells it from the errors of the loader, which pass untouched. */
export abstract class CacheError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be made from. */
export class InvalidArgumentError extends CacheError {}

/** A value that JSON can't hold (a function, a BigInt, NaN, a circle). Nothing was stored. */
export class UnstorableValueError extends CacheError {}

/** Nothing was loaded in time. The loader's signal has aborted; whoever asks again starts a new load. */
export class LoadTimeoutError extends CacheError {
  constructor(key: string, timeoutMs: number) {
    super(`${key} was not loaded within ${timeoutMs} ms. Look at the database, or raise timeoutMs.`);
  }
}

/** The process that loads for the whole cluster has failed, and who waited for it fails with it: once, not in turns. */
export class LoadFailedElsewhereError extends CacheError {
  constructor(key: string, reason: string) {
    super(`${key}: the process that loaded it failed: ${reason}. Ask again, and this process may load.`);
  }
}

/** As many loads are running and waiting as this process may have. Answer 503, or something older. */
export class OverloadedError extends CacheError {
  constructor(key: string, running: number, waiting: number) {
    super(`${key} was not loaded: ${running} loads are running and ${waiting} are waiting. Try again later.`);
  }
}

/** Redis didn't take an invalidation, so what is cached may be stale until its TTL ends. Call `invalidate` again. */
export class InvalidationFailedError extends CacheError {}

/** The cache was closed. */
export class ClosedError extends CacheError {}

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
