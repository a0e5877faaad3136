// Flaw: WAIT on another connection than the write. It speaks of the writes of its own connection: none, confirmed by all.
// Seen in: SEEN_WAIT
// Caught by: a write that no replica confirms is done, and told apart from one that is safe
import type { Redis } from 'ioredis';
import { ClusterRouter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override async confirmations(node: Redis, replicas: number, withinMs: number): Promise<number> {
    const pooled = await this.nodes.link(`${node.options.host}:${node.options.port}`);
    return super.confirmations(pooled, replicas, withinMs);
  }
}
