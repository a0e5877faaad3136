// Flaw: single flight in the process alone: of a hundred processes each asks the database.
// Seen in: https://github.com/jaredwray/cacheable/issues/1201
// Caught by: of two processes one loads
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { type Found, LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

class Leaseless extends LeasedStore {
  override async find(...question: Parameters<LeasedStore['find']>): Promise<Found> {
    const found = await super.find(...question);
    return found.kind === 'held' ? { kind: 'granted' } : found;
  }
}

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    return new Leaseless(redis, prefix, this.leaseMs);
  }
}
