// Flaw: the pipeline lets open orders through. An order that is served is none, so nobody is told that it left.
// Seen in: https://github.com/Cratis/Arc/issues/2617
// Caught by: what does not concern it stays on the server, and an order that is served leaves the board
import type { Document } from 'mongodb';
import { Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override filter(): Document[] {
    return [{ $match: { 'fullDocument.status': 'open' } }];
  }
}
