// Flaw: the history is gone, so it goes on from now: what changed in between is never told.
// Seen in: https://github.com/apache/flink-cdc/pull/3221
// Caught by: when the history is gone it copies anew, and asks no second time
import type { Document } from 'mongodb';
import { historyIsGone, positionOfNow, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async follow() {
    try {
      return await super.follow();
    } catch (error) {
      if (!historyIsGone(error)) throw error;
      await this.commit({ position: await positionOfNow(this.options.source.db) });
      return super.follow();
    }
  }
}
