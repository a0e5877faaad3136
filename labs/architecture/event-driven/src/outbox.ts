import type { Pool, PoolClient } from 'pg';
import type { Envelope } from './event.ts';
import { prune } from './prune.ts';

/** An event that waits to be published, and its place in the outbox. */
export interface Waiting {
  readonly position: bigint;
  readonly event: Envelope;
}

/**
 * Transactional outbox: the event is a row in the same database, written by the same transaction as the change that it
 * tells of. There is no moment at which one of them exists without the other. The rows stay, as the order's story, until
 * they are pruned.
 */
export class Outbox {
  /** Its table's name. */
  readonly name: string;
  protected readonly pool: Pool;
  protected readonly table: string;

  /** @param table Default "outbox". */
  constructor(pool: Pool, table = 'outbox') {
    this.name = table;
    this.pool = pool;
    this.table = identifier(table);
  }

  /** Creates the table where it is missing. Part of your migrations. */
  async migrate(): Promise<void> {
    if (await isMigrated(this.pool, this.table, 'jsonb')) return;
    const index = (name: string) => identifier(`${this.table.slice(1, -1)}_${name}`);
    await this.pool.query(`${MIGRATING}
      CREATE TABLE IF NOT EXISTS ${this.table} (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id uuid NOT NULL UNIQUE,
        key text NOT NULL,
        event jsonb NOT NULL,
        published timestamptz);
      CREATE INDEX IF NOT EXISTS ${index('waiting')} ON ${this.table} (position) WHERE published IS NULL;
      CREATE INDEX IF NOT EXISTS ${index('key')} ON ${this.table} (key, position)`);
  }

  /**
   * Writes the events with the change that they tell of. `tx` is that change's open transaction. Give all its events in
   * one call: two transactions that add the same keys one by one, in different orders, may wait for each other. Each key
   * is a lock until the commit: some thousands are all that PostgreSQL has room for, whoever asks for one
   * (`max_locks_per_transaction`), so write tens of thousands of orders in several transactions.
   */
  async add(tx: PoolClient, ...events: readonly Envelope[]): Promise<void> {
    // Positions are given out at the insert, not at the commit. Under these locks the two orders agree for a key. They are
    // taken in one order, and are the table's own: no other outbox and no relay holds up who writes.
    await tx.query(
      `SELECT pg_advisory_xact_lock($1::regclass::oid::int, hash)
       FROM (SELECT DISTINCT hashtext(key) AS hash FROM unnest($2::text[]) AS key ORDER BY hash) AS keys`,
      [this.table, events.map(({ key }) => key)],
    );
    for (const event of events) {
      await tx.query(`INSERT INTO ${this.table} (id, key, event) VALUES ($1, $2, $3)`, [event.id, event.key, event]);
    }
  }

  /**
   * The oldest that are not published. Asked by the flag, never by `position > last seen`: a smaller position may be
   * committed after a larger one was read, and would be skipped for ever. @param except keys that are left out
   */
  async waiting(db: Pool | PoolClient, limit: number, except: readonly string[] = []): Promise<Waiting[]> {
    const { rows } = await db.query<{ position: string; event: Envelope }>(
      `SELECT position, event FROM ${this.table} WHERE published IS NULL AND key <> ALL ($2) ORDER BY position LIMIT $1`,
      [limit, except],
    );
    return rows.map(({ position, event }) => ({ position: BigInt(position), event }));
  }

  /** Marks them as published. */
  async mark(db: Pool | PoolClient, published: readonly Waiting[]): Promise<void> {
    const positions = published.map(({ position }) => position.toString());
    await db.query(`UPDATE ${this.table} SET published = now() WHERE position = ANY($1::bigint[])`, [positions]);
  }

  /**
   * Deletes what was published longer than `olderThanMs` ago, for `trace` too; never what is not published, however old.
   * Run it now and then. @param batch rows a transaction. Default 1000.
   * @returns how many @throws InvalidArgumentError
   */
  async prune(olderThanMs: number, batch = 1000): Promise<number> {
    return prune(this.pool, this.table, 'published', olderThanMs, batch);
  }

  /** What became of an order: its events, oldest first, each with the event that caused it. */
  async trace(key: string): Promise<Envelope[]> {
    const { rows } = await this.pool.query<{ event: Envelope }>(
      `SELECT event FROM ${this.table} WHERE key = $1 ORDER BY position`,
      [key],
    );
    return rows.map(({ event }) => event);
  }
}

/** "IF NOT EXISTS" is no lock: of two that migrate at once, one would fail. */
export const MIGRATING = "SELECT pg_advisory_xact_lock(hashtextextended('labs event-driven', 0));";

/**
 * Whether the table is there, with events of that type. "IF NOT EXISTS" locks it to say so: it waits for an import, or for a
 * backup, and whoever comes to write waits behind it.
 */
export async function isMigrated(pool: Pool, table: string, type: 'json' | 'jsonb'): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(current_schema()) || '.' || $1::text)
       AND attname = 'event' AND atttypid = $2::text::regtype`,
    [table, type],
  );
  return rowCount === 1;
}

export const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;
