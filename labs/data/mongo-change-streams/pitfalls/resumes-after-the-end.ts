// Flaw: `resumeAfter` with the token of the invalidate, which the server refuses: the run ends, and so does each next one.
// Seen in: https://github.com/damianiandrea/mongodb-nats-connector/issues/13
// Caught by: after a rename the new collection is followed from its first order
import type { ChangeStream, Document } from 'mongodb';
import { Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override watch(): ChangeStream<T> {
    const { position } = this.mark;
    if (position === null || 'at' in position) return super.watch();
    const { source, awaitMs, document } = this.options;
    return source.watch<T>([], { resumeAfter: position.after, fullDocument: document, maxAwaitTimeMS: awaitMs });
  }
}
