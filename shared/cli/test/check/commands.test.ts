import { resolve } from 'node:path';
import type { SuiteResult } from '@shared/testkit';
import { expect, test } from 'vitest';
import { exec, type Output } from '../../src/check/exec.ts';
import { closing, type Verdict, verdictLines } from '../../src/check/verdicts.ts';
import { at, edited, Repo } from './fixture.ts';

const command = (name: string, root: string, ...args: readonly string[]): Promise<Output> =>
  exec(process.execPath, [resolve(import.meta.dirname, '../../src/check', name), ...args], {
    cwd: root,
    env: { ...process.env, LABS_ROOT: root, NO_COLOR: '1', FORCE_COLOR: undefined },
  });

test('check prints a line a gate, each finding with its remedy, and fails', { timeout: 20_000 }, async () => {
  await using repo = await Repo.with(edited(at('exercise/hints.md'), '\n\nLook up: successor.', ''));
  const { code, stdout } = await command('main.ts', repo.root, '--only', 'drift,anatomy');
  expect(code).toBe(1);
  expect(stdout.split('\n')).toEqual([
    expect.stringMatching(/^✓ drift +\d+\.\d s$/),
    expect.stringMatching(/^✗ anatomy +\d+\.\d s {2}1 finding$/),
    `  ✗ ${at('exercise/hints.md')}:3  "a counter counts up by one" is a core law with 1 steps of hint, and 2 or 3 are wanted`,
    '      → a paragraph, a code block or a list item is a step: a question, the term to look up, the shape of the code',
    expect.stringMatching(/^1 gate failed: 2 gates, 1 lab, \d+\.\d s$/),
    '',
  ]);
});

test('check knows its gates and labs, and suggests the nearest', { timeout: 20_000 }, async () => {
  await using repo = await Repo.with();
  const [gate, lab] = await Promise.all([
    command('main.ts', repo.root, '--only', 'anatomie'),
    command('main.ts', repo.root, '--lab', 'countr'),
  ]);
  expect([gate.code, lab.code]).toEqual([2, 2]);
  expect(gate.stderr).toContain('anatomy');
  expect(lab.stderr).toContain('counter');
});

test('fix fills the pages, draws nothing that is not shown, and what it wrote passes', {
  timeout: 30_000,
}, async () => {
  await using repo = await Repo.with({
    ...edited('README.md', 'It counts', 'It counted'),
    ...edited(at('README.md'), 'this.#count += 1;', 'something else'),
  });
  const fixed = await command('fix.ts', repo.root);
  expect(fixed).toMatchObject({ code: 0 });
  expect(fixed.stdout).toContain(`wrote ${at('README.md')}`);
  expect(await repo.read(at('README.md'))).toContain('the first count is one');
  const checked = await command('main.ts', repo.root, '--only', 'readme,biome');
  expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining('all gates passed') });
  const again = await command('fix.ts', repo.root);
  // How long the demo took is written down anew where the machine was twice as busy.
  expect(again.stdout.replace(`wrote ${at('package.json')}`, '')).not.toContain('wrote');
});

const suite = (changes: Partial<SuiteResult>): SuiteResult => ({
  ok: true,
  tests: [],
  problems: [],
  missing: [],
  ms: 1200,
  ...changes,
});
const law = (name: string, state: 'passed' | 'failed' | 'skipped', more = {}) => ({
  name,
  state,
  path: [],
  file: '',
  ms: 1,
  ...more,
});

test('a run ends with one plain line that counts every test, those out of the cache too', () => {
  const verdicts: Verdict[] = [
    { name: 'a', cached: false, result: suite({ tests: [law('one', 'passed'), law('two', 'passed')] }) },
    { name: 'b', cached: true, result: suite({ tests: [law('one', 'passed')] }) },
    { name: 'c', cached: false, result: suite({ tests: [law('its servers start', 'skipped', { note: 'no redis' })] }) },
  ];
  expect(closing(verdicts).split('\n')).toEqual([
    'Every law that was tested holds, in 2 suites.',
    'Not tested here: c. The reason stands above; `pnpm lab doctor` helps.',
    '3 passed, 0 failed, 1 skipped',
  ]);
});

test('a suite that left no result, and a problem outside the tests, count as failures', () => {
  const verdicts: Verdict[] = [
    { name: 'a', cached: false, result: undefined },
    { name: 'b', cached: false, result: suite({ ok: false, problems: ['no such table'] }) },
  ];
  expect(closing(verdicts).split('\n')).toEqual(['Look at: a, b.', '0 passed, 2 failed, 0 skipped']);
});

test('a run in which every suite was skipped does not read as a success', () => {
  const result = suite({ tests: [law('its servers start', 'skipped', { note: 'no redis' })] });
  expect(closing([{ name: 'a', cached: false, result }]).split('\n')).toEqual([
    'Nothing could be tested.',
    'Not tested here: a. The reason stands above; `pnpm lab doctor` helps.',
    '0 passed, 0 failed, 1 skipped',
  ]);
});

test('a verdict shows failures with their evidence, and skips with their reason', () => {
  const tests = [
    law('holds', 'passed'),
    law('breaks', 'failed', { error: 'expected 1\nat x.ts:3' }),
    law('waits', 'skipped', { note: 'no redis' }),
  ];
  const lines = verdictLines({ name: 'a', cached: false, result: suite({ ok: false, tests }) });
  expect(lines).toContain('1 passed, 1 failed, 1 skipped');
  expect(lines).toContain('breaks\n      expected 1\n      at x.ts:3');
  expect(lines).toContain('waits\n      skipped: no redis');
  expect(lines).not.toContain('holds');
});
