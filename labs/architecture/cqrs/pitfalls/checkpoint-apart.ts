// Flaw: rows and checkpoint are committed one after the other, so a crash in between counts a batch twice.
// Seen in: https://github.com/prooph/proophessor-do-symfony/issues/17
// Caught by: a batch that fails half-way leaves neither rows nor a checkpoint
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';
import { inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    const build = await inTransaction(this.pool, async (tx) => {
      const claimed = await this.builds.claim(tx, which, this.projection.version);
      if (!claimed) return undefined;
      for (const event of events) await this.handle(tx, claimed, event, 0);
      return claimed;
    });
    const last = events.at(-1);
    if (!build || !last) return 0;
    await inTransaction(this.pool, (tx) => this.builds.advance(tx, build.build, last.position));
    return events.length;
  }
}
