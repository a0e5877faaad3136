// Flaw: idle connections are lent in turn, so each is used now and then and none is ever idle for long.
// Seen in: https://github.com/r2dbc/r2dbc-pool/issues/166
// Caught by: those idle for too long are closed down to min, though one of them is used all the time

import { ConnectionPool as Reference } from '../src/index.ts';
import type { Member } from '../src/lease.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  protected override arrive(member: Member): void {
    const before = this.idle.length;
    super.arrive(member);
    if (this.idle.length > before) this.idle.unshift(...this.idle.splice(-1));
  }
}
