import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { DatabaseError, Pool, type PoolClient } from 'pg';
import {
  ConnectionError,
  ConstraintError,
  InvalidQueryError,
  PoolTimeoutError,
  QueryError,
  RepeatedLoadWarning,
  SerializationError,
  TransactionError,
} from './errors.ts';
import type { Batch } from './meta.ts';
import { Ref } from './relation.ts';

export interface DatabaseOptions {
  readonly connectionString: string;
  /** Connections at most, 1 or more. Default 10. */
  readonly max?: number;
  /** How long to wait for a connection, in whole milliseconds, 1 or more. Default 5,000. */
  readonly waitMs?: number;
  /** Told when a relation is loaded one by one, on ten objects of one query. Default: it becomes a process warning. */
  readonly onRepeatedLoad?: (warning: RepeatedLoadWarning) => void;
}

export interface TransactionOptions {
  /** Default: the server's, which is read committed unless somebody changed it. */
  readonly isolation?: (typeof LEVELS)[number];
  /** Runs of the body after a SerializationError: make its queries in it. Default 0: it may have effects elsewhere. */
  readonly retries?: number;
}

export type Row = readonly unknown[];
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
  /** 0 of the transaction: no savepoint has the name of one around it. */
  readonly depth: number;
  readonly afterCommit: (() => unknown)[];
  ended: boolean;
  /** A savepoint is open above it. */
  covered: boolean;
}

/** A pool of connections. Inside of `transaction(body)` each query goes to that one's, however deep in the calls. */
export class Database implements AsyncDisposable {
  protected readonly pool: Pool;
  /** The transaction around a call, wherever the call is made from. */
  protected readonly frames = new AsyncLocalStorage<Frame>();
  readonly #listeners = new Set<(statement: Statement) => void>();
  readonly #onRepeatedLoad: DatabaseOptions['onRepeatedLoad'];
  readonly #broken = new WeakSet<PoolClient>();
  #ended: Promise<void> | undefined;
  /** The end of each connection's last statement: those of a transaction take turns, which `pg` 9 leaves to its user. */
  readonly #last = new WeakMap<PoolClient, Promise<void>>();

  /** @throws InvalidQueryError when `max` or `waitMs` is no number that makes sense. */
  constructor({ connectionString, max = 10, waitMs = 5_000, onRepeatedLoad }: DatabaseOptions) {
    // `pg` takes 0 and NaN for no limit, and a timer takes what is too large for 1 ms.
    for (const [name, value] of Object.entries({ max, waitMs }))
      if (!(Number.isInteger(value) && value >= 1 && value < 2 ** 31))
        throw new InvalidQueryError(`${name} is ${value}: give a whole number from 1 to ${2 ** 31 - 1}.`);
    this.#onRepeatedLoad = onRepeatedLoad;
    this.pool = new Pool({ connectionString, max, connectionTimeoutMillis: waitMs });
    // A connection that breaks fails its statement, and is replaced. Without listeners it would end the process too.
    this.pool.on('error', () => {});
    this.pool.on('connect', (client) => void client.on('error', () => {}));
  }

  /** Tells `listener` of each statement, after it, to the end of its block. One that throws or rejects fails no statement. */
  onQuery(listener: (statement: Statement) => void): Disposable {
    // One of its own: whoever listens twice stops once at a time.
    const own = (statement: Statement) => listener(statement);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Counts a load of one relation on one object of a batch, by a call of `load`. */
  noteLoad({ loads }: Batch, relation: string, load: () => unknown): void {
    const count = (loads.get(relation) ?? 0) + 1;
    loads.set(relation, count);
    if (count !== 10) return;
    const caller = { stack: '' };
    Error.captureStackTrace(caller, load);
    const at = /(?:file:\/\/)?([^ (]+:\d+:\d+)/.exec(caller.stack)?.[1] ?? 'an unknown place';
    const what = `${relation} is loaded one by one at ${at}: add .selectRelated('${relation}') to the query.`;
    tell('onRepeatedLoad', this.#onRepeatedLoad ?? process.emitWarning, new RepeatedLoadWarning(what));
  }

  /**
   * One statement, rows as arrays; in the transaction around the call, if there is one. @throws QueryError;
   * ConnectionError; PoolTimeoutError; TransactionError; InvalidQueryError for `undefined`, a promise, a Ref, broken UTF-16.
   */
  async query(sql: string, params: readonly unknown[] = []): Promise<Result> {
    for (const [at, each] of params.entries()) assertSendable(each, `$${at + 1}`);
    const frame = this.frames.getStore();
    if (frame) this.assertOpen(frame);
    return frame ? this.send(frame.client, sql, params) : this.withClient((client) => this.send(client, sql, params));
  }

  /** Your own SQL, where this ORM's ends: a tagged template, of which every value becomes a parameter. */
  async sql(text: TemplateStringsArray, ...values: readonly unknown[]): Promise<readonly Row[]> {
    const sql = text.reduce((before, part, index) => `${before}$${index}${part}`);
    return (await this.query(sql, values)).rows;
  }

  protected async send(client: PoolClient, sql: string, params: readonly unknown[] = []): Promise<Result> {
    const ask = () => client.query<unknown[]>({ text: sql, values: [...params], rowMode: 'array' });
    const asked = (this.#last.get(client) ?? Promise.resolve()).then(ask);
    const over = Promise.allSettled([asked]).then(() => {});
    this.#last.set(client, over);
    try {
      const result = await asked;
      return { rows: result.rows, count: result.rowCount ?? 0, command: result.command };
    } catch (error) {
      const translated = translate(error, sql);
      // It must not be the next borrower who learns that nobody is at the other end.
      if (translated instanceof ConnectionError) this.#broken.add(client);
      throw translated;
    } finally {
      for (const listener of this.#listeners) tell('onQuery', listener, { sql, params });
    }
  }

  /**
   * Runs `body` in a transaction, inside of another one in a savepoint: committed when it returns, rolled back when it
   * throws. @throws what the body throws; SerializationError after the last of `retries`; TransactionError;
   * ConnectionError, also where the connection broke at the COMMIT: then only the database knows whether it was done.
   */
  async transaction<T>(body: () => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const outer = this.frames.getStore();
    if (outer) return this.#savepoint(outer, body, options);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#outermost(body, options);
      } catch (error) {
        if (!(error instanceof SerializationError) || !(attempt < (options.retries ?? 0))) throw error;
        await delay(Math.random() * 20 * 2 ** Math.min(attempt, 6));
      }
    }
  }

  /** Runs `hook` after the outermost COMMIT, in order; at once where no transaction is open; never after a rollback. */
  async onCommit(hook: () => unknown): Promise<void> {
    const frame = this.frames.getStore();
    if (!frame) return void (await hook());
    this.assertOpen(frame);
    frame.afterCommit.push(hook);
  }

  async #outermost<T>(body: () => Promise<T>, { isolation }: TransactionOptions): Promise<T> {
    const level = LEVELS.find((each) => each === isolation);
    if (level !== isolation) throw new InvalidQueryError(`There is no isolation level ${isolation}.`);
    const hooks: (() => unknown)[] = [];
    const result = await this.withClient(async (client) => {
      const frame: Frame = { client, outer: undefined, depth: 0, afterCommit: hooks, ended: false, covered: false };
      await this.send(client, level ? `BEGIN ISOLATION LEVEL ${level}` : 'BEGIN');
      return this.#inside(frame, body, 'COMMIT', 'ROLLBACK');
    });
    // The commit stands, whatever a hook does: each has its turn, and nothing is run again.
    const errors: unknown[] = [];
    for (const hook of hooks) await Promise.try(hook).catch((error: unknown) => errors.push(error));
    if (errors.length === 0) return result;
    const what = `Committed, but ${errors.length} of ${hooks.length} hooks failed: see the cause.`;
    throw new TransactionError(what, { cause: new AggregateError(errors) });
  }

  async #savepoint<T>(outer: Frame, body: () => Promise<T>, { isolation, retries }: TransactionOptions): Promise<T> {
    if (isolation || retries) throw new InvalidQueryError('Isolation and retries belong to the outermost transaction.');
    this.assertOpen(outer);
    const frame = { ...outer, outer, depth: outer.depth + 1, afterCommit: [] };
    const name = `orm${frame.depth}`;
    outer.covered = true;
    try {
      await this.send(outer.client, `SAVEPOINT ${name}`);
      // Both end those above it, too. A rollback leaves it, and the server would keep each to the end.
      const result = await this.#inside(frame, body, `RELEASE ${name}`, `ROLLBACK TO ${name}; RELEASE ${name}`);
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
      if (commit === 'COMMIT' && command === 'ROLLBACK')
        throw new TransactionError('Postgres rolled back at COMMIT: a statement failed and its error was swallowed.');
      return result;
    } catch (error) {
      frame.ended = true;
      // A savepoint goes with its transaction, and the connection is another's then. A failed rollback takes it along.
      if (!hasEnded(frame.outer)) await this.send(frame.client, rollback).catch(() => this.#broken.add(frame.client));
      throw error;
    }
  }

  /** What is sent beside an open savepoint would land in it, and go when it goes. @throws TransactionError. */
  protected assertOpen(frame: Frame): void {
    if (hasEnded(frame)) throw new TransactionError('The transaction around this call has ended: is an await missing?');
    if (frame.covered) throw new TransactionError('A savepoint is open: await it before the next statement beside it.');
  }

  #unconnected(error: unknown): never {
    if (error instanceof TypeError) throw new ConnectionError('The connectionString is no URL.', { cause: error });
    if (this.pool.ending) throw new ConnectionError('This Database has been disposed of.', { cause: error });
    if (!(error instanceof Error) || !error.message.includes('timeout')) throw translate(error, 'connect');
    const { totalCount, idleCount, waitingCount } = this.pool;
    const state = `${totalCount} open, ${idleCount} idle, ${waitingCount + 1} waiting`;
    const what = `No connection within ${this.pool.options.connectionTimeoutMillis} ms (${state})`;
    throw new PoolTimeoutError(`${what}: raise max, or look for long transactions.`, { cause: error });
  }
  protected async withClient<T>(use: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await Promise.try(() => this.pool.connect()).catch((error: unknown) => this.#unconnected(error));
    try {
      return await use(client);
    } finally {
      // Never with a transaction open: the next borrower would be in it.
      client.release(this.#broken.has(client));
    }
  }

  /** Ends all connections, once they are idle. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.pool.end();
    return this.#ended;
  }
}

const LEVELS = ['read committed', 'repeatable read', 'serializable'] as const;

const hasEnded = (frame: Frame | undefined): boolean => frame !== undefined && (frame.ended || hasEnded(frame.outer));

/** Whoever listens may throw, or reject later: what he is told of goes on. */
function tell<T>(what: string, listener: (news: T) => unknown, news: T): void {
  const failed = (error: unknown) => process.emitWarning(`A listener of ${what} failed: ${inspect(error)}`);
  Promise.try(listener, news).catch(failed);
}

/** A parameter, or what is in its list: `pg` would send NULL for `undefined`, and for the others another text. */
function assertSendable(value: unknown, name: string): void {
  if (Array.isArray(value)) for (const each of value) assertSendable(each, name);
  const none = value === undefined && 'undefined: say null to mean NULL';
  const half = typeof value === 'string' && !value.isWellFormed() && 'a text with half of a surrogate pair';
  const foreign = value instanceof Promise ? 'a promise: await it' : value instanceof Ref && 'a Ref: give its id';
  if (none || half || foreign) throw new InvalidQueryError(`${name} is ${none || half || foreign}.`);
}

/** The typed error for what the driver threw. */
function translate(error: unknown, sql: string): unknown {
  // A TypeError is about a parameter that can't be sent, such as a cycle: the server hasn't heard of it.
  if (!(error instanceof Error) || error instanceof TypeError) return error;
  const code = error instanceof DatabaseError ? error.code : undefined;
  // 08P01 is said of a message that Postgres has understood; 25P03 and 25P04 are the last words of a connection.
  const said = error instanceof AggregateError ? error.errors.join(', ') : error.message;
  if (!code || /^(08(?!P01)|57P|25P0[34])/.test(code))
    return new ConnectionError(`${said}: is the server up?`, { cause: error });
  if (code === '40001' || code === '40P01') return new SerializationError(sql, code, error);
  return new (code.startsWith('23') ? ConstraintError : QueryError)(sql, code, error);
}
