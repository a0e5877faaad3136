import { DatabaseError, type Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import {
  ConnectionLostError,
  InvalidArgumentError,
  LockTimeoutError,
  RolledBackError,
  TransactionOverError,
  VersionError,
} from './errors.ts';

/** A pool, a client, or what `transaction` hands out. */
export interface Db {
  query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<R>>;
}

/** The rows of one statement. @throws ConnectionLostError, or pg's `DatabaseError` when Postgres itself said no */
export async function rowsOf<R extends QueryResultRow>(db: Db, text: string, values: unknown[]): Promise<R[]> {
  try {
    return (await db.query<R>(text, values)).rows;
  } catch (error) {
    throw error instanceof VersionError || isAnswer(error) ? error : new ConnectionLostError('unknown', error);
  }
}

/**
 * Postgres itself has answered, and not to say that this connection ends (08, 57P): then nothing was done. 08P01 it says of a
 * message that it has understood, such as a statement that lacks a parameter.
 */
const isAnswer = (error: unknown): error is DatabaseError =>
  error instanceof DatabaseError && !/^(08(?!P01)...|57P..)$/.test(error.code ?? '');

const LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;
export type IsolationLevel = (typeof LEVELS)[number];

export interface TransactionOptions {
  /** Default "READ COMMITTED", which is Postgres's. */
  readonly isolation?: IsolationLevel;
  /** Milliseconds to wait for a lock that somebody else holds; 0 waits for ever. Default 5,000. */
  readonly lockTimeoutMs?: number;
  /** Milliseconds for which we may stand still inside it; then Postgres ends it and frees its locks. Default 10,000. */
  readonly idleMs?: number;
}

/**
 * Runs `body` between BEGIN and COMMIT; whatever it throws, it throws after a ROLLBACK. What `body` began and didn't await gets a
 * TransactionOverError from then on, since the connection is somebody else's.
 *
 * @throws InvalidArgumentError, LockTimeoutError, RolledBackError when `body` swallowed the error of a statement, and
 * ConnectionLostError when the connection can't be had or was lost meanwhile, whatever `body` made of that
 */
export async function runTransaction<T>(
  pool: Pool,
  body: (tx: Db) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const begin = beginning(options);
  let broken = false;
  /** Given back at once: `body` may be waiting for another connection of this very pool. */
  function lose(this: PoolClient, error: Error): void {
    if (!broken) this.release(error);
    broken = true;
  }
  const client = await connect(pool, lose);
  let step: 'BEGIN' | 'body' | 'COMMIT' | 'over' = 'BEGIN';
  const tx: Db = {
    query: async (text, values) => {
      if (step === 'body') return client.query(text, values);
      throw new TransactionOverError();
    },
  };
  try {
    await client.query(begin);
    step = 'body';
    const result = await body(tx);
    if (!broken) step = 'COMMIT';
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new RolledBackError();
    return result;
  } catch (error) {
    const written = step === 'COMMIT' ? 'unknown' : 'no';
    // A limit of the driver's own can end the wait for an answer, on a connection that is whole.
    const unheard = step !== 'body' && !(error instanceof RolledBackError || isAnswer(error));
    step = 'over';
    await client.query('ROLLBACK').catch((failure) => lose.call(client, failure));
    if (broken || unheard) throw new ConnectionLostError(written, error);
    throw error instanceof DatabaseError && error.code === '55P03' ? new LockTimeoutError(error) : error;
  } finally {
    if (!broken) client.off('error', lose).release();
  }
}

/** With a listener from the start: the pool has none while a client is lent, and an error that nobody hears ends the process. */
function connect(pool: Pool, lose: (this: PoolClient, error: Error) => void): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    // By callback, since the error can come in one packet with the greeting, before a promise has told anybody.
    pool.connect((error, client) => {
      if (client) resolve(client.on('error', lose));
      else reject(new ConnectionLostError('no', error));
    });
  });
}

function beginning({ isolation = 'READ COMMITTED', lockTimeoutMs = 5_000, idleMs = 10_000 }: TransactionOptions) {
  if (!LEVELS.includes(isolation)) throw new InvalidArgumentError(`isolation is none of ${LEVELS.join(', ')}.`);
  return (
    `BEGIN ISOLATION LEVEL ${isolation}; SET LOCAL lock_timeout = ${milliseconds('lockTimeoutMs', lockTimeoutMs)}; ` +
    `SET LOCAL idle_in_transaction_session_timeout = ${milliseconds('idleMs', idleMs)}`
  );
}

/** Of Node's timers and of Postgres's. */
const LONGEST_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError unless it is a whole number that a timer can wait */
export function milliseconds(name: string, value: number, least = 0): number {
  if (Number.isInteger(value) && value >= least && value <= LONGEST_MS) return value;
  throw new InvalidArgumentError(`${name} is ${value}: give whole milliseconds from ${least} to ${LONGEST_MS}.`);
}
