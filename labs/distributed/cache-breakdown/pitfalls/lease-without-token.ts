// Flaw: the lease is deleted without a look at whose it is, so a slow holder frees its successor's.
// Seen in: https://github.com/twentyhq/twenty/issues/25661
// Caught by: a holder whose lease ran out stores nothing, and takes no lease from its successor
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

class BlindDelete extends LeasedStore {
  override async commit(key: string, token: string, text: string, keepMs: number): Promise<boolean> {
    const [, lease] = this.keys(key);
    const kept = await super.commit(key, token, text, keepMs);
    await this.redis.del(lease);
    return kept;
  }
}

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    return new BlindDelete(redis, prefix, this.leaseMs);
  }
}
