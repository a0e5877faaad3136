import { Pool } from 'pg';
import { onTestFinished } from 'vitest';
import { Database, type DatabaseOptions } from '#lab';

let shops = 0;

/** A bakery's orders in a table of the test's own; `failed` has what was told to `onError`. */
export async function open(url: string, options: { max?: number } & Partial<DatabaseOptions> = {}) {
  const { max = 4, ...rest } = options;
  const pool = new Pool({ connectionString: url, max, connectionTimeoutMillis: 3000 });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  const table = `orders_${process.pid}_${++shops}`;
  await pool.query(
    `CREATE TABLE ${table} (what text PRIMARY KEY, deferred text REFERENCES ${table} DEFERRABLE INITIALLY DEFERRED)`,
  );
  const failed: unknown[] = [];
  const db = new Database({ pool, onError: (error) => failed.push(error), ...rest });
  const add = (what: string, deferred?: string) => db.query(`INSERT INTO ${table} VALUES ($1, $2)`, [what, deferred]);
  /** What the table has, whatever transaction the caller is in. */
  const stored = async () =>
    (await pool.query<{ what: string }>(`SELECT what FROM ${table} ORDER BY what`)).rows.map(({ what }) => what);
  /** Connections that nobody has given back. */
  const lent = () => pool.totalCount - pool.idleCount;
  return { pool, table, db, add, stored, failed, lent };
}
