import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { choose, composeContainers } from '../src/choose.ts';
import { containers } from '../src/compose.ts';
import { end } from '../src/estate.ts';
import { FaultUnavailableError, MissingServerError, startRedis } from '../src/index.ts';
import { freePort } from '../src/ports.ts';
import { redis as redisService } from '../src/redis.ts';
import { client, failure, least, listens, stranger, temporary, until } from './support.ts';

// Ports of this run's own instead of docker-compose.yml's, where real containers may be up.
vi.mock('../src/compose.ts', async (original) => {
  const { freePort } = await import('../src/ports.ts');
  const redis = await Promise.all(['redis-1', 'redis-2'].map(async (name) => ({ name, port: await freePort() })));
  const real = await original<typeof import('../src/compose.ts')>();
  return { ...real, containers: { ...real.containers, redis } };
});

const LOGIN = ['--user', 'labs', 'on', '>labs', '~*', '&*', '+@all'];

/** Servers started by hand where the containers would listen, and a `docker` on PATH that signals them. */
let shop: Awaited<ReturnType<typeof temporary>>;
const path = process.env['PATH'] ?? '';

beforeAll(async () => {
  shop = await temporary();
  await mkdir(join(shop.path, 'bin'));
  await writeFile(
    join(shop.path, 'bin', 'docker'),
    `#!/bin/sh
# docker compose -f FILE VERB [--quiet] SERVICE, for the servers in ${shop.path}
[ "$1" = compose ] && [ "$2" = -f ] || exit 125
for service; do :; done
cd ${shop.path}/"$service" || exit 1
echo "$4" >> ../calls
case "$4" in
  ps) cat pid ;;
  kill) kill -9 "$(cat pid)" ;;
  pause) kill -STOP "$(cat pid)" ;;
  unpause) kill -CONT "$(cat pid)" ;;
  start) ./start ;;
esac
`,
  );
  await chmod(join(shop.path, 'bin', 'docker'), 0o755);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await end(shop.path, 'SIGKILL', 2000);
  // A dying process loses its folder before its sockets.
  for (const { name, port } of containers.redis) await until(`${name} is gone`, async () => !(await listens(port)));
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

async function up(name: string, port: number, args: readonly string[]): Promise<void> {
  const choice = await choose(redisService, 1, { embedded: true });
  if (choice.origin !== 'embedded') throw new Error('embedded is what we asked for');
  const { program } = choice;
  const folder = join(shop.path, name);
  await mkdir(folder, { recursive: true });
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder, ...args];
  const library = program.env?.['LD_LIBRARY_PATH'];
  await writeFile(
    join(folder, 'start'),
    `#!/bin/sh
cd ${folder}
${library === undefined ? '' : `export LD_LIBRARY_PATH=${library}`}
${program.path} ${words.map((word) => `'${word}'`).join(' ')} >/dev/null 2>&1 &
echo $! > pid
`,
  );
  await chmod(join(folder, 'start'), 0o755);
  execFileSync(join(folder, 'start'));
  await until(`${name} listens`, () => listens(port));
}

async function bothUp(args: readonly string[] = LOGIN): Promise<void> {
  for (const { name, port } of containers.redis) await up(name, port, args);
  vi.stubEnv('LABS_SERVICES', undefined);
}

test('containers that answer on our ports and let our user in are used, and lose only our own keys', async () => {
  await bothUp();
  await using theirs = client(`redis://127.0.0.1:${containers.redis[0]?.port}`);
  await theirs.set('theirs', 1);
  {
    await using redis = await startRedis({ nodes: 2 });
    expect(redis.nodes.map(({ port }) => port)).toEqual(containers.redis.map(({ port }) => port));
    expect(redis.banner).toMatch(/^redis ×2: compose /);
    await theirs.set(`${redis.namespace}ours`, 1);
  }
  expect(await theirs.keys('*')).toEqual(['theirs']);
});

test('a stranger on our ports is left alone, even one that is a Redis', async () => {
  await bothUp([]);
  await using redis = await startRedis({ nodes: 2 });
  expect(redis.origin).toBe('embedded');
});

test('more nodes than there are containers are started by ourselves', async () => {
  await bothUp();
  await using redis = await startRedis({ nodes: 3 });
  expect(redis.origin).toBe('embedded');
});

test('kill, restart, pause and resume of a container go through docker compose; close leaves it as it was', async () => {
  await bothUp();
  vi.stubEnv('PATH', `${join(shop.path, 'bin')}:${path}`);
  {
    await using redis = await startRedis({ nodes: 2 });
    expect(redis.faults).toBe(true);
    const [one, two] = redis.nodes;
    await one.pause();
    expect(await failure(ping(one.url))).toBeDefined();
    await one.resume();
    expect(await ping(one.url)).toBe('PONG');
    await one.kill();
    expect(await listens(one.port)).toBe(false);
    await one.restart();
    expect(await ping(one.url)).toBe('PONG');
    await one.pause();
    await two?.kill();
  }
  for (const { port } of containers.redis) expect(await ping(`redis://127.0.0.1:${port}`)).toBe('PONG');
});

test('without a docker client, or without that container, faults are refused with the reason; a proxy works', async () => {
  await bothUp();
  const empty = join(shop.path, 'empty');
  await mkdir(empty, { recursive: true });
  vi.stubEnv('PATH', empty);
  {
    await using redis = await startRedis({ nodes: 2 });
    const { error } = await failure(redis.nodes[0].kill());
    expect([redis.faults, error.constructor]).toEqual([false, FaultUnavailableError]);
    expect(error.message).toContain('docker');
    const proxy = await redis.nodes[0].proxy();
    expect(await ping(proxy.url)).toBe('PONG');
  }
  await writeFile(join(empty, 'docker'), '#!/bin/sh\nexit 125\n', { mode: 0o755 });
  vi.stubEnv('PATH', `${empty}:${path}`);
  await using redis = await startRedis({ nodes: 2 });
  const { error } = await failure(redis.nodes[0].pause());
  expect(error).toBeInstanceOf(FaultUnavailableError);
  expect(error.message).toContain('redis-1');
});

test('LABS_SERVICES=compose with nothing up is a MissingServerError that says how to bring it up', async () => {
  vi.stubEnv('LABS_SERVICES', 'compose');
  const { error } = await failure(startRedis());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toContain('docker compose --profile redis up');
});

test('a look at the compose ports costs under 30 ms when nothing listens', async () => {
  const look = async () => {
    const began = performance.now();
    expect(await composeContainers(redisService, 2, false)).toBeUndefined();
    return performance.now() - began;
  };
  expect(await least(30, look)).toBeLessThan(30);
});

test('a stranger on our ports that says nothing does not hang the start', async () => {
  await using one = await stranger(containers.redis[0]?.port);
  vi.stubEnv('LABS_SERVICES', undefined);
  await using redis = await startRedis();
  expect([redis.origin, redis.nodes[0].port === one.port]).toEqual(['embedded', false]);
  expect(await freePort()).not.toBe(one.port);
});

async function ping(url: string): Promise<string> {
  await using redis = client(url);
  redis.options.commandTimeout = 300;
  return await redis.ping();
}
