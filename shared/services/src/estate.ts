import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from './belongings.ts';

/** What a run leaves behind when it dies: given to the reaper before it exists, so that nothing is ever unaccounted for. */
export interface Belonging {
  /** A folder. Every process that lives in it is ended, then it is removed. */
  readonly folder?: string;
  /** A signal that lets the servers in the folder end by themselves within 500 ms, before SIGKILL. */
  readonly gentle?: NodeJS.Signals;
  /** A module's function to call once the processes are gone, before the folder is: `call(...input)`. */
  readonly after?: { readonly module: string; readonly call: string; readonly input: readonly string[] };
}

const GENTLE_MS = 500;
const KILL_MS = 1500;

/** Ends the processes, undoes the rest, removes the folder. Used by an orderly close and by the reaper alike. */
export async function settle({ folder, gentle, after }: Belonging): Promise<void> {
  if (folder !== undefined) {
    if (gentle !== undefined) await end(folder, gentle, GENTLE_MS);
    await end(folder, 'SIGKILL', KILL_MS);
  }
  try {
    if (after !== undefined) {
      const module: Record<string, unknown> = await import(after.module);
      const call = module[after.call];
      if (typeof call === 'function') await call(...after.input);
    }
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }
}

/** Sends `signal` to whatever lives in `folder` until nothing does, or `withinMs` are over. */
export async function end(folder: string, signal: NodeJS.Signals, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  const told = new Set<number>();
  for (;;) {
    const pids = await processesIn(folder);
    if (pids.length === 0 || performance.now() > deadline) return;
    for (const pid of pids) {
      if (signal !== 'SIGKILL' && told.has(pid)) continue;
      told.add(pid);
      send(pid, signal);
      // A stopped process acts on no signal but SIGKILL.
      if (signal !== 'SIGKILL') send(pid, 'SIGCONT');
    }
    await sleep(3);
  }
}

/** Signals a process that may be gone already. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It was faster.
  }
}
