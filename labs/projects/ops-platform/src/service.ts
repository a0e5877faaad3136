import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { StepFailedError } from './errors.ts';

const Service = z.object({ pid: z.int().min(2), born: z.string(), argv: z.array(z.string()) });

/** The service that runs, undefined when none does. A number alone is no proof: the system gives it to others later. */
export async function readService(record: string): Promise<z.output<typeof Service> | undefined> {
  try {
    const found = Service.parse(JSON.parse(await readFile(record, 'utf8')));
    return found.born === bornAt(found.pid) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Milliseconds that a service has to stand before it is called running. */
const STANDS_MS = 200;

/** Goes on when the agent ends. @throws StepFailedError where it ends at once. Its log has the words of this start: one that nobody turns over fills the disk. */
export async function startService(record: string, argv: readonly string[], place: object): Promise<void> {
  mkdirSync(dirname(record), { recursive: true });
  const log = openSync(`${record}~log`, 'w', 0o600);
  try {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { ...place, detached: true, stdio: ['ignore', log, log] });
    child.on('error', () => {});
    await once(child, 'spawn');
    const over = new AbortController();
    const ended = once(child, 'exit', { signal: over.signal }).catch(() => []);
    const [code, by] = await Promise.race([ended, delay(STANDS_MS, [undefined, undefined])]);
    over.abort();
    const how = by ?? code;
    if (how !== undefined) {
      throw new StepFailedError(`The service has ended at once (${how}): ${record}~log has its words.`);
    }
    child.unref();
    const { pid = 0 } = child;
    try {
      // Its words may be secrets.
      await writeFile(record, JSON.stringify({ pid, born: bornAt(pid), argv }), { mode: 0o600 });
    } catch (error) {
      // Nobody would know of it, and the next run would start another one.
      process.kill(-pid, 'SIGKILL');
      throw error;
    }
  } finally {
    closeSync(log);
  }
}

/** Milliseconds that the system has to end what was killed. */
const ENDS_MS = 5_000;

/** What was killed takes its time to end, and keeps its port as long. @throws StepFailedError where it does not end */
export async function endOfService(record: string): Promise<void> {
  const end = performance.now() + ENDS_MS;
  for (let found = await readService(record); found; found = await readService(record)) {
    if (performance.now() > end) {
      throw new StepFailedError(`Process ${found.pid} is still there ${ENDS_MS} ms after SIGKILL: see what holds it.`);
    }
    await delay(10);
  }
}

/** When a process began, in ticks since the start of the system (Linux, proc(5)); undefined where it is none any more. */
function bornAt(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, ...rest] = status.slice(status.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : rest[18];
  } catch {
    return undefined;
  }
}
