// Flaw: a connection that has not been closed is taken to be alive: a silent network or server is never noticed.
// Seen in: https://github.com/alexguan/node-zookeeper-client/issues/20
// Caught by: the holder is told that ZooKeeper is silent before another one has the lock
import { Session as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Session extends Reference {
  protected override get patienceMs(): number {
    return Number.POSITIVE_INFINITY;
  }
}
