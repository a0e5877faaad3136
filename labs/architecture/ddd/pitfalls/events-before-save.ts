// Flaw: the events go out before the order is saved; the save fails, and the kitchen cooks what nobody ordered.
// Seen in: https://github.com/jasontaylordev/CleanArchitecture/issues/1240
// Caught by: an order that could not be saved announces nothing
import { type Order, PostgresOrders as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  override async save(order: Order): Promise<void> {
    for (const event of order.events) {
      await this.pool.query('INSERT INTO outbox (aggregate_id, event) VALUES ($1, $2)', [order.id, event]);
    }
    await super.save(order);
  }
}
