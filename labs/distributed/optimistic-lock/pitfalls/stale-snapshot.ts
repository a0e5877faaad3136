// Flaw: a retry takes the new version and writes what was decided on the old row: the update in between is lost after all.
// Seen in: https://github.com/scireum/sirius-biz/pull/607
// Caught by: a change is made anew on the row as it is, so that no update is lost
import type { Pool } from 'pg';
import {
  type Change,
  type RetryOptions,
  readVersioned,
  updateVersioned,
  type VersionedRow,
  type VersionedTable,
  withRetry,
} from '../src/index.ts';

export * from '../src/index.ts';

export async function modify<Row extends VersionedRow>(
  pool: Pool,
  table: VersionedTable<Row>,
  id: Row['id'],
  change: Change<Row>,
  options?: RetryOptions,
): Promise<Row> {
  const patch = await change(await readVersioned(pool, table, id));
  return withRetry(async () => {
    const { version } = await readVersioned(pool, table, id);
    return updateVersioned(pool, table, id, version, patch);
  }, options);
}
