// Flaw: the live table is emptied and filled again, and whoever looks meanwhile sees an empty board.
// Seen in: https://github.com/ecotoneframework/ecotone-dev/issues/253
// Caught by: the board is served throughout a rebuild and never goes back in time
import type { NewEvent } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';
import { inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  override async rebuild(): Promise<void> {
    await inTransaction(this.pool, async (tx) => {
      const live = await this.builds.claim(tx, 'live', this.projection.version);
      if (!live) return;
      await tx.query(`TRUNCATE ${live.table}`);
      await this.builds.advance(tx, live.build, 0n);
    });
    while ((await this.round()) > 0);
  }
}
