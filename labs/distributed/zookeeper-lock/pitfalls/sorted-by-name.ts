// Flaw: the queue is sorted by whole names, and these begin with a random GUID.
// Seen in: https://github.com/apache/zookeeper/pull/413
// Caught by: the lock goes from one to the next in the order in which they came
import { type Contender, queueOf, Locks as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override queue(names: readonly string[]): readonly Contender[] {
    return queueOf(names).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
}
