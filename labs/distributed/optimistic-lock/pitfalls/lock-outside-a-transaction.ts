// Flaw: FOR UPDATE outside of a transaction: the lock is gone with the statement that took it, and several decide at once.
// Seen in: https://github.com/isucon/isucon10-final/issues/63
// Caught by: whoever takes the lock first decides alone, and once
import type { Pool } from 'pg';
import { type Change, NotFoundError, updateVersioned, type VersionedRow, type VersionedTable } from '../src/index.ts';

export * from '../src/index.ts';

export async function modifyLocked<Row extends VersionedRow>(
  pool: Pool,
  table: VersionedTable<Row>,
  id: Row['id'],
  change: Change<Row>,
): Promise<Row> {
  const text = `SELECT ${table.selection} FROM ${table.name} WHERE id = $1 FOR UPDATE`;
  const { rows } = await pool.query<Row>(text, [id]);
  const [row] = rows;
  if (!row) throw new NotFoundError(table.name, id);
  return updateVersioned(pool, table, id, row.version, await change(row));
}
