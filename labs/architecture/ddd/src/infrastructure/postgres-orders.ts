import type { Pool, PoolClient } from 'pg';
import type { OrderEvent } from '../domain/events.ts';
import type { OrderId } from '../domain/ids.ts';
import { Order, type OrderSnapshot } from '../domain/order.ts';
import { ConcurrencyError, NotFoundError, type OrderRepository } from '../domain/ports.ts';
import { insist, restored } from './postgres.ts';

/** Orders in PostgreSQL: `orders`, `order_lines` and `outbox`, written together or not at all. */
export class PostgresOrders implements OrderRepository {
  protected readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  async get(id: OrderId): Promise<Order> {
    // One statement, so that order and lines are of one moment. JSON, so that bigint comes as a number.
    const { rows } = await insist<{ snapshot: OrderSnapshot }>(this.pool, {
      text: `SELECT json_build_object('id', id, 'version', version, 'customerId', customer_id, 'status', status,
         'currency', currency, 'city', city, 'street', street, 'voucher', voucher,
         'lines', coalesce((SELECT json_agg(json_build_object('name', name, 'size', size, 'spiciness', spiciness,
           'unitPrice', unit_price, 'quantity', quantity) ORDER BY position) FROM order_lines WHERE order_id = id), '[]')
       ) AS snapshot FROM orders WHERE id = $1`,
      values: [id],
    });
    const [row] = rows;
    if (!row) throw new NotFoundError('order', id);
    return restored('order', id, () => Order.restore(row.snapshot));
  }

  async save(order: Order): Promise<void> {
    const { events } = order;
    const snapshot = order.snapshot();
    const saved = await this.write(this.pool, snapshot, events);
    if (!saved) throw new ConcurrencyError('Order', snapshot.id, snapshot.version);
    order.committed(events);
  }

  /**
   * Moves the row from the version that was loaded to the next, and with it its lines and events: one statement, which is a
   * transaction by itself. What would be six questions and answers is one, and nobody waits before the row meanwhile.
   *
   * @returns false when the row isn't at that version any more: nothing was written
   */
  protected async write(db: Pool | PoolClient, order: OrderSnapshot, events: readonly OrderEvent[]): Promise<boolean> {
    const { id, version, customerId, status, currency, city, street, voucher, lines } = order;
    const row =
      version === 0
        ? `INSERT INTO orders (id, version, customer_id, status, currency, city, street, voucher)
           VALUES ($1, $2::integer + 1, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`
        : `UPDATE orders SET version = version + 1, customer_id = $3, status = $4, currency = $5, city = $6,
             street = $7, voucher = $8 WHERE id = $1 AND version = $2`;
    const query = {
      name: version === 0 ? 'order-new' : 'order-next',
      text: `
        WITH saved AS (${row} RETURNING id),
        lines AS (
          INSERT INTO order_lines (order_id, position, name, size, spiciness, unit_price, quantity)
          SELECT id, position, line->>'name', line->>'size', line->>'spiciness', (line->>'unitPrice')::bigint,
            (line->>'quantity')::integer
          FROM saved, jsonb_array_elements($9) WITH ORDINALITY AS each (line, position)
          ON CONFLICT (order_id, position) DO UPDATE SET name = excluded.name, size = excluded.size,
            spiciness = excluded.spiciness, unit_price = excluded.unit_price, quantity = excluded.quantity),
        gone AS (
          DELETE FROM order_lines USING saved WHERE order_id = saved.id AND position > jsonb_array_length($9)),
        told AS (
          INSERT INTO outbox (aggregate_id, event)
          SELECT id, event FROM saved, jsonb_array_elements($10) WITH ORDINALITY AS each (event, n) ORDER BY n)
        SELECT FROM saved`,
      values: [
        id,
        version,
        customerId,
        status,
        currency,
        city,
        street,
        voucher,
        JSON.stringify(lines),
        JSON.stringify(events),
      ],
    };
    return (await insist(db, query)).rowCount === 1;
  }
}
