// Flaw: nothing holds two transactions of one order apart, so their positions and their commits may have different orders.
// Seen in: https://github.com/eugene-khyst/postgresql-event-sourcing/issues/2
// Caught by: events of one order stand in the outbox as they were committed
import type { PoolClient } from 'pg';
import { type Envelope, Outbox as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Outbox extends Reference {
  override async add(tx: PoolClient, ...events: readonly Envelope[]): Promise<void> {
    for (const event of events) {
      await tx.query(`INSERT INTO ${this.table} (id, key, event) VALUES ($1, $2, $3)`, [event.id, event.key, event]);
    }
  }
}
