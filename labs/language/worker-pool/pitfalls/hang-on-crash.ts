// Flaw: nobody listens for the end of a worker, so who waits for the task that it ran waits for ever.
// Seen in: https://github.com/poolifier/poolifier/pull/3211
// Caught by: a worker that dies takes its own task with it, and no other
import { Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override lost(): void {}
}
