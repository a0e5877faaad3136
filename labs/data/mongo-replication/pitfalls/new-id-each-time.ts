// Flaw: each attempt makes a new document with a new _id: what was written without an answer is written again.
// Seen in: https://github.com/mongodb-js/mongodb-mcp-server/issues/1432
// Caught by: a document whose answers are lost is inserted once
import { randomUUID } from 'node:crypto';
import type { Collection } from 'mongodb';
import { type Keyed, type OnceOptions, repeatUntilKnown } from '../src/index.ts';

export * from '../src/index.ts';

export function insertOnce<T extends Keyed>(
  { db, collectionName }: Collection<T>,
  document: T,
  options?: OnceOptions,
): Promise<'inserted' | 'was there'> {
  let _id: string = document._id;
  return repeatUntilKnown(async (): Promise<'inserted'> => {
    const attempt = { ...document, _id };
    _id = randomUUID();
    await db.collection<Keyed>(collectionName).insertOne(attempt);
    return 'inserted';
  }, options);
}
