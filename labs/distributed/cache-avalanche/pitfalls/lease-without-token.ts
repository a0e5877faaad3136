// Flaw: the lease is deleted without a look at the token: a refresher that stalled ends its successor's.
// Seen in: https://github.com/apache/superset/pull/43462
// Caught by: a refresher that stalled can not end its successor's lease
import { PerpetualCache as Reference } from '../src/index.ts';
import { Lease } from '../src/lease.ts';

export * from '../src/index.ts';

class BlindLease extends Lease {
  override async release(): Promise<void> {
    await this.redis.del(this.key);
  }
}

export class PerpetualCache extends Reference {
  protected override newLease(key: string, ms: number): Lease {
    return new BlindLease(this.redis, key, ms);
  }
}
