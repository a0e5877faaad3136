import type { Pool } from 'pg';
import { InvalidArgumentError } from './errors.ts';

/**
 * Deletes the rows of `table` whose `column` is older, batch by batch: each its own short transaction, so that writers
 * wait for none. A row without a time is of no age.
 */
export async function prune(
  pool: Pool,
  table: string,
  column: string,
  olderThanMs: number,
  batch: number,
): Promise<number> {
  if (!Number.isFinite(olderThanMs) || olderThanMs < 0) {
    throw new InvalidArgumentError(`olderThanMs is ${olderThanMs}: give milliseconds, at least 0`);
  }
  if (!Number.isInteger(batch) || batch < 1) {
    throw new InvalidArgumentError(`batch is ${batch}: give a whole number, at least 1`);
  }
  let pruned = 0;
  // The age twice: in a table with partitions the place of an old row is another's too, in each of the others.
  const old = `${column} < now() - $1 * interval '1 millisecond'`;
  for (;;) {
    const { rowCount } = await pool.query(
      `DELETE FROM ${table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM ${table}
       WHERE ${old} LIMIT $2 FOR UPDATE SKIP LOCKED)) AND ${old}`,
      [olderThanMs, batch],
    );
    pruned += rowCount ?? 0;
    if ((rowCount ?? 0) < batch) return pruned;
  }
}
