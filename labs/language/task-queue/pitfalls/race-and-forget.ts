// Flaw: at the hard limit the task has failed, and goes on all the same: a lost Promise.race ends nothing.
// Seen in: https://github.com/taskforcesh/bullmq/pull/1844
// Caught by: a task that ignores its soft limit is ended at its hard limit, and its place is free
import {
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override async endThread(): Promise<void> {}
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
