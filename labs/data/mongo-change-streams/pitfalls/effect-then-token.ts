// Flaw: the effect in one transaction, how far it is in the next: a kill in between does the effect once more.
// Seen in: https://github.com/NVIDIA/NVSentinel/pull/1549
// Caught by: killed after any of its requests, each order counts once
import type { Document } from 'mongodb';
import { type Bookmark, Projector as Reference, type Tx } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async commit(
    set: Partial<Bookmark>,
    effect: (tx: Tx) => Promise<unknown> = async () => {},
    generation = this.mark.generation,
  ): Promise<void> {
    await this.transaction(async (session) => {
      await effect({ session, generation });
    });
    await super.commit(set);
  }
}
