import { type ClientSession, type MongoClient, MongoError, MongoErrorLabel } from 'mongodb';
import { WriteFailedError } from './errors.ts';
import type { OnceOptions } from './once.ts';
import { mayChange, type WriteOutcome, writeOutcome } from './outcome.ts';
import { endOf, NoAnswerError, pause, pauseAfter, positiveMs } from './waits.ts';

/** For the end of a transaction that has failed: the server forgets it anyway, after a minute. */
const ABORT_MS = 1_000;

/**
 * Carries out a transaction once. One that was aborted (a write conflict, an election) is begun again, whole; one whose
 * commit got no answer is committed again, and nothing else of it is repeated.
 *
 * What the driver's `session.withTransaction` does, with a deadline of yours and a known outcome. As there, a body that
 * ends its transaction itself has ended it. One that is late is left to end by itself: nothing of it is committed.
 * @param body hands the session to each of its operations, awaits them all, and may be called several times
 * @throws what `body` throws of its own, WriteFailedError, the signal's reason, RangeError
 */
export async function transactOnce<T>(
  client: MongoClient,
  body: (session: ClientSession) => Promise<T>,
  { withinMs = 30_000, signal }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + positiveMs('withinMs', withinMs);
  let ms = 0;
  for (let attempt = 1; ; attempt++) {
    if (ms > 0) await pause(ms, signal);
    signal?.throwIfAborted();
    // One for each attempt: what an earlier one has left running finds its session ended.
    const session = client.startSession();
    let running: Promise<T> | undefined;
    let isRunning = true;
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } });
      // Of what a body did that has failed, nothing is ever committed.
      let outcome: WriteOutcome = 'not applied';
      let failure: unknown;
      try {
        running = Promise.try(body, session).finally(() => {
          isRunning = false;
        });
        const value = await endOf(running, Math.max(end - performance.now(), 1), signal);
        if (!session.inTransaction()) return value;
        const failed = await commit(session, end, signal);
        if (failed === undefined) return value;
        ({ outcome, failure } = failed);
      } catch (error) {
        failure = error;
        if (!session.inTransaction()) outcome = 'unknown';
      }
      signal?.throwIfAborted();
      if (!(failure instanceof MongoError || failure instanceof NoAnswerError)) throw failure;
      ms = pauseAfter(attempt);
      if (!isAborted(failure) || outcome === 'unknown' || performance.now() + ms >= end) {
        throw new WriteFailedError(outcome, attempt, failure);
      }
    } finally {
      // Ended before its body is, a session would carry out the rest of it outside the transaction.
      const ended = Promise.allSettled([running]).then(() => session.endSession());
      await endOf(ended, isRunning ? 0 : ABORT_MS).catch(() => {});
    }
  }
}

/** Commits until the answer is known. A commit that is repeated finds its transaction committed, and says so. */
async function commit(
  session: ClientSession,
  end: number,
  signal: AbortSignal | undefined,
): Promise<{ outcome: WriteOutcome; failure: unknown } | undefined> {
  let inDoubt = false;
  for (let attempt = 1; ; attempt++) {
    try {
      await endOf(session.commitTransaction(), Math.max(end - performance.now(), 1), signal);
      return undefined;
    } catch (failure) {
      const outcome = writeOutcome(failure);
      // A no says nothing of a commit whose answer was lost, unless it tells that the transaction was aborted.
      if (inDoubt && outcome === 'not applied' && !isAborted(failure)) return { outcome: 'unknown', failure };
      inDoubt = true;
      const ms = pauseAfter(attempt);
      const again = outcome === 'unknown' && mayChange(failure) && performance.now() + ms < end;
      if (signal?.aborted || !again) return { outcome, failure };
      await pause(ms, signal).catch(() => {});
    }
  }
}

function isAborted(error: unknown): boolean {
  return error instanceof MongoError && error.hasErrorLabel(MongoErrorLabel.TransientTransactionError);
}
