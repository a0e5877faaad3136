// Flaw: the key for idempotent work is new in each run, so a second run pays a second time.
// Seen in: https://github.com/taskforcesh/bullmq/issues/439 (a task may run twice)
// Caught by: a failed task is tried again under the same id, as often as its policy says
import type { Job } from 'bullmq';
import {
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override taskId(job: Job): string {
    return `${job.id}-${job.attemptsStarted}`;
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
