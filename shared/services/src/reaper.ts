import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Belonging, settle } from './estate.ts';

const held = new Map<number, Belonging>();
let pipe: Writable | undefined;
let last = 0;

/** Something that outlives nobody. */
export interface Entrusted {
  /** Ends and removes it now, then takes it back from the reaper. */
  settle(): Promise<void>;
}

/**
 * Gives `belonging` to the reaper: a small process that settles it when this process is gone, however it went.
 * Call it before the thing exists. The reaper starts with the first call and never keeps this process alive.
 */
export function entrust(belonging: Belonging): Entrusted {
  last += 1;
  const id = last;
  held.set(id, belonging);
  if (pipe === undefined) {
    pipe = startReaper();
    for (const [each, add] of held) tell({ id: each, add });
  } else tell({ id, add: belonging });
  return {
    settle: async () => {
      await settle(belonging);
      held.delete(id);
      tell({ id });
    },
  };
}

// A pipe takes a line this short at once, within write(): no need to wait for the reaper to read it.
function tell(message: { id: number; add?: Belonging }): void {
  pipe?.write(`${JSON.stringify(message)}\n`);
}

function startReaper(): Writable {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  const reaper = spawn(process.execPath, [fileURLToPath(new URL('./reaper-main.ts', import.meta.url))], {
    // A session of its own: Ctrl-C in the terminal does not reach it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    // Without NODE_OPTIONS: a loader or an inspector of the parent's must not come along.
    env: { PATH, HOME, NODE_COMPILE_CACHE },
  });
  const { stdin } = reaper;
  stdin.on('error', () => {});
  reaper.on('error', () => {});
  reaper.on('exit', () => {
    // Somebody ended it: the next call starts another and tells it everything.
    pipe = undefined;
  });
  reaper.unref();
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  return stdin;
}
