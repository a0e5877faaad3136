import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { type Order, work } from './crash-worker.ts';

export interface Run {
  /** After which answer it was killed, "relay: publish"; "nowhere" for a run that came through. */
  readonly step: string;
  readonly effects: Record<string, number>;
}

const script = fileURLToPath(new URL('./crash-worker.ts', import.meta.url));

/**
 * An order from its placing to its effect, in a process of its own that kills itself after its n-th request to a server:
 * for each n from `first` until a run comes through. After each death another finishes the work. Then the effects are counted.
 */
export async function crashEverywhere(
  broker: Order['broker'],
  database: string,
  pool: pg.Pool,
  first = 1,
): Promise<Run[]> {
  const runs: Run[] = [];
  let next = first;
  let last = Number.POSITIVE_INFINITY;
  const worker = async (name: string, killAt: number) => {
    const child = fork(script, [JSON.stringify({ broker, database, name, killAt })], {
      // Half of a short process's time is the loading of its modules.
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'node-compile-cache'),
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let step = 'nowhere';
    let errors = '';
    child.on('message', (message) => {
      step = String(message);
    });
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    const [code, signal] = await once(child, 'exit');
    if (signal === null && code !== 0) throw new Error(`the process ended with ${code}: ${errors}`);
    return { killed: signal === 'SIGKILL', step };
  };
  const lane = async () => {
    while (next <= last) {
      const n = next++;
      const name = `${broker.kind}_crash_${n}`;
      const { killed, step } = await worker(name, n);
      if (!killed) last = Math.min(last, n);
      else await work({ broker, database, name });
      const { rows } = await pool.query<{ effect: string; times: number }>(
        `SELECT effect, count(*)::int AS times FROM ${name}_effects GROUP BY effect`,
      );
      runs.push({
        step,
        effects: Object.fromEntries(rows.map((row) => [row.effect, row.times])),
      });
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  return runs;
}
