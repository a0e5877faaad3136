// Flaw: a create whose answer was lost is sent again: the first node stays, and nobody ever deletes it.
// Seen in: https://github.com/samuel/go-zookeeper/issues/229
// Caught by: of a request whose answer was lost one place in the queue is left, and it is known
import { Locks as Reference, type Wish } from '../src/locks.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override async enter(guid: string, { path, mode, data, over }: Wish): Promise<void> {
    await this.persist(() => this.session.ensure(path), over);
    await this.persist(() => this.session.create(`${path}/${guid}-${mode}-`, data, 'EPHEMERAL_SEQUENTIAL'), over);
  }
}
