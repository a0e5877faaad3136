import type { Pool } from 'pg';
import type { OrderId } from '../../src/domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { OrderRepository } from '../domain/ports.ts';

/**
 * Orders in PostgreSQL: `orders`, `order_lines` and `outbox`, written together or not at all. The tables are in
 * src/infrastructure/postgres.ts, and so are `inOneTransaction`, `announce` and `restored`.
 */
export class PostgresOrders implements OrderRepository {
  protected readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** @throws NotFoundError; CorruptRecordError when the row breaks a rule. */
  get(_id: OrderId): Promise<Order> {
    return todo('get');
  }

  /**
   * One transaction: the row moves from the version that was loaded to the next, its lines, its events into the outbox.
   * Then, and only then, `order.committed(events)`. @throws ConcurrencyError when the row is at another version.
   */
  save(_order: Order): Promise<void> {
    return todo('save');
  }
}

async function todo(what: string): Promise<never> {
  throw new Error(`${what} is not written yet: its comment in infrastructure/postgres-orders.ts is the task.`);
}
