import type { PoolClient } from 'pg';
import { quoted } from './check.ts';
import { StepFailedError } from './errors.ts';
import { type IndexPlan, textOf } from './migration.ts';

/**
 * Builds an index while others write. A build that failed leaves an invalid index, which `IF NOT EXISTS` takes for a good
 * one: it is dropped and built again. @throws StepFailedError if a valid one of the name is another one @see
 * https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 */
export async function buildIndex(client: PoolClient, index: IndexPlan, lockTimeoutMs: number): Promise<void> {
  const { name, table, columns, unique = false } = index;
  const { rows } = await client.query<{ valid: boolean; same: boolean }>(
    `SELECT indisvalid AS valid, indisunique = $3 AND indpred IS NULL
       AND ARRAY(SELECT pg_get_indexdef(indexrelid, n, false) FROM generate_series(1, indnatts) AS n)
         = ARRAY(SELECT quote_ident(c) FROM unnest($4::text[]) AS c) AS same
     FROM pg_index WHERE indexrelid = to_regclass($1) AND indrelid = to_regclass($2)`,
    [quoted(name), quoted(table), unique, columns],
  );
  if (rows[0]?.valid && !rows[0].same)
    throw new StepFailedError(`There is an index ${name} on ${table} that is not: ${textOf({ index })}`);
  if (rows[0]?.valid) return;
  // It waits for every transaction that began before it. Its lock lets writers by, so nobody queues behind it.
  await client.query('SET lock_timeout = 0');
  try {
    if (rows[0]) await client.query(`DROP INDEX CONCURRENTLY ${quoted(name)}`);
    await client.query(textOf({ index }));
  } finally {
    await client.query(`SET lock_timeout = ${lockTimeoutMs}`).catch(() => {});
  }
}
