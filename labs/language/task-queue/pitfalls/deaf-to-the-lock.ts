// Flaw: a worker that has lost its task goes on with it, beside the one that has it now.
// Seen in: https://github.com/OptimalBits/bull/issues/308
// Caught by: a worker that has lost its lock is told by the signal of its task
import {
  LockLostError,
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  override abort(id: string, reason: Error): boolean {
    if (reason instanceof LockLostError) return false;
    return super.abort(id, reason);
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
