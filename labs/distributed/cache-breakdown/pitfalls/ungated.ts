// Flaw: without Redis every process loads whatever it is asked for, all at once, and the database goes down next.
// Seen in: https://github.com/ContentSquare/chproxy/pull/390
// Caught by: without Redis the value is loaded all the same, and the database stays gated
import { HotCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class HotCache extends Reference {
  protected override gate<T>(_key: string, load: () => Promise<T>): Promise<T> {
    return load();
  }
}
