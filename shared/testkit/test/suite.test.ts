import { type SpawnOptionsWithoutStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { MissingImplementationError, runSuite, type SuiteResult, until } from '../src/index.ts';
import { patient } from '../src/patience.ts';

// Each test runs a vitest of its own: two at once, and patience on a busy machine.
vi.setConfig({ maxConcurrency: 2 });
const patience = patient(30_000);
const lab = resolve(import.meta.dirname, '../fixtures/lab');
const law = 'counts up by one (and only one)';
const states = ({ tests }: SuiteResult) => Object.fromEntries(tests.map(({ name, state }) => [name, state]));

describe.concurrent('a suite', { timeout: patience }, () => {
  test('passes the reference', async () => {
    const result = await runSuite({ dir: lab });
    expect(result).toMatchObject({ ok: true, problems: [], missing: [] });
    expect(states(result)).toEqual({ [law]: 'passed', 'is the same in a child process': 'passed' });
  });

  test('grades another implementation, also in files that it imports and processes that it starts', async () => {
    const result = await runSuite({ dir: lab, impl: 'pitfalls/off-by-one.ts' });
    expect(result.ok).toBe(false);
    expect(states(result)).toEqual({ [law]: 'failed', 'is the same in a child process': 'failed' });
  });

  test('runs one test by its very name, and a failure shows claim, evidence and place, but no stack', async () => {
    const { tests } = await runSuite({
      dir: lab,
      impl: 'pitfalls/off-by-one.ts',
      testName: law,
      file: 'test/laws.test.ts',
    });
    expect(tests).toHaveLength(1);
    expect(tests[0]?.error?.split('\n')).toEqual([
      'expected 3 to be 2 // Object.is equality',
      expect.stringMatching(/^\d+ ms {2}next\(1\) gave 3$/),
      'at test/laws.test.ts:11',
    ]);
  });

  test('gives a test that fails as many attempts as it may have', async () => {
    const tries = (attempts: number) =>
      runSuite({ dir: lab, impl: 'pitfalls/third-time-lucky.ts', testName: law, attempts });
    expect([(await tries(2)).ok, (await tries(3)).ok]).toEqual([false, true]);
  });

  test('that ends with its first failure says which it was, also of several at the same time', async () => {
    const dir = resolve(lab, '../at-once');
    for (let run = 0; run < 5; run++) {
      const { ok, tests } = await runSuite({ dir, bail: true });
      expect({ ok, failed: tests.some(({ state }) => state === 'failed') }).toEqual({ ok: false, failed: true });
    }
  });

  test('says that no test has the wanted name', async () => {
    const { ok, problems } = await runSuite({ dir: lab, testName: 'counts up by one' });
    expect({ ok, problems }).toEqual({ ok: false, problems: ['no test is named "counts up by one"'] });
  });

  test('runs several by name, and says which of the names no test has', async () => {
    const two = await runSuite({ dir: resolve(lab, '../types'), testNames: ['a pair has two places'] });
    expect({ ok: two.ok, names: two.tests.map(({ name }) => name) }).toEqual({
      ok: true,
      names: ['a pair has two places'],
    });
    const child = 'is the same in a child process';
    const { ok, tests, problems } = await runSuite({
      dir: lab,
      testNames: [child, 'nobody has this name'],
      files: ['test/laws.test.ts'],
    });
    expect(tests.map(({ name }) => name)).toEqual([child]);
    expect({ ok, problems }).toEqual({ ok: false, problems: ['no test is named "nobody has this name"'] });
  });

  test('loads no file that has none of the names: its servers stay out', async () => {
    const twoFiles = resolve(lab, '../two-files');
    const { ok, problems } = await runSuite({ dir: twoFiles, testName: 'a law that needs no server' });
    expect({ ok, problems }).toEqual({ ok: true, problems: [] });
    const unwritten = await runSuite({ dir: twoFiles, testName: 'a law of a table' });
    expect(unwritten.problems.join()).toContain('its servers would start here');
  });

  test('says why the tests that are wanted could not run', async () => {
    const servers = resolve(lab, '../servers');
    const { missing, ok } = await withoutRequire(() => runSuite({ dir: servers, testNames: ['never runs'] }));
    expect({ missing, ok }).toEqual({ missing: ['no redis-server: apt install redis'], ok: true });
  });

  test('is red and names the test that blocks the event loop', async () => {
    const { tests } = await runSuite({ dir: lab, impl: 'pitfalls/blocks.ts', testName: law, blockedMs: 1000 });
    expect(tests).toMatchObject([
      { name: law, state: 'failed', error: 'hangs: it has blocked the event loop for 1000 ms' },
    ]);
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith('left-by-a-test-'));
    expect(left, 'a test that is cut off leaves no file').toEqual([]);
  });

  test('is red and names the test that never ends', async () => {
    const { tests } = await runSuite({ dir: lab, impl: 'pitfalls/never-answers.ts', testName: law });
    expect(tests).toMatchObject([
      { name: law, state: 'failed', error: expect.stringMatching(/^hangs: not done after \d+ ms/) },
    ]);
  });

  test('ends in spite of handles that the code leaves open', async () => {
    const { ok, ms } = await runSuite({ dir: lab, impl: 'pitfalls/leaks.ts', testName: law });
    expect(ok).toBe(true);
    expect(ms).toBeLessThan(10_000);
  });

  test('says why code does not load', async () => {
    const { ok, problems } = await runSuite({ dir: lab, impl: 'pitfalls/throws-at-load.ts' });
    expect(ok).toBe(false);
    expect(problems).toEqual(['test/laws.test.ts: no such table\nat pitfalls/throws-at-load.ts:1']);
  });

  test('ends a file that never loads', async () => {
    const { problems } = await runSuite({ dir: lab, impl: 'pitfalls/never-loads.ts', loadMs: 1500 });
    expect(problems).toEqual([expect.stringContaining('did not load within 1.5 s')]);
  });

  test('has an overall deadline', async () => {
    const { ok, problems } = await runSuite({ dir: lab, deadlineMs: 50 });
    expect(ok).toBe(false);
    expect(problems).toEqual(['the run was not done after 0.05 s']);
  });

  test('refuses an implementation that does not exist', async () => {
    const run = runSuite({ dir: lab, impl: 'attempt/index.ts' });
    await expect(run).rejects.toThrow(MissingImplementationError);
    await expect(run).rejects.toThrow('there is no attempt/index.ts');
  });

  test('is ended by its signal, and leaves no process', async () => {
    const stop = new AbortController();
    const run = runSuite({ dir: lab, impl: 'pitfalls/waits.ts', testName: law, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 300);
    await expect(run).rejects.toThrow('enough');
    await until(async () => (await processes('pitfalls/waits.ts')).length === 0, { what: 'no process of the run' });
  });

  test('dies with the process that runs it, kill -9 included', async () => {
    const env = { ...process.env, LAB_IMPL: 'pitfalls/blocks.ts', LAB_MARK: 'dies-with-us' };
    const parent = spawn(process.execPath, [resolve(import.meta.dirname, '../src/lab-test.ts')], { cwd: lab, env });
    await until(async () => (await processes('dies-with-us')).length >= 3, { timeoutMs: 15_000, what: 'its worker' });
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until(async () => (await processes('dies-with-us')).length === 0, { what: 'no process of the run' });
  });

  test('grades what an implementation promises in types too', async () => {
    const result = await runSuite({ dir: resolve(lab, '../types'), impl: 'pitfalls/widens.ts' });
    expect(states(result)).toEqual({ 'a pair keeps its literal type': 'failed', 'a pair has two places': 'passed' });
    expect(result.tests.find(({ state }) => state === 'failed')?.error?.split('\n')).toEqual([
      `Type 'readonly [number, "a"]' is not the type that the law claims:`,
      "  Types of property '1' are incompatible.",
      expect.stringContaining('Actual string'),
      'at test/types.test-d.ts:5',
    ]);
  });

  test('skips aloud what needs a server that is missing, and closes what it started', async () => {
    const { ok, tests, missing } = await withoutRequire(() => runSuite({ dir: resolve(lab, '../servers') }));
    expect(tests.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(ok).toBe(true);
    expect(missing).toEqual(['no redis-server: apt install redis']);
    expect(tests.map(({ path, name, state, note }) => [...path, name, state, note])).toEqual([
      ['present', 'a test is handed its servers', 'passed', undefined],
      ['absent', 'its servers start', 'skipped', 'no redis-server: apt install redis'],
      ['servers are closed, those too whose suite was skipped', 'passed', undefined],
    ]);
  });

  test('does not skip where everything must be at hand', async () => {
    const run = await exec(process.execPath, [resolve(import.meta.dirname, '../src/lab-test.ts')], {
      cwd: resolve(lab, '../servers'),
      env: { ...process.env, LABS_REQUIRE: 'all', LAB_REPORT: '' },
    });
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('✗ its servers start\n    no redis-server: apt install redis');
    expect(run.stdout.trimEnd()).toMatch(/2 passed, 1 failed, 0 skipped {2}\d+\.\d s$/);
  });

  test('skips what needs a mongod even there, with its reason', async () => {
    const run = await exec(process.execPath, [resolve(import.meta.dirname, '../src/lab-test.ts')], {
      cwd: resolve(lab, '../stand-in'),
      env: { ...process.env, LABS_REQUIRE: 'all', LAB_REPORT: '' },
    });
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('skipped: needs a mongod: a stand-in elects nobody');
    expect(run.stdout.trimEnd()).toMatch(/1 passed, 0 failed, 2 skipped {2}\d+\.\d s$/);
  });
});

/** Runs a program to its end. */
async function exec(program: string, args: readonly string[], options: SpawnOptionsWithoutStdio) {
  const child = spawn(program, args, options);
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, stdout };
}

/** Linux alone can be asked for the environment of a process; elsewhere the answer is "none". */
async function processes(mark: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const { readFile } = await import('node:fs/promises');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(join('/proc', pid, 'environ'), 'utf8').catch(() => '');
      return environment.includes(mark) ? [pid] : [];
    }),
  );
  return found.flat();
}

async function withoutRequire<T>(body: () => Promise<T>): Promise<T> {
  const before = process.env['LABS_REQUIRE'];
  delete process.env['LABS_REQUIRE'];
  try {
    return await body();
  } finally {
    if (before !== undefined) process.env['LABS_REQUIRE'] = before;
  }
}
