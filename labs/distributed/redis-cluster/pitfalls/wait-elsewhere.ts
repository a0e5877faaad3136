// Flaw: WAIT on another connection than the write. It speaks of the writes of its own connection: none, confirmed by all.
// Seen in: https://github.com/ghostdogpr/sage/pull/173
// Caught by: a write that no replica confirms is done, and told apart from one that is safe
import { ClusterRouter as Reference, type ReplicationOptions } from '../src/index.ts';
import type { Request } from '../src/request.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override async confirmed(address: string, request: Request, asking: boolean, options: ReplicationOptions) {
    const reply = await this.exchange(await this.nodes.link(address), request, asking);
    const other = await this.nodes.lend(address);
    const confirmed = await other.wait(options.replicas, options.withinMs);
    this.nodes.giveBack(address, other);
    return { reply, confirmed };
  }
}
