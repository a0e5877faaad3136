import type { Customer } from './customer.ts';
import type { Dish } from './dish.ts';
import type { DomainError } from './errors.ts';
import type { CustomerId, OrderId } from './ids.ts';
import type { Money } from './money.ts';
import type { Order } from './order.ts';

// What the domain needs of the world, in its own words. The infrastructure fits itself to these.

/** As if all orders were in memory. `save` is one transaction, of one aggregate, with its events. */
export interface OrderRepository {
  /** @throws NotFoundError; CorruptRecordError */
  get(id: OrderId): Promise<Order>;
  /** @throws ConcurrencyError when somebody saved it since it was loaded: load it again. Nothing is written then. */
  save(order: Order): Promise<void>;
}

export interface CustomerRepository {
  /** @throws NotFoundError; CorruptRecordError */
  get(id: CustomerId): Promise<Customer>;
  /** @throws ConcurrencyError as above; AlreadyChargedError when an order would be charged a second time. */
  save(customer: Customer): Promise<void>;
}

export interface Menu {
  /** @throws UnknownDishError */
  priceOf(dish: Dish): Promise<Money>;
}

/** A repository could not do what it was asked for; not a rule of the restaurant. */
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

/** What is stored breaks a rule: somebody wrote past the domain. A fault of ours, which no request is to blame for. */
export class CorruptRecordError extends RepositoryError {
  constructor(what: string, id: string, cause: DomainError) {
    super(`The stored ${what} ${id} breaks a rule (${cause.message}): find out who wrote it, and mend the row.`);
    this.cause = cause;
  }
}

export class AlreadyChargedError extends RepositoryError {
  constructor(id: string) {
    super(`Order ${id} has been charged or refused before: the first outcome stands.`);
  }
}
