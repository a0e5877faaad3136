// Flaw: one MGET for each node. A node has thousands of slots, and one command may have the keys of one.
// Seen in: https://github.com/redis/redis-rb/issues/994
// Caught by: keys of any slots are read and written by one command a slot, in the order asked
import { keySlot, ClusterRouter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override groups(keys: readonly string[]): number[][] {
    return [...Map.groupBy(keys.keys(), (place) => this.map.ownerOf(keySlot(keys[place] ?? ''))).values()];
  }
}
