// Flaw: the key first, its end in a second command: who dies in between holds the lock for ever.
// Seen in: https://github.com/redis/redis-py/issues/554
// Caught by: one client holds the lock, and one that dies holds it for its TTL at most
import type { Redis } from 'ioredis';
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async lock(node: Redis, resources: readonly string[], token: string, ttlMs: number) {
    const taken = await Promise.all(resources.map((resource) => node.setnx(resource, token)));
    if (taken.includes(0)) return false;
    await Promise.all(resources.map((resource) => node.pexpire(resource, ttlMs)));
    return true;
  }
}
