// Flaw: the connection is given back after the work, and after work that throws it is not.
// Seen in: https://github.com/brianc/node-postgres/issues/227
// Caught by: a connection comes back whatever becomes of the work, and a transaction is whole or not at all
import { type AcquireOptions, type Lease, ConnectionPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  override async withClient<T>(body: (client: Lease) => Promise<T>, o?: AcquireOptions): Promise<T> {
    const lease = await this.acquire(o);
    const result = await body(lease);
    lease.release();
    return result;
  }
}
