// Flaw: the majority is counted among the nodes that are up, so two halves of a cut network both win.
// Seen in: https://github.com/SPSCommerce/redlock-py/pull/6
// Caught by: two of five nodes may be down, and a lock on fewer than a majority is not a lock
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override get quorum(): number {
    const living = this.nodes.filter((node) => node.status === 'ready' || node.status === 'wait');
    return Math.floor(living.length / 2) + 1;
  }
}
