// Flaw: ASK changes the map as MOVED does, so the keys that are still at the old node are asked for at the new one.
// Seen in: https://github.com/redis/jedis/issues/716
// Caught by: while a slot moves, ASK sends one command on, and the map stays as it is
import { type Redirection, ClusterRouter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override noteRedirection({ slot, to }: Redirection): void {
    this.map.note(slot, to);
  }
}
