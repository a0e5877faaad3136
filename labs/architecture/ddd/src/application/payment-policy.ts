import type { DomainEvent } from '../domain/events.ts';
import { Money } from '../domain/money.ts';
import { AlreadyChargedError, type CustomerRepository, type OrderRepository } from '../domain/ports.ts';

/** Is told of each event at least once, after the commit that made it true; may be told again. */
export type Subscriber = (event: DomainEvent) => Promise<void>;

/**
 * "When an order is placed, charge the customer; when he has been charged, the order is paid." Two aggregates agree by
 * events, each in a transaction of its own. Being told twice changes nothing the second time.
 */
export function paymentPolicy({
  orders,
  customers,
}: {
  readonly orders: OrderRepository;
  readonly customers: CustomerRepository;
}): Subscriber {
  return async (event) => {
    if (event.type === 'order-placed') {
      const customer = await customers.get(event.customerId);
      customer.charge(event.orderId, Money.of(event.total.minor, event.total.currency));
      await customers.save(customer).catch((error: unknown) => {
        if (!(error instanceof AlreadyChargedError)) throw error;
      });
    }
    if (event.type === 'customer-charged' || event.type === 'charge-refused') {
      const order = await orders.get(event.orderId);
      if (order.status !== 'placed') return;
      if (event.type === 'customer-charged') order.pay();
      else order.decline();
      await orders.save(order);
    }
  };
}
