import type { Pool, PoolClient } from 'pg';
import type { DomainEvent } from '../domain/events.ts';

/** Creates what is missing, in the first schema of the search path. Part of your migrations. */
export async function migrate(pool: Pool): Promise<void> {
  await pool.query(`
    CREATE TABLE IF NOT EXISTS orders (
      id uuid PRIMARY KEY, version integer NOT NULL, customer_id uuid NOT NULL, status text NOT NULL,
      currency text NOT NULL, city text NOT NULL, street text NOT NULL, voucher bigint NOT NULL CHECK (voucher >= 0));
    CREATE TABLE IF NOT EXISTS order_lines (
      order_id uuid NOT NULL REFERENCES orders, position integer NOT NULL, name text NOT NULL, size text NOT NULL,
      spiciness text NOT NULL, unit_price bigint NOT NULL CHECK (unit_price >= 0),
      quantity integer NOT NULL CHECK (quantity > 0), PRIMARY KEY (order_id, position));
    CREATE TABLE IF NOT EXISTS customers (
      id uuid PRIMARY KEY, version integer NOT NULL, balance bigint NOT NULL CHECK (balance >= 0), currency text NOT NULL);
    CREATE TABLE IF NOT EXISTS charges (order_id uuid PRIMARY KEY, customer_id uuid NOT NULL, outcome text NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aggregate_id uuid NOT NULL, event jsonb NOT NULL,
      recorded_at timestamptz NOT NULL DEFAULT now(), delivered_at timestamptz);
    CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (id) WHERE delivered_at IS NULL`);
}

/** Runs `body` between BEGIN and COMMIT; whatever it throws, it throws after a ROLLBACK. */
export async function transaction<T>(pool: Pool, body: (tx: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await body(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Into the outbox, in the transaction that makes the events true: both are committed, or neither. */
export async function announce(
  tx: Pool | PoolClient,
  aggregateId: string,
  events: readonly DomainEvent[],
): Promise<void> {
  for (const event of events) {
    await tx.query('INSERT INTO outbox (aggregate_id, event) VALUES ($1, $2)', [aggregateId, JSON.stringify(event)]);
  }
}
