import { type ClientSession, type Db, MongoServerError, type ResumeToken, Timestamp } from 'mongodb';
import { ChangeStreamError } from './errors.ts';

/** Where in the history to begin: with what was written at a time or later, or after a token. */
export type Position = { readonly at: Timestamp } | { readonly after: ResumeToken };

/**
 * The position of now: what is written after this call comes from it on.
 * https://www.mongodb.com/docs/manual/reference/method/db.collection.watch/ (startAtOperationTime is inclusive)
 */
export async function positionOfNow(db: Db, session?: ClientSession): Promise<Position> {
  const { operationTime } = await db.command({ hello: 1 }, { ...(session && { session }) });
  if (operationTime instanceof Timestamp) return { at: operationTime };
  throw new ChangeStreamError('The server has no operation time: change streams need a replica set, of one at least.');
}

/** What a bookmark holds, if it can be followed from. Nothing at all would be followed from now, without a word. */
export function isPosition(value: unknown): value is Position {
  if (typeof value !== 'object' || value === null) return false;
  if ('at' in value) return value.at instanceof Timestamp;
  return 'after' in value && typeof value.after === 'object' && value.after !== null;
}

/**
 * The options of `watch`. Always `startAfter`, never `resumeAfter`: of a token they make the same, but for that of an
 * `invalidate`, which `resumeAfter` refuses.
 */
export function startingAt(position: Position) {
  return 'at' in position ? { startAtOperationTime: position.at } : { startAfter: position.after };
}

/** ChangeStreamHistoryLost, and ChangeStreamFatalError: the token is not found, or no longer. */
const GONE = new Set<unknown>([286, 280]);

/** Whether the history no longer has the position. Asked again, the server gives the same answer. */
export function historyIsGone(error: unknown): error is MongoServerError {
  return error instanceof MongoServerError && GONE.has(error.code);
}
