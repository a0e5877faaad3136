// Flaw: the outbox is pruned by age alone, so what a long outage kept back is deleted before it was ever sent.
// Seen in: https://github.com/postalserver/postal/issues/353
// Caught by: pruning the outbox takes what was published long ago, and nothing that still waits
import { Outbox as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Outbox extends Reference {
  override async prune(olderThanMs: number): Promise<number> {
    const { rowCount } = await this.pool.query(
      `DELETE FROM ${this.table} WHERE (event->>'time')::timestamptz < now() - $1 * interval '1 millisecond'`,
      [olderThanMs],
    );
    return rowCount ?? 0;
  }
}
