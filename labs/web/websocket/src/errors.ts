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
