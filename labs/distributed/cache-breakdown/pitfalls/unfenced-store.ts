// Flaw: what was loaded is stored whatever has happened meanwhile, so an old value outlives its invalidation.
// Seen in: https://github.com/google/guava/issues/1881
// Caught by: an invalidation during a load leaves nothing of the old value
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

class Unfenced extends LeasedStore {
  override async commit(key: string, token: string, text: string, keepMs: number): Promise<boolean> {
    const [value] = this.keys(key);
    await this.redis.set(value, text, 'PX', keepMs);
    await this.release(key, token);
    return true;
  }
}

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    return new Unfenced(redis, prefix, this.leaseMs);
  }
}
