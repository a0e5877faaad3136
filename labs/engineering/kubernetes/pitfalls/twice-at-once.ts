// Flaw: two workers may have the same key at once, and put the same thing right against each other.
// Seen in: https://github.com/operator-framework/operator-sdk/issues/5470
// Caught by: a key that is added ten times is worked on once, once more if it is added meanwhile, and never twice at once
import { WorkQueue as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class WorkQueue extends Reference {
  protected override next(): void {
    for (const key of this.due) {
      if (this.busy.size >= this.options.workers) return;
      this.due.delete(key);
      this.busy.set(key, this.run(key));
    }
  }
}
