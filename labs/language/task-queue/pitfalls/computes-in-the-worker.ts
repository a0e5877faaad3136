// Flaw: work that computes runs in the worker's own event loop: no lock is renewed, no timer fires, nobody is served.
// Seen in: https://github.com/taskforcesh/bullmq/issues/2857
// Caught by: a loop that never yields is ended too, and holds up nobody meanwhile
import {
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Result,
  type Task,
  type TaskContext,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override run({ run }: Task<never, Result>, payload: never, context: TaskContext): Promise<Result> | Result {
    return run(payload, context);
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
