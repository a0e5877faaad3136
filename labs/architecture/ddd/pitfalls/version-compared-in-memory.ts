// Flaw: the version is read and compared in the process, then written without it: all who read before the first commit win.
// Seen in: https://github.com/proteanhq/protean/issues/1087
// Caught by: of many editors at once exactly one wins
import { type OrderSnapshot, PostgresOrders as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  protected override async write(...[db, order, events]: Parameters<Reference['write']>): Promise<boolean> {
    const current = async () => {
      const sql = 'SELECT version FROM orders WHERE id = $1';
      return (await db.query<Pick<OrderSnapshot, 'version'>>(sql, [order.id])).rows[0]?.version ?? 0;
    };
    if ((await current()) !== order.version) return false;
    while (!(await super.write(db, { ...order, version: await current() }, events)));
    return true;
  }
}
