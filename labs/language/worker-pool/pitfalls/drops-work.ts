// Flaw: workers never keep the process alive, so a program that waits for nothing else ends before its results are there.
// Seen in: https://github.com/getsentry/cli/pull/807
// Caught by: a program ends when its work is done, and not before
import type { Place } from '../src/base-pool.ts';
import { Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override run(...[place, job]: Parameters<Reference<T>['run']>): void {
    super.run(place, job);
    place.worker.hold(false);
  }

  protected override hold({ worker }: Place): void {
    worker.hold(false);
  }
}
