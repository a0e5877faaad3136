import { readdir } from 'node:fs/promises';
import pg from 'pg';
import { afterEach, expect, test, vi } from 'vitest';
import { FaultUnavailableError, MissingServerError, type ReplicatedPostgres, startPostgres } from '../src/index.ts';
import { failure, listens, temporary, until } from './support.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    client.end().catch(() => {});
  }
}

const count = (url: string) => query(url, 'SELECT count(*)::int FROM t').then(([n]) => n);

async function withRows(servers: ReplicatedPostgres): Promise<void> {
  await query(servers.url, 'CREATE TABLE t AS SELECT 1 AS n');
  await until('the row is there', async () => (await count(servers.standbys[0].url)) === 1);
}

test('a standby has the rows of its primary a moment later, refuses writes, lags while its replay is paused', async () => {
  await using servers = await startPostgres({ standby: 1 });
  const [standby] = servers.standbys;
  expect(servers.banner).toMatch(/^postgres ×2: embedded \d/);
  expect(new URL(standby.url).pathname).toBe(`/${servers.namespace}`);
  await withRows(servers);
  expect((await failure(query(standby.url, 'INSERT INTO t VALUES (2)'))).error).toMatchObject({ code: '25006' });

  await standby.pauseReplay();
  await query(servers.url, 'INSERT INTO t VALUES (2)');
  await until('it has arrived', async () => {
    const [behind] = await query(standby.url, 'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()');
    return behind === true;
  });
  expect(await count(standby.url)).toBe(1);
  await standby.resumeReplay();
  await until('the lag is over', async () => (await count(standby.url)) === 2);
});

test('a standby that was paused or killed catches up, whatever it missed; faults of the one leave the other alone', async () => {
  await using servers = await startPostgres({ standby: 1 });
  const [standby] = servers.standbys;
  await withRows(servers);
  await standby.kill();
  expect([standby.state, servers.node.state, await listens(standby.port)]).toEqual(['down', 'up', false]);
  expect((await failure(standby.pauseReplay())).error).toBeInstanceOf(FaultUnavailableError);
  // More than the standby's share of WAL that a server keeps by itself.
  await query(servers.url, 'INSERT INTO t SELECT generate_series(1, 100000)');
  await query(servers.url, 'CHECKPOINT');
  await standby.restart();
  await until('it has all', async () => (await count(standby.url)) === 100_001);

  await standby.pause();
  expect((await failure(query(standby.url, 'SELECT 1'))).error.message).toContain('timeout');
  await standby.resume();
  await servers.node.restart();
  await query(servers.url, 'TRUNCATE t');
  await until('it follows the restarted primary', async () => (await count(standby.url)) === 0);
});

test('a promoted standby takes writes, also after a restart, with all that was committed on the killed primary', async () => {
  await using servers = await startPostgres({ standby: 1 });
  const [standby] = servers.standbys;
  await withRows(servers);
  await servers.node.kill();
  await standby.promote();
  await query(standby.url, 'INSERT INTO t VALUES (2)');
  await standby.restart();
  expect(await count(standby.url)).toBe(2);
  const { error } = await failure(standby.promote());
  expect(error).toBeInstanceOf(FaultUnavailableError);
});

test('a DATABASE_URL has no standby: refused before anything is started, with what to do', async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  vi.stubEnv('DATABASE_URL', 'postgres://me:secret@127.0.0.1:1/mine');
  vi.stubEnv('LABS_SERVICES', '');
  const { error } = await failure(startPostgres({ standby: 1 }));
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toMatch(/standby.*Unset DATABASE_URL/);
  expect(error).toMatchObject({ exitCode: 3 });
  expect(await readdir(folder.path)).toEqual([]);
});
