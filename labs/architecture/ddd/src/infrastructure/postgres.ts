import { DatabaseError, type Pool, type PoolClient, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg';
import { DomainError } from '../domain/errors.ts';
import type { DomainEvent } from '../domain/events.ts';
import { CorruptRecordError } from '../domain/ports.ts';

/** Creates what is missing, in the first schema of the search path; one instance after the other. Part of your migrations. */
export async function migrate(pool: Pool): Promise<void> {
  // One query is one transaction, which holds the lock to its end: IF NOT EXISTS alone is no help against a twin.
  await pool.query(`
    SELECT pg_advisory_xact_lock(hashtext('ddd migrate'));
    CREATE TABLE IF NOT EXISTS orders (
      id uuid PRIMARY KEY, version integer NOT NULL CHECK (version > 0), customer_id uuid NOT NULL, status text NOT NULL,
      currency text NOT NULL, city text NOT NULL, street text NOT NULL, voucher bigint NOT NULL CHECK (voucher >= 0));
    CREATE TABLE IF NOT EXISTS order_lines (
      order_id uuid NOT NULL REFERENCES orders, position integer NOT NULL, name text NOT NULL, size text NOT NULL,
      spiciness text NOT NULL, unit_price bigint NOT NULL CHECK (unit_price >= 0),
      quantity integer NOT NULL CHECK (quantity > 0), PRIMARY KEY (order_id, position));
    CREATE TABLE IF NOT EXISTS customers (
      id uuid PRIMARY KEY, version integer NOT NULL CHECK (version > 0), balance bigint NOT NULL CHECK (balance >= 0),
      currency text NOT NULL);
    CREATE TABLE IF NOT EXISTS charges (order_id uuid PRIMARY KEY, customer_id uuid NOT NULL, outcome text NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aggregate_id uuid NOT NULL, event jsonb NOT NULL,
      recorded_at timestamptz NOT NULL DEFAULT now(), delivered_at timestamptz);
    CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (id) WHERE delivered_at IS NULL`);
}

/**
 * Lends a connection of the pool. One that is lost fails the next query; the pool listens for that only while nobody has
 * the connection, and an 'error' that nobody listens for ends the process. `spoil`: don't use this connection again.
 */
export async function borrow<T>(
  pool: Pool,
  body: (client: PoolClient, spoil: (cause: Error) => void) => Promise<T>,
): Promise<T> {
  let broken: Error | undefined;
  const spoil = (cause: Error) => {
    broken = cause;
  };
  // By callback: the connection's end can come in one packet with its greeting, before a promise tells of either.
  const client = await new Promise<PoolClient>((resolve, reject) => {
    pool.connect((error, lent) => (lent ? resolve(lent.on('error', spoil)) : reject(error)));
  });
  try {
    return await body(client, spoil);
  } finally {
    client.off('error', spoil);
    client.release(broken);
  }
}

/**
 * Runs `body` between BEGIN and COMMIT; whatever it throws, it throws after a ROLLBACK. One statement after the other: of
 * two in a `Promise.all` where one fails, the other may come after the ROLLBACK, and is kept. Read committed, whatever the
 * database's default is: who has waited for a row sees what was done meanwhile.
 */
export function inOneTransaction<T>(pool: Pool, body: (tx: PoolClient) => Promise<T>): Promise<T> {
  return borrow(pool, async (tx, spoil) => {
    try {
      await tx.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      const result = await body(tx);
      await tx.query('COMMIT');
      return result;
    } catch (error) {
      await tx.query('ROLLBACK').catch(spoil);
      throw error;
    }
  });
}

/**
 * The answer to one statement, which is a transaction by itself. Where the database's default is not "read committed",
 * Postgres refuses whoever has waited for a row, or only met others on the way, readers too. Nothing was done then: asked
 * again, the row itself says how it is now.
 */
export async function insist<Row extends QueryResultRow>(
  db: Pool | PoolClient,
  query: QueryConfig,
): Promise<QueryResult<Row>> {
  for (;;) {
    try {
      return await db.query<Row>(query);
    } catch (error) {
      if (!(error instanceof DatabaseError && error.code === '40001')) throw error;
    }
  }
}

/** What `restore` makes of a row. @throws CorruptRecordError when the row breaks a rule of the domain. */
export function restored<T>(what: string, id: string, restore: () => T): T {
  try {
    return restore();
  } catch (error) {
    throw error instanceof DomainError ? new CorruptRecordError(what, id, error) : error;
  }
}

/** Into the outbox, in the transaction that makes the events true: both are committed, or neither. */
export async function announce(
  tx: Pool | PoolClient,
  aggregateId: string,
  events: readonly DomainEvent[],
): Promise<void> {
  if (events.length === 0) return;
  await tx.query(
    'INSERT INTO outbox (aggregate_id, event) SELECT $1, event FROM jsonb_array_elements($2) WITH ORDINALITY AS told (event, n) ORDER BY n',
    [aggregateId, JSON.stringify(events)],
  );
}
