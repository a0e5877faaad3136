// Flaw: after a write the reader waits for as long as replication usually takes.
// Seen in: https://github.com/payloadcms/payload/pull/16083
// Caught by: a reader sees his own write: on a replica that has it, else on the primary
import { setTimeout as delay } from 'node:timers/promises';
import { type Lease, type Lsn, SplitPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SplitPool extends Reference {
  protected override async knows(_client: Lease, after: Lsn | undefined): Promise<boolean> {
    if (after !== undefined) await delay(this.waitMs);
    return true;
  }
}
