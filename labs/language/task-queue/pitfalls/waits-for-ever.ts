// Flaw: BullMQ's default in a flow: a child that failed leaves its parent waiting for it.
// Seen in: https://github.com/taskforcesh/bullmq/issues/3362
// Caught by: a chord with a failed task fails, and so does a chain, and both name the culprit
import { type Flow, TaskQueue as Reference, type Tasks } from '../src/index.ts';

export * from '../src/index.ts';

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override child(flow: Flow): Flow {
    return flow;
  }
}
