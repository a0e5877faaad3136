import { inspect } from 'node:util';

/** All errors of this package; tell them apart by class or by `code`. */
export abstract class ResourceError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What was used has been given back already. */
export class DisposedError extends ResourceError {
  readonly code = 'DISPOSED';

  constructor(what: string) {
    super(`${what} has been given back: use it inside of its block, or move it to an owner that lives longer.`);
  }
}

/** What allows one use at a time is used once more before the first use is over. */
export class ReentrantError extends ResourceError {
  readonly code = 'REENTRANT';
}

/** A generator for `contextManager` has to yield exactly once. */
export class YieldError extends ResourceError {
  readonly code = 'YIELD';

  constructor(generator: string, times: 'never' | 'again', options?: ErrorOptions) {
    const what = times === 'never' ? 'returned and did not yield' : 'yielded again and did not return';
    super(`The generator ${generator} ${what}: let it yield once, what its body is to have.`, options);
  }
}

/** It has neither `Symbol.asyncDispose` nor `Symbol.dispose`. */
export class NotDisposableError extends ResourceError {
  readonly code = 'NOT_DISPOSABLE';

  constructor(value: unknown) {
    super(`${inspect(value, { depth: 0 })} cannot be disposed of: try \`callback\` or \`closing\`, which say how.`);
  }
}

/** A signal asked the process to end: the reason of the AbortSignal that `interruptible` gives. */
export class InterruptedError extends ResourceError {
  readonly code = 'INTERRUPTED';
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`${signal} asks this process to end.`);
    this.signal = signal;
  }
}

/** Postgres answered COMMIT with ROLLBACK, or wasn't asked, since a statement had no answer of its own. `cause` is the error of the statement that spoilt the transaction. */
export class RolledBackError extends ResourceError {
  readonly code = 'ROLLED_BACK';

  constructor(options?: ErrorOptions) {
    super('The transaction is rolled back instead: a statement in it had failed.', options);
  }
}

/** The connection was lost between COMMIT and its answer. */
export class CommitUnknownError extends ResourceError {
  readonly code = 'COMMIT_UNKNOWN';

  constructor(options?: ErrorOptions) {
    super('COMMIT had no answer: look at the data whether it took place, before you try again.', options);
  }
}
