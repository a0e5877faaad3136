import type { Holder } from './lease.ts';

/** Whatever this module refuses or reports. What Postgres itself refuses is pg's DatabaseError, unchanged. */
export class PoolError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}
/** A value that nothing can be made of. Correct it. */
export class InvalidArgumentError extends PoolError {}
/** The pool is closed, or closing: it lends no more. */
export class PoolClosedError extends PoolError {}
/** As many wait as may. Shed load: answer "busy, try again". */
export class QueueFullError extends PoolError {}
/** No connection could be made: `cause` is the driver's error. Is the server up, the password right, is there room? */
export class ConnectError extends PoolError {}
/** This connection was given back, and may be somebody else's by now. Acquire one anew. */
export class LeaseReleasedError extends PoolError {}
/** `withClient`'s routine has left a transaction open. It is rolled back. Use `withTx`. */
export class OpenTransactionError extends PoolError {}
/** `withTx`'s routine has sent a COMMIT or ROLLBACK of its own. What it did after that stood outside of the transaction. */
export class TransactionEndedError extends PoolError {}
/** Postgres answered COMMIT with ROLLBACK: a statement had failed, and its error was caught. Nothing was written. */
export class RolledBackError extends PoolError {}
/** A write in a `read`. It is sent nowhere else by itself: use `write`. */
export class WriteInReadError extends PoolError {}
/** A transfer that was not begun: no such account, too little money, or an id that another transfer has. */
export class TransferRefusedError extends PoolError {}
/** The money is out of one account and not in the other yet: it is in the pending row, and `resume` goes on with it. */
export class TransferPendingError extends PoolError {}

/** No connection came back in time. */
export class AcquireTimeoutError extends PoolError {
  /** Who has one, the longest first. */
  readonly holders: readonly Holder[];

  constructor(timeoutMs: number, holders: readonly Holder[]) {
    super(`none of ${holders.length} connections came back within ${timeoutMs} ms. ${holders[0]?.taken ?? ''}`);
    this.holders = holders;
  }
}

/** The connection broke or fell silent. A transaction is undone; what was sent outside of one, or the COMMIT, is unknown: look. */
export class ConnectionLostError extends PoolError {
  readonly outcome: 'undone' | 'unknown';

  constructor(outcome: 'undone' | 'unknown', cause: unknown) {
    super(`the connection was lost, and what was asked is ${outcome}: ${cause}`, { cause });
    this.outcome = outcome;
  }
}
