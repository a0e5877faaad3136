// Flaw: told when it is written instead of when it is committed: the mail goes out, and then everything is rolled back.
// Seen in: https://github.com/typeorm/typeorm/issues/743
// Caught by: afterCommit is told once, when it is true for everybody, and never after a rollback
import { Session as Reference } from '../src/index.ts';
import type { Task } from '../src/statements.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  protected override async after(tasks: readonly Task[]): Promise<void> {
    await super.after(tasks);
    await this.announce('afterCommit', this.log, (inserted) => ({ inserted, updated: [], deleted: [] }));
  }

  protected override async finish(): Promise<void> {
    await this.sendCommit();
    this.end();
  }
}
