// Flaw: one worker dies, and every task of the pool fails with it: those that run elsewhere and those that wait.
// Seen in: https://github.com/superset-sh/superset/pull/5750
// Caught by: a worker that dies takes its own task with it, and no other
import type { Job } from '../src/base-pool.ts';
import { Executor as Reference, WorkerCrashedError, type WorkerExit } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override lost(job: Job, exit: WorkerExit): void {
    const fail = ({ task, future }: Job) => future.done || future.reject(new WorkerCrashedError(task, exit));
    fail(job);
    for (const place of this.places) if (place.job) fail(place.job);
    for (let next = this.queue.take(); next; next = this.queue.take()) fail(next);
  }
}
