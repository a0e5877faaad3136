import type { OrderId } from '../../src/domain/ids.ts';
import type { Order } from './order.ts';

export type { CustomerRepository, Menu } from '../../src/domain/ports.ts';
// Given: the port of your orders. The other ports, and the errors of repositories, are in src/domain/ports.ts.
export {
  AlreadyChargedError,
  ConcurrencyError,
  CorruptRecordError,
  NotFoundError,
  RepositoryError,
} from '../../src/domain/ports.ts';

/** As if all orders were in memory. `save` is one transaction, of one aggregate, with its events. */
export interface OrderRepository {
  /** @throws NotFoundError; CorruptRecordError */
  get(id: OrderId): Promise<Order>;
  /** @throws ConcurrencyError when somebody saved it since it was loaded: load it again. Nothing is written then. */
  save(order: Order): Promise<void>;
}
