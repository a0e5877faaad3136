// Flaw: the token is saved as it comes, ahead of the effect: a kill in between loses the change.
// Seen in: https://github.com/mongodb/specifications/pull/533
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
    await super.commit(set);
    await this.transaction(async (session) => {
      await effect({ session, generation });
    });
  }
}
