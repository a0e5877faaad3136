import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import {
  BadSettingError,
  FaultUnavailableError,
  LoginRefusedError,
  type PostgresServers,
  startPostgres,
  startRedis,
  TooFewUrlsError,
  UnreachableUrlError,
} from '../src/index.ts';
import { client, failure, listens, Script, stranger, until } from './support.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** Servers that stand for the user's own. */
async function usersRedis(nodes = 1) {
  const redis = await startRedis({ nodes });
  open.push(redis);
  const urls = redis.nodes.map(({ url }) => url);
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('REDIS_URL', urls.join(','));
  return urls;
}
let postgres: PostgresServers;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
});
function usersPostgres() {
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('DATABASE_URL', postgres.url);
  return postgres.url;
}
async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const session = new pg.Client({ connectionString: url });
  session.on('error', () => {});
  await session.connect();
  try {
    return (await session.query(sql)).rows;
  } finally {
    await session.end();
  }
}

test('a Redis of the user is used, and loses at close the keys of our own prefix and no other', async () => {
  const [url = ''] = await usersRedis();
  await using users = client(url);
  await users.mset('theirs', 1, 'labs:theirs', 2);
  {
    await using redis = await startRedis();
    expect([redis.origin, redis.nodes[0].url, redis.faults]).toEqual(['url', url, false]);
    await users.mset(`${redis.namespace}a`, 1, `${redis.namespace}b`, 2);
    for (let i = 0; i < 30; i += 1) {
      await users.mset(Object.fromEntries(Array.from({ length: 100 }, (_, j) => [`${redis.namespace}${i}:${j}`, j])));
    }
  }
  expect((await users.keys('*')).sort()).toEqual(['labs:theirs', 'theirs']);
});

test('several URLs are several independent nodes', async () => {
  const urls = await usersRedis(3);
  await using redis = await startRedis({ nodes: 3 });
  expect(redis.nodes.map((node) => node.url)).toEqual(urls);
  expect(redis.banner).toMatch(/^redis ×3: url /);
});

test('too few URLs are a typed error; two databases of one server are one node', async () => {
  const [one, two] = await usersRedis(2);
  vi.stubEnv('REDIS_URL', `${one}/0, ${one}/1, ${two}`);
  const { error } = await failure(startRedis({ nodes: 3 }));
  expect(error).toBeInstanceOf(TooFewUrlsError);
  expect(error.message).toContain('REDIS_URL names 2');
});

test('faults on a server of the user are refused, a proxy is not', async () => {
  await usersRedis();
  await using redis = await startRedis();
  const [node] = redis.nodes;
  for (const fault of ['kill', 'restart', 'pause', 'resume'] as const) {
    const { error } = await failure(node[fault]());
    expect(error).toBeInstanceOf(FaultUnavailableError);
    expect(error.message).toContain('REDIS_URL');
  }
  const proxy = await node.proxy();
  await using through = client(proxy.url);
  expect(await through.ping()).toBe('PONG');
});

test('in a Postgres of the user we create one database and drop it at the end, connected clients or not', async () => {
  const url = usersPostgres();
  await ask(url, 'CREATE TABLE theirs AS SELECT 1');
  const databases = 'SELECT datname FROM pg_database ORDER BY 1';
  const before = await ask(url, databases);
  {
    await using postgres = await startPostgres();
    expect([postgres.origin, postgres.faults]).toEqual(['url', false]);
    expect(await ask(postgres.url, 'SELECT current_database() AS name')).toEqual([{ name: postgres.namespace }]);
    await ask(postgres.url, 'CREATE TABLE ours AS SELECT 1');
    const forgotten = new pg.Client({ connectionString: postgres.url });
    forgotten.on('error', () => {});
    await forgotten.connect();
    expect((await failure(postgres.node.kill())).error).toBeInstanceOf(FaultUnavailableError);
  }
  expect(await ask(url, databases)).toEqual(before);
  expect(await ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).toEqual([
    { tablename: 'theirs' },
  ]);
});

test('kill -9 of the lab leaves neither our database nor our keys with the user', async () => {
  const [redisUrl = ''] = await usersRedis();
  const url = usersPostgres();
  const script = new Script('adopt.ts', { LABS_SERVICES: '', REDIS_URL: redisUrl, DATABASE_URL: url });
  const { namespace, database } = await script.says<{ namespace: string; database: string }>();
  await using users = client(redisUrl);
  expect(await users.keys('*')).toEqual([`${namespace}k`]);
  script.child.kill('SIGKILL');
  await until('our keys are gone', async () => (await users.keys('*')).length === 0, 2000);
  const databases = () => ask(url, `SELECT datname FROM pg_database WHERE datname = '${database}'`);
  await until('our database is gone', async () => (await databases()).length === 0, 2000);
});

test('a URL that answers nothing, refused or silent, is a typed error within 5 s and hides the password', async () => {
  vi.stubEnv('LABS_SERVICES', undefined);
  await using silent = await stranger();
  for (const port of [1, silent.port]) {
    vi.stubEnv('REDIS_URL', `redis://:secret@127.0.0.1:${port}`);
    vi.stubEnv('DATABASE_URL', `postgres://me:secret@127.0.0.1:${port}/db`);
    for (const { error, ms } of await Promise.all([failure(startRedis()), failure(startPostgres())])) {
      expect(error).toBeInstanceOf(UnreachableUrlError);
      expect(error.message).toMatch(/REDIS_URL|DATABASE_URL/);
      expect(`${error.message} ${JSON.stringify(error)}`).not.toContain('secret');
      expect(ms).toBeLessThan(5000);
    }
  }
});

test('a host that swallows our packets is a typed error within 5 s', async () => {
  vi.stubEnv('LABS_SERVICES', undefined);
  // Reserved for documentation: nobody answers there.
  vi.stubEnv('REDIS_URL', 'redis://192.0.2.1:6379');
  const { error, ms } = await failure(startRedis());
  expect(error).toBeInstanceOf(UnreachableUrlError);
  expect(ms).toBeLessThan(5000);
});

test('a wrong password is a LoginRefusedError', async () => {
  const [url = ''] = await usersRedis();
  await using users = client(url);
  await users.config('SET', 'requirepass', 'right');
  for (const login of ['', ':wrong@', 'nobody:wrong@']) {
    vi.stubEnv('REDIS_URL', url.replace('//', `//${login}`));
    const { error } = await failure(startRedis());
    expect(error).toBeInstanceOf(LoginRefusedError);
    expect(error.message).not.toContain('wrong@');
  }
  const own = new URL(usersPostgres());
  own.password = 'wrong';
  vi.stubEnv('DATABASE_URL', own.href);
  expect((await failure(startPostgres())).error).toBeInstanceOf(LoginRefusedError);
});

test('a Postgres user who may not create databases is a LoginRefusedError that says what right is missing', async () => {
  const url = usersPostgres();
  await ask(url, "CREATE ROLE poor LOGIN PASSWORD 'pw'");
  const poor = new URL(url);
  poor.username = 'poor';
  poor.password = 'pw';
  vi.stubEnv('DATABASE_URL', poor.href);
  const { error } = await failure(startPostgres());
  expect(error).toBeInstanceOf(LoginRefusedError);
  expect(error.message).toContain('CREATEDB');
});

test.each([
  ['REDIS_URL', 'localhost:6379', () => startRedis()],
  ['REDIS_URL', 'http://localhost', () => startRedis()],
  ['REDIS_URL', 'http://localhost', () => startRedis({ cluster: 6 })],
  ['DATABASE_URL', 'mysql://localhost/db', () => startPostgres()],
  ['LABS_SERVICES', 'docker', () => startRedis()],
  ['LABS_SERVICES', 'docker', () => startRedis({ cluster: 6 })],
] as const)('%s=%s is a typed error that names the variable', async (variable, value, start) => {
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv(variable, value);
  const { error } = await failure(start());
  expect(error).toBeInstanceOf(BadSettingError);
  expect(error.message).toContain(variable);
});

test('LABS_SERVICES=embedded comes before a URL', async () => {
  const [url = ''] = await usersRedis();
  vi.stubEnv('LABS_SERVICES', 'embedded');
  await using redis = await startRedis();
  expect(redis.origin).toBe('embedded');
  expect(redis.nodes[0].url).not.toBe(url);
  expect(await listens(redis.nodes[0].port)).toBe(true);
});
