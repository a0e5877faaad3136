// Flaw: whoever leaves a transaction open hands it to the next one, with its locks and its uncommitted rows.
// Seen in: https://github.com/brianc/node-postgres/pull/3597
// Caught by: a connection that comes back inside a transaction is not lent again
import { type Lease, ConnectionPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  protected override isFit({ member, pending }: Lease): boolean {
    return member.broken === undefined && pending === 0;
  }
}
