import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { canProvision } from '../src/apt.ts';
import { cached, cacheFolder } from '../src/cache.ts';
import { ways } from '../src/choose.ts';
import {
  fetchServices,
  inspectServices,
  MissingServerError,
  onAnnounce,
  ProvisionError,
  startRedis,
} from '../src/index.ts';
import { redis as redisService } from '../src/redis.ts';
import { release } from '../src/system.ts';
import { client, failure, pathOf, Script, temporary, until } from './support.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('a missing server is a MissingServerError at once, with the ways to get it on this system and exit code 3', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error, ms } = await failure(startRedis());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error).toMatchObject({ service: 'redis', code: 'MISSING_SERVER', exitCode: 3 });
  for (const way of ['docker compose --profile redis up', 'REDIS_URL=redis://']) expect(error.message).toContain(way);
  const { manager } = release();
  if (manager !== undefined) expect(error.message).toContain(redisService.install[manager]);
  expect(ms).toBeLessThan(5000);
});

test.each([
  ['ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', 'apt', 'ubuntu24.04'],
  ['ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"', 'dnf', 'rocky9.4'],
  ['ID=alpine\nVERSION_ID=3.20.0', 'apk', 'alpine3.20.0'],
  ['ID=arch', 'pacman', 'arch'],
  ['ID=nixos', undefined, 'nixos'],
])('%j has the package manager %s', async (text, manager, id) => {
  await using folder = await temporary();
  const file = join(folder.path, 'os-release');
  await writeFile(file, text);
  if (process.platform === 'linux') expect(release(file)).toMatchObject({ manager, id });
});

test('the report of a missing server says that it is not available, and how to get it', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const [report] = await inspectServices(['redis']);
  expect(report).toMatchObject({ service: 'redis', available: false, origin: undefined, ways: ways(redisService) });
  expect(await readdir(folder.path)).toEqual([]);
});

test('the report of what is at hand names its origin, version and path, and starts nothing', async () => {
  const reports = await inspectServices();
  expect(reports.map(({ service }) => service)).toEqual([
    'redis',
    'postgres',
    'rabbitmq',
    'kafka',
    'zookeeper',
    'mongo',
    'opensearch',
    'prometheus',
    'alertmanager',
    'zipkin',
    'kubernetes',
    'browser',
    'buildah',
  ]);
  for (const report of reports.slice(0, 2)) {
    expect(report).toMatchObject({ available: true, origin: 'embedded', version: expect.stringMatching(/\d+\.\d+/) });
    expect(report.path).toMatch(/(server|postgres)$/);
  }
  vi.stubEnv('LABS_SERVICES', undefined);
  vi.stubEnv('REDIS_URL', 'redis://:secret@127.0.0.1:1');
  expect(await inspectServices(['redis'])).toMatchObject([{ origin: 'url', path: 'redis://:***@127.0.0.1:1' }]);
  expect((await failure(inspectServices(['oracle']))).error.message).toContain('redis, postgres');
});

test('of two builders of one cached folder one wins, and a failed build leaves nothing', async () => {
  await using folder = await temporary();
  const path = join(folder.path, 'thing');
  const build = (mark: string) =>
    cached(path, async (aside) => {
      await mkdir(aside);
      await writeFile(join(aside, 'mark'), mark);
    });
  await failure(
    cached(path, async (aside) => {
      await mkdir(aside);
      throw new Error('half done');
    }),
  );
  expect(await readdir(folder.path)).toEqual([]);
  await Promise.all([build('a'), build('b'), build('c')]);
  expect(await readdir(folder.path)).toEqual(['thing']);
});

describe.skipIf(!(await canProvision()))('with apt (skipped where apt-get, dpkg-deb or flock is missing)', () => {
  test('an apt that fails is a ProvisionError with its words, and no half-done cache is left', async () => {
    await using folder = await temporary();
    const apt = `#!/bin/sh
case "$*" in
  *update) echo "Err:1 http://deb.debian.org bookworm InRelease"; echo "W: Failed to fetch: Could not resolve deb.debian.org" ;;
  *) echo "E: Unable to locate package redis-server" >&2; exit 100 ;;
esac
`;
    const bin = await pathOf(folder.path, {
      'apt-get': apt,
      'dpkg-deb': undefined,
      flock: undefined,
      sh: undefined,
      cat: undefined,
    });
    vi.stubEnv('PATH', bin);
    vi.stubEnv('XDG_CACHE_HOME', folder.path);
    const { error, ms } = await failure(startRedis());
    expect(error).toBeInstanceOf(ProvisionError);
    expect(error).toBeInstanceOf(MissingServerError);
    for (const words of ['E: Unable to locate package redis-server', 'W: Failed to fetch: Could not resolve']) {
      expect(error.message).toContain(`| ${words}`);
    }
    expect(error.message).toContain('REDIS_URL=');
    expect(ms).toBeLessThan(5000);
    expect((await readdir(join(cacheFolder(), 'apt'))).sort()).not.toContain('redis');
  });

  test('of two processes that provision at once one fetches and the other waits; the lock dies with its holder', async () => {
    await using folder = await temporary();
    // An apt that never ends.
    const apt = `#!/bin/sh\necho $$ >> ${folder.path}/apts\nexec sleep 60\n`;
    const bin = await pathOf(folder.path, {
      'apt-get': apt,
      'dpkg-deb': undefined,
      flock: undefined,
      sh: undefined,
      cat: undefined,
      sleep: undefined,
    });
    const env = { PATH: bin, XDG_CACHE_HOME: folder.path };
    const first = new Script('five.ts', env);
    const { readFile } = await import('node:fs/promises');
    const apts = async () => (await readFile(join(folder.path, 'apts'), 'utf8').catch(() => '')).trim().split('\n');
    await until('the first runs apt', async () => (await apts())[0] !== '');
    const second = new Script('five.ts', env);
    await until('the second waits and says so', () => second.errors.includes('waiting'));
    expect((await apts()).length).toBe(1);
    first.child.kill('SIGKILL');
    await until('the second takes over', async () => (await apts()).length === 2);
    second.child.kill('SIGKILL');
    for (const pid of await apts()) {
      await until(
        `apt ${pid} is ended too`,
        () => {
          try {
            process.kill(Number(pid), 0);
            return false;
          } catch {
            return true;
          }
        },
        2000,
      );
    }
  });

  test('an abort ends the fetching', async () => {
    await using folder = await temporary();
    const bin = await pathOf(folder.path, {
      'apt-get': '#!/bin/sh\nexec sleep 60\n',
      'dpkg-deb': undefined,
      flock: undefined,
      sh: undefined,
      cat: undefined,
      sleep: undefined,
    });
    vi.stubEnv('PATH', bin);
    vi.stubEnv('XDG_CACHE_HOME', folder.path);
    const abort = new AbortController();
    const starting = startRedis({ signal: abort.signal });
    setTimeout(() => abort.abort(new Error('Ctrl-C')), 300);
    expect((await failure(starting)).error.message).toBe('Ctrl-C');
  });

  test.skipIf(process.env['LABS_TEST_APT'] !== '1')(
    'apt fetches a Redis that works, from nothing (LABS_TEST_APT=1 runs it)',
    async () => {
      await using folder = await temporary();
      const bins = ['/bin', '/sbin', '/usr/bin', '/usr/sbin'];
      const all = (await Promise.all(bins.map((bin) => readdir(bin).catch(() => [])))).flat();
      const tools = [...new Set(all)].filter((name) => !/^(redis|valkey)-/.test(name));
      vi.stubEnv('PATH', await pathOf(folder.path, Object.fromEntries(tools.map((tool) => [tool, undefined]))));
      vi.stubEnv('XDG_CACHE_HOME', folder.path);
      const lines: string[] = [];
      const end = onAnnounce((line) => lines.push(line));
      const began = performance.now();
      await using redis = await startRedis({ nodes: 5 });
      end();
      console.log(`${lines.join('\n')}\nfrom nothing: ${((performance.now() - began) / 1000).toFixed(1)} s`);
      await using five = client(redis.nodes[4]?.url ?? '');
      expect(await five.ping()).toBe('PONG');
    },
    120_000,
  );
});

test('what is fetched beforehand and cannot be had is no error; a name that is no service is', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  await fetchServices(['redis', 'postgres', 'kubernetes']);
  expect((await failure(fetchServices(['sqlite']))).error.message).toContain('"sqlite"');
  vi.unstubAllEnvs();
});
