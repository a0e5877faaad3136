import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';
import type { Pool, QueryResult, QueryResultRow } from 'pg';
import { InvalidArgumentError, NotDurableError, TransactionOverError } from './errors.ts';
import { type Callback, Frame } from './frame.ts';

export interface DatabaseOptions {
  /** Has a listener for `error`; waits as long as its `connectionTimeoutMillis` says. */
  readonly pool: Pool;
  /** Told of each callback of `onCommit` that has failed. What it belonged to is permanent all the same. */
  readonly onError: (error: unknown) => void;
}

export interface AtomicOptions {
  /** What is done is permanent when it returns: inside of another it throws a NotDurableError. Default false. */
  readonly durable?: boolean;
}

/**
 * Transactions that reach as far as the code that they run: Django's `transaction.atomic` and `transaction.on_commit`
 * (https://docs.djangoproject.com/en/stable/topics/db/transactions/). Whatever is called from inside of one, at any depth and
 * behind any `await`, is part of it (AsyncLocalStorage). What was begun before it isn't, nor is it part of another Database.
 */
export class Database {
  protected readonly pool: Pool;
  /** The transaction or savepoint that the running code is inside of. */
  protected readonly frames = new AsyncLocalStorage<Frame>();
  readonly #onError: (error: unknown) => void;

  constructor({ pool, onError }: DatabaseOptions) {
    this.pool = pool;
    this.#onError = onError;
  }

  /**
   * In the transaction that the caller is inside of, or on its own. Several at once are sent one after the other. A COMMIT or
   * ROLLBACK of one's own is noticed, and ends it; a ROLLBACK that begins another at once (AND CHAIN) is not: don't send it.
   * @throws TransactionOverError, and what Postgres answers
   */
  query<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    const frame = this.frames.getStore();
    return frame ? frame.query<R>(text, values) : this.pool.query<R>(text, [...values]);
  }

  /**
   * Runs `body` in a transaction: all that it does becomes permanent when it returns, nothing when it throws. Inside of
   * another it is a savepoint: when it throws, what it has done is undone, and the outer one may go on. Several of them at once
   * inside of one go one after the other, and what is asked for beside one waits until it is over.
   *
   * @throws what `body` throws; RolledBackError when it has caught the error of a statement, or the connection was lost
   *   before COMMIT; CommitUnknownError; NotDurableError; InvalidArgumentError; TransactionOverError when what it is inside of has ended
   */
  async atomic<T>(body: () => Promise<T> | T, { durable = false }: AtomicOptions = {}): Promise<T> {
    refuseUnlessFunction('The body of atomic', body);
    const outer = this.frames.getStore();
    if (outer && durable) throw new NotDurableError();
    return outer ? outer.inTurn(() => this.inner(outer, body)) : this.outermost(body);
  }

  /**
   * Calls `callback` once what the caller is inside of is permanent, and never if that is undone. All that were asked for are
   * called one after the other, in that order, when the connection has been given back, outside of any transaction; the
   * outermost `atomic` waits for them. One that fails is told to `onError`, keeps no other one from being called, and changes
   * nothing in what `atomic` returns: there is nothing to repeat. Outside of a transaction it is called at once.
   *
   * A process that dies between COMMIT and the callback has committed, and calls nothing: for what must happen, write it down
   * in the transaction (an outbox).
   *
   * @throws InvalidArgumentError; TransactionOverError
   */
  onCommit(callback: Callback): void {
    refuseUnlessFunction('The callback', callback);
    const frame = this.frames.getStore();
    if (frame?.over) throw new TransactionOverError();
    if (frame) frame.callbacks.push(callback);
    else void this.tell([callback]);
  }

  protected async outermost<T>(body: () => Promise<T> | T): Promise<T> {
    const frame = await Frame.begin(this.pool);
    const value = await this.settle(frame, body);
    await this.tell(frame.callbacks);
    return value;
  }

  protected async inner<T>(outer: Frame, body: () => Promise<T> | T): Promise<T> {
    const frame = await outer.savepoint();
    const value = await this.settle(frame, body);
    // They are the outer one's now: its end is theirs.
    for (const callback of frame.callbacks) outer.callbacks.push(callback);
    return value;
  }

  protected async settle<T>(frame: Frame, body: () => Promise<T> | T): Promise<T> {
    try {
      // Awaited in there: a query builder begins its work when it is waited for, wherever that is.
      const value = await this.frames.run(frame, async () => await body());
      await frame.commit();
      return value;
    } catch (error) {
      await frame.rollback();
      throw error;
    }
  }

  protected async tell(callbacks: readonly Callback[]): Promise<void> {
    for (const callback of callbacks) {
      try {
        await callback();
      } catch (error) {
        this.report(error);
      }
    }
  }

  protected report(error: unknown): void {
    const told = async () => this.#onError(error);
    // Whoever waits for `atomic` would take it for a transaction that failed.
    told().catch((worse: unknown) => process.emitWarning(`onError of Database has thrown ${inspect(worse)}`));
  }
}

function refuseUnlessFunction(what: string, given: unknown): void {
  if (typeof given === 'function') return;
  throw new InvalidArgumentError(`${what} is ${inspect(given, { depth: 0 })}: give a function.`);
}
