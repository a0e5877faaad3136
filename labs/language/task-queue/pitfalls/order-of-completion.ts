// Flaw: the callback gets the results as they came in, or in whatever order the hash in Redis has them.
// Seen in: https://github.com/celery/celery/issues/3781
// Caught by: the callback of a chord gets the results in the order of the signatures
import {
  type Json,
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override inOrder(
    _ids: readonly string[],
    _of: (id: string) => Json,
    values: Readonly<Record<string, Json>>,
  ): Json[] {
    return Object.values(values);
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
