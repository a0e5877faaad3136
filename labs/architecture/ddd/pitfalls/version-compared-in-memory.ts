// Flaw: the version is read and compared in the process, then written without it: all who read before the first commit win.
// Seen in: https://github.com/proteanhq/protean/issues/1087
// Caught by: of many editors at once exactly one wins
import type { PoolClient } from 'pg';
import { type OrderSnapshot, PostgresOrders as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  protected override async claim(tx: PoolClient, order: OrderSnapshot): Promise<boolean> {
    const sql = 'SELECT version FROM orders WHERE id = $1';
    const { rows } = await tx.query<{ version: number }>(sql, [order.id]);
    if ((rows[0]?.version ?? 0) !== order.version) return false;
    if (order.version === 0) return super.claim(tx, order);
    const { id, version, status, city, street, voucher } = order;
    await tx.query(
      'UPDATE orders SET version = $2::integer + 1, status = $3, city = $4, street = $5, voucher = $6 WHERE id = $1',
      [id, version, status, city, street, voucher],
    );
    return true;
  }
}
