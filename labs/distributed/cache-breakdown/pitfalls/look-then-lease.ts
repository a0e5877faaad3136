// Flaw: the value is looked at first and the lease taken then, so a load that ends in between is done a second time.
// Seen in: https://github.com/cashapp/hermit/pull/392
// Caught by: nobody can finish a load between the look at the value and the taking of the lease
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { type Found, LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

class TwoSteps extends LeasedStore {
  override async find(key: string, token: string, beyondMs = 0): Promise<Found> {
    const [value, lease] = this.keys(key);
    const leftMs = await this.redis.pttl(value);
    if (leftMs > beyondMs) return { kind: 'value', text: (await this.redis.get(value)) ?? '', leftMs };
    const taken = await this.redis.set(lease, token, 'PX', this.leaseMs, 'NX');
    return taken ? { kind: 'granted' } : { kind: 'held', holder: '', leftMs: await this.redis.pttl(lease) };
  }
}

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    return new TwoSteps(redis, prefix, this.leaseMs);
  }
}
