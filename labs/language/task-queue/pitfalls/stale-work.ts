// Flaw: a task runs however late it is: after an outage the workers do what nobody wants any more.
// Seen in: https://github.com/gocelery/gocelery/issues/138
// Caught by: a task that nobody took before it expires never runs
import type { Job } from 'bullmq';
import {
  type Envelope,
  type Json,
  TaskQueue as Reference,
  TaskWorker as ReferenceWorker,
  type Tasks,
  type TaskWorkerOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export class TaskWorker extends ReferenceWorker {
  protected override process(job: Job<Envelope, Json, string>): Promise<Json> {
    const { expires: _, ...data } = job.data;
    job.data = data;
    return super.process(job);
  }
}

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }
}
