/** All errors of this package; tell them apart by class or by `code`. */
export abstract class StackError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing could be done with. */
export class InvalidArgumentError extends StackError {
  readonly code = 'INVALID_ARGUMENT';
}

/** A layer has called `next` twice: what lies inside it would run twice. */
export class NextCalledTwiceError extends StackError {
  readonly code = 'NEXT_CALLED_TWICE';

  constructor(layer: string) {
    super(`${layer} has called next() twice: call it once at most, and keep its response.`);
  }
}

/** A layer has answered, or failed, while what it began by `next` was still at work. */
export class NextNotAwaitedError extends StackError {
  readonly code = 'NEXT_NOT_AWAITED';

  constructor(layer: string, options?: ErrorOptions) {
    super(`${layer} was done before the response of its next(): return or await it.`, options);
  }
}

/** A layer or the handler has returned nothing. */
export class NoResponseError extends StackError {
  readonly code = 'NO_RESPONSE';

  constructor(layer: string) {
    super(`${layer} has returned undefined and not a response: return what next() gives, or a response of its own.`);
  }
}

/** Asked of a transaction that has ended, most likely by work that nobody waited for. */
export class TransactionOverError extends StackError {
  readonly code = 'TRANSACTION_OVER';

  constructor() {
    super('The transaction is over: await whatever belongs to it before the function given to atomic() returns.');
  }
}

/** `atomic({ durable: true })` inside of another: its end would make nothing permanent. */
export class NotDurableError extends StackError {
  readonly code = 'NOT_DURABLE';

  constructor() {
    super('A durable atomic() has to be the outermost one: inside of another it is a savepoint, which may be undone.');
  }
}

/** Nothing of it is permanent. `cause` is the error of the statement that spoilt it, or of the connection that was lost. */
export class RolledBackError extends StackError {
  readonly code = 'ROLLED_BACK';

  constructor(options?: ErrorOptions) {
    super(
      'It was rolled back instead: a statement in it had failed and was caught, or its connection was lost.',
      options,
    );
  }
}

/** The connection was lost between COMMIT and its answer: no callback of `onCommit` has run. */
export class CommitUnknownError extends StackError {
  readonly code = 'COMMIT_UNKNOWN';

  constructor(options?: ErrorOptions) {
    super('COMMIT had no answer: look at the data whether it took place, before you try again.', options);
  }
}
