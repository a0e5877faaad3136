// Flaw: an error is taken for a hiccup: the stream is asked for again with the token that is gone, for ever.
// Seen in: https://github.com/sboesebeck/morphium/issues/329
// Caught by: when the history is gone it copies anew, and asks no second time
import type { Document } from 'mongodb';
import { historyIsGone, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async follow() {
    while (!this.stopped) {
      try {
        return await super.follow();
      } catch (error) {
        if (!historyIsGone(error)) throw error;
      }
    }
    return undefined;
  }
}
