import type { PoolClient } from 'pg';
import { quoted } from './check.ts';
import { type IndexPlan, textOf } from './migration.ts';

/**
 * Builds an index while others write. A build that failed leaves an invalid index, which `IF NOT EXISTS` takes for a good
 * one: it is dropped and built again. @see
 * https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 */
export async function buildIndex(client: PoolClient, index: IndexPlan, lockTimeoutMs: number): Promise<void> {
  const { rows } = await client.query<{ valid: boolean }>(
    'SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1) AND indrelid = to_regclass($2)',
    [quoted(index.name), quoted(index.table)],
  );
  if (rows[0]?.valid) return;
  // It waits for every transaction that began before it. Its lock lets writers by, so nobody queues behind it.
  await client.query('SET lock_timeout = 0');
  try {
    if (rows[0]) await client.query(`DROP INDEX CONCURRENTLY ${quoted(index.name)}`);
    await client.query(textOf({ index }));
  } finally {
    await client.query(`SET lock_timeout = ${lockTimeoutMs}`).catch(() => {});
  }
}
