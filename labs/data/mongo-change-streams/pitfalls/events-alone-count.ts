// Flaw: only a change moves the position. While none comes, the history moves on without it.
// Seen in: https://github.com/powersync-ja/powersync-service/pull/251
// Caught by: the position of a quiet stream moves on
import type { Document } from 'mongodb';
import { Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<T extends Document> extends Reference<T> {
  protected override get quiet(): boolean {
    return false;
  }
}
