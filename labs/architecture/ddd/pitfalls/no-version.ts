// Flaw: the version is kept but not asked for, so the second editor overwrites the first, who was told "saved".
// Seen in: https://github.com/usekaneo/kaneo/issues/1644
// Caught by: of two editors of one order the second is refused
import type { PoolClient } from 'pg';
import { type OrderSnapshot, PostgresOrders as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  protected override async claim(tx: PoolClient, order: OrderSnapshot): Promise<boolean> {
    const sql = 'SELECT version FROM orders WHERE id = $1';
    const { rows } = await tx.query<{ version: number }>(sql, [order.id]);
    return super.claim(tx, { ...order, version: rows[0]?.version ?? 0 });
  }
}
