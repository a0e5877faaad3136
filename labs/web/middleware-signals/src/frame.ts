import { DatabaseError, type Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import { CommitUnknownError, RolledBackError, TransactionOverError } from './errors.ts';

/** What is to be done when the work is permanent. */
export type Callback = () => unknown;

/** A transaction, or a savepoint in one. Statements and savepoints of one frame go one after the other, as they were asked for. */
export class Frame {
  /** What is to be called when this has become permanent. */
  readonly callbacks: Callback[] = [];
  readonly #line: Line;
  /** Undefined for the transaction itself. */
  readonly #savepoint: string | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #spoiltBy: ErrorOptions = {};
  /** A statement of it had no answer: it may have been done, and may not. */
  #unanswered: ErrorOptions | undefined;
  #over = false;

  private constructor(line: Line, savepoint?: string) {
    this.#line = line;
    this.#savepoint = savepoint;
  }

  /** @throws what the pool throws, and what Postgres answers to BEGIN */
  static async begin(pool: Pool): Promise<Frame> {
    const line = new Line(await checkOut(pool));
    try {
      await line.client.query('BEGIN');
    } catch (error) {
      line.giveBack(true);
      throw error;
    }
    return new Frame(line);
  }

  /** `atomic` asks for it in its turn: see `inTurn`. */
  async savepoint(): Promise<Frame> {
    const name = `frame_${++this.#line.savepoints}`;
    await this.#say(`SAVEPOINT ${name}`);
    return new Frame(this.#line, name);
  }

  get over(): boolean {
    return this.#over;
  }

  query<R extends QueryResultRow>(text: string, values: readonly unknown[]): Promise<QueryResult<R>> {
    // Sent later, as they are now.
    const given = [...values];
    return this.inTurn(() => this.#say<R>(text, given));
  }

  /** Runs `work` behind all that was asked for before. @throws TransactionOverError */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#over) return Promise.reject(new TransactionOverError());
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Makes it permanent, as far as this frame goes. @throws RolledBackError, CommitUnknownError, and what Postgres answers */
  async commit(): Promise<void> {
    await this.#end();
    const lost = this.#unanswered ?? this.#line.lost;
    if (lost && !this.#line.ended) throw new RolledBackError(lost);
    if (this.#savepoint !== undefined) {
      await this.#say(`RELEASE SAVEPOINT ${this.#savepoint}`).catch((error: unknown) => {
        throw sqlStateOf(error) === IN_FAILED_TRANSACTION ? new RolledBackError(this.#spoiltBy) : error;
      });
      return;
    }
    const { command } = await this.#say('COMMIT').catch((error: unknown) => {
      throw this.#unanswered ? new CommitUnknownError({ cause: error }) : error;
    });
    if (command !== 'COMMIT') throw new RolledBackError(this.#spoiltBy);
    this.#line.giveBack(false);
  }

  /** Undoes it. Throws nothing: what cannot be undone is lost with its connection. */
  async rollback(): Promise<void> {
    await this.#end();
    const name = this.#savepoint;
    const undo = name === undefined ? 'ROLLBACK' : `ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`;
    const undone = await this.#line.client.query(undo).then(
      () => true,
      (error: unknown) => {
        this.#line.lost ??= this.#unanswered ?? { cause: error };
        return false;
      },
    );
    if (name === undefined) this.#line.giveBack(!undone);
  }

  /** What was asked for already is done first: there may be some that nobody waits for. */
  async #end(): Promise<void> {
    this.#over = true;
    await this.#last;
  }

  async #say<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    const { client } = this.#line;
    if (this.#line.ended) throw new TransactionOverError();
    try {
      const result = await client.query<R>(text, [...values]);
      // Of several statements in one text pg gives several results.
      if ([result].flat().some(({ command }) => command === 'COMMIT')) this.#line.committed = true;
      return result;
    } catch (error) {
      if (this.#spoiltBy.cause === undefined) this.#spoiltBy = { cause: error };
      if (!isOfTheServer(error)) this.#unanswered ??= { cause: error };
      throw error;
    }
  }
}

/** The connection that a transaction and its savepoints share. */
class Line {
  readonly client: PoolClient;
  savepoints = 0;
  committed = false;
  /** Nothing can be made permanent on it any more. */
  lost: ErrorOptions | undefined;
  /** Between two statements there is none that would fail with it. */
  readonly #lose = (error: unknown): void => {
    this.lost ??= { cause: error };
  };

  constructor(client: PoolClient) {
    this.client = client;
    client.on('error', this.#lose);
  }

  /** By a statement of the user's own: Postgres would commit each further one by itself, and call nothing undone. */
  get ended(): boolean {
    return this.committed || this.client.getTransactionStatus() === 'I';
  }

  giveBack(broken: boolean): void {
    this.client.release(broken || this.lost !== undefined);
    this.client.off('error', this.#lose);
    this.client.off('error', ignore);
  }
}

/**
 * A connection of `pool` whose loss is no event without a listener, which would be the end of the process: it is the
 * error of the next statement. A promise comes too late to listen when Postgres says farewell right behind its greeting,
 * https://github.com/brianc/node-postgres/issues/2762; the callback doesn't.
 */
function checkOut(pool: Pick<Pool, 'connect'>): Promise<PoolClient> {
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

const ignore = (): void => {};

const IN_FAILED_TRANSACTION = '25P02';
const sqlStateOf = (error: unknown): string | undefined => (error instanceof DatabaseError ? error.code : undefined);

/** Postgres has answered, and lives: class 57P is its farewell, as is the end of an idle or a long transaction. */
const isOfTheServer = (error: unknown): boolean =>
  error instanceof DatabaseError && !/^(57P|25P03|25P04)/.test(error.code ?? '');
