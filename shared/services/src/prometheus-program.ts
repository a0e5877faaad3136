import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { exists } from './cache.ts';
import type { Program } from './process.ts';

// What Debian's Prometheus and Alertmanager have in common: their pages and templates lie in a folder whose name is
// compiled in.
const COMPILED_IN = '/usr/share/prometheus/';
const FOLDERS = ['web', 'alertmanager'];

/** Has the program look for its pages in its working directory: a name of the same length, `./////…`. */
export async function movable(program: string): Promise<void> {
  const bytes = await readFile(program);
  const here = Buffer.from('.'.padEnd(COMPILED_IN.length, '/'));
  for (let at = bytes.indexOf(COMPILED_IN); at !== -1; at = bytes.indexOf(COMPILED_IN, at)) here.copy(bytes, at);
  await writeFile(program, bytes);
}

/** The program's working directory, with the pages that came with it. */
export async function makeHome(home: string, program: Program): Promise<void> {
  await mkdir(home, { mode: 0o700 });
  const pages = join(dirname(program.path), '../share/prometheus');
  for (const name of FOLDERS) {
    if (await exists(join(pages, name))) await symlink(join(pages, name), join(home, name));
  }
}

export async function versionOf({ path, env }: Program): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(path, ['--version'], { env: { ...process.env, ...env } });
  return /version (\d+(?:\.\d+)+)/.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown';
}
