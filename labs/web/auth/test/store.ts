import { Pool } from 'pg';
import { onTestFinished } from 'vitest';
import { SCHEMA } from '#lab';

let schemas = 0;

/** The lab's tables, in a schema of the test's own. */
export async function openStore(url: string) {
  const schema = `auth_${process.pid}_${++schemas}`;
  const pool = new Pool({ connectionString: url, options: `-c search_path=${schema}`, application_name: schema });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  await pool.query(`CREATE SCHEMA ${schema}`);
  await pool.query(SCHEMA);
  /** Lets time pass: everything that is kept is that much older. */
  const later = async (ms: number) => {
    const by = `interval '1 ms' * ${ms}`;
    await pool.query(`UPDATE auth_refresh SET expires_at = expires_at - ${by}, used_at = used_at - ${by}`);
    await pool.query(`UPDATE auth_families SET expires_at = expires_at - ${by}`);
    await pool.query(`UPDATE auth_sessions SET expires_at = expires_at - ${by}, seen_at = seen_at - ${by}`);
    await pool.query(`UPDATE auth_logins SET expires_at = expires_at - ${by}`);
  };
  /** All that is kept, as text. */
  const kept = async () => {
    const tables = ['auth_refresh', 'auth_families', 'auth_sessions', 'auth_logins'];
    const rows = await Promise.all(tables.map(async (it) => (await pool.query(`SELECT * FROM ${it}`)).rows));
    return JSON.stringify(rows, (_, value) => {
      return value?.type === 'Buffer'
        ? `${Buffer.from(value.data).toString('base64url')} ${Buffer.from(value.data)}`
        : value;
    });
  };
  return { pool, schema, later, kept };
}
