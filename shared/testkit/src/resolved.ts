// Preloaded (node --import) in every worker of a package: what the installed packages load is where the workers before found
// it. Node asks the disk for each of them anew, which is a quarter of what a client of a thousand modules takes to load.
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, join } from 'node:path';

interface Kept {
  /** Of the Node that looked, and the last installation: what another has found is not asked for. */
  readonly stamp: string;
  /** By how it is asked, where from (the folder: all files in it are answered alike), and what for. */
  readonly found: readonly (readonly [key: string, found: Found])[];
}

interface Found {
  readonly url: string;
  readonly format?: string;
}

const INSTALLED = '/node_modules/';
/** In a folder of node_modules/.cache. */
const file = process.env['LAB_RESOLVED'];
const stamp = file === undefined ? undefined : stampFor(file);
const found = new Map(stamp === undefined ? [] : keptIn(file, stamp));
let kept = found.size;

if (stamp !== undefined) {
  registerHooks({
    resolve: (specifier, context, next) => {
      const { parentURL, conditions } = context;
      if (!parentURL?.includes(INSTALLED)) return next(specifier, context);
      const key = `${conditions} ${parentURL.slice(0, parentURL.lastIndexOf('/'))} ${specifier}`;
      const before = found.get(key);
      if (before) return { ...before, shortCircuit: true };
      const answer = next(specifier, context);
      const { url, format } = answer;
      if (url.startsWith('file:') && url.includes(INSTALLED)) found.set(key, { url, ...(format && { format }) });
      return answer;
    },
  });
}

/** Hands on what this worker has found: it is killed at its end. */
export function keepResolved(): void {
  if (file === undefined || stamp === undefined || found.size === kept) return;
  kept = found.size;
  const draft = `${file}.${process.pid}`;
  const all: Kept = { stamp, found: [...found] };
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(draft, JSON.stringify(all));
    renameSync(draft, file);
  } catch {
    // Where nothing can be written, the next one looks for itself.
  }
}

function stampFor(path: string): string | undefined {
  try {
    return `${process.version} ${statSync(join(path, '../../../.modules.yaml')).mtimeMs}`;
  } catch {
    return undefined;
  }
}

function keptIn(path: string | undefined, now: string): Kept['found'] {
  try {
    const all: Kept = JSON.parse(readFileSync(path ?? '', 'utf8'));
    return all.stamp === now ? all.found : [];
  } catch {
    return [];
  }
}
