import { Address } from '../domain/address.ts';
import { checkout } from '../domain/checkout.ts';
import { Dish, Size, Spiciness } from '../domain/dish.ts';
import { type CustomerId, customerId, type OrderId, orderId } from '../domain/ids.ts';
import { Money } from '../domain/money.ts';
import { Order } from '../domain/order.ts';
import type { CustomerRepository, Menu, OrderRepository } from '../domain/ports.ts';

/** What somebody wants, as he said it: words and numbers that nobody has checked. */
export type OrderRequest = {
  readonly customerId: string;
  readonly city: string;
  readonly street: string;
  /** Minor units of the customer's currency. Default: none. */
  readonly voucher?: number;
  readonly items: readonly {
    readonly name: string;
    readonly size: string;
    readonly spiciness: string;
    readonly quantity: number;
  }[];
};

export type Receipt = {
  readonly orderId: OrderId;
  readonly status: string;
  readonly lines: readonly { readonly dish: string; readonly quantity: number; readonly net: string }[];
  readonly total: string;
};

type Ports = { readonly orders: OrderRepository; readonly customers: CustomerRepository; readonly menu: Menu };

/** The head chef: knows who does what in which order, and no rule. Each method is a use case, and one transaction. */
export class OrderService {
  protected readonly ports: Ports;

  constructor(ports: Ports) {
    this.ports = ports;
  }

  /**
   * An order that has been placed. It is paid once the event has gone round: see `paymentPolicy`.
   *
   * @throws InvalidValueError, UnknownDishError, PaymentError, CurrencyMismatchError: nothing was saved; NotFoundError
   */
  async createOrder(request: OrderRequest): Promise<OrderId> {
    const { orders, customers } = this.ports;
    const customer = await customers.get(customerId(request.customerId));
    const order = await this.#draft(request, customer.id, customer.balance.currency);
    checkout(order, customer);
    await orders.save(order);
    return order.id;
  }

  /** @throws OrderStateError once it is paid; InvalidValueError, NotFoundError, ConcurrencyError */
  async changeAddress(id: string, city: string, street: string): Promise<void> {
    const order = await this.ports.orders.get(orderId(id));
    order.deliverTo(new Address(city, street));
    await this.ports.orders.save(order);
  }

  /** @throws InvalidValueError, NotFoundError */
  async receipt(id: string): Promise<Receipt> {
    const order = await this.ports.orders.get(orderId(id));
    const net = order.netPrices;
    return {
      orderId: order.id,
      status: order.status,
      lines: order.lines.map(({ dish, quantity }, index) => ({ dish: `${dish}`, quantity, net: `${net[index]}` })),
      total: `${order.total}`,
    };
  }

  async #draft(request: OrderRequest, customer: CustomerId, currency: string): Promise<Order> {
    const order = Order.draft(customer, new Address(request.city, request.street), currency);
    for (const { name, size, spiciness, quantity } of request.items) {
      const dish = new Dish(name, Size.of(size), Spiciness.of(spiciness));
      order.add(dish, await this.ports.menu.priceOf(dish), quantity);
    }
    if (request.voucher !== undefined) order.redeem(Money.of(request.voucher, currency));
    return order;
  }
}
