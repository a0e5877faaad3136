// Three instances, one nightly report: each has the same timer. `pnpm lab redlock scheduled-job`
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { connectNodes, LockHeldError, Redlock } from '#lab';

export interface Schedule {
  redis: { nodes: readonly { url: string }[]; namespace: string };
  pool: Pool;
  instances: number;
  ticks: number;
  /** `lock only` forgets that a job may be over before another instance's clock strikes. */
  strategy: 'no lock' | 'lock only' | 'redlock';
}

export async function scheduledJob({ redis, pool, instances, ticks, strategy }: Schedule) {
  const schedule = `${redis.namespace}report:${strategy}`;
  await pool.query('CREATE TABLE IF NOT EXISTS reports (schedule text NOT NULL, tick int NOT NULL)');
  const write = (tick: number) => pool.query('INSERT INTO reports VALUES ($1, $2)', [schedule, tick]);
  const written = async (tick: number) =>
    (await pool.query('SELECT FROM reports WHERE schedule = $1 AND tick = $2', [schedule, tick])).rowCount !== 0;

  const instance = async (number: number) => {
    const nodes = connectNodes(redis.nodes.map((node) => node.url));
    const redlock = new Redlock(nodes, { nodeTimeoutMs: 500 });
    for (let tick = 0; tick < ticks; tick++) {
      // No two clocks strike at once.
      await delay(60 + 10 * number);
      if (strategy === 'no lock') {
        await write(tick);
        continue;
      }
      const job = async () => {
        if (strategy === 'redlock' && (await written(tick))) return;
        await write(tick);
      };
      await redlock.using([`${schedule}:${tick}`], 5_000, job, { retry: { maxMs: 0 } }).catch((error: unknown) => {
        // Another instance is at it: that is what the lock is for.
        if (!(error instanceof LockHeldError)) throw error;
      });
    }
    for (const node of nodes) node.disconnect();
  };
  await Promise.all(Array.from({ length: instances }, (_, number) => instance(number)));
  const { rows } = await pool.query<{ runs: number }>(
    'SELECT count(*)::int AS runs FROM reports WHERE schedule = $1 GROUP BY tick ORDER BY tick',
    [schedule],
  );
  return { runsPerTick: rows.map(({ runs }) => runs) };
}

if (import.meta.main) {
  await tell({ title: 'One report from three instances', dir: import.meta.dirname }, async (story) => {
    const redis = await story.use(startRedis({ nodes: 5 }));
    const pg = await story.use(startPostgres());
    const pool = new Pool({ connectionString: pg.url });
    const run = (strategy: Schedule['strategy']) => scheduledJob({ redis, pool, instances: 3, ticks: 5, strategy });
    try {
      await story.scene('Three timers', async () => {
        const { runsPerTick } = await run('no lock');
        story.verdict(
          'without a lock each instance reports',
          `runs a tick: ${runsPerTick}`,
          runsPerTick.every((n) => n === 3),
        );
      });
      await story.scene('A lock alone', async () => {
        const { runsPerTick } = await run('lock only');
        story.say('The job is over in 1 ms, and frees the lock before the next instance, 10 ms late, asks for it.');
        story.verdict(
          'it still runs more than once',
          `runs a tick: ${runsPerTick}`,
          runsPerTick.some((n) => n > 1),
        );
      });
      await story.scene('A lock, and a look at what is done', async () => {
        const { runsPerTick } = await run('redlock');
        story.verdict(
          'one run a tick',
          `runs a tick: ${runsPerTick}`,
          runsPerTick.every((n) => n === 1),
        );
      });
    } finally {
      await pool.end();
    }
  });
}
