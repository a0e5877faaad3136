// Flaw: COMMIT has not thrown, so it has committed; Postgres answers ROLLBACK where a caught error had spoilt the transaction.
// Seen in: https://github.com/porsager/postgres/issues/1217
// Caught by: a COMMIT that Postgres answers with ROLLBACK is an error, whoever caught the first one
import { type AcquireOptions, type Lease, ConnectionPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  override withTx<T>(body: (tx: Lease) => Promise<T>, o?: AcquireOptions): Promise<T> {
    return this.withClient(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await body(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    }, o);
  }
}
