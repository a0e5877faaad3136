// Flaw: the retry is inside: the transaction has failed, each further statement gets 25P02, and its snapshot would be the old one.
// Seen in: https://github.com/juanluispaz/ts-sql-query/issues/136
// Caught by: a rule over two rows is kept: who met another looks again, in a new transaction
import type { Pool } from 'pg';
import { type Db, type RetryOptions, runTransaction, withRetry } from '../src/index.ts';

export * from '../src/index.ts';

export function serializable<T>(pool: Pool, body: (tx: Db) => Promise<T>, options?: RetryOptions): Promise<T> {
  return runTransaction(pool, (tx) => withRetry(() => body(tx), options), { isolation: 'SERIALIZABLE' });
}
