// Flaw: the lease has no end to speak of, so a process that dies while it loads takes the key with it.
// Seen in: https://github.com/learningequality/kolibri/issues/7463
// Caught by: a process that dies while it loads has a successor
import type { Redis } from 'ioredis';
import { HotCache as Reference } from '../src/index.ts';
import { LeasedStore } from '../src/lease.ts';

export * from '../src/index.ts';

export class HotCache extends Reference {
  protected override newStore(redis: Redis, prefix: string): LeasedStore {
    const aDay = 86_400_000;
    return new LeasedStore(redis, prefix, aDay);
  }
}
