// Flaw: the channel takes whatever comes: a producer that is faster than its consumer fills the memory.
// Seen in: https://github.com/mary-ext/atcute/issues/82
// Caught by: a full channel holds its producer back until there is room
import { Channel as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Channel<T> extends Reference<T> {
  constructor(_capacity: number) {
    super(Number.MAX_SAFE_INTEGER);
  }
}
