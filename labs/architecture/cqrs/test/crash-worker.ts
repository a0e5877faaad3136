// Projects in a process of its own that kills itself (SIGKILL) after the database's n-th answer.
import { Pool } from 'pg';
import type { OrderEvent } from '#lab';
import { listen } from './answers.ts';

export interface Job {
  readonly database: string;
  readonly store: string;
  readonly prefix: string;
  readonly batch: number;
  /** A file: the lab that does it. Default: the one that is being graded. */
  readonly lab?: string;
}

export async function work(
  { database, store, prefix, batch, lab = '#lab' }: Job,
  answered: (what: string) => Promise<void>,
) {
  const { PostgresEventStore, Projector, sales }: typeof import('#lab') = await import(lab);
  const pool = new Pool({ connectionString: database });
  listen(pool, answered);
  const projector = new Projector(pool, new PostgresEventStore<OrderEvent>(pool, store), sales, { prefix, batch });
  while ((await projector.round()) > 0);
  await pool.end();
}

if (import.meta.main) {
  const { killAt, ...job } = JSON.parse(process.argv[2] ?? '{}');
  let answers = 0;
  await work(job, async (what) => {
    if (++answers !== killAt) return;
    await new Promise<void>((sent) => process.send?.(what, () => sent()));
    process.kill(process.pid, 'SIGKILL');
    // Not one instruction more.
    await new Promise(() => {});
  });
  process.exit(0);
}
