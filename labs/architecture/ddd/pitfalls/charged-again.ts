// Flaw: an event told twice is handled twice, as if "at least once" meant "once": the customer pays double.
// Seen in: https://github.com/microsoftarchive/cqrs-journey/issues/266
// Caught by: an order is charged once, however often its event is told
import { type Customer, PostgresCustomers as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresCustomers extends Reference {
  override async save(customer: Customer): Promise<void> {
    for (const { orderId } of customer.events) {
      await this.pool.query('DELETE FROM charges WHERE order_id = $1', [orderId]);
    }
    await super.save(customer);
  }
}
