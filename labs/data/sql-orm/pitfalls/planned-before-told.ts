// Flaw: what is to be written is decided before the listeners are told, so what they change or undo makes no difference.
// Seen in: https://github.com/adonisjs/lucid/issues/44
// Caught by: row events come before the first statement and after the last, in order; before may change the row, after may not
import { Session as Reference } from '../src/index.ts';
import type { Task } from '../src/statements.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  #plan: Task[] | undefined;

  protected override async before(): Promise<void> {
    const plan = super.tasks();
    await super.before();
    this.#plan = plan;
  }

  protected override tasks(): Task[] {
    const plan = this.#plan ?? super.tasks();
    this.#plan = undefined;
    return plan;
  }
}
