// Flaw: the stack is taken where the pool gets round to it, so every leak was made by the same line of the pool.
// Seen in: https://github.com/brettwooldridge/HikariCP/issues/808
// Caught by: a connection that does not come back is reported once, with the stack that took it
import { type AcquireOptions, type Lease, ConnectionPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  override acquire(o?: AcquireOptions): Promise<Lease> {
    return new Promise((resolve, reject) => {
      setImmediate(() => super.acquire(o).then(resolve, reject));
    });
  }
}
