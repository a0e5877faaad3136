import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isMissing } from '../labs.ts';

const generated = new Set(['node_modules', 'attempt']);

/** The files under `dir`, relative to it, sorted; without node_modules, attempts and what begins with a dot. */
export async function filesUnder(dir: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (at: string): Promise<void> => {
    for (const entry of await readdir(at, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || generated.has(entry.name)) continue;
      const path = join(at, entry.name);
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile()) found.push(relative(dir, path));
    }
  };
  try {
    await visit(dir);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return found.sort();
}

/** The folders right in `dir`, sorted; none where there is no such folder. */
export async function folderNames(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The file's text; undefined where there is none. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The line, counted from 1, of an offset into a text. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
