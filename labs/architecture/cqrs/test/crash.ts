import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '@shared/testkit';
import type { Pool } from 'pg';
import { copyOf, type Job, type Report, type Task } from './crash-worker.ts';

export interface Death {
  /** What the copy's tables' names begin with. */
  readonly name: string;
  /** The statement that was answered last. */
  readonly after: string;
}

const script = fileURLToPath(new URL('./crash-worker.ts', import.meta.url));

/**
 * Does the job in a process that is killed (SIGKILL) after the n-th answer of the database, for each n. Copies of the job
 * share a process: each stands still at a step of its own, and one death takes them all. Then another process finishes
 * what each of them left.
 *
 * @param whenDead Looks at what the dead have left.
 */
export async function killEverywhere(
  pool: Pool,
  name: string,
  job: Job,
  whenDead: (deaths: readonly Death[]) => Promise<void> = async () => {},
): Promise<readonly Death[]> {
  const deaths: Death[] = [];
  for (let last: number | undefined; last === undefined || deaths.length < last; ) {
    const { child, ended } = start({ ...job, name, first: deaths.length + 1, last });
    const told = await Promise.race([once(child, 'message'), ended]);
    child.kill('SIGKILL');
    await ended;
    const [report]: Report[] = told ?? [];
    if (!report) throw new Error('The process came to its end before it was killed.');
    last = report.last;
    const died = report.standing.map(({ copy, after }) => ({ name: copyOf(name, copy), after }));
    deaths.push(...died);
    // A dead client's transaction is held until the server notices.
    const held = 'SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1';
    await until(async () => (await pool.query(held, [`${child.pid}`])).rowCount === 0, {
      timeoutMs: 20_000,
      what: 'the server to notice a death',
    });
    await whenDead(died);
    await start({ ...job, name, finish: died.map((death) => death.name) }).ended;
  }
  return deaths;
}

/** `ended` rejects with what the process wrote when it failed. */
function start(task: Task): { readonly child: ChildProcess; readonly ended: Promise<undefined> } {
  const child = fork(script, [JSON.stringify(task)], {
    // Half of a short process's time is the loading of its modules.
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'node-compile-cache'),
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    if (signal === null && code !== 0) throw new Error(`the process ended with ${code}: ${errors}`);
    return undefined;
  });
  ended.catch(() => {});
  return { child, ended };
}
