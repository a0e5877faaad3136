// Flaw: the id of a schedule differs at each start, so every instance and every deployment adds one.
// Seen in: https://github.com/OptimalBits/bull/issues/1701
// Caught by: three instances that beat make one schedule, also after a restart
import { randomUUID } from 'node:crypto';
import { TaskQueue as Reference, type Tasks } from '../src/index.ts';

export * from '../src/index.ts';

export class TaskQueue<M extends Tasks> extends Reference<M> {
  protected override scheduleId(id: string): string {
    return `${id}-${Date.now()}-${randomUUID()}`;
  }
}
