// Flaw: a timeout answers the caller and leaves the worker to its task: after maxWorkers of them nothing runs any more.
// Seen in: https://github.com/SUCHMOKUO/node-worker-threads-pool/issues/13
// Caught by: a task that runs too long is ended, and its place is free again
import type { Place } from '../src/base-pool.ts';
import { Executor as Reference, TaskTimeoutError } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override end(place: Place, reason: unknown): void {
    if (!(reason instanceof TaskTimeoutError)) super.end(place, reason);
    else if (!place.job?.future.done) place.job?.future.reject(reason);
  }
}
