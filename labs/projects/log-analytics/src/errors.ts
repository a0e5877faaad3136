/** What this package throws, apart from programming errors. */
export class AnalyticsError extends Error {
  override readonly name: string = 'AnalyticsError';
}

/** Bad input: nothing was sent to a store. */
export class InvalidArgumentError extends AnalyticsError {
  override readonly name = 'InvalidArgumentError';

  constructor(what: string, given: unknown, wanted: string) {
    super(
      `${what} is ${typeof given === 'string' ? JSON.stringify(given.slice(0, 80)) : String(given)}: give ${wanted}.`,
    );
  }
}

/** Redis or Postgres has not answered. Whether the call had an effect is not known; the same call again is safe. */
export class StoreUnavailableError extends AnalyticsError {
  override readonly name = 'StoreUnavailableError';

  constructor(store: 'Redis' | 'Postgres', cause: unknown) {
    const words = cause instanceof Error ? cause.message : String(cause);
    super(`${store} has not answered (${words}): do the same again.`, { cause });
  }
}

/** The windows that are in the book have another width than those that were to be added. */
export class WindowWidthError extends AnalyticsError {
  override readonly name = 'WindowWidthError';

  constructor(asked: number, known: number) {
    super(`The book has windows of ${known} ms, and windowMs is ${asked}: give ${known}, or begin another book.`);
  }
}

const SOURCE = /^[\w.:@/-]{1,128}$/;

/** A source's name becomes a key of its position: what could be mistaken for another is refused. @throws InvalidArgumentError */
export function checkSource(value: unknown): asserts value is string {
  if (typeof value !== 'string' || !SOURCE.test(value)) {
    throw new InvalidArgumentError('source', value, '1 to 128 letters, digits or . _ : @ / -');
  }
}

/** @throws InvalidArgumentError */
export function checkWhole(what: string, value: unknown, least: number, most = 2 ** 31 - 1): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(what, value, `a whole number from ${least} to ${most}`);
  }
}

/** @throws InvalidArgumentError */
export function checkShare(what: string, value: unknown): asserts value is number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError(what, value, 'a share from 0 to 1');
  }
}
