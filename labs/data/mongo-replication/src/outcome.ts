import {
  MongoAPIError,
  MongoBulkWriteError,
  MongoClientBulkWriteError,
  MongoCompatibilityError,
  MongoError,
  MongoErrorLabel,
  MongoInvalidArgumentError,
  MongoServerError,
  MongoWriteConcernError,
} from 'mongodb';
import { UnconfirmedError } from './errors.ts';

/**
 * What is known of a write that ended with an error. `applied`: a primary has carried it out, and how many have copied
 * it is not known. `not applied`: nothing was written. `unknown`: either.
 */
export type WriteOutcome = 'applied' | 'not applied' | 'unknown';

/** The driver's refusals, before anything is sent. A BSONError is none: it may be of an answer that can't be read. */
const UNSENT = [MongoInvalidArgumentError, MongoCompatibilityError];

/**
 * The operation was interrupted (MaxTimeMSExpired, ExceededTimeLimit, Interrupted…), its node is no primary, or no
 * longer one, or a router lost its answer (HostUnreachable, NetworkTimeout…). Most have a label, if writes are retryable.
 */
const INTERRUPTED = new Set<unknown>([
  6, 7, 24, 50, 89, 91, 189, 202, 262, 9_001, 10_058, 10_107, 11_600, 11_601, 11_602, 13_435, 13_436,
]);

/**
 * What a driver's error says of the write of one document, or the transaction, that it ended. Whatever it doesn't know is
 * `unknown`: so is a bulk's error, whose `result` and `writeErrors` tell it item by item. Of `updateMany` and
 * `deleteMany` a refusal says less: it may come after some of the documents.
 *
 * A server that can't be found (MongoServerSelectionError) says nothing either: the driver throws it also where its first
 * attempt went out, lost the answer, and found no server for the second.
 *
 * Source: Retryable Writes and Transactions of the driver specifications, https://github.com/mongodb/specifications
 */
export function writeOutcome(error: unknown): WriteOutcome {
  if (UNSENT.some((kind) => error instanceof kind)) return 'not applied';
  if (error instanceof UnconfirmedError) return 'applied';
  if (!(error instanceof MongoError)) return 'unknown';
  if (error.hasErrorLabel(MongoErrorLabel.UnknownTransactionCommitResult)) return 'unknown';
  // Part of a transaction that was not committed, and now can't be.
  if (error.hasErrorLabel(MongoErrorLabel.TransientTransactionError)) return 'not applied';
  if (error instanceof MongoBulkWriteError || error instanceof MongoClientBulkWriteError) return 'unknown';
  if (error.hasErrorLabel(MongoErrorLabel.NoWritesPerformed)) return 'not applied';
  if (error instanceof MongoWriteConcernError) return 'applied';
  if (!(error instanceof MongoServerError)) return 'unknown';
  if (error.hasErrorLabel(MongoErrorLabel.RetryableWriteError)) return 'unknown';
  return INTERRUPTED.has(error.code) ? 'unknown' : 'not applied';
}

/** Whether another attempt may end otherwise: a server that said no to the write itself will say so again. */
export function mayChange(error: unknown): boolean {
  if (error instanceof UnconfirmedError) return true;
  // With a syscall: the socket's own error, which the driver lets through.
  if (!(error instanceof MongoError)) return error instanceof Error && 'syscall' in error;
  // Misuse: of a closed client, an ended session.
  if (error instanceof MongoAPIError) return false;
  if (error.hasErrorLabel(MongoErrorLabel.RetryableWriteError)) return true;
  return writeOutcome(error) !== 'not applied';
}
