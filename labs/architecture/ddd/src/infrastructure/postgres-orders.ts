import type { Pool, PoolClient } from 'pg';
import type { OrderId } from '../domain/ids.ts';
import { Order, type OrderSnapshot } from '../domain/order.ts';
import { ConcurrencyError, NotFoundError, type OrderRepository } from '../domain/ports.ts';
import { announce, inOneTransaction, restored } from './postgres.ts';

/** Orders in PostgreSQL: `orders`, `order_lines` and `outbox`, written together or not at all. */
export class PostgresOrders implements OrderRepository {
  protected readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  async get(id: OrderId): Promise<Order> {
    // One statement, so that order and lines are of one moment. JSON, so that bigint comes as a number.
    const { rows } = await this.pool.query<{ snapshot: OrderSnapshot }>(
      `SELECT json_build_object('id', id, 'version', version, 'customerId', customer_id, 'status', status,
         'currency', currency, 'city', city, 'street', street, 'voucher', voucher,
         'lines', coalesce((SELECT json_agg(json_build_object('name', name, 'size', size, 'spiciness', spiciness,
           'unitPrice', unit_price, 'quantity', quantity) ORDER BY position) FROM order_lines WHERE order_id = id), '[]')
       ) AS snapshot FROM orders WHERE id = $1`,
      [id],
    );
    const [row] = rows;
    if (!row) throw new NotFoundError('order', id);
    return restored('order', id, () => Order.restore(row.snapshot));
  }

  async save(order: Order): Promise<void> {
    const { events } = order;
    const snapshot = order.snapshot();
    await inOneTransaction(this.pool, async (tx) => {
      const claimed = await this.claim(tx, snapshot);
      if (!claimed) throw new ConcurrencyError('Order', snapshot.id, snapshot.version);
      await this.writeLines(tx, snapshot);
      await announce(tx, snapshot.id, events);
    });
    order.committed(events);
  }

  /** Moves the row from the version that was loaded to the next; false when it isn't at that version any more. */
  protected async claim(tx: PoolClient, order: OrderSnapshot): Promise<boolean> {
    const { id, version, customerId, status, currency, city, street, voucher } = order;
    const { rowCount } = await tx.query(
      version === 0
        ? `INSERT INTO orders (id, version, customer_id, status, currency, city, street, voucher)
           VALUES ($1, $2::integer + 1, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`
        : `UPDATE orders SET version = version + 1, customer_id = $3, status = $4, currency = $5, city = $6,
             street = $7, voucher = $8 WHERE id = $1 AND version = $2`,
      [id, version, customerId, status, currency, city, street, voucher],
    );
    return rowCount === 1;
  }

  protected async writeLines(tx: PoolClient, { id, lines }: OrderSnapshot): Promise<void> {
    await tx.query('DELETE FROM order_lines WHERE order_id = $1', [id]);
    await tx.query(
      `INSERT INTO order_lines (order_id, position, name, size, spiciness, unit_price, quantity)
       SELECT $1, position, line->>'name', line->>'size', line->>'spiciness', (line->>'unitPrice')::bigint,
         (line->>'quantity')::integer FROM jsonb_array_elements($2) WITH ORDINALITY AS each (line, position)`,
      [id, JSON.stringify(lines)],
    );
  }
}
