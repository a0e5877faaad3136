// Flaw: only the nodes that said yes are freed, so a yes that comes late stays for a whole TTL.
// Seen in: https://github.com/redisson/redisson/issues/1606
// Caught by: a failed acquire leaves no key on any node, nor on one that answers too late
import { Redlock as Reference } from '../src/index.ts';
import type { Ballot } from '../src/poll.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override cleanUp(resources: readonly string[], token: string, ballot: Ballot): void {
    const granted = this.nodes.filter((_, index) => ballot.votes[index]?.answer === 'yes');
    for (const node of granted) this.unlock(node, resources, token).catch(() => {});
  }
}
