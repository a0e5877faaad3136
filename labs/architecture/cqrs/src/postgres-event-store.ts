import type { Pool, PoolClient } from 'pg';
import { ConflictError, InvalidArgumentError } from './errors.ts';
import type { Append, Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
import { exactly, identifier, inTransaction } from './transaction.ts';

/** The append-only book of the command side, in Postgres. */
export class PostgresEventStore<E extends NewEvent> implements EventStore<E> {
  protected readonly pool: Pool;
  protected readonly name: string;
  protected readonly events: string;
  protected readonly commands: string;

  /** @param name What the tables' names begin with. Default "orders": `orders_events` and `orders_commands`. */
  constructor(pool: Pool, name = 'orders') {
    this.pool = pool;
    this.name = name;
    this.events = identifier(`${name}_events`);
    this.commands = identifier(`${name}_commands`);
  }

  /** Creates what is missing. Part of your migrations. */
  async migrate(): Promise<void> {
    await inTransaction(this.pool, async (tx) => {
      await this.lockLog(tx);
      await tx.query(`
        CREATE TABLE IF NOT EXISTS ${this.events} (
          position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          stream text NOT NULL, version int NOT NULL, type text NOT NULL, data jsonb NOT NULL,
          at timestamptz NOT NULL DEFAULT clock_timestamp(),
          UNIQUE (stream, version));
        CREATE TABLE IF NOT EXISTS ${this.commands} (id text PRIMARY KEY, position bigint NOT NULL)`);
    });
  }

  /** @throws InvalidArgumentError for no event. @throws ConflictError see EventStore */
  async append(entry: Append<E>): Promise<bigint> {
    if (entry.events.length === 0) throw new InvalidArgumentError(`Command ${entry.commandId} has no event to append.`);
    return inTransaction(this.pool, async (tx) => {
      await this.lockLog(tx);
      const position = await this.insert(tx, entry);
      await this.remember(tx, entry.commandId, position);
      return position;
    });
  }

  async read(stream: string): Promise<Recorded<E>[]> {
    const { rows } = await this.pool.query<Recorded<E>>(
      exactly(
        `SELECT position, stream, version, type, data, at FROM ${this.events} WHERE stream = $1 ORDER BY version`,
        [stream],
      ),
    );
    return rows;
  }

  async readAll(after: bigint, limit: number): Promise<Recorded<E>[]> {
    const { rows } = await this.pool.query<Recorded<E>>(
      exactly(
        `SELECT position, stream, version, type, data, at FROM ${this.events} WHERE position > $1 ORDER BY position LIMIT $2`,
        [after, limit],
      ),
    );
    return rows;
  }

  async positionOf(commandId: string): Promise<bigint | undefined> {
    const { rows } = await this.pool.query<{ position: bigint }>(
      exactly(`SELECT position FROM ${this.commands} WHERE id = $1`, [commandId]),
    );
    return rows[0]?.position;
  }

  async backlog(after: bigint): Promise<Backlog> {
    const { rows } = await this.pool.query<{ events: number; ms: number }>(
      `SELECT count(*)::int AS events, coalesce(extract(epoch FROM clock_timestamp() - min(at)) * 1000, 0)::float8 AS ms
       FROM ${this.events} WHERE position > $1`,
      [after],
    );
    return rows[0] ?? { events: 0, ms: 0 };
  }

  /**
   * Until the end of the transaction nobody else appends. A position is given out at the insert and seen at the commit:
   * without this lock 8 may be committed before 7, a reader that has seen 8 asks for what is beyond 8, and 7 is lost.
   * Under it the order of the positions is the order of the commits.
   *
   * It costs parallel appends. Reading only below the oldest running transaction, by (xid, position), keeps them
   * parallel; but one forgotten transaction anywhere in the cluster halts such a reader, and it meets a stream's second
   * event before its first when the first was written under the younger transaction id.
   */
  protected async lockLog(tx: PoolClient): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`${this.name} log`]);
  }

  /** Writes the events if the stream is where it was when they were decided. */
  protected async insert(tx: PoolClient, { stream, expectedVersion, events }: Append<E>): Promise<bigint> {
    const { rows } = await tx.query<{ position: bigint }>(
      exactly(
        `INSERT INTO ${this.events} (stream, version, type, data)
       SELECT $1, $2::int + n, event->>'type', event->'data' FROM jsonb_array_elements($3) WITH ORDINALITY AS new(event, n)
       WHERE (SELECT coalesce(max(version), 0) FROM ${this.events} WHERE stream = $1) = $2::int
       ORDER BY n RETURNING position`,
        [stream, expectedVersion, JSON.stringify(events)],
      ),
    );
    const last = rows.at(-1);
    if (last) return last.position;
    throw new ConflictError(`${stream} is no longer at version ${expectedVersion}: read it again and decide anew.`);
  }

  /** In the transaction of the events: a command is known exactly if its events are there. */
  protected async remember(tx: PoolClient, commandId: string, position: bigint): Promise<void> {
    const { rowCount } = await tx.query(`INSERT INTO ${this.commands} VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
      commandId,
      position,
    ]);
    if (rowCount === 0) throw new ConflictError(`Command ${commandId} has been carried out already.`);
  }
}
