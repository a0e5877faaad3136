// Flaw: the holder is told of an expired session only, and ZooKeeper can say so only to whom it can reach.
// Seen in: https://github.com/alexguan/node-zookeeper-client/issues/20
// Caught by: the holder is told that ZooKeeper is silent before another one has the lock

import type { Contender } from '../src/index.ts';
import { type Lock, Locks as Reference, type Session, SessionSuspendedError } from '../src/index.ts';
import { HeldLock } from '../src/lock.ts';

export * from '../src/index.ts';

class Trusting extends HeldLock {
  protected override watchOver(session: Session, tell: (error: Error) => void): () => void {
    return super.watchOver(session, (error) => {
      if (!(error instanceof SessionSuspendedError)) tell(error);
    });
  }
}

export class Locks extends Reference {
  protected override async grant(path: string, own: Contender, guid: string): Promise<Lock | undefined> {
    const name = `${path}/${own.name}`;
    const node = await this.session.get(name);
    return node && new Trusting(this.session, name, node.created, () => this.leave(path, guid, own.name));
  }
}
