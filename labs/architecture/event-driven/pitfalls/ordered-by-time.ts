// Flaw: published in the order of the events' own times: a clock that is slow or set back makes a later event an earlier one.
// Seen in: https://github.com/Skalar/ddes/issues/67
// Caught by: events are published as they were written, whatever the clocks said
import type { Pool, PoolClient } from 'pg';
import { Outbox as Reference, type Waiting } from '../src/index.ts';

export * from '../src/index.ts';

export class Outbox extends Reference {
  override async waiting(db: Pool | PoolClient, limit: number): Promise<Waiting[]> {
    const waiting = await super.waiting(db, limit);
    return waiting.toSorted((a, b) => a.event.time.localeCompare(b.event.time));
  }
}
