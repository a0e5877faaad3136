// Flaw: an invalidate ends the stream, and with it the following: whatever comes under the old name is not heard.
// Seen in: https://github.com/votem/mongo-stream/issues/6
// Caught by: after a drop the new collection is followed from its first order
import type { Document } from 'mongodb';
import { Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override async live(): Promise<void> {
    await this.takeOver();
    if (this.mark.position === null) await super.live();
    else await this.follow();
  }

  protected override async follow() {
    await super.follow();
    this.close().catch(() => {});
    return undefined;
  }
}
