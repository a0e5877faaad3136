// Flaw: ends the program that it has started, and none of those that the program has started.
// Seen in: child.kill(), timeouts of many a CI runner, shells as PID 1 of a container
// Caught by: whoever ends a step ends its children and theirs, those too that do not listen
export * from '../src/index.ts';

import { setTimeout as delay } from 'node:timers/promises';
import { Machine as Sound } from '../src/index.ts';

export class Machine extends Sound {
  protected override async stop(pid: number, graceMs: number): Promise<void> {
    if (!kill(pid, 'SIGTERM')) return;
    await delay(graceMs);
    kill(pid, 'SIGKILL');
  }
}

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
