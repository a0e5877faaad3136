// Flaw: the extension knows nothing of the routine's end, so it goes on for ever.
// Seen in: https://github.com/redisson/redisson/issues/7272
// Caught by: nothing is extended once the routine has ended
import { type Lease, Redlock as Reference } from '../src/index.ts';
import { extendNode } from '../src/nodes.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async keepAlive(lease: Lease, ttlMs: number): Promise<void> {
    const extend = () => Promise.all(this.nodes.map((node) => extendNode(node, lease.resources, lease.token, ttlMs)));
    setInterval(() => extend().catch(() => {}), ttlMs / 2).unref();
  }
}
