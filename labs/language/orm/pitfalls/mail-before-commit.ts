// Flaw: a hook for after the commit runs at once, so the mail is out when the order is rolled back.
// Seen in: https://github.com/typeorm/typeorm/issues/8661
// Caught by: after a commit, and only then, its hooks run in order
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  override async onCommit(hook: () => unknown): Promise<void> {
    await hook();
  }
}
