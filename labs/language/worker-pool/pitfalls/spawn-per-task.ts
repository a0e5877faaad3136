// Flaw: each task gets a worker of its own, which ends with it: the pool is none, and starting costs more than the task.
// Seen in: https://nodejs.org/api/worker_threads.html (which advises a pool for that reason)
// Caught by: a task runs in a worker, and an idle worker is used before another is started
import { Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override worn(): boolean {
    return true;
  }
}
