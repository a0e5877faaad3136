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

/** Redis didn't take an invalidation, so what is cached may be stale until its TTL ends. Call `invalidate` again. */
export class InvalidationFailedError extends CacheError {}

/** Redis didn't take an id, so a row of that id would be refused by the filter. Don't commit the row. */
export class FilterUnavailableError extends CacheError {}

/**
 * Another rebuild took over, a process with another secret wrote to the filter, or the half-built one was evicted; it was
 * never in use. Don't try again at once: two that do overtake each other for ever.
 */
export class RebuildLostError extends CacheError {}

/**
 * The client asked for too many things that don't exist: answer 429, with a Retry-After header of
 * `Math.ceil(retryAfterMs / 1000)`, which counts seconds.
 */
export class BannedError extends CacheError {
  readonly client: string;
  readonly retryAfterMs: number;

  constructor(client: string, retryAfterMs: number) {
    super(`${client} asked too often for what does not exist: let it wait for ${retryAfterMs} ms.`);
    this.client = client;
    this.retryAfterMs = retryAfterMs;
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
