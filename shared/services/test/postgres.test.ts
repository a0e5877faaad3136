import { chmod } from 'node:fs/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { PortTakenError, type PostgresServers, startPostgres } from '../src/index.ts';
import { failure, listens, segmentsUnder, stillThere, stranger, temporary } from './support.ts';

// One for the tests that break nothing: a start costs more than all of them.
let shared: PostgresServers;
beforeAll(async () => {
  shared = await startPostgres();
});
afterAll(async () => {
  await shared[Symbol.asyncDispose]();
});

const open: AsyncDisposable[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});
async function start(...args: Parameters<typeof startPostgres>): Promise<PostgresServers> {
  const servers = await startPostgres(...args);
  open.push(servers);
  return servers;
}
async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

test('the database is our own and empty, and its user may do everything in it', async () => {
  const { url, namespace, banner, node } = shared;
  expect(await query(url, 'SELECT current_database()')).toEqual([namespace]);
  expect(await query(url, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'")).toEqual([0]);
  await query(url, 'CREATE SCHEMA mine CREATE TABLE t (name text)');
  expect(await query(url, "SELECT lower('ÉCLAIR')")).toEqual(['éclair']);
  expect([banner.replace(/\d+\.\d+/, 'N'), node.url]).toEqual(['postgres: embedded N', url]);
});

test('a local user without the password is not let in', async () => {
  const { url } = shared;
  const wrong = new URL(url);
  wrong.password = 'guess';
  expect((await failure(query(wrong.href, 'SELECT 1'))).error.message).toContain('password');
});

test('a killed Postgres comes back on its port with what was committed', async () => {
  const { url, node } = shared;
  await query(url, 'CREATE TABLE t AS SELECT 42 AS n');
  await node.kill();
  expect([node.state, await listens(node.port)]).toEqual(['down', false]);
  await node.restart();
  expect(await query(url, 'SELECT n FROM t')).toEqual([42]);
});

test('a paused Postgres hangs open connections too, until it is resumed', async () => {
  const { url, node } = shared;
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  await node.pause();
  let answered = false;
  const answer = client.query('SELECT 1 AS one').then(({ rows }) => {
    answered = true;
    return rows;
  });
  expect(await listens(node.port)).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(answered).toBe(false);
  await node.resume();
  expect(await answer).toEqual([{ one: 1 }]);
  await client.end();
});

test('a close leaves no shared memory, whether Postgres runs, is paused or was killed', async () => {
  await using folder = await temporary();
  await chmod(folder.path, 0o755);
  vi.stubEnv('TMPDIR', folder.path);
  for (const fault of ['none', 'pause', 'kill'] as const) {
    const postgres = await startPostgres();
    const segments = await segmentsUnder(folder.path);
    expect(await stillThere(segments)).toHaveLength(process.platform === 'linux' ? 1 : 0);
    if (fault !== 'none') await postgres.node[fault]();
    await postgres[Symbol.asyncDispose]();
    expect(await stillThere(segments)).toEqual([]);
  }
  // What the parallel workers share lies in files of our folder, not in /dev/shm.
  expect(await query(shared.url, 'SHOW dynamic_shared_memory_type')).toEqual(['mmap']);
});

test('with persist: always Postgres syncs its commits to the disk', async () => {
  const { url } = await start({ persist: 'always' });
  expect([await query(url, 'SHOW fsync'), await query(url, 'SHOW synchronous_commit')]).toEqual([['on'], ['on']]);
});

test('a port that the caller insists on and another has is a PortTakenError within 5 s', async () => {
  await using other = await stranger();
  const { error, ms } = await failure(start({ port: other.port }));
  expect(error).toBeInstanceOf(PortTakenError);
  expect(ms).toBeLessThan(5000);
});

test('an abort during the start rejects with its reason and leaves nothing', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error('Ctrl-C')), 40);
  expect((await failure(start({ signal: abort.signal }))).error.message).toBe('Ctrl-C');
});
