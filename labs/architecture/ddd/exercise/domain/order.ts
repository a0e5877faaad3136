import type { Address } from '../../src/domain/address.ts';
import { Aggregate } from '../../src/domain/aggregate.ts';
import type { Dish } from '../../src/domain/dish.ts';
import type { OrderEvent } from '../../src/domain/events.ts';
import { type CustomerId, customerId, type OrderId, orderId } from '../../src/domain/ids.ts';
import type { OrderLine, OrderSnapshot, OrderStatus } from '../../src/domain/order.ts';
import type { Money } from './money.ts';

/**
 * The aggregate: the only door to its lines. `Aggregate` has its id, its version and its recorded events.
 *
 * Invariants: lines and voucher change while it is a draft only · a dish has one line, of 1 to 20 · all amounts are in
 * one currency · 0 ≤ total = subtotal − discount, where a voucher never takes off more than there is · a placed order has
 * a line. Each method keeps all of them or throws a `DomainError` (src/domain/errors.ts) and changes nothing.
 */
export class Order extends Aggregate<OrderEvent> {
  declare readonly id: OrderId;
  readonly #customerId: CustomerId;

  protected constructor(snapshot: OrderSnapshot) {
    // String: `undefined`, as of a column by another name, would be the wish for a new id.
    super(orderId(String(snapshot.id)), snapshot.version);
    this.#customerId = customerId(String(snapshot.customerId));
  }

  /** An empty order. `id` defaults to a new one. @throws InvalidValueError on an unknown currency. */
  static draft(_customer: CustomerId, _address: Address, _currency: string, _id: OrderId = orderId()): Order {
    return todo('Order.draft');
  }

  /** What a repository has stored, checked like everything else. @throws InvalidValueError when it breaks a rule. */
  static restore(_snapshot: OrderSnapshot): Order {
    return todo('Order.restore');
  }

  get customerId(): CustomerId {
    return this.#customerId;
  }

  get status(): OrderStatus {
    return todo('Order.status');
  }

  get address(): Address {
    return todo('Order.address');
  }

  /** Whatever a reader does to these, the order stays as it is. */
  get lines(): readonly OrderLine[] {
    return todo('Order.lines');
  }

  get subtotal(): Money {
    return todo('Order.subtotal');
  }

  /** What the voucher takes off: never more than there is. */
  get discount(): Money {
    return todo('Order.discount');
  }

  get total(): Money {
    return todo('Order.total');
  }

  /** What each line costs after the discount, in the order of `lines`. The sum is `total`, to the last minor unit. */
  get netPrices(): readonly Money[] {
    return todo('Order.netPrices');
  }

  /** Adds to the line of an equal dish, or begins one. @throws OrderStateError, InvalidValueError, CurrencyMismatchError */
  add(_dish: Dish, _unitPrice: Money, _quantity: number): void {
    todo('Order.add');
  }

  /** @throws UnknownLineError, OrderStateError, InvalidValueError */
  changeQuantity(_dish: Dish, _quantity: number): void {
    todo('Order.changeQuantity');
  }

  /** @throws UnknownLineError, OrderStateError */
  remove(_dish: Dish): void {
    todo('Order.remove');
  }

  /** One voucher at a time: a second replaces the first. @throws OrderStateError, CurrencyMismatchError, InvalidValueError */
  redeem(_voucher: Money): void {
    todo('Order.redeem');
  }

  /** The address may change until the order is paid. @throws OrderStateError, InvalidValueError */
  deliverTo(_address: Address): void {
    todo('Order.deliverTo');
  }

  /** Binding from here on: records `order-placed`. @throws OrderStateError, InvalidValueError without a line. */
  place(): void {
    todo('Order.place');
  }

  /** The customer has been charged: records `order-paid`. @throws OrderStateError unless placed. */
  pay(): void {
    todo('Order.pay');
  }

  /** The customer could not be charged: records `order-declined`. @throws OrderStateError unless placed. */
  decline(): void {
    todo('Order.decline');
  }

  snapshot(): OrderSnapshot {
    return todo('Order.snapshot');
  }
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in domain/order.ts is the task.`);
}
