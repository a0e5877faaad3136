// Flaw: every retry waits for the same time, so those that failed together hammer together.
// Seen in: https://github.com/openclaw/clawsweeper/pull/1076
// Caught by: those that failed together do not come back together
import type { JobsOptions } from 'bullmq';
import { TaskQueue as Reference, type SendOptions, type Tasks } from '../src/index.ts';

export * from '../src/index.ts';

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override jobOptions(task: string, options: SendOptions): JobsOptions {
    const wait = this.tasks[task]?.retry?.baseMs ?? 1_000;
    return { ...super.jobOptions(task, options), backoff: { type: 'fixed', delay: wait } };
  }
}
