// Flaw: a repeated insert meets its own first attempt (E11000), and a write that was made is reported as a failure.
// Seen in: https://github.com/sboesebeck/morphium/issues/359
// Caught by: a document whose answers are lost is inserted once
import type { Collection } from 'mongodb';
import { type Keyed, type OnceOptions, repeatUntilKnown } from '../src/index.ts';

export * from '../src/index.ts';

export function insertOnce<T extends Keyed>(
  { db, collectionName }: Collection<T>,
  document: T,
  options?: OnceOptions,
): Promise<'inserted' | 'was there'> {
  return repeatUntilKnown(async (): Promise<'inserted'> => {
    await db.collection<Keyed>(collectionName).insertOne({ ...document });
    return 'inserted';
  }, options);
}
