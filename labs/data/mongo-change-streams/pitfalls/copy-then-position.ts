// Flaw: first the copy, then the position: what was written while the copy ran is in neither.
// Seen in: https://github.com/Maltcommunity/mongo-postgresql-streamer/issues/5
// Caught by: what is written while the copy runs is on the board
import type { Document } from 'mongodb';
import { positionOfNow, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async rebuild(): Promise<void> {
    const generation = await this.beginGeneration();
    for await (const documents of this.documents()) {
      await this.commit({}, (tx) => this.copy(documents, tx), generation);
    }
    await this.commit({ position: await positionOfNow(this.options.source.db), generation });
  }
}
