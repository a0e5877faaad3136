import type { Customer } from './customer.ts';
import { PaymentError } from './errors.ts';
import type { Order } from './order.ts';

/**
 * A domain service: a rule that belongs to neither of two aggregates. It looks at both and changes one. The money is
 * taken later, in a transaction of the customer's own; what this prevents is the order that could never be paid.
 *
 * @throws PaymentError when the customer can't pay; what `Order.place` throws.
 */
export function checkout(order: Order, customer: Pick<Customer, 'id' | 'balance' | 'canPay'>): void {
  if (!customer.canPay(order.total)) throw new PaymentError(customer.id, String(order.total), String(customer.balance));
  order.place();
}
