// Flaw: most tasks have no priority, and BullMQ runs those before the urgent ones.
// Seen in: https://github.com/taskforcesh/bullmq/issues/2081
// Caught by: urgent overtakes normal, and normal overtakes background
import type { JobsOptions } from 'bullmq';
import { TaskQueue as Reference, type SendOptions, type Tasks } from '../src/index.ts';

export * from '../src/index.ts';

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override jobOptions(task: string, options: SendOptions): JobsOptions {
    const { priority, ...rest } = super.jobOptions(task, options);
    return options.priority && priority ? { ...rest, priority } : rest;
  }
}
