import { inspect } from 'node:util';

/** All errors of this package; tell them apart by class or by `code`. */
export abstract class ChannelError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing could be done with. */
export class InvalidArgumentError extends ChannelError {
  readonly code = 'INVALID_ARGUMENT';
}

/** Asked of something that was closed. */
export class ClosedError extends ChannelError {
  readonly code = 'CLOSED';

  constructor(what: string) {
    super(`${what} is closed: open another one.`);
  }
}

/**
 * Redis has not answered, or has refused. What was to be sent may be sent or not: whoever sends it again may have it twice.
 * `cause` is what the client says.
 */
export class UnavailableError extends ChannelError {
  readonly code = 'UNAVAILABLE';

  constructor(what: string, options: ErrorOptions) {
    super(`Redis has not answered to ${what}: it is not known whether it took place. Ask again later.`, options);
  }
}

/** What goes wrong behind the scenes, and has nobody to be thrown at. */
export class BackgroundError extends ChannelError {
  readonly code = 'BACKGROUND';
}

/** What `onError` throws or rejects with is a warning: whoever is told of a failure doesn't make it a greater one. */
export async function reportTo(onError: (error: unknown) => unknown, message: string, cause: unknown): Promise<void> {
  try {
    await onError(new BackgroundError(message, { cause }));
  } catch (worse) {
    process.emitWarning(`onError has thrown ${inspect(worse)}`);
  }
}

/** A Node timer of more milliseconds would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** @throws InvalidArgumentError unless all of them are whole numbers from 1 to `most` */
export function refuseBadNumbers(numbers: Readonly<Record<string, number>>, most = LONGEST_TIMER): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (Number.isSafeInteger(value) && value >= 1 && value <= most) continue;
    throw new InvalidArgumentError(`${name} is ${inspect(value)}: give a whole number from 1 to ${most}.`);
  }
}
