// Flaw: the checkpoint is committed before the rows, so what fails in between is never applied.
// Seen in: https://github.com/JasperFx/marten/issues/1845
// Caught by: a batch that fails half-way leaves neither rows nor a checkpoint
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';
import { inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    const build = await inTransaction(this.pool, async (tx) => {
      const claimed = await this.builds.claim(tx, which, this.projection.version);
      if (claimed) await this.builds.advance(tx, claimed.build, events.at(-1)?.position ?? claimed.position);
      return claimed;
    });
    if (!build) return 0;
    await inTransaction(this.pool, (tx) => this.apply(tx, build, events));
    return events.length;
  }
}
