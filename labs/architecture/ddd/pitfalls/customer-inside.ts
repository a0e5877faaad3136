// Flaw: the order has the customer himself, not his id, and saving the order saves him too: two aggregates in one
// transaction, so that a customer's orders queue for his one row, and an old balance overwrites a new one.
// Seen in: https://github.com/VaughnVernon/IDDD_Samples/issues/54
// Caught by: a transaction changes one aggregate, and its events are announced in it
import {
  type Customer,
  customerId,
  NotFoundError,
  type OrderSnapshot,
  PostgresCustomers,
  PostgresOrders as Reference,
} from '../src/index.ts';
import { inOneTransaction } from '../src/infrastructure/postgres.ts';

export * from '../src/index.ts';

export class PostgresOrders extends Reference {
  protected override write(...[, order, events]: Parameters<Reference['write']>): Promise<boolean> {
    return inOneTransaction(this.pool, async (tx) => {
      const customer = await this.#customerOf(order);
      if (customer) {
        await tx.query('UPDATE customers SET balance = $2 WHERE id = $1', [customer.id, customer.balance.minor]);
      }
      return super.write(tx, order, events);
    });
  }

  async #customerOf(order: OrderSnapshot): Promise<Customer | undefined> {
    return new PostgresCustomers(this.pool).get(customerId(order.customerId)).catch((error: unknown) => {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    });
  }
}
