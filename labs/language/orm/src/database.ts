import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool, type PoolClient, types as parsers } from 'pg';
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
  /** How long to wait for a connection, or for a turn on the connection of a transaction, in milliseconds. Default 5,000. */
  readonly waitMs?: number;
  /** Told when a relation is loaded one by one. Default: a process warning. */
  readonly onRepeatedLoad?: (load: RepeatedLoad) => void;
  /** How many loads of one relation, on objects of one query, are repeated. Default 10. */
  readonly repeatedLoads?: number;
}

export interface TransactionOptions {
  /** Default: the server's, which is read committed unless somebody changed it. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  /** How often to run the body again after a SerializationError. Default 0: a body may have effects elsewhere. */
  readonly retries?: number;
}

export interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
  readonly ms: number;
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
  /** Until it settles a savepoint is open above: a statement of this frame must not land in it, and go when it goes. */
  above: Promise<void> | undefined;
}

const OID = { int8: 20, date: 1082 };
/** Lossless: `bigint`, and a date without a time of day as its text. `numeric` comes as a string anyway. */
const parserOf = (oid: number, format?: 'text' | 'binary') =>
  oid === OID.int8
    ? BigInt
    : oid === OID.date
      ? String
      : parsers.getTypeParser(oid, format === 'binary' ? format : 'text');

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
    this.pool = new Pool({
      connectionString,
      max,
      connectionTimeoutMillis: waitMs,
      types: { getTypeParser: parserOf },
    });
    // A connection that breaks fails its statement, and is replaced. Without listeners it would end the process too.
    this.pool.on('error', () => {});
    this.pool.on('connect', (client) => void client.on('error', () => {}));
  }

  /** Connections: open, idle of these, and callers that wait for one. */
  get stats(): { readonly total: number; readonly idle: number; readonly waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.pool;
    return { total: totalCount, idle: idleCount, waiting: waitingCount };
  }

  /** Tells `listener` of each statement, after it. Ends with its block. A listener that throws becomes a warning, and fails no statement. */
  onQuery(listener: (statement: Statement) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Counts a load of one relation on one object of a batch. */
  noteLoad(batch: Batch, relation: string, remedy: RepeatedLoad['remedy']): void {
    const count = (batch.loads.get(relation) ?? 0) + 1;
    batch.loads.set(relation, count);
    if (count !== (this.#options.repeatedLoads ?? 10)) return;
    (this.#options.onRepeatedLoad ?? warn)({ relation, remedy, count, of: batch.size, at: callSite() });
  }

  /**
   * One statement, rows as arrays; in the transaction that is open around the call, if there is one.
   * @throws QueryError and those that extend it; ConnectionError; PoolTimeoutError; TransactionError when the
   *   transaction around the call has ended.
   */
  async query(sql: string, params: readonly unknown[] = []): Promise<Result> {
    const frame = this.frames.getStore();
    if (frame) {
      await this.turn(frame);
      return this.send(frame.client, sql, params);
    }
    return this.withClient((client) => this.send(client, sql, params));
  }

  /** Your own SQL, where this ORM's ends: a tagged template, of which every value becomes a parameter. */
  async sql(text: TemplateStringsArray, ...values: readonly unknown[]): Promise<readonly Row[]> {
    const sql = text.reduce((before, part, index) => `${before}$${index}${part}`);
    return (await this.query(sql, values)).rows;
  }

  protected async send(client: PoolClient, sql: string, params: readonly unknown[] = []): Promise<Result> {
    const start = performance.now();
    try {
      const { rows, rowCount, command } = await client.query<unknown[]>({
        text: sql,
        values: [...params],
        rowMode: 'array',
      });
      return { rows, count: rowCount ?? 0, command };
    } catch (error) {
      const translated = translate(error, sql);
      // It must not be the next borrower who learns that nobody is at the other end.
      if (translated instanceof ConnectionError) this.#broken.add(client);
      throw translated;
    } finally {
      const ms = performance.now() - start;
      for (const listener of this.#listeners) {
        try {
          listener({ sql, params, ms });
        } catch (error) {
          process.emitWarning(`A listener of onQuery failed: ${error}`);
        }
      }
    }
  }

  /**
   * Runs `body` in a transaction: committed when it returns, rolled back when it throws. Inside of another one it is a
   * savepoint: what it rolls back is its own; siblings in a `Promise.all` take turns.
   *
   * @throws what the body throws; SerializationError after the last of `retries`; TransactionError when Postgres made
   *   a ROLLBACK of the COMMIT, because the body has swallowed the error of a statement.
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

  /** Runs `hook` once the outermost transaction has been committed, in order; at once where none is open; never after a rollback. @throws TransactionError where that has ended already. */
  async onCommit(hook: () => unknown): Promise<void> {
    const frame = this.frames.getStore();
    if (!frame) return void (await hook());
    this.assertOpen(frame);
    frame.afterCommit.push(hook);
  }

  async #outermost<T>(body: () => Promise<T>, { isolation }: TransactionOptions) {
    const begin = isolation ? `BEGIN ISOLATION LEVEL ${LEVELS[isolation]}` : 'BEGIN';
    return this.withClient(async (client) => {
      const frame = { ...NEW_FRAME, client, afterCommit: [] };
      await this.send(client, begin);
      return { result: await this.#inside(frame, body, 'COMMIT', 'ROLLBACK'), hooks: frame.afterCommit };
    });
  }

  async #savepoint<T>(outer: Frame, body: () => Promise<T>, { isolation, retries }: TransactionOptions): Promise<T> {
    if (isolation || retries) throw new InvalidQueryError('Isolation and retries belong to the outermost transaction.');
    const before = outer.above;
    const { promise, resolve } = Promise.withResolvers<void>();
    outer.above = promise;
    const frame = { ...outer, outer, depth: outer.depth + 1, afterCommit: [], above: undefined };
    const name = `s${frame.depth}`;
    try {
      await this.#within(before);
      this.assertOpen(outer);
      await this.send(outer.client, `SAVEPOINT ${name}`);
      const result = await this.#inside(frame, body, `RELEASE ${name}`, `ROLLBACK TO ${name}`);
      outer.afterCommit.push(...frame.afterCommit);
      return result;
    } finally {
      // The one before is still open where this one has waited too long for it.
      void Promise.resolve(before).then(() => {
        if (outer.above === promise) outer.above = undefined;
        resolve();
      });
    }
  }

  async #inside<T>(frame: Frame, body: () => Promise<T>, commit: string, rollback: string): Promise<T> {
    try {
      const result = await this.frames.run(frame, body);
      await this.turn(frame);
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

  /** Waits until no savepoint is open above `frame`. @throws TransactionError after `waitMs`, or when `frame` has ended. */
  protected async turn(frame: Frame): Promise<void> {
    while (frame.above) await this.#within(frame.above);
    this.assertOpen(frame);
  }

  /** A savepoint that awaits a statement of the transaction around it would wait for itself: hence the limit. */
  async #within(above: Promise<void> | undefined): Promise<void> {
    if (!above) return;
    const { waitMs = 5_000 } = this.#options;
    const late = new AbortController();
    const timeout = delay(waitMs, undefined, { signal: late.signal }).then(() => {
      throw new TransactionError(
        `No turn on the transaction's connection within ${waitMs} ms: a savepoint is open. Does it await what began outside of it?`,
      );
    });
    try {
      await Promise.race([above, timeout]);
    } finally {
      late.abort();
    }
  }

  /** @throws TransactionError when `frame` has ended. */
  protected assertOpen(frame: Frame): void {
    if (hasEnded(frame)) throw new TransactionError('The transaction around this call has ended: is an await missing?');
  }

  protected async connect(): Promise<PoolClient> {
    try {
      return await this.pool.connect();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('timeout')) throw translate(error, 'connect');
      const { total, idle, waiting } = this.stats;
      const state = `${total} open, ${idle} idle, ${waiting + 1} waiting`;
      throw new PoolTimeoutError(
        `No connection within ${this.#options.waitMs ?? 5_000} ms (${state}): raise max, or look for long transactions.`,
        { cause: error },
      );
    }
  }

  protected async withClient<T>(use: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.connect();
    try {
      return await use(client);
    } finally {
      this.#release(client);
    }
  }

  /** Never with a transaction open: the next borrower would be in it. */
  #release(client: PoolClient): void {
    client.release(this.#broken.has(client));
  }

  /** Ends all connections, once they are idle. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}

const LEVELS = {
  'read committed': 'READ COMMITTED',
  'repeatable read': 'REPEATABLE READ',
  serializable: 'SERIALIZABLE',
} as const;

const NEW_FRAME = { outer: undefined, depth: 0, ended: false, above: undefined };

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
  const cause = new AggregateError(errors);
  throw new TransactionError(`Committed, but ${errors.length} of ${hooks.length} hooks failed: see the cause.`, {
    cause,
  });
}
