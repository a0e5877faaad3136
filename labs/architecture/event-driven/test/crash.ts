import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { type Death, type Order, perform } from './crash-worker.ts';

export interface Run {
  /** After which answer its process was killed, "relay: publish". */
  readonly step: string;
  readonly effects: Record<string, number>;
}

const script = fileURLToPath(new URL('./crash-worker.ts', import.meta.url));
/** Each has two connections to a Postgres that takes a hundred. */
const ORDERS_A_PROCESS = 12;

/**
 * Orders, from their placing to their effect. Each comes one answer from a server further than the one before, from the
 * `first` on, until one needs no more of them; then its process is killed. Another finishes the work, and the effects are
 * counted.
 */
export async function crashEverywhere(
  broker: Order['broker'],
  database: string,
  pool: pg.Pool,
  first = 1,
): Promise<Run[]> {
  const runs: Run[] = [];
  let next = first;
  let done = false;
  const lane = async () => {
    while (!done) {
      const deaths = Array.from({ length: ORDERS_A_PROCESS }, (_, n) => ({
        name: `${broker.kind}_crash_${next + n}`,
        at: next + n,
      }));
      next += deaths.length;
      const last = await die({ broker, database }, deaths);
      const killed = deaths.filter(({ name }) => last.has(name));
      if (killed.length < deaths.length) done = true;
      await Promise.all(
        killed.map(async ({ name }) => {
          await perform({ broker, database, name });
          const { rows } = await pool.query<{ effect: string; times: number }>(
            `SELECT effect, count(*)::int AS times FROM ${name}_effects GROUP BY effect`,
          );
          const effects = Object.fromEntries(rows.map((row) => [row.effect, row.times]));
          runs.push({ step: last.get(name) ?? '', effects });
        }),
      );
    }
  };
  await Promise.all([lane(), lane()]);
  return runs;
}

/** A process with these orders, from its start to its SIGKILL. @returns where each was; without those that were done */
async function die(where: Omit<Order, 'name'>, deaths: readonly Death[]): Promise<Map<string, string>> {
  const child = fork(script, [JSON.stringify({ ...where, deaths })], {
    // Half of a short process's time is the loading of its modules.
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'node-compile-cache'),
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let last = new Map<string, string>();
  let errors = '';
  child.on('message', (message: Record<string, string>) => {
    last = new Map(Object.entries(message));
  });
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const [code, signal] = await once(child, 'exit');
  if (signal !== 'SIGKILL') throw new Error(`the process ended with ${code ?? signal}: ${errors}`);
  return last;
}
