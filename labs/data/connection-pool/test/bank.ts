import { randomBytes } from 'node:crypto';
import { until } from '@shared/testkit';
import { Client, type ClientConfig } from 'pg';
import { onTestFinished } from 'vitest';
import { ConnectionPool, type Lease, type PoolOptions } from '#lab';

/** A schema of the test's own on that server, and pools whose connections live in it. */
export async function bank(url: string) {
  const schema = `bank_${randomBytes(5).toString('hex')}`;
  const admin = new Client({ connectionString: url });
  admin.on('error', () => {});
  await admin.connect();
  onTestFinished(() => admin.end());
  await admin.query(`CREATE SCHEMA ${schema}`);
  const connection = (to = url): ClientConfig => ({
    connectionString: to,
    options: `-c search_path=${schema}`,
    application_name: schema,
  });
  const open = (options: Partial<PoolOptions> = {}, to = url) => {
    const pool = new ConnectionPool({ connection: connection(to), ...options });
    onTestFinished(() => pool.close({ graceMs: 0 }));
    return pool;
  };
  /** What the server itself sees of these pools. */
  const backends = async (state = '%') => {
    const seen = 'SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND state LIKE $2';
    return (await admin.query<{ pid: number }>(seen, [schema, state])).rows.map(({ pid }) => pid);
  };
  const end = async (pid: number) => {
    await admin.query('SELECT pg_terminate_backend($1)', [pid]);
    await until(async () => !(await backends()).includes(pid), { what: 'the server to end the connection' });
  };
  return { admin, schema, connection, open, backends, end };
}

/** The server's process behind this connection. */
export async function pidOf(client: Lease): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
}
