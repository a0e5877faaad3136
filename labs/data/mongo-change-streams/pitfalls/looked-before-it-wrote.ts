// Flaw: it looks whether it is still the one, and then writes: whoever is replaced in between writes all the same.
// Seen in: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
// Caught by: whoever was replaced is refused, and what he was writing is not written
import type { Document } from 'mongodb';
import { type Bookmark, FencedError, Projector as Reference, type Tx } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async commit(
    set: Partial<Bookmark>,
    effect: (tx: Tx) => Promise<unknown> = async () => {},
    generation = this.mark.generation,
  ): Promise<void> {
    const { marks, name } = this.options;
    const now = await marks.findOne({ _id: name });
    if (now?.epoch !== this.mark.epoch) throw new FencedError(name, this.mark.epoch);
    await this.transaction(async (session) => {
      await effect({ session, generation });
      await marks.updateOne({ _id: name }, { $set: set, $inc: { saves: 1 } }, { session });
    });
    this.mark = { ...this.mark, ...set };
  }
}
