// Flaw: the worker closes without waiting for what it runs.
// Seen in: https://github.com/bayesimpact/bayes-platform/pull/794
// Caught by: a worker that closes finishes what it runs, and takes nothing more
import {
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  override async close(): Promise<void> {
    await this.bull.close(true);
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
