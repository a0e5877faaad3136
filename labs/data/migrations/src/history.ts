import type { Pool, PoolClient } from 'pg';
import { HistoryError } from './errors.ts';
import { checksumOf, type Migration } from './migration.ts';

/** What the database has noted: this migration is applied. */
export interface Noted {
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: Date;
}

/** Makes our two tables in one transaction, one maker at a time: of two that make the same table at once, one fails. */
export async function openBooks(client: PoolClient): Promise<void> {
  await client.query(`
    SELECT pg_advisory_xact_lock(hashtext('migration books'), hashtext(current_schema()));
    CREATE TABLE IF NOT EXISTS migration_history (
      position integer PRIMARY KEY, name text NOT NULL UNIQUE, checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE IF NOT EXISTS migration_batches (
      name text, plan text, last text, goal text, rows bigint NOT NULL DEFAULT 0, PRIMARY KEY (name, plan))`);
}

/** Changes nothing: without our tables in the schema where we would make them, nothing is applied. */
export async function readHistory(db: Pool | PoolClient): Promise<readonly Noted[]> {
  const { rows } = await db.query("SELECT to_regclass(quote_ident(current_schema()) || '.migration_history') AS there");
  if (!rows[0]?.there) return [];
  const noted = 'SELECT name, checksum, applied_at AS "appliedAt" FROM migration_history ORDER BY position';
  return (await db.query<Noted>(noted)).rows;
}

/** What is applied must be what the list begins with, each as it was. @throws HistoryError */
export function checkHistory(history: readonly Noted[], migrations: readonly Migration[]): void {
  for (const [position, { name, checksum }] of history.entries()) {
    const given = migrations[position];
    if (given?.name === name && checksumOf(given) === checksum) continue;
    const what = given?.name === name ? 'edited since' : `the list has ${given?.name ?? 'nothing'} in its place`;
    throw new HistoryError(`${name} was applied; ${what}. Put it back, and add the change as a new one at the end.`);
  }
}
