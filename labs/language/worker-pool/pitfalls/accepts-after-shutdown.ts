// Flaw: the pool takes work after it was shut down, and starts a worker for it that nobody will end.
// Seen in: https://github.com/josdejong/workerpool/issues/147
// Caught by: after shutdown nothing is taken, and what was taken is finished
import { Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override assertOpen(): void {}
}
