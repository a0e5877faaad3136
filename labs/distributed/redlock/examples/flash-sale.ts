// 100 buyers, 10 lockers: checking the stock and taking from it are two steps, and all buyers arrive between them.
// `pnpm lab redlock flash-sale`
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { connectNodes, Redlock } from '#lab';

export interface Sale {
  redis: { nodes: readonly { url: string }[]; namespace: string };
  pool: Pool;
  buyers: number;
  stock: number;
  strategy: 'no lock' | 'redlock';
}

export async function flashSale({ redis, pool, buyers, stock, strategy }: Sale) {
  const sku = `${redis.namespace}sku:${strategy}`;
  await pool.query('CREATE TABLE IF NOT EXISTS stock (sku text PRIMARY KEY, units int NOT NULL)');
  await pool.query('CREATE TABLE IF NOT EXISTS sales (sku text NOT NULL, buyer int NOT NULL)');
  await pool.query('INSERT INTO stock VALUES ($1, $2)', [sku, stock]);
  const nodes = connectNodes(redis.nodes.map((node) => node.url));
  const redlock = new Redlock(nodes, { nodeTimeoutMs: 500, retry: { maxMs: 30_000, delayMs: 10, jitterMs: 150 } });

  const buy = async (buyer: number): Promise<boolean> => {
    const { rows } = await pool.query<{ units: number }>('SELECT units FROM stock WHERE sku = $1', [sku]);
    if ((rows[0]?.units ?? 0) <= 0) return false;
    await pool.query('INSERT INTO sales VALUES ($1, $2)', [sku, buyer]);
    await pool.query('UPDATE stock SET units = units - 1 WHERE sku = $1', [sku]);
    return true;
  };
  const start = performance.now();
  const bought = await Promise.all(
    Array.from({ length: buyers }, (_, buyer) =>
      strategy === 'no lock' ? buy(buyer) : redlock.using([sku], 5_000, () => buy(buyer)),
    ),
  );
  const ms = performance.now() - start;
  for (const node of nodes) node.disconnect();
  const { rows } = await pool.query<{ units: number }>('SELECT units FROM stock WHERE sku = $1', [sku]);
  const sold = bought.filter(Boolean).length;
  return { sold, refused: buyers - sold, stockLeft: rows[0]?.units, ms };
}

if (import.meta.main) {
  await tell({ title: 'A hundred buyers, ten lockers', dir: import.meta.dirname }, async (story) => {
    const redis = await story.use(startRedis({ nodes: 5 }));
    const pg = await story.use(startPostgres());
    const pool = new Pool({ connectionString: pg.url, max: 20 });
    try {
      await story.scene('Look, then take', async () => {
        const naive = await flashSale({ redis, pool, buyers: 100, stock: 10, strategy: 'no lock' });
        story.verdict('without a lock the sale oversells', `${naive.sold} sold of 10`, naive.sold > 10);
      });
      await story.scene('The same code under a lock on that one item', async () => {
        const { sold, refused, ms } = await flashSale({ redis, pool, buyers: 100, stock: 10, strategy: 'redlock' });
        story.verdict('with it ten are sold', `${sold} sold, ${refused} refused in ${ms.toFixed(0)} ms`, sold === 10);
        story.say(
          'One table could do this without any lock: `UPDATE stock SET units = units - 1 WHERE sku = $1 AND units > 0`. ' +
            'The lock is for the sale whose steps are in several systems.',
        );
      });
    } finally {
      await pool.end();
    }
  });
}
