// Flaw: each event takes its key's lock as it comes: of two transactions with the same keys in different orders each has
// what the other waits for.
// Seen in: https://github.com/cyrilgdn/terraform-provider-postgresql/pull/639
// Caught by: two transactions that tell of the same two orders never wait for each other
import type { PoolClient } from 'pg';
import { type Envelope, Outbox as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Outbox extends Reference {
  override async add(tx: PoolClient, ...events: readonly Envelope[]): Promise<void> {
    for (const event of events) await super.add(tx, event);
  }
}
