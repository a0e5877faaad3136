// Flaw: the extension knows nothing of the routine's end, so it goes on for ever.
// Seen in: https://github.com/redisson/redisson/issues/7272
// Caught by: using keeps the lock for longer than its TTL, and not for longer than its routine
import type { Redis } from 'ioredis';
import { Redlock as Reference } from '../src/index.ts';
import type { GrantedLease } from '../src/lease.ts';
import { extendNode } from '../src/nodes.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async keepAlive(lease: GrantedLease, ttlMs: number): Promise<void> {
    const again = () => {
      const goOn = (node: Redis) => extendNode(node, lease.resources, lease.token, ttlMs, Date.now()).catch(() => {});
      lease.keep(ttlMs).catch(() => this.nodes.forEach(goOn));
      void this.keepAlive(lease, ttlMs);
    };
    this.clock.after(ttlMs / 2, again, 'background');
  }
}
