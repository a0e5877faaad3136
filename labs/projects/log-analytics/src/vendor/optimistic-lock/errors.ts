import { inspect } from 'node:util';

/** Whatever this module refuses or reports; `instanceof VersionError` tells it from Postgres's own `DatabaseError`. */
export abstract class VersionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no statement can be made from. Nothing was sent. */
export class InvalidArgumentError extends VersionError {
  /** For an HTTP answer: 400 Bad Request. */
  readonly status = 400;
}

/** The row has moved on since it was read. Read it again and decide anew, or show both to whoever decides. */
export class StaleVersionError extends VersionError {
  /** For an HTTP answer: 412 Precondition Failed. */
  readonly status = 412;
  readonly table: string;
  readonly id: number | string;
  /** The versions that would have done. */
  readonly expected: readonly number[];
  /** The version that was there a moment after the refusal. */
  readonly actual: number;

  constructor(table: string, id: number | string, expected: readonly number[], actual: number) {
    const wanted = expected.join(' or ') || 'no version of ours';
    super(`${table} ${inspect(id)} is at version ${actual}, and ${wanted} was expected: read it again.`);
    this.table = table;
    this.id = id;
    this.expected = expected;
    this.actual = actual;
  }
}

/** There is no such row: it never was, or somebody deleted it. Reading it again won't help. */
export class NotFoundError extends VersionError {
  /** For an HTTP answer: 404 Not Found. */
  readonly status = 404;
  readonly table: string;
  readonly id: number | string;

  constructor(table: string, id: number | string) {
    super(`${table} has no row ${inspect(id)}.`);
    this.table = table;
    this.id = id;
  }
}

/**
 * The row is there, at a version that would have done, and twice the statement did not touch it: a policy of row-level security
 * hides it from writers, or a trigger or rule skips the write. Another attempt won't help.
 */
export class WriteWithheldError extends VersionError {
  /** For an HTTP answer: 403 Forbidden. */
  readonly status = 403;
  readonly table: string;
  readonly id: number | string;

  constructor(table: string, id: number | string) {
    super(`${table} ${inspect(id)} is not stale, but was not written: a policy, a trigger or a rule withheld it.`);
    this.table = table;
    this.id = id;
  }
}

/** A request without If-Match (RFC 6585, section 3). Ask the client to GET the row, and to send its ETag back. */
export class PreconditionRequiredError extends VersionError {
  /** For an HTTP answer: 428 Precondition Required. */
  readonly status = 428;

  constructor() {
    super('If-Match is missing: send the ETag of the version that you have read.');
  }
}

/** Each attempt met somebody else's. `cause` is the last conflict. Try later, or take the lock first (`modifyLocked`). */
export class RetriesExhaustedError extends VersionError {
  readonly attempts: number;

  constructor(attempts: number, cause: unknown) {
    super(`${attempts} attempt(s), and each met another writer: too many write here at once.`, { cause });
    this.attempts = attempts;
  }
}

/** The lock on the row was not had within `lockTimeoutMs`. Nothing was written. `cause` is Postgres's error. */
export class LockTimeoutError extends VersionError {
  constructor(cause: unknown) {
    super('The lock was held for longer than lockTimeoutMs: look for a transaction that stands still.', { cause });
  }
}

/** A statement of the transaction failed and its error was swallowed: Postgres has undone everything. */
export class RolledBackError extends VersionError {
  constructor() {
    super('Postgres rolled back instead of committing: a statement inside failed and its error was caught.');
  }
}

/** A statement came after its transaction had ended, and wasn't sent. Await in the body whatever you begin there. */
export class TransactionOverError extends VersionError {
  constructor() {
    super('The transaction is over: await each of its statements before the body ends.');
  }
}

/** There is no connection, or it was lost before its answer. `cause` is the driver's error. */
export class ConnectionLostError extends VersionError {
  /** Whether what was asked may have been done all the same. After `unknown`, read the row before you ask again. */
  readonly written: 'no' | 'unknown';

  constructor(written: 'no' | 'unknown', cause: unknown) {
    const fate = written === 'no' ? 'nothing was written' : 'what was asked may have been done';
    super(`The connection to Postgres was lost: ${fate}.`, { cause });
    this.written = written;
  }
}
