import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changedFiles, touched } from '../../src/check/changed.ts';
import { costTable } from '../../src/check/costs.ts';
import { findLabs } from '../../src/labs.ts';
import { at, edited, Repo } from './fixture.ts';

describe('what a branch touches', () => {
  let repo: Repo;
  const git = (...args: readonly string[]) =>
    execFileSync('git', ['-C', repo.root, '-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    });
  const commit = (): void => {
    git('add', '--all');
    git('commit', '--quiet', '--message', 'x');
  };
  beforeEach(async () => {
    const manifest = edited(at('package.json'), '@labs/counter', '@labs/other')[at('package.json')] ?? '';
    repo = await Repo.with({ 'labs/language/other/package.json': manifest, 'labs/language/other/src/a.ts': '1' });
    git('init', '--quiet', '--initial-branch=main');
    commit();
    git('switch', '--quiet', '--create', 'mine');
  });
  afterEach(() => repo[Symbol.asyncDispose]());

  async function choice() {
    const labs = await findLabs(repo.root);
    const { labs: chosen, reasons } = await touched(repo.root, labs, await changedFiles(repo.root));
    return { labs: chosen.map(({ name }) => name), reasons };
  }

  test('is a lab that has a copy of what has changed', async () => {
    git('switch', '--quiet', 'main');
    await repo.write('labs/language/other/src/vendor/counter/index.ts', '1');
    commit();
    git('switch', '--quiet', '--create', 'later');
    await repo.write(at('src/index.ts'), '2');
    expect(await choice()).toEqual({
      labs: ['counter', 'other'],
      reasons: ['counter: src/index.ts changed', 'other: its copy of counter changed'],
    });
  });

  test('is nothing on main’s own files', async () => {
    expect(await choice()).toEqual({ labs: [], reasons: ['no lab: nothing has changed that belongs to one'] });
  });

  test('is a lab with a commit, a change that is not committed, a new file, or one that is gone', async () => {
    const only = (file: string) => ({ labs: ['counter'], reasons: [`counter: ${file} changed`] });
    await repo.write(at('src/new.ts'), '1');
    expect(await choice()).toEqual(only('src/new.ts'));
    commit();
    expect(await choice()).toEqual(only('src/new.ts'));
    await rm(join(repo.root, at('src/new.ts')));
    expect(await choice()).toMatchObject({ labs: [] });
    await rm(join(repo.root, at('src/index.ts')));
    expect(await choice()).toEqual(only('src/index.ts'));
  });

  test('is what the branch did, not what main did since', async () => {
    git('switch', '--quiet', 'main');
    await repo.write('labs/language/other/src/a.ts', '2');
    commit();
    git('switch', '--quiet', 'mine');
    await repo.write(at('src/index.ts'), '2');
    commit();
    expect(await choice()).toMatchObject({ labs: ['counter'] });
  });

  test('is two labs when a file has moved from one to the other', async () => {
    git('mv', 'labs/language/other/src/a.ts', at('src/a.ts'));
    expect(await choice()).toMatchObject({ labs: ['counter', 'other'] });
  });

  test.each(['shared/story/src/index.ts', 'pnpm-lock.yaml', '.ci/run'])('is every lab with %s', async (file) => {
    await repo.write(file, 'x');
    expect(await choice()).toEqual({
      labs: ['counter', 'other'],
      reasons: [`all 2 labs: ${file} changed, which every lab stands on`],
    });
  });

  test('is no lab with a page at the root', async () => {
    await repo.write('CONTRIBUTING.md', 'x');
    expect(await choice()).toMatchObject({ labs: [] });
  });

  test('is unknown without a main branch', async () => {
    git('branch', '--quiet', '--move', 'main', 'trunk');
    await expect(changedFiles(repo.root)).rejects.toThrow('--changed compares with the branch main');
  });
});

test('the costs of the labs are listed, the dearest first, without what was not run', () => {
  const cost = (name: string, suiteMs?: number, demoMs?: number, gradingMs?: number) => ({
    name,
    suiteMs,
    demoMs,
    gradingMs,
  });
  expect(
    costTable([cost('cheap', 100, 200, 300), cost('dear', 4000, 11_000, 9000), cost('untold', 1, undefined, 2)]),
  ).toBe(
    [
      'seconds    suite     demo  grading',
      'dear         4.0     11.0      9.0',
      'cheap        0.1      0.2      0.3',
      'untold       0.0        –      0.0',
    ].join('\n'),
  );
  expect(costTable([cost('a', undefined, 2000), cost('b', undefined, 3000)])).toBe(
    ['seconds     demo', 'b            3.0', 'a            2.0'].join('\n'),
  );
  expect(costTable([cost('a')])).toBe('');
});
