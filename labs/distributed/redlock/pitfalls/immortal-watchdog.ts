// Flaw: the extension knows nothing of the routine's end, so it goes on for ever.
// Seen in: https://github.com/redisson/redisson/issues/7272
// Caught by: using keeps the lock for longer than its TTL, and not for longer than its routine
import { type Lease, Redlock as Reference } from '../src/index.ts';
import { extendNode } from '../src/nodes.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async keepAlive(lease: Lease, ttlMs: number): Promise<void> {
    this.clock.after(
      ttlMs / 2,
      () => {
        lease
          .extend(ttlMs)
          .catch(() => this.nodes.map((node) => extendNode(node, lease.resources, lease.token, ttlMs)));
        this.keepAlive(lease, ttlMs);
      },
      'background',
    );
  }
}
