import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { onTestFinished } from 'vitest';
import { type HybridOptions, hybrid } from '#lab';
import type * as Kitchen from './kitchen.ts';

/** Milliseconds that a law waits for what must come, from processes that are up. */
export const PATIENCE = 4_000;
/** The same where a process has to start first: on a busy machine that takes seconds. */
export const STARTING = 15_000;

export const entry = new URL('./kitchen.ts', import.meta.url);

const directory = (name: string) => {
  const path = mkdtempSync(join(tmpdir(), name));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** A hybrid that is up. What a law leaves running ends with it. */
export const openShop = async (options: Partial<HybridOptions> = {}) => {
  const shop = hybrid<typeof Kitchen>({ processes: 1, threadsPerProcess: 1, entry, drainMs: 10_000, ...options });
  onTestFinished(async () => {
    const closed = Promise.resolve(shop[Symbol.asyncDispose]()).catch(() => {});
    for (const pid of shop.stats().pids) kill(pid);
    await Promise.race([closed, delay(500)]);
  });
  const { threadsPerProcess = 1, processes = 1 } = options;
  if (processes * threadsPerProcess === 1) await outcome(shop.run({ dish: 'stove' }), STARTING);
  return shop;
};

/** How a task ends, within the patience of a law. */
export const ended = <T>(promise: Promise<T>, patience = PATIENCE) => outcome(promise, patience);

/** Orders that wait in front of it say so first. */
export const newGate = () => {
  const gate = directory('burger-shop-');
  const names = (what: string) =>
    existsSync(`${gate}/${what}`) ? readFileSync(`${gate}/${what}`, 'utf8').split('\n').filter(Boolean) : [];
  const begun = () => names('begun');
  return {
    gate,
    begun,
    ended: () => names('ended'),
    open: () => writeFileSync(`${gate}/open`, ''),
    passed: (count: number, timeoutMs = STARTING) =>
      until(() => begun().length >= count, { timeoutMs, what: `${count} orders to have begun` }),
  };
};

export const kill = (pid: number) => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone.
  }
};

/** Whether a process has ended. One whose parent has died may be kept as a zombie by a container's first process. */
export const gone = (pid: number) => {
  try {
    process.kill(pid, 0);
  } catch {
    return true;
  }
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

/** A directory that is taken for `/`. */
export const fakeRoot = (files: Record<string, string>) => {
  const root = directory('root-');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  return root;
};
