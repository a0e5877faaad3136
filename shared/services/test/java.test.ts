import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { cacheFolder } from '../src/cache.ts';
import { inspectServices, MissingServerError, onAnnounce, ProvisionError, startKafka } from '../src/index.ts';
import { fetchJavaProgram, type JarRecipe, javaProgram } from '../src/jars.ts';
import { kafka } from '../src/kafka.ts';
import { release } from '../src/system.ts';
import { failure, pathOf, Script, temporary, until } from './support.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

const java = (version: string) => `#!/bin/sh\necho 'openjdk version "${version}" 2026-01-20' >&2\n`;
/** A Maven that does `act` when it is asked for jars, with their folder in $jars. */
const maven = (act: string) => `#!/bin/sh
case "$*" in --version) echo "Apache Maven 3.9.9"; exit;; esac
for word; do case "$word" in -DoutputDirectory=*) jars=\${word#*=};; esac; done
${act}
`;
/** Two Nodes start beside other work. */
const BUSY = 15_000;
const TOOLS = { sh: undefined, cat: undefined, sleep: undefined, flock: undefined };

/** A PATH of these programs alone, and a cache with nothing in it. */
async function world(folder: string, programs: Record<string, string | undefined>): Promise<string> {
  const bin = await pathOf(folder, { ...TOOLS, ...programs });
  vi.stubEnv('PATH', bin);
  vi.stubEnv('XDG_CACHE_HOME', folder);
  return bin;
}

/** What the cache holds of Java servers, complete or not. */
const cachedJars = async () =>
  (await readdir(join(cacheFolder(), 'java')).catch(() => [])).filter((name) => !/(^|\.)lock$/.test(name));

/** A server of one jar that says `content`. */
async function thing(folder: string, content: string): Promise<JarRecipe> {
  const lock = join(folder, 'thing.sha256');
  await writeFile(lock, `${createHash('sha256').update(content).digest('hex')}  thing-1.jar\n`);
  return { artifacts: ['org.example:thing:1'], lock: pathToFileURL(lock) };
}

describe('without a Java', () => {
  test('a missing server says so at once, with the ways to get it on this system and exit code 3', async () => {
    await using folder = await temporary();
    vi.stubEnv('PATH', folder.path);
    vi.stubEnv('XDG_CACHE_HOME', folder.path);
    vi.stubEnv('LABS_PROVISION', 'never');
    const { error, ms } = await failure(startKafka());
    expect(error).toBeInstanceOf(MissingServerError);
    expect(error).toMatchObject({ service: 'kafka', code: 'MISSING_SERVER', exitCode: 3 });
    const ways = [
      'there is no java on PATH',
      'unset LABS_PROVISION',
      'compose --profile kafka up',
      'KAFKA_URL=kafka://',
    ];
    for (const way of ways) expect(error.message).toContain(way);
    const { manager } = release();
    if (manager !== undefined) expect(error.message).toContain(kafka.install[manager]);
    expect(ms).toBeLessThan(5000);
    const [report] = await inspectServices(['kafka']);
    expect(report).toMatchObject({ available: false, note: expect.stringContaining('there is no java on PATH') });
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('one that is too old or does not run is passed over for the next, and named when there is no other', async () => {
    await using folder = await temporary();
    const old = await pathOf(join(folder.path, 'old'), { java: java('1.8.0_402') });
    const broken = await pathOf(join(folder.path, 'broken'), { java: '#!/bin/sh\necho no runtime here >&2\nexit 1\n' });
    const good = await pathOf(join(folder.path, 'good'), { java: java('17.0.15') });
    const sh = await world(folder.path, {});
    const recipe = await thing(folder.path, 'x');
    vi.stubEnv('LABS_PROVISION', 'never');
    vi.stubEnv('PATH', [old, broken, sh].join(':'));
    const { error } = await failure(startKafka());
    expect(error.message).toContain(`${join(old, 'java')} is Java 8, 17 or newer is needed`);
    expect(error.message).toContain(`${join(broken, 'java')} does not run`);
    vi.stubEnv('LABS_PROVISION', undefined);
    vi.stubEnv('PATH', [old, broken, good, sh].join(':'));
    const mvn = await pathOf(join(folder.path, 'mvn'), { mvn: maven('printf x > "$jars/thing-1.jar"') });
    vi.stubEnv('PATH', [old, broken, good, mvn, sh].join(':'));
    expect(await fetchJavaProgram('thing', recipe, undefined)).toMatchObject({ path: join(good, 'java') });
  });
});

describe('with a Java, and no apt', () => {
  test('and no Maven, or one that is too old, a missing server is a MissingServerError that says so', async () => {
    await using folder = await temporary();
    const bin = await world(folder.path, { java: java('21.0.1') });
    expect((await failure(startKafka())).error.message).toContain('there is no mvn on PATH');
    await writeFile(join(bin, 'mvn'), '#!/bin/sh\necho "Apache Maven 3.5.4"\n', { mode: 0o755 });
    const { error } = await failure(startKafka());
    expect(error).toBeInstanceOf(MissingServerError);
    expect(error.message).toContain(`${join(bin, 'mvn')} is Maven 3.5.4, 3.6.3 or newer is needed`);
  });

  test('jars are fetched once, and are the class path', async () => {
    await using folder = await temporary();
    const recipe = await thing(folder.path, 'good');
    const runs = join(folder.path, 'runs');
    await world(folder.path, {
      java: java('17.0.15'),
      mvn: maven(`echo run >> ${runs}; cp pom.xml ${folder.path}; printf good > "$jars/thing-1.jar"`),
      cp: undefined,
    });
    expect(await javaProgram('thing', recipe)).toBeUndefined();
    const fetched = await fetchJavaProgram('thing', recipe, undefined);
    const [jars = ''] = await cachedJars();
    expect(fetched?.env).toEqual({ CLASSPATH: join(cacheFolder(), 'java', jars, '*') });
    expect(await fetchJavaProgram('thing', recipe, undefined)).toEqual(fetched);
    expect(await javaProgram('thing', recipe)).toEqual(fetched);
    expect(await readFile(runs, 'utf8')).toBe('run\n');
    const pom = await readFile(join(folder.path, 'pom.xml'), 'utf8');
    expect(pom).toContain('<groupId>org.example</groupId><artifactId>thing</artifactId><version>1</version>');
  });

  test('a half-done cache is not used: what a killed run left aside counts for nothing', async () => {
    await using folder = await temporary();
    const recipe = await thing(folder.path, 'good');
    await world(folder.path, { java: java('17.0.15'), mvn: maven('printf good > "$jars/thing-1.jar"') });
    await fetchJavaProgram('thing', recipe, undefined);
    const [jars = ''] = await cachedJars();
    await using other = await temporary();
    vi.stubEnv('XDG_CACHE_HOME', other.path);
    const aside = join(cacheFolder(), 'java', `${jars}.0123456789ab.aside`);
    await mkdir(aside, { recursive: true });
    await writeFile(join(aside, 'thing-1.jar'), 'go');
    expect(await javaProgram('thing', recipe)).toBeUndefined();
    expect((await fetchJavaProgram('thing', recipe, undefined))?.env?.['CLASSPATH']).not.toContain('aside');
  });

  test('other jars than the listed ones are refused, each by name, and nothing of them is kept', async () => {
    await using folder = await temporary();
    const recipe = await thing(folder.path, 'good');
    const bin = await world(folder.path, { java: java('17.0.15') });
    const cases = [
      ['printf bad > "$jars/thing-1.jar"', 'thing-1.jar has the SHA-256'],
      ['printf good > "$jars/thing-1.jar"; printf more > "$jars/more-2.jar"', 'more-2.jar is not in the list'],
      [':', 'thing-1.jar is missing'],
    ] as const;
    for (const [act, words] of cases) {
      await writeFile(join(bin, 'mvn'), maven(act), { mode: 0o755 });
      const { error } = await failure(fetchJavaProgram('thing', recipe, undefined));
      expect(error).toBeInstanceOf(ProvisionError);
      expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH', exitCode: 3 });
      expect(error.message).toContain(words);
      expect(await cachedJars()).toEqual([]);
    }
    const { error } = await failure(startKafka());
    expect(error).toMatchObject({ service: 'kafka', code: 'CHECKSUM_MISMATCH' });
    for (const words of ['kafka.sha256', 'KAFKA_URL=']) expect(error.message).toContain(words);
  });

  test('a Maven that fails is a ProvisionError with its words, and nothing half done is left', async () => {
    await using folder = await temporary();
    const words = 'Could not transfer artifact org.apache.kafka:kafka_2.13:pom from central: Unknown host';
    await world(folder.path, {
      java: java('17.0.15'),
      mvn: maven(
        `printf half > "$jars/kafka.jar"; echo "[ERROR] ${words}"; echo "[ERROR] Re-run Maven with -e"; exit 1`,
      ),
    });
    const { error } = await failure(startKafka());
    expect(error).toMatchObject({ service: 'kafka', code: 'PROVISION_FAILED', exitCode: 3 });
    for (const part of [`| ${words}`, 'settings.xml', 'KAFKA_URL=']) expect(error.message).toContain(part);
    expect(error.message).not.toContain('Re-run');
    expect(await cachedJars()).toEqual([]);
  });

  test('of two processes that fetch at once one fetches and the other waits; the lock dies with its holder', async () => {
    await using folder = await temporary();
    // A Maven that never ends.
    const mvns = join(folder.path, 'mvns');
    await world(folder.path, { java: java('17.0.15'), mvn: maven(`echo $$ >> ${mvns}\nexec sleep 60`) });
    const env = { PATH: process.env['PATH'], XDG_CACHE_HOME: folder.path };
    const pids = async () => (await readFile(mvns, 'utf8').catch(() => '')).trim().split('\n');
    const first = new Script('hold-kafka.ts', env);
    await until('the first runs Maven', async () => (await pids())[0] !== '', BUSY);
    const second = new Script('hold-kafka.ts', env);
    await until('the second waits and says so', () => second.errors.includes('waiting'), BUSY);
    expect((await pids()).length).toBe(1);
    first.child.kill('SIGKILL');
    await until('the second takes over', async () => (await pids()).length === 2, BUSY);
    second.child.kill('SIGKILL');
    const runs = (pid: string) => {
      try {
        return process.kill(Number(pid), 0);
      } catch {
        return false;
      }
    };
    await until('neither Maven runs on', async () => !(await pids()).some(runs), BUSY);
    await until('and nothing is left', async () => (await cachedJars()).length === 0, BUSY);
  }, 60_000);

  test('an abort ends the fetching', async () => {
    await using folder = await temporary();
    await world(folder.path, { java: java('17.0.15'), mvn: maven('exec sleep 60') });
    const abort = new AbortController();
    const end = onAnnounce((line) => {
      if (line.includes('Maven fetches 4')) abort.abort(new Error('Ctrl-C'));
    });
    expect((await failure(startKafka({ signal: abort.signal }))).error.message).toBe('Ctrl-C');
    end();
    expect(await cachedJars()).toEqual([]);
  });

  test('the report says what would be fetched, and fetches nothing', async () => {
    await using folder = await temporary();
    await world(folder.path, { java: java('17.0.15'), mvn: maven('exit 1') });
    const [report] = await inspectServices(['kafka']);
    expect(report).toMatchObject({
      available: true,
      origin: 'embedded',
      note: expect.stringMatching(/^not here yet: Maven 4\d jars into a private cache at first use/),
    });
    expect(await cachedJars()).toEqual([]);
  });
});

describe.skipIf(process.env['LABS_TEST_APT'] !== '1' || release().manager !== 'apt')(
  'from nothing (LABS_TEST_APT=1 runs it)',
  () => {
    test('apt fetches a JRE and Maven, Maven the jars, and Kafka starts', { timeout: 300_000 }, async () => {
      await using folder = await temporary();
      const bins = ['/bin', '/sbin', '/usr/bin', '/usr/sbin'];
      const all = (await Promise.all(bins.map((bin) => readdir(bin).catch(() => [])))).flat();
      const tools = [...new Set(all)].filter((name) => !/^(java|mvn)/.test(name));
      vi.stubEnv('PATH', await pathOf(folder.path, Object.fromEntries(tools.map((tool) => [tool, undefined]))));
      vi.stubEnv('XDG_CACHE_HOME', folder.path);
      const lines: string[] = [];
      const end = onAnnounce((line) => lines.push(line));
      const began = performance.now();
      await using servers = await startKafka();
      end();
      console.log(`${lines.join('\n')}\nfrom nothing: ${((performance.now() - began) / 1000).toFixed(1)} s`);
      expect(servers.banner).toContain('from the private cache');
    });
  },
);
