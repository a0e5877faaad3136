import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier, escapeLiteral, Pool, type PoolClient, DatabaseError as Refusal } from 'pg';
import { DatabaseBusyError, DatabaseError, InvalidArgumentError } from './errors.ts';

export interface TestDatabaseOptions {
  /** The beginning of its name: a letter, then letters, digits or _, at most 30. Default `e2e`. */
  readonly prefix?: string;
  /** Milliseconds that `reset` waits for a transaction that somebody has left open. Default 5000. */
  readonly lockTimeoutMs?: number;
}

export interface Kept {
  /** Quoted, with its schema. */
  readonly table: string;
  readonly columns: string;
  readonly copy: string;
}

/** Where a sequence stands. */
export interface Numbers {
  readonly name: string;
  readonly value: string;
  readonly called: boolean;
}

/** The space of our advisory locks: "e2e". */
const SPACE = 0x653265;

/**
 * A database for one worker, as new before each of its tests. The app keeps its connections: rows are put back, the database
 * stays. It is dropped in the end, and whoever creates one with the same prefix drops those of runs that were killed.
 */
export class TestDatabase implements AsyncDisposable {
  readonly url: string;
  readonly name: string;
  protected readonly pool: Pool;
  protected readonly lockTimeoutMs: number;
  /** Where the rows of the snapshot are: a schema that no app looks into. */
  protected readonly copies = 'e2e_snapshot';
  protected readonly kept: Kept[] = [];
  protected numbers: readonly Numbers[] = [];
  readonly #admin: Client;
  #taken = false;
  #ended: Promise<void> | undefined;

  protected constructor(admin: Client, url: string, name: string, lockTimeoutMs: number) {
    this.#admin = admin;
    this.url = url;
    this.name = name;
    this.lockTimeoutMs = lockTimeoutMs;
    this.pool = new Pool({ connectionString: url, max: 1 });
    this.pool.on('error', () => {});
  }

  /**
   * @param adminUrl a Postgres whose user may create databases and set session_replication_role (a superuser may)
   * @throws DatabaseError when it can't be reached or refuses
   */
  static async create(adminUrl: string, o: TestDatabaseOptions = {}): Promise<TestDatabase> {
    const { prefix = 'e2e', lockTimeoutMs = 5000 } = o;
    if (!/^[a-z][a-z0-9_]{0,29}$/.test(prefix)) throw new InvalidArgumentError(`the prefix "${prefix}": like e2e`);
    if (!Number.isSafeInteger(lockTimeoutMs) || lockTimeoutMs < 1)
      throw new InvalidArgumentError(`lockTimeoutMs is ${lockTimeoutMs}: a whole number from 1 on`);
    const address = URL.parse(adminUrl);
    if (!address) throw new InvalidArgumentError('adminUrl is no URL: postgres://user:password@host:port/database');
    const name = `${prefix}_${randomBytes(6).toString('hex')}`;
    const admin = new Client({ connectionString: adminUrl, connectionTimeoutMillis: 5000 });
    admin.on('error', () => {});
    try {
      await admin.connect();
      // Held as long as we live: what nobody holds is a dead run's.
      await admin.query('SELECT pg_advisory_lock($1, hashtext($2))', [SPACE, name]);
      await sweep(admin, prefix);
      await admin.query(`CREATE DATABASE ${escapeIdentifier(name)}`);
    } catch (error) {
      await admin.end().catch(() => {});
      throw told(error, `no database of our own at ${address.host}`);
    }
    address.pathname = `/${name}`;
    return new this(admin, address.href, name, lockTimeoutMs);
  }

  /** From now on each `reset` leads back to the rows of this moment. */
  async snapshot(): Promise<void> {
    await this.alone('the snapshot', (client) => this.keep(client));
    this.#taken = true;
  }

  /**
   * The rows and the sequences are those of the snapshot again, all or none. What the app does meanwhile waits.
   * @throws DatabaseBusyError when somebody holds a table for longer than `lockTimeoutMs`, and says who
   */
  async reset(): Promise<void> {
    if (!this.#taken)
      throw new InvalidArgumentError('reset without a snapshot: take one when the app has its first rows');
    await this.alone('the reset', (client) => this.restore(client));
  }

  protected async keep(client: PoolClient): Promise<void> {
    await client.query(`DROP SCHEMA IF EXISTS ${this.copies} CASCADE; CREATE SCHEMA ${this.copies}`);
    this.kept.length = 0;
    for (const { table, columns } of await this.tables(client)) {
      const copy = `${this.copies}.t${this.kept.length}`;
      await client.query(`CREATE TABLE ${copy} AS SELECT * FROM ONLY ${table}`);
      this.kept.push({ table, columns, copy });
    }
    this.numbers = await this.sequences(client);
  }

  protected async restore(client: PoolClient): Promise<void> {
    // Neither foreign keys nor triggers: the rows come back as they were, in any order.
    await client.query("SET LOCAL session_replication_role = 'replica'");
    const now = await this.tables(client);
    if (now.length > 0)
      await client.query(`TRUNCATE ${now.map(({ table }) => table).join(', ')} RESTART IDENTITY CASCADE`);
    const rows = this.kept.map(
      ({ table, columns, copy }) =>
        `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${copy}`,
    );
    const numbers = this.numbers.map(
      ({ name, value, called }) => `SELECT setval(${escapeLiteral(name)}, ${value}, ${called})`,
    );
    await client.query([...rows, ...numbers].join(';\n') || 'SELECT');
  }

  /** One transaction that waits no longer than it may. */
  protected async alone(what: string, work: (client: PoolClient) => Promise<void>): Promise<void> {
    const client = await this.pool.connect().catch((error: unknown) => Promise.reject(told(error, what)));
    let broken: Error | undefined;
    try {
      await client.query(`BEGIN; SET LOCAL lock_timeout = ${this.lockTimeoutMs}`);
      await work(client);
      await client.query('COMMIT');
    } catch (error) {
      broken = error instanceof Error ? error : new Error(String(error));
      const busy = error instanceof Refusal && (error.code === '55P03' || error.code === '40P01');
      throw busy
        ? new DatabaseBusyError(`${what} waited ${this.lockTimeoutMs} ms for ${await this.holders()}`)
        : told(error, what);
    } finally {
      // A connection whose transaction failed is not used again.
      client.release(broken);
    }
  }

  protected async holders(): Promise<string> {
    const { rows } = await this.#admin.query<{ pid: number; state: string; query: string }>(
      `SELECT pid, state, left(query, 200) AS query FROM pg_stat_activity
        WHERE datname = $1 AND xact_start IS NOT NULL AND application_name <> 'e2e'`,
      [this.name],
    );
    const lines = rows.map(({ pid, state, query }) => `${pid}, ${state}: ${query}`);
    return `a transaction that is still open:\n  ${lines.join('\n  ')}`;
  }

  /** Those that have rows of their own (partitions, not what they are parts of), and the columns that can be written. */
  protected async tables(client: PoolClient): Promise<{ readonly table: string; readonly columns: string }[]> {
    const { rows } = await client.query<{ table: string; columns: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS table,
              coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), '') AS columns
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('information_schema', '${this.copies}')
          AND n.nspname !~ '^pg_' GROUP BY 1 ORDER BY 1`,
    );
    return rows.filter(({ columns }) => columns !== '');
  }

  protected async sequences(client: PoolClient): Promise<Numbers[]> {
    const { rows } = await client.query<{ name: string }>(
      "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relkind = 'S' AND c.relpersistence <> 't'",
    );
    const found: Numbers[] = [];
    for (const { name } of rows) {
      const { rows: state } = await client.query<{ value: string; called: boolean }>(
        `SELECT last_value AS value, is_called AS called FROM ${name}`,
      );
      for (const { value, called } of state) found.push({ name, value, called });
    }
    return found;
  }

  /** Drops it, whoever is still connected. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    await this.pool.end();
    try {
      await this.#admin.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(this.name)} WITH (FORCE)`);
    } finally {
      await this.#admin.end();
    }
  }
}

/** Drops what runs have left that were killed: nobody holds their lock. */
async function sweep(admin: Client, prefix: string): Promise<void> {
  const { rows } = await admin.query<{ name: string }>('SELECT datname AS name FROM pg_database WHERE datname ~ $1', [
    `^${prefix}_[0-9a-f]{12}$`,
  ]);
  for (const { name } of rows) {
    const lock = [SPACE, name];
    const { rows: free } = await admin.query<{ free: boolean }>(
      'SELECT pg_try_advisory_lock($1, hashtext($2)) AS free',
      lock,
    );
    if (!free[0]?.free) continue;
    await admin.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
    await admin.query('SELECT pg_advisory_unlock($1, hashtext($2))', lock);
  }
}

function told(error: unknown, what: string): DatabaseError {
  const advice =
    error instanceof Refusal && error.code === '42501'
      ? '. Its user must be a superuser, or have CREATEDB and GRANT SET ON PARAMETER session_replication_role'
      : '';
  return new DatabaseError(`${what}: ${error instanceof Error ? error.message || error.name : error}${advice}`, {
    cause: error,
  });
}
