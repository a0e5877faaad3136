import { DatabaseError, type Pool } from 'pg';
import { ConflictError, InvalidArgumentError, StoreError } from './errors.ts';
import type { Append, Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
import { GroupCommit } from './group-commit.ts';
import { checkedEvent, checkedJson, checkedText, checkedWhole, identifier } from './text.ts';
import { ask, exactly, inTransaction } from './transaction.ts';

export interface StoreOptions {
  /** Milliseconds to wait for the log's lock; then `append` rejects, and nothing was written. Default 5,000. */
  readonly lockTimeoutMs?: number;
  /**
   * Appends that come in while one is under way wait for it and then go together: one round trip, one lock, one commit for
   * all of them. Each has its own outcome. Default false.
   */
  readonly groupCommit?: boolean;
}

/** An append as it was when it was handed over, as JSON, whatever becomes of its objects. */
type Entry = string;

/** The append-only book of the command side, in Postgres. */
export class PostgresEventStore<E extends NewEvent> implements EventStore<E> {
  protected readonly pool: Pool;
  protected readonly name: string;
  protected readonly events: string;
  protected readonly commands: string;
  protected readonly function: string;
  protected readonly options: Required<StoreOptions>;
  protected readonly group = new GroupCommit<Entry>((entries) => this.write(entries));

  /**
   * @param name What the tables' names begin with. Default "orders": `orders_events` and `orders_commands`.
   * @throws InvalidArgumentError
   */
  constructor(pool: Pool, name = 'orders', { lockTimeoutMs = 5_000, groupCommit = false }: StoreOptions = {}) {
    this.pool = pool;
    this.name = name;
    this.events = identifier(`${name}_events`);
    this.commands = identifier(`${name}_commands`);
    this.function = identifier(`${name}_append`);
    this.options = { lockTimeoutMs: checkedWhole('lockTimeoutMs', lockTimeoutMs, 1), groupCommit };
  }

  /** Creates what is missing, and the append of this version. Part of your migrations. */
  async migrate(): Promise<void> {
    await inTransaction(this.pool, async (tx) => {
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('cqrs migrate'), hashtext($1))`, [this.name]);
      await tx.query(`
        CREATE TABLE IF NOT EXISTS ${this.events} (
          position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          stream text NOT NULL, version int NOT NULL, type text NOT NULL, data jsonb NOT NULL,
          at timestamptz NOT NULL DEFAULT clock_timestamp(),
          UNIQUE (stream, version));
        CREATE TABLE IF NOT EXISTS ${this.commands} (id text PRIMARY KEY, position bigint NOT NULL);
        ${this.appendFunction()}`);
    });
  }

  /**
   * The whole append in the server: the lock is held for as long as the writing takes, and for no answer's way to a client
   * and back. A client that stands still holds nobody up, and one that is gone leaves all or nothing.
   *
   * The lock: a position is given out at the insert and seen at the commit. Without it 8 may be committed before 7, a
   * reader that has seen 8 asks for what is beyond 8, and 7 is lost. Under it the order of the positions is the order of
   * the commits; the price is that appends go one by one.
   *
   * Without it, a reader can stay below the oldest running transaction, by (xid, position). The order of a stream then holds
   * only if each writer locks its stream before its transaction gets an id; and one forgotten transaction anywhere in the
   * cluster halts every reader.
   */
  protected appendFunction(): string {
    return `
      CREATE OR REPLACE FUNCTION ${this.function}(of text, expected int, new jsonb, command text, patience text) RETURNS bigint
      LANGUAGE plpgsql AS $append$
      DECLARE last bigint;
      BEGIN
        PERFORM set_config('lock_timeout', patience, true);
        PERFORM pg_advisory_xact_lock(hashtext('cqrs log'), hashtext('${this.name}'));
        IF (SELECT coalesce(max(version), 0) FROM ${this.events} WHERE stream = of) <> expected
            OR EXISTS (SELECT FROM ${this.commands} WHERE id = command) THEN
          RETURN NULL;
        END IF;
        FOR n IN 1 .. jsonb_array_length(new) LOOP
          INSERT INTO ${this.events} (stream, version, type, data)
          VALUES (of, expected + n, new->(n - 1)->>'type', new->(n - 1)->'data') RETURNING position INTO last;
        END LOOP;
        INSERT INTO ${this.commands} VALUES (command, last);
        RETURN last;
      END $append$`;
  }

  /**
   * @throws InvalidArgumentError for no event, and for what would not come back as it went. @throws ConflictError see EventStore
   * @throws StoreError which tells whether it may have been written
   */
  async append({ stream, expectedVersion, commandId, events }: Append<E>): Promise<bigint> {
    if (events.length === 0) throw new InvalidArgumentError(`Command ${commandId} has no event to append.`);
    const entry = checkedJson('append', {
      stream: checkedText('stream', stream),
      version: checkedWhole('expectedVersion', expectedVersion, 0),
      command: checkedText('command id', commandId),
      events: events.map(checkedEvent),
    });
    const conflict = (cause?: unknown) =>
      new ConflictError(
        `${stream} is no longer at version ${expectedVersion}, or command ${commandId} is known: read it again and decide anew.`,
        { cause },
      );
    try {
      const { groupCommit } = this.options;
      const position = groupCommit ? await this.group.add(entry, entry.length) : (await this.write([entry]))[0];
      if (typeof position === 'bigint') return position;
    } catch (error) {
      throw isOldSnapshot(error) ? conflict(error) : error;
    }
    throw conflict();
  }

  /** One statement for all of them. @returns where each ends, in their order; null for a conflict */
  protected async write(entries: readonly Entry[]): Promise<readonly (bigint | null)[]> {
    const text = `
      SELECT ${this.function}(e->>'stream', (e->>'version')::int, e->'events', e->>'command', $2) AS position
      FROM jsonb_array_elements($1) AS e`;
    const query = exactly(text, [`[${entries.join()}]`, `${this.options.lockTimeoutMs}`], `${this.name}_append`);
    const { rows } = await ask<{ position: bigint | null }>(this.pool, query);
    return rows.map(({ position }) => position);
  }

  async read(stream: string): Promise<Recorded<E>[]> {
    const columns = 'position, stream, version, type, data, at';
    const text = `SELECT ${columns} FROM ${this.events} WHERE stream = $1 ORDER BY version`;
    const { rows } = await ask<Recorded<E>>(
      this.pool,
      exactly(text, [checkedText('stream', stream)], `${this.name}_read`),
    );
    return rows;
  }

  async readAll(after: bigint, limit: number): Promise<Recorded<E>[]> {
    const columns = 'position, stream, version, type, data, at';
    const text = `SELECT ${columns} FROM ${this.events} WHERE position > $1 ORDER BY position LIMIT $2`;
    const { rows } = await ask<Recorded<E>>(this.pool, exactly(text, [after, checkedWhole('limit', limit, 1)]));
    return rows;
  }

  async positionOf(commandId: string): Promise<bigint | undefined> {
    const text = `SELECT position FROM ${this.commands} WHERE id = $1`;
    const query = exactly(text, [checkedText('command id', commandId)], `${this.name}_known`);
    const { rows } = await ask<{ position: bigint }>(this.pool, query);
    return rows[0]?.position;
  }

  async backlog(after: bigint): Promise<Backlog> {
    const { rows } = await ask<{ events: number; ms: number }>(
      this.pool,
      exactly(
        `SELECT count(*)::int AS events, greatest(extract(epoch FROM clock_timestamp() - min(at)) * 1000, 0)::float8 AS ms
         FROM ${this.events} WHERE position > $1`,
        [after],
      ),
    );
    return rows[0] ?? { events: 0, ms: 0 };
  }
}

/**
 * Where `default_transaction_isolation` is not "read committed", the append sees what there was when it began to wait for
 * the lock: not its own look finds the conflict, but the keys of the tables.
 */
const isOldSnapshot = (error: unknown): boolean =>
  error instanceof StoreError && error.cause instanceof DatabaseError && error.cause.code === '23505';
