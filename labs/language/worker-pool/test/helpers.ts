import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { onTestFinished } from 'vitest';
import { Executor, type ExecutorOptions, type Future, type WorkerKind } from '#lab';
import type * as PhotoLab from './photo-lab.ts';

/** Milliseconds that a law waits for what must come. */
export const PATIENCE = 4_000;
export const file = new URL('./photo-lab.ts', import.meta.url);
type Options = Partial<ExecutorOptions<typeof PhotoLab>>;

/** A pool of two; what a law leaves running ends with it. */
export const open = (options: Options = {}) => {
  const pool = new Executor<typeof PhotoLab>({ file, kind: 'thread', maxWorkers: 2, ...options });
  onTestFinished(async () => {
    const ended = async () => pool.terminate();
    await Promise.race([ended().catch(() => {}), delay(1_000)]);
  });
  return pool;
};

/** Most laws hold for threads and for processes alike. */
export const everyKind = (law: (kind: WorkerKind) => Promise<void>) => Promise.all([law('thread'), law('process')]);

/** How a future ends, within the patience of a law. */
export const ended = <R>(future: Future<R>) => {
  const settled = outcome(Promise.resolve(future), PATIENCE).catch((cause: unknown) => {
    throw new Error(`after ${PATIENCE} ms a future is still ${future.state}`, { cause });
  });
  settled.catch(() => {});
  return settled;
};

/** Tasks that wait in front of it say so first. */
export const newGate = () => {
  const gate = mkdtempSync(join(tmpdir(), 'photo-lab-'));
  onTestFinished(() => rmSync(gate, { recursive: true, force: true }));
  // A file that is there may still be empty.
  const begun = () =>
    existsSync(`${gate}/begun`) ? readFileSync(`${gate}/begun`, 'utf8').split('\n').filter(Boolean) : [];
  return {
    gate,
    begun,
    open: () => writeFileSync(`${gate}/open`, ''),
    passed: (count: number) =>
      until(() => begun().length >= count, { timeoutMs: PATIENCE, what: `${count} tasks to have begun` }),
  };
};
