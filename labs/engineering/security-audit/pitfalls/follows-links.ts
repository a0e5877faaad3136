// Flaw: links are followed, so a link to the folder above is a tree without an end.
// Seen in: https://github.com/dependency-check/DependencyCheck/issues/285
// Caught by: each file is read once, links are not followed, and a pipe is not opened
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Scanner as Reference, type ScanOptions } from '../src/index.ts';

export * from '../src/index.ts';

async function all(path: string, depth = 0): Promise<string[]> {
  const about = await stat(path);
  if (about.isFile()) return /\.[cm]?[jt]s$/.test(path) ? [path] : [];
  if (!about.isDirectory() || depth > 4 || path.endsWith('node_modules')) return [];
  const inside = await Promise.all((await readdir(path)).map((name) => all(join(path, name), depth + 1)));
  return inside.flat();
}

export class Scanner extends Reference {
  protected override async files(paths: readonly string[]): Promise<string[]> {
    return (await Promise.all(paths.map((path) => all(path)))).flat().sort();
  }
}

export const scan = (paths: readonly string[], options?: ScanOptions) => new Scanner(options).scan(paths);
