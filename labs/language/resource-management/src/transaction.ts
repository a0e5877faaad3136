import { DatabaseError, type Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import { CommitUnknownError, DisposedError, RolledBackError } from './errors.ts';
import { once } from './once.ts';

/**
 * A connection of `pool` in a transaction, for `await using`: rolled back in the end, unless `commit` was called.
 * It waits as long as the pool does: set `connectionTimeoutMillis` and `query_timeout` there.
 *
 * @throws what the pool throws, and what Postgres answers to BEGIN
 */
export async function transaction(pool: Pick<Pool, 'connect'>): Promise<Transaction> {
  const client = await checkOut(pool);
  const tx = new PoolTransaction(client);
  try {
    await client.query('BEGIN');
    return tx;
  } catch (error) {
    await tx[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * A connection of `pool` whose loss is no event without a listener, which would be the end of the process: it is the
 * error of the next statement. A promise comes too late to listen when Postgres says farewell right behind its greeting,
 * https://github.com/brianc/node-postgres/issues/2762; the callback doesn't.
 */
export function checkOut(pool: Pick<Pool, 'connect'>): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    const take = (client: PoolClient) => {
      client.on('error', ignore);
      resolve(client);
    };
    const promised: unknown = pool.connect((error, client) => (client ? take(client) : reject(error)));
    // Of what stands for a pool and knows no callback.
    if (promised instanceof Promise) promised.then(take, reject);
  });
}

/** The way back of what `checkOut` took: the pool listens by itself again. A broken one is destroyed. */
export function giveBack(client: PoolClient, broken = false): void {
  client.release(broken);
  client.off('error', ignore);
}

/** A transaction that is open until its block ends. */
export interface Transaction extends AsyncDisposable {
  /**
   * @throws DisposedError after `commit`, after the end, and once a statement of its own (`ROLLBACK`) has ended it; what
   *   Postgres answers
   */
  query<R extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<QueryResult<R>>;
  /**
   * Makes it permanent. A second call has the outcome of the first.
   *
   * @throws RolledBackError when a statement had failed, on either side; CommitUnknownError when the connection is lost before the
   *   answer; DisposedError after the end; what Postgres answers, as when a deferred constraint fails
   */
  commit(): Promise<void>;
}

class PoolTransaction implements Transaction {
  #committed = false;
  readonly #client: PoolClient;
  /** One statement at a time, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();
  #committing: Promise<void> | undefined;
  #spoiltBy: ErrorOptions | undefined;
  /** A statement that failed on this side, as by `query_timeout`: Postgres doesn't know that it was the end. */
  #failedHere = false;
  #over = false;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  query<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    if (this.#over || this.#committing) return Promise.reject(new DisposedError('The transaction'));
    return this.#send<R>(text, values);
  }

  commit(): Promise<void> {
    if (this.#over && !this.#committing) return Promise.reject(new DisposedError('The transaction'));
    this.#committing ??= this.#commit();
    return this.#committing;
  }

  /** Rolls back what was not committed, and gives the connection back; a broken one is destroyed. Throws nothing. */
  readonly [Symbol.asyncDispose] = once(async (): Promise<void> => {
    this.#over = true;
    await Promise.allSettled([this.#committing, this.#last]);
    let broken = false;
    // What can't be rolled back is lost with its connection, and so is the need to tell.
    if (!this.#committed) await this.#client.query('ROLLBACK').catch(() => (broken = true));
    giveBack(this.#client, broken);
  });

  async #commit(): Promise<void> {
    await this.#last;
    if (this.#failedHere) throw new RolledBackError(this.#spoiltBy);
    const { command } = await this.#send('COMMIT').catch((error: unknown) => {
      throw isServersAnswer(error) || error instanceof DisposedError ? error : new CommitUnknownError({ cause: error });
    });
    if (command !== 'COMMIT') throw new RolledBackError(this.#spoiltBy);
    this.#committed = true;
  }

  async #send<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    // Sent later, as it is now.
    const given = [...values];
    const sent = this.#last.then(() => {
      // Ended by a statement of its own: Postgres would commit the next one by itself.
      if (this.#client.getTransactionStatus() === 'I') throw new DisposedError('The transaction');
      return this.#client.query<R>(text, given);
    });
    this.#last = sent.catch((error: unknown) => {
      this.#spoiltBy ??= { cause: error };
      this.#failedHere ||= !(error instanceof DatabaseError || error instanceof DisposedError);
    });
    return sent;
  }
}

const ignore = (): void => {};

/** Postgres has answered, and lives: class 57P is its farewell. */
const isServersAnswer = (error: unknown): boolean => error instanceof DatabaseError && !error.code?.startsWith('57P');
