// Flaw: callbacks are called when their savepoint is released, which makes nothing permanent: what it lies in may still be undone.
// Seen in: https://github.com/rails/rails/issues/39912
// Caught by: a savepoint that is undone takes its own callbacks along, and no others
import type { Frame } from '../src/frame.ts';
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  protected override async inner<T>(outer: Frame, body: () => Promise<T> | T): Promise<T> {
    const frame = await outer.savepoint();
    const value = await this.settle(frame, body);
    await this.tell(frame.callbacks);
    return value;
  }
}
