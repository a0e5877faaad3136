import { Address } from './address.ts';
import { Aggregate } from './aggregate.ts';
import { Dish, Size, Spiciness } from './dish.ts';
import { InvalidValueError, OrderStateError, UnknownLineError } from './errors.ts';
import type { OrderEvent } from './events.ts';
import { type CustomerId, customerId, type OrderId, orderId } from './ids.ts';
import { Money } from './money.ts';

/** draft → placed → paid, or declined when the customer could not be charged. */
const statuses = ['draft', 'placed', 'paid', 'declined'] as const;
export type OrderStatus = (typeof statuses)[number];

/** A line as the world sees it: a frozen value. The order replaces lines, and nobody else can. */
export type OrderLine = { readonly dish: Dish; readonly unitPrice: Money; readonly quantity: number };

/** An order as plain data, for a repository. Amounts in minor units of `currency`. */
export type OrderSnapshot = {
  readonly id: string;
  readonly version: number;
  readonly customerId: string;
  readonly status: OrderStatus;
  readonly currency: string;
  readonly city: string;
  readonly street: string;
  readonly voucher: number;
  readonly lines: readonly {
    readonly name: string;
    readonly size: string;
    readonly spiciness: string;
    readonly unitPrice: number;
    readonly quantity: number;
  }[];
};

/**
 * The aggregate: the only door to its lines. It refers to the customer by id, since the customer is an aggregate of his own.
 *
 * Invariants: lines and voucher change while it is a draft only · a dish has one line, of 1 to 20 · all amounts are in
 * one currency · 0 ≤ total = subtotal − discount, where a voucher never takes off more than there is · a placed order has
 * a line. Each method keeps all of them or throws a `DomainError` and changes nothing.
 */
export class Order extends Aggregate<OrderEvent> {
  declare readonly id: OrderId;
  readonly #customerId: CustomerId;
  #status: OrderStatus;
  #address: Address;
  #lines: readonly OrderLine[] = [];
  #voucher: Money;

  protected constructor(snapshot: OrderSnapshot) {
    // String: `undefined`, as of a column by another name, would be the wish for a new id.
    super(orderId(String(snapshot.id)), snapshot.version);
    this.#customerId = customerId(String(snapshot.customerId));
    if (!statuses.includes(snapshot.status)) {
      throw new InvalidValueError('Status', snapshot.status, `one of ${statuses.join(', ')}`);
    }
    this.#status = snapshot.status;
    this.#address = new Address(snapshot.city, snapshot.street);
    this.#voucher = Money.of(snapshot.voucher, snapshot.currency);
    for (const { name, size, spiciness, unitPrice, quantity } of snapshot.lines) {
      const dish = new Dish(name, Size.of(size), Spiciness.of(spiciness));
      if (this.#find(dish)) throw new InvalidValueError('Dish', String(dish), 'one line for a dish');
      this.#replace([...this.#lines, this.#line(dish, Money.of(unitPrice, snapshot.currency), quantity)]);
    }
    if (this.#status !== 'draft') this.#mustHaveLines();
  }

  /** An empty order. `id` defaults to a new one. @throws InvalidValueError on an unknown currency. */
  static draft(customer: CustomerId, { city, street }: Address, currency: string, id: OrderId = orderId()): Order {
    const empty = { version: 0, status: 'draft', voucher: 0, lines: [] } as const;
    return new this({ ...empty, id, customerId: customer, currency, city, street });
  }

  /** What a repository has stored, checked like everything else. @throws InvalidValueError when it breaks a rule. */
  static restore(snapshot: OrderSnapshot): Order {
    return new this(snapshot);
  }

  get customerId(): CustomerId {
    return this.#customerId;
  }

  get status(): OrderStatus {
    return this.#status;
  }

  get address(): Address {
    return this.#address;
  }

  get lines(): readonly OrderLine[] {
    return this.view(this.#lines);
  }

  get subtotal(): Money {
    return this.#sum(this.#lines);
  }

  /** What the voucher takes off: never more than there is. */
  get discount(): Money {
    return this.#voucher.min(this.subtotal);
  }

  get total(): Money {
    return this.subtotal.subtract(this.discount);
  }

  /** What each line costs after the discount, in the order of `lines`. The sum is `total`, to the last minor unit. */
  get netPrices(): readonly Money[] {
    const subtotals = this.#lines.map(({ unitPrice, quantity }) => unitPrice.times(quantity));
    return this.subtotal.minor === 0 ? subtotals : this.total.allocate(subtotals.map(({ minor }) => minor));
  }

  /** Adds to the line of an equal dish, or begins one. @throws OrderStateError, InvalidValueError, CurrencyMismatchError */
  add(dish: Dish, unitPrice: Money, quantity: number): void {
    this.mustBeDraft('add a dish');
    const asked = this.#line(dish, unitPrice, quantity);
    const there = this.#find(dish);
    if (there && !there.unitPrice.equals(unitPrice)) {
      throw new InvalidValueError('Price', unitPrice, `${dish} is in the order for ${there.unitPrice} already`);
    }
    const sum = there && this.#line(dish, unitPrice, there.quantity + quantity);
    this.#replace(sum ? this.#lines.map((line) => (line === there ? sum : line)) : [...this.#lines, asked]);
  }

  /** @throws UnknownLineError, OrderStateError, InvalidValueError */
  changeQuantity(dish: Dish, quantity: number): void {
    this.mustBeDraft('change a quantity');
    const line = this.#lineOf(dish);
    const changed = this.#line(dish, line.unitPrice, quantity);
    this.#replace(this.#lines.map((each) => (each === line ? changed : each)));
  }

  /** @throws UnknownLineError, OrderStateError */
  remove(dish: Dish): void {
    this.mustBeDraft('remove a dish');
    const line = this.#lineOf(dish);
    this.#replace(this.#lines.filter((each) => each !== line));
  }

  /** One voucher at a time: a second replaces the first. @throws OrderStateError, CurrencyMismatchError, InvalidValueError */
  redeem(voucher: Money): void {
    this.mustBeDraft('redeem a voucher');
    this.subtotal.min(voucher); // a foreign currency is refused here
    this.#voucher = voucher;
  }

  /** The address may change until the order is paid. @throws OrderStateError, InvalidValueError */
  deliverTo(address: Address): void {
    if (this.#status !== 'draft' && this.#status !== 'placed') {
      throw new OrderStateError(this.id, this.#status, 'change the address');
    }
    if (!(address instanceof Address)) throw new InvalidValueError('Address', address, 'one that was made by Address');
    this.#address = address;
  }

  /** Binding from here on. @throws OrderStateError, InvalidValueError without a line. */
  place(): void {
    this.mustBeDraft('place it');
    this.#mustHaveLines();
    this.#status = 'placed';
    const { minor, currency } = this.total;
    this.record({ type: 'order-placed', orderId: this.id, customerId: this.customerId, total: { minor, currency } });
  }

  /** The customer has been charged. @throws OrderStateError unless placed. */
  pay(): void {
    this.#settle('paid', 'pay it');
    const dishes = this.#lines.map(({ dish, quantity }) => ({ ...words(dish), quantity }));
    this.record({ type: 'order-paid', orderId: this.id, dishes });
  }

  /** The customer could not be charged. @throws OrderStateError unless placed. */
  decline(): void {
    this.#settle('declined', 'decline it');
    this.record({ type: 'order-declined', orderId: this.id });
  }

  snapshot(): OrderSnapshot {
    return {
      id: this.id,
      version: this.version,
      customerId: this.customerId,
      status: this.#status,
      currency: this.#voucher.currency,
      city: this.#address.city,
      street: this.#address.street,
      voucher: this.#voucher.minor,
      lines: this.#lines.map(({ dish, unitPrice, quantity }) => ({
        ...words(dish),
        unitPrice: unitPrice.minor,
        quantity,
      })),
    };
  }

  /** What leaves the aggregate is a copy, and frozen: whoever holds it holds no part of the order. */
  protected view(lines: readonly OrderLine[]): readonly OrderLine[] {
    return Object.freeze([...lines]);
  }

  protected mustBeDraft(action: string): void {
    if (this.#status !== 'draft') throw new OrderStateError(this.id, this.#status, action);
  }

  protected mustBeServable(quantity: number): void {
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > 20) {
      throw new InvalidValueError('Quantity', quantity, 'a whole number from 1 to 20');
    }
  }

  #mustHaveLines(): void {
    if (this.#lines.length === 0) throw new InvalidValueError('Order', this.id, 'at least one dish');
  }

  #line(dish: Dish, unitPrice: Money, quantity: number): OrderLine {
    this.mustBeServable(quantity);
    // What only looks like a value could change later.
    if (!(dish instanceof Dish)) throw new InvalidValueError('Dish', dish, 'one that was made by Dish');
    if (!(unitPrice instanceof Money)) throw new InvalidValueError('Price', unitPrice, 'one that was made by Money');
    return Object.freeze({ dish, unitPrice, quantity });
  }

  #find(dish: Dish): OrderLine | undefined {
    return this.#lines.find((line) => line.dish.equals(dish));
  }

  #lineOf(dish: Dish): OrderLine {
    const line = this.#find(dish);
    if (!line) throw new UnknownLineError(this.id, String(dish));
    return line;
  }

  /** Summed before it is kept, so that a foreign currency or a sum beyond all bounds changes nothing. */
  #replace(lines: readonly OrderLine[]): void {
    this.#sum(lines);
    this.#lines = lines;
  }

  #sum(lines: readonly OrderLine[]): Money {
    const nothing = Money.of(0, this.#voucher.currency);
    return lines.reduce((sum, { unitPrice, quantity }) => sum.add(unitPrice.times(quantity)), nothing);
  }

  #settle(status: 'paid' | 'declined', action: string): void {
    if (this.#status !== 'placed') throw new OrderStateError(this.id, this.#status, action);
    this.#status = status;
  }
}

const words = ({ name, size, spiciness }: Dish) => ({ name, size: size.name, spiciness: spiciness.name });
