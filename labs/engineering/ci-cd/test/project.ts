import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const IDENTITY = ['-c', 'user.name=baker', '-c', 'user.email=baker@localhost', '-c', 'commit.gpgsign=false'];

/** A git repository of our own, gone with its disposal. */
export function newProject() {
  const folder = mkdtempSync(join(tmpdir(), 'project-'));
  const { GIT_DIR: _, GIT_INDEX_FILE: __, GIT_WORK_TREE: ___, ...env } = process.env;
  const git = (...args: string[]) =>
    execFileSync('git', [...IDENTITY, ...args], {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  git('init', '-q', '-b', 'main');
  return {
    folder,
    git,
    write(files: { readonly [path: string]: string }) {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
    },
    /** Writes files and commits all that there is. */
    commit(files: { readonly [path: string]: string }) {
      this.write(files);
      git('add', '-A');
      git('commit', '-q', '--allow-empty', '-m', 'work');
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 30 }),
  };
}
