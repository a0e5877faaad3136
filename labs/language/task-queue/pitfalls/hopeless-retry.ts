// Flaw: what can never succeed is tried again like everything else.
// Seen in: https://github.com/activepieces/activepieces/pull/14001
// Caught by: a permanent error is not tried again
import {
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override verdict(error: unknown): unknown {
    return error;
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
