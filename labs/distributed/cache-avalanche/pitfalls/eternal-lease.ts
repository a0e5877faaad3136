// Flaw: the lease of the refresher has no end: when it dies, nobody refreshes any more.
// Seen in: https://github.com/kongluoxing/celerybeatredis/issues/11
// Caught by: the refresher is killed: the old value is served, its staleness grows, and another one takes over
import { PerpetualCache as Reference } from '../src/index.ts';
import type { Lease } from '../src/lease.ts';

export * from '../src/index.ts';

const aYear = 365 * 86_400_000;

export class PerpetualCache extends Reference {
  protected override newLease(key: string): Lease {
    return super.newLease(key, aYear);
  }
}
