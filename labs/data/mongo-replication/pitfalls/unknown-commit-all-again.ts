// Flaw: a commit without an answer is taken for a failed transaction, and all of it is done again: the money moves twice.
// Seen in: https://github.com/ExtendDB/extenddb/pull/343
// Caught by: a transaction that was aborted is begun again, one whose commit got no answer is committed again
import { type ClientSession, type MongoClient, MongoError } from 'mongodb';
import { type OnceOptions, WriteFailedError, writeOutcome } from '../src/index.ts';

export * from '../src/index.ts';

export async function transactOnce<T>(
  client: MongoClient,
  body: (session: ClientSession) => Promise<T>,
  { withinMs = 30_000 }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + withinMs;
  const session = client.startSession();
  for (let attempt = 1; ; attempt++) {
    try {
      session.startTransaction({ writeConcern: { w: 'majority' } });
      const value = await body(session);
      await session.commitTransaction();
      return value;
    } catch (error) {
      if (session.inTransaction()) await session.abortTransaction().catch(() => {});
      const again = error instanceof MongoError && error.errorLabels.length > 0 && performance.now() < end;
      if (!again) throw new WriteFailedError(writeOutcome(error), attempt, error);
    }
  }
}
