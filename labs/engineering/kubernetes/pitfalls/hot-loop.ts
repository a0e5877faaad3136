// Flaw: what fails is tried again at once, for as long as it fails: the API server has one enemy more.
// Seen in: https://github.com/kubernetes/kubernetes/issues/27634
// Caught by: a key that fails waits twice as long each time, and begins afresh once it has succeeded
import { WorkQueue as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class WorkQueue extends Reference {
  protected override backOff(): number {
    return this.options.baseMs;
  }
}
