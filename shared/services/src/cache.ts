import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, existsSync } from 'node:fs';
import { lstat, mkdir, realpath, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Identity } from './process.ts';
import { entrust } from './reaper.ts';

/**
 * Ours alone, and safe to delete at any time: `$XDG_CACHE_HOME/concept-labs`, by default `~/.cache/concept-labs`; where
 * that cannot be written (a container's user without a home) a folder of ours in /var/tmp. It may not exist yet.
 */
export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] || join(process.env['HOME'] || '/nonexistent', '.cache');
  return writable(base) ? join(base, 'concept-labs') : fallbackFolder();
}

function writable(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if (!existsSync(at) && at !== dirname(at)) continue;
    try {
      accessSync(at, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  }
}

function fallbackFolder(): string {
  return `/var/tmp/concept-labs-${process.geteuid?.() ?? 0}`;
}

/**
 * `path`, made by `build` if it is not there. It is built aside and renamed, so that it is complete or absent;
 * of several builders at once the first wins.
 */
export async function cached(path: string, build: (aside: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${randomBytes(6).toString('hex')}.aside`;
  const entrusted = entrust({ folder: aside });
  try {
    await build(aside);
    await rename(aside, path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  } finally {
    await entrusted.settle();
  }
  return path;
}

/** Copies a folder with modes and, as root, owners; `cp` is three times as fast as fs.cp for a thousand small files. */
export async function copyFolder(from: string, to: string): Promise<void> {
  const child = spawn('cp', ['-a', from, to], { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk) => {
    words += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`cp -a ${from} ${to} failed: ${words.trim()}`);
}

/** Whether another user may read what lies under `path`: every folder above it is open to all. */
export async function reachableByAll(path: string): Promise<boolean> {
  for (let at = await realpath(path); ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/**
 * Makes the cache folder: one that the unprivileged `identity` can read, for root, whose own home it cannot.
 * @throws when somebody else made a folder of that name: root must not run what another user put there
 */
export async function makeCacheFolder(identity?: Identity): Promise<string> {
  const own = cacheFolder();
  await mkdir(own, { recursive: true });
  if (own !== fallbackFolder() && (identity === undefined || (await reachableByAll(own)))) return own;
  const shared = fallbackFolder();
  await mkdir(shared, { recursive: true, mode: 0o755 });
  const { uid: owner, mode } = await lstat(shared);
  const isFolder = (mode & 0o170000) === 0o040000;
  if (!isFolder || owner !== process.geteuid?.() || (mode & 0o022) !== 0) {
    throw new Error(`${shared} belongs to somebody else or is writable by others. Remove it, then try again.`);
  }
  return shared;
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
