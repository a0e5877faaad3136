// Flaw: the old build is taken out in one transaction and the new one put in by the next, so a crash in between leaves none that is live.
// Seen in: https://github.com/open-metadata/OpenMetadata/pull/28667
// Caught by: a rebuild killed at any step is served throughout and comes to its end
import type { NewEvent } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';
import { identifier, inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async switchTo(build: number): Promise<void> {
    const rows = identifier(`${this.options.prefix}_builds`);
    await inTransaction(this.pool, async (tx) => {
      await this.builds.serialise(tx);
      const { live, next } = await this.builds.hold(tx, build);
      if (!next || live?.build === build) return;
      await this.catchUp(tx, next, live?.position ?? 0n);
      await tx.query(`UPDATE ${rows} SET live = false WHERE projection = $1 AND live`, [this.projection.name]);
    });
    await inTransaction(this.pool, (tx) => this.builds.switchTo(tx, build));
  }
}
