import { DatabaseError, type Pool } from 'pg';
import { InvalidArgumentError, type PoisonEventError } from './errors.ts';
import type { NewEvent } from './event-store.ts';
import type { Projection, Tx } from './projection.ts';
import { identifier } from './text.ts';
import { exactly, inTransaction } from './transaction.ts';

/** One table of a projection, and how far it has come. */
export interface Build {
  readonly build: number;
  /** Of the code that it is made by. */
  readonly version: number;
  readonly table: string;
  readonly position: bigint;
  /** Why it stands still: the message of the PoisonEventError. */
  readonly paused: string | undefined;
}

type Row = Omit<Build, 'table' | 'paused'> & { readonly paused: string | null };

/**
 * The builds of a projection: one is live, another may be under construction. The checkpoint of each is a row in the
 * database of the read model, so that both are committed together.
 */
export class Builds<E extends NewEvent> {
  readonly #name: string;
  readonly #rows: string;
  readonly #live: string;

  /** @param prefix What the tables' names begin with. @throws InvalidArgumentError */
  constructor(projection: string, prefix: string) {
    if (typeof projection !== 'string' || projection.includes('_')) {
      throw new InvalidArgumentError(
        `The projection ${projection} has a "_", which parts it from the prefix: use a hyphen.`,
      );
    }
    this.#name = projection;
    this.#rows = identifier(`${prefix}_builds`);
    this.#live = identifier(`${prefix}_builds_live`);
    this.table = (build) => identifier(`${prefix}_${projection}_${build}`);
    // The longest one: a name that is too long shows now, and not at the tenth rebuild.
    this.table(2 ** 31 - 1);
  }

  readonly table: (build: number) => string;

  /** Creates what is missing, the first build included. */
  async migrate(pool: Pool, projection: Projection<E>): Promise<void> {
    await inTransaction(pool, async (tx) => {
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('cqrs migrate'), hashtext($1))`, [this.#rows]);
      await tx.query(`
        CREATE TABLE IF NOT EXISTS ${this.#rows} (
          projection text, build int, version int NOT NULL, live boolean NOT NULL,
          position bigint NOT NULL DEFAULT 0, paused text, PRIMARY KEY (projection, build));
        CREATE UNIQUE INDEX IF NOT EXISTS ${this.#live} ON ${this.#rows} (projection) WHERE live`);
      const { rowCount } = await tx.query(`SELECT FROM ${this.#rows} WHERE projection = $1`, [this.#name]);
      if (rowCount === 0) await this.#create(tx, projection, 1, true);
    });
  }

  /** A build as it is now, held by nobody. The live one is what queries are answered from. @throws InvalidArgumentError without it */
  async find(db: Tx, which: 'live'): Promise<Build>;
  async find(db: Tx, which: 'live' | number): Promise<Build | undefined>;
  async find(db: Tx, which: 'live' | number): Promise<Build | undefined> {
    if (which !== 'live') return this.#one(db, 'build = $2', [which]);
    const live = await this.#one(db, 'live', []);
    if (live) return live;
    throw new InvalidArgumentError(`There is no projection ${this.#name} in ${this.#rows}: migrate it.`);
  }

  /**
   * Takes a build for this transaction, unless somebody else has it: of several projectors one works. The lock ends with
   * the transaction whose writes it guards, so nobody can believe to hold it and be wrong. One under construction is waited
   * for: who rebuilds would take "somebody else has it" for its end.
   */
  async claim(tx: Tx, which: 'live' | number, version: number): Promise<Build | undefined> {
    return which === 'live'
      ? this.#one(tx, 'live AND version = $2 FOR UPDATE SKIP LOCKED', [version])
      : this.#one(tx, 'build = $2 AND version = $3 FOR UPDATE', [which, version]);
  }

  async advance(tx: Tx, build: number, position: bigint): Promise<void> {
    await tx.query(`UPDATE ${this.#rows} SET position = $3 WHERE projection = $1 AND build = $2`, [
      this.#name,
      build,
      position,
    ]);
  }

  /**
   * Stops the build that the event is poison to, if it still stands before that event: it may have been applied since, by
   * mended code, or the build be another one's. @returns whether it was stopped by this
   */
  async pause(db: Tx, { build, position, message }: PoisonEventError, version: number): Promise<boolean> {
    // A reason that Postgres can't keep would be a build that is never stopped.
    const reason = message.toWellFormed().replaceAll('\0', '\ufffd');
    const { rowCount } = await db.query(
      `UPDATE ${this.#rows} SET paused = $2
       WHERE projection = $1 AND build = $3 AND version = $4 AND position < $5 AND paused IS NULL`,
      [this.#name, reason, build, version, position],
    );
    return rowCount === 1;
  }

  /** Lets the live build go on. @returns whether it is of that version */
  async resume(db: Tx, version: number): Promise<boolean> {
    const { rowCount } = await db.query(
      `UPDATE ${this.#rows} SET paused = NULL WHERE projection = $1 AND version = $2 AND live`,
      [this.#name, version],
    );
    return rowCount === 1;
  }

  /** The build under construction for this version: the one that a crash left behind, or a new one. */
  async open(pool: Pool, projection: Projection<E>): Promise<number> {
    return inTransaction(pool, async (tx) => {
      await this.serialise(tx);
      const begun = await this.#one(tx, `NOT live AND version = $2 AND ${this.#newer}`, [projection.version]);
      if (begun) return begun.build;
      const { rows } = await tx.query<{ next: number }>(
        `SELECT max(build) + 1 AS next FROM ${this.#rows} WHERE projection = $1`,
        [this.#name],
      );
      const next = rows[0]?.next ?? 1;
      await this.#create(tx, projection, next, false);
      return next;
    });
  }

  /** Only one at a time opens, switches or drops builds. */
  async serialise(tx: Tx): Promise<void> {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtext('cqrs builds'), hashtext($1))`, [this.table(0)]);
  }

  /** Both builds, held until the end of the transaction: no projector moves either. */
  async hold(tx: Tx, build: number): Promise<{ readonly live: Build | undefined; readonly next: Build | undefined }> {
    const live = await this.#one(tx, 'live FOR UPDATE', []);
    const next = await this.#one(tx, 'build = $2 FOR UPDATE', [build]);
    return { live, next };
  }

  /** Postgres knows nothing of a table that was filled just now: without statistics, the first queries pass its index by. */
  async analyze(pool: Pool, build: number): Promise<void> {
    await pool.query(`ANALYZE ${this.table(build)}`).catch((error: unknown) => {
      // Dropped meanwhile, by a rebuild that began later and was faster.
      if (!(error instanceof DatabaseError) || error.code !== '42P01') throw error;
    });
  }

  /** From the commit on, queries and projectors find the other build. */
  async switchTo(tx: Tx, build: number): Promise<void> {
    await tx.query(`UPDATE ${this.#rows} SET live = false WHERE projection = $1 AND live`, [this.#name]);
    await tx.query(`UPDATE ${this.#rows} SET live = true WHERE projection = $1 AND build = $2`, [this.#name, build]);
  }

  /** Drops what was live before. Waits for the queries that still read it. */
  async dropOld(pool: Pool): Promise<void> {
    await inTransaction(pool, async (tx) => {
      await this.serialise(tx);
      const old = `FROM ${this.#rows} WHERE projection = $1 AND NOT live AND NOT ${this.#newer}`;
      const { rows } = await tx.query<{ build: number }>(`SELECT build ${old} FOR UPDATE`, [this.#name]);
      for (const { build } of rows) await tx.query(`DROP TABLE IF EXISTS ${this.table(build)}`);
      // Only now: whoever migrates waits for those who have written here, and all projections wait for him.
      await tx.query(`DELETE ${old}`, [this.#name]);
    });
  }

  get #newer(): string {
    return `build > (SELECT build FROM ${this.#rows} WHERE projection = $1 AND live)`;
  }

  async #create(tx: Tx, projection: Projection<E>, build: number, live: boolean): Promise<void> {
    await projection.create(tx, this.table(build));
    await tx.query(`INSERT INTO ${this.#rows} (projection, build, version, live) VALUES ($1, $2, $3, $4)`, [
      this.#name,
      build,
      projection.version,
      live,
    ]);
  }

  async #one(db: Tx, condition: string, values: readonly unknown[]): Promise<Build | undefined> {
    const text = `SELECT build, version, position, paused FROM ${this.#rows} WHERE projection = $1 AND ${condition}`;
    const { rows } = await db.query<Row>(exactly(text, [this.#name, ...values])).catch((error: unknown) => {
      if (!(error instanceof DatabaseError) || error.code !== '42P01') throw error;
      throw new InvalidArgumentError(`There is no ${this.#rows}: migrate the projection ${this.#name}.`, {
        cause: error,
      });
    });
    const [row] = rows;
    if (!row) return undefined;
    return { ...row, table: this.table(row.build), paused: row.paused ?? undefined };
  }
}
