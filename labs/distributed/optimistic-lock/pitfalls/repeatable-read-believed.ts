// Flaw: REPEATABLE READ for a rule over several rows: each transaction writes another row, so no two of them meet, and the rule is broken.
// Seen in: https://github.com/matrix-org/synapse/pull/7796
// Caught by: a rule over two rows is kept: who met another looks again, in a new transaction
import type { Pool } from 'pg';
import { type Db, type RetryOptions, runTransaction, withRetry } from '../src/index.ts';

export * from '../src/index.ts';

export function serializable<T>(pool: Pool, body: (tx: Db) => Promise<T>, options?: RetryOptions): Promise<T> {
  return withRetry(() => runTransaction(pool, body, { isolation: 'REPEATABLE READ' }), options);
}
