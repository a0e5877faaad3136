import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Files } from './shop.ts';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const lab = join(import.meta.dirname, '..');

/** A project in a folder of its own, with this lab's packages. */
export async function project(folder: string, files: Files): Promise<string> {
  await write(folder, files);
  await symlink(join(lab, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

export async function write(folder: string, files: Files): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

/** Runs the tests with coverage, and gives the LCOV report. */
export async function vitest(folder: string, ...flags: string[]): Promise<string> {
  const program = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  const reports = join(folder, `coverage${flags.join('').replace(/\W/g, '')}`);
  const args = [program, 'run', '--coverage', `--coverage.reportsDirectory=${reports}`, ...flags];
  await run(process.execPath, args, { cwd: folder, env: { ...process.env, NO_COLOR: '1' } });
  return readFile(join(reports, 'lcov.info'), 'utf8');
}

/** Runs Stryker, and gives its report. */
export async function stryker(folder: string): Promise<string> {
  const program = join(dirname(require.resolve('@stryker-mutator/core/package.json')), 'bin/stryker.js');
  await run(process.execPath, [program, 'run'], { cwd: folder });
  return readFile(join(folder, 'mutation.json'), 'utf8');
}

/** The change from one project to another, as git writes it; undefined where there is no git. */
export async function gitDiff(folder: string, before: Files, after: Files): Promise<string | undefined> {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
  const who = ['-c', 'user.name=shop', '-c', 'user.email=shop@localhost', '-c', 'commit.gpgsign=false'];
  const git = (...args: string[]) => run('git', [...who, ...args], { cwd: folder, env });
  try {
    await git('--version');
  } catch {
    return undefined;
  }
  await git('init', '--quiet');
  await write(folder, before);
  await git('add', '--all');
  await git('commit', '--quiet', '-m', 'before');
  for (const path of Object.keys(before)) if (!(path in after)) await rm(join(folder, path));
  await write(folder, after);
  await git('add', '--all');
  return (await git('diff', '--cached', '--no-color', '--no-ext-diff', 'HEAD')).stdout;
}
