// A customer presses "pay" in one tab and "refund" in the other. `pnpm lab redlock pay-or-refund`
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { connectNodes, Redlock } from '#lab';

export interface Orders {
  redis: { nodes: readonly { url: string }[]; namespace: string };
  pool: Pool;
  orders: number;
  strategy: 'no lock' | 'redlock';
}

export async function payOrRefund({ redis, pool, orders, strategy }: Orders) {
  await pool.query('CREATE TABLE IF NOT EXISTS bookings (id text PRIMARY KEY, state text NOT NULL)');
  await pool.query('CREATE TABLE IF NOT EXISTS ledger (booking text NOT NULL, entry text NOT NULL)');
  const nodes = connectNodes(redis.nodes.map((node) => node.url));
  const redlock = new Redlock(nodes, { nodeTimeoutMs: 500, retry: { delayMs: 5, jitterMs: 20 } });

  const settle = async (id: string, entry: 'paid' | 'refunded') => {
    const { rows } = await pool.query<{ state: string }>('SELECT state FROM bookings WHERE id = $1', [id]);
    if (rows[0]?.state !== 'open') return;
    // The payment provider: no transaction of ours reaches it.
    await delay(3);
    await pool.query('INSERT INTO ledger VALUES ($1, $2)', [id, entry]);
    await pool.query('UPDATE bookings SET state = $2 WHERE id = $1', [id, entry]);
  };
  const guarded = (id: string, entry: 'paid' | 'refunded') =>
    strategy === 'no lock' ? settle(id, entry) : redlock.using([id], 5_000, () => settle(id, entry));

  const ids = Array.from({ length: orders }, (_, number) => `${redis.namespace}booking:${strategy}:${number}`);
  await pool.query("INSERT INTO bookings SELECT id, 'open' FROM unnest($1::text[]) AS id", [ids]);
  await Promise.all(ids.flatMap((id) => [guarded(id, 'paid'), guarded(id, 'refunded')]));
  for (const node of nodes) node.disconnect();
  const { rows } = await pool.query<{ entries: number }>(
    `SELECT count(ledger.entry)::int AS entries FROM bookings LEFT JOIN ledger ON ledger.booking = bookings.id
     WHERE id = ANY($1) GROUP BY id`,
    [ids],
  );
  return {
    both: rows.filter(({ entries }) => entries === 2).length,
    neither: rows.filter(({ entries }) => entries === 0).length,
  };
}

if (import.meta.main) {
  await tell({ title: 'Paid or refunded, never both', dir: import.meta.dirname }, async (story) => {
    const redis = await story.use(startRedis({ nodes: 5 }));
    const pg = await story.use(startPostgres());
    const pool = new Pool({ connectionString: pg.url, max: 20 });
    try {
      await story.scene('Two tabs', async () => {
        const { both } = await payOrRefund({ redis, pool, orders: 20, strategy: 'no lock' });
        story.verdict('without a lock orders are paid and refunded', `${both} of 20`, both > 0);
      });
      await story.scene('One lock an order', async () => {
        const { both, neither } = await payOrRefund({ redis, pool, orders: 20, strategy: 'redlock' });
        story.verdict('each is the one or the other', `${both} both, ${neither} neither`, both + neither === 0);
      });
    } finally {
      await pool.end();
    }
  });
}
