// Flaw: cancel() of a running task says yes and settles the future, while the task goes on and has its effect.
// Seen in: https://github.com/josdejong/workerpool/issues/418
// Caught by: cancel() says yes only before the task has started, and what is cancelled never runs
import { CancelledError, Future, Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Detachable<R> extends Future<R> {
  override cancel(): boolean {
    if (this.running) this.reject(new CancelledError('The task was cancelled.'));
    return super.cancel() || this.error instanceof CancelledError;
  }
}

export class Executor<T extends object> extends Reference<T> {
  protected override newFuture<R>(): Future<R> {
    return new Detachable<R>();
  }
}
