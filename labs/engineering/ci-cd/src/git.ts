import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CheckoutError } from './errors.ts';

const exec = promisify(execFile);

/** Git as the user has it, but for what a hook around us has set: in one, GIT_DIR names another repository. */
function gitEnv(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return { ...Object.fromEntries(own), GIT_TERMINAL_PROMPT: '0' };
}

/** @throws CheckoutError with what git said */
export async function git(cwd: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await exec('git', ['-c', 'core.hooksPath=/dev/null', ...args], {
      cwd,
      env: gitEnv(),
      maxBuffer: 64 * 2 ** 20,
    });
    return stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new CheckoutError(`git ${args[0]} failed in ${cwd}: ${said || error}`, { cause: error });
  }
}

/** A commit, and what of the working folder is not in it. */
export interface Commit {
  readonly top: string;
  readonly objects: string;
  readonly sha: string;
  /** In full, as `refs/heads/main` or `refs/tags/v1`; the commit itself when no name was given. */
  readonly ref: string;
  /** Files that are changed, or not known to git: no run will see them. */
  readonly uncommitted: readonly string[];
}

/** @throws CheckoutError without a repository or the commit */
export async function commitOf(repository: string, ref: string): Promise<Commit> {
  const [found, named, status] = await Promise.all([
    git(repository, 'rev-parse', '--show-toplevel', '--git-path', 'objects', '--end-of-options', `${ref}^{commit}`),
    git(repository, 'rev-parse', '--symbolic-full-name', '--end-of-options', ref),
    git(repository, 'status', '--porcelain', '-z', '--untracked-files=all', '--no-renames'),
  ]);
  const [top = '', objects = '', ...rest] = found.trim().split('\n');
  const sha = rest.at(-1) ?? '';
  return {
    top,
    objects: resolve(repository, objects),
    sha,
    ref: named.split('\n').find((line) => line.startsWith('refs/')) ?? sha,
    uncommitted: status
      .split('\0')
      .filter(Boolean)
      .map((line) => line.slice(3)),
  };
}

/**
 * The commit alone, in an empty folder. It knows no remote: a `git push` in a step does not reach the repository, and
 * its objects are borrowed from there, not copied.
 * @throws CheckoutError
 */
export async function cleanClone({ objects, sha }: Commit, folder: string): Promise<void> {
  await mkdir(folder);
  await git(folder, 'init', '--quiet', '--template=');
  await writeFile(join(folder, '.git', 'objects', 'info', 'alternates'), `${objects}\n`);
  await git(folder, 'checkout', '--quiet', '--detach', sha);
  // It ends with 0 although a file could not be written: a lost object, a full disk.
  const [missing] = (await git(folder, 'ls-files', '--deleted', '-z')).split('\0');
  if (missing) throw new CheckoutError(`git could not check out ${missing} of ${sha}: see \`git fsck\` in ${objects}.`);
}
