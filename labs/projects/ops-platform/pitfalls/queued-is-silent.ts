// Flaw: a job that waits for its host grows old while the host does another one, and is given up.
// Seen in: queues whose timeout begins when a task is queued, not when its worker falls silent
// Caught by: a job that waits for another one of its host is not lost while the host is heard
export * from '../src/index.ts';

import { Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  override async lose(...[tx, silentMs]: Parameters<Sound['lose']>): Promise<number> {
    const { rowCount } = await tx.query(
      `UPDATE ops_jobs SET state = 'unknown'
        WHERE state IN ('queued', 'running') AND since <= clock_timestamp() - $1::integer * interval '1 ms'`,
      [silentMs],
    );
    return rowCount ?? 0;
  }
}
