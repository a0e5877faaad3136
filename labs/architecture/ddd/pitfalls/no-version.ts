// Flaw: the version is kept but not asked for, so the second editor overwrites the first, who was told "saved".
// Seen in: https://github.com/usekaneo/kaneo/issues/1644
// Caught by: of two editors of one order the second is refused
import { type OrderSnapshot, PostgresOrders as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  protected override async write(...[db, order, events]: Parameters<Reference['write']>): Promise<boolean> {
    const sql = 'SELECT version FROM orders WHERE id = $1';
    const { rows } = await db.query<Pick<OrderSnapshot, 'version'>>(sql, [order.id]);
    return super.write(db, { ...order, version: rows[0]?.version ?? 0 }, events);
  }
}
