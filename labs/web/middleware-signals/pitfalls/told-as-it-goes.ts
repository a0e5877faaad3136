// Flaw: what waits for the commit is not waited with: mails go out for orders that never were.
// Seen in: https://github.com/yunojuno/django-side-effects/pull/22
// Caught by: what is rolled back tells nobody; what is committed tells each once, in order, when it is there to be seen
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  override onCommit(callback: () => unknown): void {
    void this.tell([callback]);
  }
}
