/** What this package throws, apart from programming errors. */
export class SeckillError extends Error {
  override readonly name: string = 'SeckillError';
}

/** Bad input: nothing was sent to a store. */
export class InvalidArgumentError extends SeckillError {
  override readonly name = 'InvalidArgumentError';

  constructor(what: string, given: unknown, wanted: string) {
    super(
      `${what} is ${typeof given === 'string' ? JSON.stringify(given.slice(0, 80)) : String(given)}: give ${wanted}.`,
    );
  }
}

/** Redis or Postgres has not answered. Whether the call had an effect is not known; calling again with the same ids is safe. */
export class StoreUnavailableError extends SeckillError {
  override readonly name = 'StoreUnavailableError';

  constructor(store: 'Redis' | 'Postgres', cause: unknown) {
    const words = cause instanceof Error ? cause.message : String(cause);
    super(`${store} has not answered (${words}): ask again with the same ids.`, { cause });
  }
}

/** Nobody has put this on sale. */
export class UnknownItemError extends SeckillError {
  override readonly name = 'UnknownItemError';

  constructor(sku: string) {
    super(`There is no item "${sku}": put it on sale first.`);
  }
}

const ID = /^[\w.@-]{1,64}$/;

export const isPlainId = (value: unknown): value is string => typeof value === 'string' && ID.test(value);

/** Ids become parts of keys and of stream entries: what could be mistaken for something else is refused. @throws InvalidArgumentError */
export function checkId(what: string, value: unknown): asserts value is string {
  if (!isPlainId(value)) throw new InvalidArgumentError(what, value, '1 to 64 letters, digits or . _ @ -');
}

/** @throws InvalidArgumentError */
export function checkWhole(what: string, value: unknown, least: number, most = 2 ** 31 - 1): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(what, value, `a whole number from ${least} to ${most}`);
  }
}
