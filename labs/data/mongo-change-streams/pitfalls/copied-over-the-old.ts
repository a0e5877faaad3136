// Flaw: the new copy is written over the old one: what was deleted meanwhile stays, and readers see half of each.
// Seen in: https://github.com/airbytehq/airbyte/issues/44378
// Caught by: a new copy has no ghosts, and the old one stays until the new one is whole
import type { Document } from 'mongodb';
import { type Position, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async rebuild(position: Position): Promise<void> {
    for await (const documents of this.documents()) {
      await this.commit({}, (tx) => this.copy(documents, tx));
    }
    await this.commit({ position });
  }
}
