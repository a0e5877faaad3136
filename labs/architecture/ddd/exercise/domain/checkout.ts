import type { Customer } from '../../src/domain/customer.ts';
import type { Order } from './order.ts';

/**
 * A domain service: a rule that belongs to neither of two aggregates. It looks at both and changes one: places the order.
 *
 * @throws PaymentError when the customer can't pay; what `Order.place` throws.
 */
export function checkout(_order: Order, _customer: Pick<Customer, 'id' | 'balance' | 'canPay'>): void {
  throw new Error('checkout is not written yet: its comment in domain/checkout.ts is the task.');
}
