import { Aggregate } from './aggregate.ts';
import { InvalidValueError } from './errors.ts';
import type { CustomerEvent } from './events.ts';
import { type CustomerId, customerId, type OrderId } from './ids.ts';
import { Money } from './money.ts';

/** A customer as plain data, for a repository. `balance` in minor units of `currency`. */
export type CustomerSnapshot = {
  readonly id: string;
  readonly version: number;
  readonly balance: number;
  readonly currency: string;
};

/** A guest with a prepaid account. An aggregate of its own: it is charged for orders, and knows them by id alone. */
export class Customer extends Aggregate<CustomerEvent> {
  declare readonly id: CustomerId;
  #balance: Money;

  protected constructor({ id, version, balance, currency }: CustomerSnapshot) {
    super(customerId(String(id)), version); // as in Order: `undefined` is no wish for a new id
    this.#balance = Money.of(balance, currency);
  }

  /** A new customer. `id` defaults to a new one. */
  static register(balance: Money, id: CustomerId = customerId()): Customer {
    return new this({ id, version: 0, balance: balance.minor, currency: balance.currency });
  }

  /** @throws InvalidValueError when what was stored breaks a rule. */
  static restore(snapshot: CustomerSnapshot): Customer {
    return new this(snapshot);
  }

  get balance(): Money {
    return this.#balance;
  }

  /** @throws CurrencyMismatchError */
  canPay(amount: Money): boolean {
    return this.#balance.isAtLeast(amount);
  }

  /** Takes the money, or records that there is too little. Once for an order: the repository sees to that. */
  charge(orderId: OrderId, amount: Money): void {
    const solvent = this.canPay(amount);
    if (solvent) this.#balance = this.#balance.subtract(amount);
    this.record({ type: solvent ? 'customer-charged' : 'charge-refused', orderId, customerId: this.id });
  }

  /** @throws InvalidValueError on nothing; CurrencyMismatchError */
  topUp(amount: Money): void {
    if (amount.minor === 0) throw new InvalidValueError('Top-up', amount, 'more than nothing');
    this.#balance = this.#balance.add(amount);
  }

  snapshot(): CustomerSnapshot {
    const { minor, currency } = this.#balance;
    return { id: this.id, version: this.version, balance: minor, currency };
  }
}
