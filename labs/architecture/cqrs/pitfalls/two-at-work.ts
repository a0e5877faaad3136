// Flaw: nothing keeps a second instance of the projector from applying the same events at the same time.
// Seen in: https://github.com/envato/event_sourcery/pull/5
// Caught by: of two instances one projects
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';
import { inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    return inTransaction(this.pool, async (tx) => {
      const build = await this.builds.find(tx, which);
      if (!build) return 0;
      await this.apply(tx, build, events);
      return events.length;
    });
  }
}
