// Flaw: the result is removed the moment it is there, so who asks later finds nothing.
// Seen in: https://github.com/taskforcesh/bullmq/issues/85
// Caught by: a result is there for whoever asks later, from anywhere
import type { JobsOptions } from 'bullmq';
import { TaskQueue as Reference, type SendOptions, type Tasks } from '../src/index.ts';

export * from '../src/index.ts';

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override jobOptions(task: string, options: SendOptions): JobsOptions {
    return { ...super.jobOptions(task, options), removeOnComplete: true };
  }
}
