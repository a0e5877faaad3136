// Flaw: a savepoint leaves its callbacks in the list of the transaction: it is undone, and they are called all the same.
// Seen in: https://github.com/jeremyevans/sequel/issues/1587
// Caught by: a savepoint that is undone takes its own callbacks along, and no others
import type { Frame } from '../src/frame.ts';
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  protected override async inner<T>(outer: Frame, body: () => Promise<T> | T): Promise<T> {
    const frame = await outer.savepoint();
    try {
      return await this.settle(frame, body);
    } finally {
      outer.callbacks.push(...frame.callbacks);
    }
  }
}
