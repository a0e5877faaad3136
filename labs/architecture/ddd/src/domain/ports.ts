import type { Customer } from './customer.ts';
import type { Dish } from './dish.ts';
import type { CustomerId, OrderId } from './ids.ts';
import type { Money } from './money.ts';
import type { Order } from './order.ts';

// What the domain needs of the world, in its own words. The infrastructure fits itself to these.

/** As if all orders were in memory. `save` is one transaction, of one aggregate, with its events. */
export interface OrderRepository {
  /** @throws NotFoundError */
  get(id: OrderId): Promise<Order>;
  /** @throws ConcurrencyError when somebody saved it since it was loaded: load it again. Nothing is written then. */
  save(order: Order): Promise<void>;
}

export interface CustomerRepository {
  /** @throws NotFoundError */
  get(id: CustomerId): Promise<Customer>;
  /** @throws ConcurrencyError as above; AlreadyChargedError when an order would be charged a second time. */
  save(customer: Customer): Promise<void>;
}

export interface Menu {
  /** @throws UnknownDishError */
  priceOf(dish: Dish): Promise<Money>;
}

/** A repository could not do what it was asked for; not a rule of the restaurant, and worth another try or a 404. */
export abstract class RepositoryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

export class NotFoundError extends RepositoryError {
  constructor(what: string, id: string) {
    super(`There is no ${what} ${id}.`);
  }
}

export class ConcurrencyError extends RepositoryError {
  constructor(what: string, id: string, version: number) {
    super(`${what} ${id} is no longer at version ${version}: load it again and repeat the change.`);
  }
}

export class AlreadyChargedError extends RepositoryError {
  constructor(id: string) {
    super(`Order ${id} has been charged or refused before: the first outcome stands.`);
  }
}
