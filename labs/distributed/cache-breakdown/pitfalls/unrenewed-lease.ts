// Flaw: nobody renews the lease, so a load that takes longer than it is done by several processes at once.
// Seen in: https://github.com/SandeepVashishtha/Eventra/pull/19115
// Caught by: a load that is slow keeps its lease
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

class Unrenewed extends LeasedStore {
  override keepAlive(): () => void {
    return () => {};
  }
}

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    return new Unrenewed(redis, prefix, this.leaseMs);
  }
}
