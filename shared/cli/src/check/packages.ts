import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from '../labs.ts';

/** The folders of all packages, as pnpm-workspace.yaml has them: labs first. */
export async function packageDirs(root: string): Promise<readonly string[]> {
  const stages = await foldersIn(join(root, 'labs'));
  const found = await Promise.all([...stages, join(root, 'shared')].map(foldersIn));
  return found.flat().filter((dir) => existsSync(join(dir, 'package.json')));
}

async function foldersIn(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
      .map((entry) => join(dir, entry.name))
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
