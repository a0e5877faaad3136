// Flaw: the place in the queue is a persistent node, which outlives a client that dies.
// Seen in: https://github.com/micro-fan/aiozk/issues/21 (asked for, and refused for this reason)
// Caught by: who is done frees the lock at once, and who dies frees it with his session
import { Locks as Reference, type Wish } from '../src/locks.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override async enter(guid: string, { path, mode, data }: Wish): Promise<void> {
    await this.session.ensure(path);
    await this.session.create(`${path}/${guid}-${mode}-`, data, 'PERSISTENT_SEQUENTIAL');
  }
}
