// Flaw: whoever has begun a job and reports no failure of it has done it.
// Seen in: dashboards that are green until somebody complains
// Caught by: a host that vanishes in the middle of its job is unknown, and so is one that never came
export * from '../src/index.ts';

import { Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  override async lose(...[tx, silentMs]: Parameters<Sound['lose']>): Promise<number> {
    const { rowCount } = await tx.query(
      `UPDATE ops_jobs SET state = CASE state WHEN 'running' THEN 'ok' ELSE 'unknown' END
        WHERE state IN ('queued', 'running') AND since <= clock_timestamp() - $1::integer * interval '1 ms'`,
      [silentMs],
    );
    return rowCount ?? 0;
  }
}
