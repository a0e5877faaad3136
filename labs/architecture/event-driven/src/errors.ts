/** Every error of this package; `instanceof EventError` tells it from a handler's own. */
export abstract class EventError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be made of. */
export class InvalidArgumentError extends EventError {}

/** A type or version that this reader does not know. Trying again does not help: deploy the reader first, then replay. */
export class UnknownEventError extends EventError {}

/** What came from the broker is no event. Kept with its text as a dead letter: mend the text, and publish it anew. */
export class UnreadableEventError extends EventError {}

/**
 * The broker has no queue for the event, or no group for its replay. It stays in the outbox, or a dead letter; subscribe a
 * group to its type.
 */
export class UnroutableError extends EventError {}

/**
 * A connection broke, or no answer came over it in time. It comes back by itself: publish again, as the relay does in its
 * next round.
 */
export class ConnectionLostError extends EventError {}

/**
 * A transaction was to be committed after one of its statements had failed, or after it had ended by itself: Postgres
 * keeps nothing of it, and says no error. Or a statement came after the end: it was not sent.
 */
export class RolledBackError extends EventError {}

/** A handler took longer than it may. Its signal has aborted; the try counts as failed. */
export class HandlerTimeoutError extends EventError {}

/** The bus was closed: open another. */
export class BusClosedError extends EventError {}

/** There is no dead letter of this group and event. */
export class NoDeadLetterError extends EventError {}
