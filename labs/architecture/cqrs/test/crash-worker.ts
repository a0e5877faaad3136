// Projects, or rebuilds, in a process of its own that kills itself (SIGKILL) after the database's n-th answer.
import { Pool } from 'pg';
import type { OrderEvent } from '#lab';

export interface Job {
  readonly task: 'project' | 'rebuild';
  readonly database: string;
  readonly store: string;
  readonly prefix: string;
  /** A file: the lab that does it. Default: the one that is being graded. */
  readonly lab?: string;
}

export async function work(
  { task, database, store, prefix, lab = '#lab' }: Job,
  answered: (what: string) => Promise<void>,
) {
  const { PostgresEventStore, Projector, sales }: typeof import('#lab') = await import(lab);
  const pool = new Pool({ connectionString: database });
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    Reflect.set(client, 'query', async (...args: unknown[]) => {
      const result = await Reflect.apply(query, undefined, args);
      const [asked] = args;
      const text = typeof asked === 'object' && asked && 'text' in asked ? asked.text : asked;
      await answered(String(text).trim().split(/\s+/, 2).join(' '));
      return result;
    });
  });
  const projector = new Projector(pool, new PostgresEventStore<OrderEvent>(pool, store), sales, {
    prefix,
    batch: task === 'rebuild' ? 4 : 2,
  });
  if (task === 'rebuild') await projector.rebuild();
  else while ((await projector.round()) > 0);
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
