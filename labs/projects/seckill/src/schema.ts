/** The last line: whatever the gate believes, no row makes the stock negative or gives one user two. */
export const SCHEMA = `
-- Several processes may start at once, and IF NOT EXISTS is no lock.
SELECT pg_advisory_xact_lock(hashtext('seckill schema'));
CREATE SEQUENCE IF NOT EXISTS seckill_generations;
CREATE TABLE IF NOT EXISTS seckill_items (
  sku text PRIMARY KEY,
  initial integer NOT NULL,
  stock integer NOT NULL CHECK (stock >= 0 AND stock <= initial),
  starts_at timestamptz NOT NULL,
  generation bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS seckill_orders (
  id text PRIMARY KEY,
  sku text NOT NULL REFERENCES seckill_items,
  buyer text NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'paid', 'cancelled')),
  due timestamptz NOT NULL,
  payment text UNIQUE,
  given_back boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX IF NOT EXISTS seckill_one_each ON seckill_orders (sku, buyer) WHERE state <> 'cancelled';
CREATE INDEX IF NOT EXISTS seckill_due ON seckill_orders (due) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS seckill_owed ON seckill_orders (id) WHERE state = 'cancelled' AND NOT given_back;
CREATE TABLE IF NOT EXISTS seckill_payments (payment text PRIMARY KEY, order_id text NOT NULL);
CREATE TABLE IF NOT EXISTS seckill_refunds (payment text PRIMARY KEY, order_id text NOT NULL);
`;
