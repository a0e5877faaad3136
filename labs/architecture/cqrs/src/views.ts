import type { Item, OrderEvent } from './order.ts';
import type { Projection, Tx } from './projection.ts';

const summary = (items: readonly Item[]) => items.map(({ name, quantity }) => `${name} ×${quantity}`).join(', ');
const status = (value: string) => (tx: Tx, table: string, event: { data: { orderId: string } }) =>
  tx.query(`UPDATE ${table} SET status = '${value}' WHERE order_id = $1`, [event.data.orderId]);

/** The big screen: a row an order, all that is shown in that row, and the index for the one question it is asked. */
export const board: Projection<OrderEvent> = {
  name: 'board',
  version: 1,
  create: (tx, table) =>
    tx.query(`
      CREATE TABLE ${table} (
        order_id text PRIMARY KEY, customer text NOT NULL, items text NOT NULL, status text NOT NULL,
        created_at timestamptz NOT NULL);
      CREATE INDEX ON ${table} (status, created_at DESC)`),
  on: {
    OrderPlaced: (tx, table, { data, at }) =>
      tx.query(`INSERT INTO ${table} VALUES ($1, $2, $3, 'placed', $4)`, [
        data.orderId,
        data.customer,
        summary(data.items),
        at,
      ]),
    ItemsChanged: (tx, table, { data }) =>
      tx.query(`UPDATE ${table} SET items = $2 WHERE order_id = $1`, [data.orderId, summary(data.items)]),
    CookingStarted: status('cooking'),
    OrderReady: status('ready'),
    OrderCollected: status('collected'),
  },
};

/**
 * How many of what have been collected. It adds up, so an event that is applied twice, or not at all, shows. Counted as
 * JavaScript counts, exact to 2^53: an int would be full after one large order, and the driver gives a bigint as a text.
 */
export const sales: Projection<OrderEvent> = {
  name: 'sales',
  version: 1,
  create: (tx, table) => tx.query(`CREATE TABLE ${table} (item text PRIMARY KEY, sold float8 NOT NULL)`),
  on: {
    OrderCollected: (tx, table, { data }) =>
      tx.query(
        `INSERT INTO ${table} AS total SELECT name, sum(quantity) FROM jsonb_to_recordset($1) AS x(name text, quantity int)
         GROUP BY name ORDER BY name ON CONFLICT (item) DO UPDATE SET sold = total.sold + excluded.sold`,
        [JSON.stringify(data.items)],
      ),
  },
};
