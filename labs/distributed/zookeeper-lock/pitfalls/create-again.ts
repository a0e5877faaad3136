// Flaw: a create whose answer was lost is sent again: the first node stays, and nobody ever deletes it.
// Seen in: https://github.com/samuel/go-zookeeper/issues/229
// Caught by: of a request whose answer was lost one place in the queue is left, and it is known
import { Locks as Reference, type Wish } from '../src/locks.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override async enter(guid: string, wish: Wish): Promise<void> {
    const place = `${wish.path}/${guid}-${wish.mode}-`;
    const made = await this.persist(() => this.session.create(place, wish.data, 'EPHEMERAL_SEQUENTIAL'), wish.over);
    if (made !== 'no parent') return;
    await this.persist(() => this.session.ensure(wish.path), wish.over);
    return this.enter(guid, wish);
  }
}
