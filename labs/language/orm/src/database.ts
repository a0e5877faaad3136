import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool, type PoolClient } from 'pg';
import {
  ConnectionError,
  InvalidQueryError,
  PoolTimeoutError,
  SerializationError,
  TransactionError,
  translate,
} from './errors.ts';
import type { Row } from './load.ts';
import { type Batch, callSite, type RepeatedLoad, warn } from './stored.ts';

export interface DatabaseOptions {
  readonly connectionString: string;
  /** Connections at most. Default 10. */
  readonly max?: number;
  /** How long to wait for a connection, in milliseconds. Default 5,000. */
  readonly waitMs?: number;
  /** Told when a relation is loaded one by one, on ten objects of one query. Default: a process warning. */
  readonly onRepeatedLoad?: (load: RepeatedLoad) => void;
}

export interface TransactionOptions {
  /** Default: the server's, which is read committed unless somebody changed it. */
  readonly isolation?: (typeof LEVELS)[number];
  /** How often to run the body again after a SerializationError. Default 0: a body may have effects elsewhere. */
  readonly retries?: number;
}

export interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
}
export interface Result {
  readonly rows: readonly Row[];
  /** Rows returned, or changed. */
  readonly count: number;
  /** What Postgres says that it did: `COMMIT` may have become `ROLLBACK`. */
  readonly command: string;
}

/** One open transaction, or one savepoint in it. */
export interface Frame {
  readonly client: PoolClient;
  /** The transaction or savepoint around this savepoint. */
  readonly outer: Frame | undefined;
  readonly depth: number;
  readonly afterCommit: (() => unknown)[];
  ended: boolean;
  /** A savepoint is open above it. */
  covered: boolean;
}

/**
 * A pool of connections, and transactions that find their own way: inside of `transaction(body)` every query of this
 * database goes to the transaction's connection, however deep in the calls it is made.
 */
export class Database implements AsyncDisposable {
  protected readonly pool: Pool;
  /** The transaction around a call, wherever the call is made from. */
  protected readonly frames = new AsyncLocalStorage<Frame>();
  readonly #listeners = new Set<(statement: Statement) => void>();
  readonly #options: DatabaseOptions;
  readonly #broken = new WeakSet<PoolClient>();

  constructor(options: DatabaseOptions) {
    const { connectionString, max = 10, waitMs = 5_000 } = options;
    this.#options = options;
    this.pool = new Pool({ connectionString, max, connectionTimeoutMillis: waitMs });
    // A connection that breaks fails its statement, and is replaced. Without listeners it would end the process too.
    this.pool.on('error', () => {});
    this.pool.on('connect', (client) => void client.on('error', () => {}));
  }

  /** Connections: open, idle of these, and callers that wait for one. */
  get stats(): { readonly total: number; readonly idle: number; readonly waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.pool;
    return { total: totalCount, idle: idleCount, waiting: waitingCount };
  }

  /** Tells `listener` of each statement, after it, to the end of its block. One that throws fails no statement. */
  onQuery(listener: (statement: Statement) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Counts a load of one relation on one object of a batch. */
  noteLoad(batch: Batch, relation: string): void {
    const count = (batch.loads.get(relation) ?? 0) + 1;
    batch.loads.set(relation, count);
    if (count !== 10) return;
    (this.#options.onRepeatedLoad ?? warn)({ relation, of: batch.size, at: callSite() });
  }

  /**
   * One statement, rows as arrays; in the transaction that is open around the call, if there is one.
   * @throws QueryError and those that extend it; ConnectionError; PoolTimeoutError; TransactionError: see `assertOpen`.
   */
  async query(sql: string, params: readonly unknown[] = []): Promise<Result> {
    const frame = this.frames.getStore();
    if (!frame) return this.withClient((client) => this.send(client, sql, params));
    this.assertOpen(frame);
    return this.send(frame.client, sql, params);
  }

  /** Your own SQL, where this ORM's ends: a tagged template, of which every value becomes a parameter. */
  async sql(text: TemplateStringsArray, ...values: readonly unknown[]): Promise<readonly Row[]> {
    const sql = text.reduce((before, part, index) => `${before}$${index}${part}`);
    return (await this.query(sql, values)).rows;
  }

  protected async send(client: PoolClient, sql: string, params: readonly unknown[] = []): Promise<Result> {
    try {
      const query = { text: sql, values: [...params], rowMode: 'array' } as const;
      const { rows, rowCount, command } = await client.query<unknown[]>(query);
      return { rows, count: rowCount ?? 0, command };
    } catch (error) {
      const translated = translate(error, sql);
      // It must not be the next borrower who learns that nobody is at the other end.
      if (translated instanceof ConnectionError) this.#broken.add(client);
      throw translated;
    } finally {
      for (const listener of this.#listeners) {
        try {
          listener({ sql, params });
        } catch (error) {
          process.emitWarning(`A listener of onQuery failed: ${error}`);
        }
      }
    }
  }

  /**
   * Runs `body` in a transaction: committed when it returns, rolled back when it throws. Inside of another one it is a
   * savepoint: what it rolls back is its own. One at a time: a connection does one thing after the other.
   * @throws what the body throws; SerializationError after the last of `retries`; TransactionError when the COMMIT became
   *   a ROLLBACK, because the body has swallowed the error of a statement.
   */
  async transaction<T>(body: () => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const outer = this.frames.getStore();
    if (outer) return this.#savepoint(outer, body, options);
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#outermost(body, options).catch((error: unknown) => {
        if (!(error instanceof SerializationError) || !(attempt < (options.retries ?? 0))) throw error;
      });
      if (outcome) {
        await runHooks(outcome.hooks);
        return outcome.result;
      }
      await delay(Math.random() * 20 * 2 ** Math.min(attempt, 6));
    }
  }

  /** Runs `hook` after the outermost COMMIT, in order; at once where no transaction is open; never after a rollback. */
  async onCommit(hook: () => unknown): Promise<void> {
    const frame = this.frames.getStore();
    if (!frame) return void (await hook());
    this.assertOpen(frame);
    frame.afterCommit.push(hook);
  }

  async #outermost<T>(body: () => Promise<T>, { isolation }: TransactionOptions) {
    const level = LEVELS.find((each) => each === isolation);
    if (level !== isolation) throw new InvalidQueryError(`There is no isolation level ${isolation}.`);
    return this.withClient(async (client) => {
      const frame = { ...NEW_FRAME, client, afterCommit: [] };
      await this.send(client, level ? `BEGIN ISOLATION LEVEL ${level}` : 'BEGIN');
      return { result: await this.#inside(frame, body, 'COMMIT', 'ROLLBACK'), hooks: frame.afterCommit };
    });
  }

  async #savepoint<T>(outer: Frame, body: () => Promise<T>, { isolation, retries }: TransactionOptions): Promise<T> {
    if (isolation || retries) throw new InvalidQueryError('Isolation and retries belong to the outermost transaction.');
    this.assertOpen(outer);
    const frame = { ...outer, outer, depth: outer.depth + 1, afterCommit: [] };
    const name = `s${frame.depth}`;
    outer.covered = true;
    try {
      await this.send(outer.client, `SAVEPOINT ${name}`);
      const result = await this.#inside(frame, body, `RELEASE ${name}`, `ROLLBACK TO ${name}`);
      outer.afterCommit.push(...frame.afterCommit);
      return result;
    } finally {
      outer.covered = false;
    }
  }

  async #inside<T>(frame: Frame, body: () => Promise<T>, commit: string, rollback: string): Promise<T> {
    try {
      const result = await this.frames.run(frame, body);
      this.assertOpen(frame);
      frame.ended = true;
      const { command } = await this.send(frame.client, commit);
      if (commit === 'COMMIT' && command === 'ROLLBACK') {
        throw new TransactionError('Postgres rolled back at COMMIT: a statement failed and its error was swallowed.');
      }
      return result;
    } catch (error) {
      frame.ended = true;
      // A savepoint goes with the transaction around it, and then the connection is somebody else's. Where a rollback
      // fails, the transaction goes with its connection.
      if (!hasEnded(frame.outer)) await this.send(frame.client, rollback).catch(() => this.#broken.add(frame.client));
      throw error;
    }
  }

  /**
   * @throws TransactionError when `frame` has ended, or while a savepoint is open above it: what is sent then would land
   *   in that, and go when it goes.
   */
  protected assertOpen(frame: Frame): void {
    if (hasEnded(frame)) throw new TransactionError('The transaction around this call has ended: is an await missing?');
    if (frame.covered)
      throw new TransactionError(
        'A savepoint is open: await it before the next statement of the transaction around it.',
      );
  }

  protected async connect(): Promise<PoolClient> {
    try {
      return await this.pool.connect();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('timeout')) throw translate(error, 'connect');
      const { total, idle, waiting } = this.stats;
      const state = `${total} open, ${idle} idle, ${waiting + 1} waiting`;
      const what = `No connection within ${this.#options.waitMs ?? 5_000} ms (${state})`;
      throw new PoolTimeoutError(`${what}: raise max, or look for long transactions.`, { cause: error });
    }
  }

  protected async withClient<T>(use: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.connect();
    try {
      return await use(client);
    } finally {
      // Never with a transaction open: the next borrower would be in it.
      client.release(this.#broken.has(client));
    }
  }

  /** Ends all connections, once they are idle. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}

const LEVELS = ['read committed', 'repeatable read', 'serializable'] as const;

const NEW_FRAME = { outer: undefined, depth: 0, ended: false, covered: false };

const hasEnded = (frame: Frame | undefined): boolean => frame !== undefined && (frame.ended || hasEnded(frame.outer));

/** The commit stands, whatever a hook does: each has its turn. */
async function runHooks(hooks: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const hook of hooks) {
    try {
      await hook();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 0) return;
  const what = `Committed, but ${errors.length} of ${hooks.length} hooks failed: see the cause.`;
  throw new TransactionError(what, { cause: new AggregateError(errors) });
}
