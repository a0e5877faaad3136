// Flaw: looks whether it was done, then does it: two deliveries at once both look before either notes.
// Seen in: https://github.com/MicrosoftDocs/architecture-center/pull/3609 (check a store, then process: what if both do at once?)
// Caught by: eight deliveries at the same moment have one effect
import type { PoolClient } from 'pg';
import { Inbox as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Inbox extends Reference {
  protected override async note(db: Pick<PoolClient, 'query'>, consumer: string, id: string): Promise<boolean> {
    const { rowCount } = await db.query(`SELECT FROM ${this.table} WHERE consumer = $1 AND event = $2`, [consumer, id]);
    await super.note(db, consumer, id);
    return rowCount === 0;
  }
}
