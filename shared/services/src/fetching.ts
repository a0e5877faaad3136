import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readlink, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { announce } from './announce.ts';
import { cacheFolder, exists, makeCacheFolder } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { onPath } from './service.ts';

/**
 * Fetches what is missing into the private cache, and says so. Of several processes at once one fetches and the others
 * wait, then use what it fetched.
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchOnce<T>(o: {
  service: string;
  /** Who fetches: `apt`, `Maven`. */
  tool: string;
  lock: string;
  signal: AbortSignal | undefined;
  atHand: () => Promise<T | undefined>;
  fetch: () => Promise<T>;
}): Promise<T> {
  const { service, signal } = o;
  const began = performance.now();
  announce(
    `${service}: not on this machine; ${o.tool} fetches it into ${cacheFolder()} (nothing is installed in the system)`,
  );
  try {
    await makeCacheFolder();
    await mkdir(dirname(o.lock), { recursive: true });
    const waiting = () => announce(`${service}: another lab is fetching; waiting for it`);
    await using _lock = await lockFile(o.lock, waiting, signal);
    const before = await o.atHand();
    if (before !== undefined) return before;
    const fetched = await o.fetch();
    announce(`${service}: fetched in ${((performance.now() - began) / 1000).toFixed(1)} s; from now on it is at hand`);
    return fetched;
  } catch (error) {
    // Node's own functions wrap the reason of an abort.
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Runs a program that fetches or unpacks, to its end.
 * @returns what it printed
 * @throws ProvisionError with its words
 */
export async function runTool(o: {
  service: string;
  command: string;
  args: readonly string[];
  /** Of ours: it is the mark by which the reaper finds the program. */
  cwd: string;
  signal: AbortSignal | undefined;
  env: Readonly<Record<string, string>>;
  /** Of what it prints, on either stream. */
  onLine?: (line: string) => void;
  /** What to quote of what it printed. Default: its last lines. */
  explain?: (errors: string, output: string) => string;
  remedy: string;
}): Promise<string> {
  const child = spawn(o.command, o.args, {
    cwd: o.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...o.env },
    ...(o.signal && { signal: o.signal }),
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    errors += chunk;
  });
  if (o.onLine) for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', o.onLine);
  const [code] = await once(child, 'close');
  if (code === 0) return `${output}${errors}`;
  const words = (o.explain ?? lastLines)(errors, output).trim().replace(/^/gm, '  | ');
  throw new ProvisionError(o.service, `${o.command} failed (exit code ${code}):\n${words}\n${o.remedy}`);
}

const lastLines = (errors: string, output: string) => `${output}\n${errors}`.trim().split('\n').slice(-8).join('\n');

/** Makes each absolute link in `tree` whose target the tree has point there, at the place where the tree will be. */
export async function relink(tree: string, final: string): Promise<void> {
  for (const entry of await readdir(tree, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = join(entry.parentPath, entry.name);
    const target = await readlink(link);
    if (!target.startsWith('/') || !(await exists(join(tree, target)))) continue;
    await unlink(link);
    await symlink(join(final, target), link);
  }
}

/**
 * A lock that dies with its holder, kill -9 included: `flock` holds it for as long as its stdin, our pipe, is open.
 * Where there is no flock (a Mac) nobody waits: of two that fetch at once the first wins, as `cached` has it.
 */
export async function lockFile(
  path: string,
  waiting: () => void,
  signal: AbortSignal | undefined,
): Promise<AsyncDisposable> {
  if ((await onPath('flock')) === undefined) return { [Symbol.asyncDispose]: async () => {} };
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  holder.stdin.on('error', () => {});
  const notice = setTimeout(waiting, 300);
  try {
    await once(holder.stdout, 'data', { signal });
  } catch (error) {
    holder.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(notice);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end();
      if (holder.exitCode === null) await once(holder, 'exit');
    },
  };
}
