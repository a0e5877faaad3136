// What the demo and the benchmark measure against: the shop before it had two books.
import type { Pool } from 'pg';
import type { Item } from '#lab';

/** The board's question, to its own table. */
export const LATEST = "SELECT * FROM TABLE WHERE status = 'placed' ORDER BY created_at DESC LIMIT 20";

/** One normalised model that is written to and asked. */
export class OneBook {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Opens a book with so many orders in it. */
  async open(orders: number): Promise<void> {
    await this.#pool.query(`
      CREATE TABLE book_orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL);
      CREATE TABLE book_lines (order_id bigint NOT NULL, name text NOT NULL, quantity int NOT NULL, PRIMARY KEY (order_id, name));
      CREATE TABLE book_steps (order_id bigint NOT NULL, status text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (order_id, status));
      INSERT INTO book_orders (customer) SELECT 'Li' FROM generate_series(1, ${orders});
      INSERT INTO book_lines SELECT id, name, 1 FROM book_orders, (VALUES ('cheeseburger'), ('fries')) AS menu(name);
      INSERT INTO book_steps (order_id, status) SELECT id, 'placed' FROM book_orders;
      ANALYZE book_orders; ANALYZE book_lines; ANALYZE book_steps`);
  }

  async place(items: readonly Item[]): Promise<void> {
    await this.#pool.query(
      `WITH placed AS (INSERT INTO book_orders (customer) VALUES ('Li') RETURNING id),
            step AS (INSERT INTO book_steps (order_id, status) SELECT id, 'placed' FROM placed)
       INSERT INTO book_lines SELECT id, name, quantity FROM placed, jsonb_to_recordset($1) AS x(name text, quantity int)`,
      [JSON.stringify(items)],
    );
  }

  /** The latest open orders: an order's status is its latest step. */
  async board(): Promise<number> {
    const { rowCount } = await this.#pool.query(`
      SELECT o.id, o.customer, string_agg(l.name || ' ×' || l.quantity, ', ') AS items, min(s.at) AS created_at,
        (array_agg(s.status ORDER BY s.at DESC))[1] AS status
      FROM book_orders o JOIN book_lines l ON l.order_id = o.id JOIN book_steps s ON s.order_id = o.id
      GROUP BY o.id HAVING (array_agg(s.status ORDER BY s.at DESC))[1] = 'placed' ORDER BY created_at DESC LIMIT 20`);
    return rowCount ?? 0;
  }
}

/** An event log with so many orders in it, one event each, without asking anybody. `NAME_events` must exist. */
export async function fill(pool: Pool, name: string, orders: number): Promise<void> {
  await pool.query(`
    INSERT INTO ${name}_events (stream, version, type, data)
    SELECT 'order-old' || n, 1, 'OrderPlaced', jsonb_build_object('orderId', 'old' || n, 'customer', 'Li', 'items',
      '[{"name":"cheeseburger","quantity":1},{"name":"fries","quantity":1}]'::jsonb)
    FROM generate_series((SELECT count(*) + 1 FROM ${name}_events), (SELECT count(*) FROM ${name}_events) + ${orders}) AS n;
    ANALYZE ${name}_events`);
}
