import {
  DatabaseError,
  type Pool,
  type PoolClient,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow,
  types,
} from 'pg';
import { CqrsError, StoreError } from './errors.ts';

export type Begin = 'BEGIN ISOLATION LEVEL READ COMMITTED' | 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

export interface TransactionOptions {
  /** Default: read committed, whatever the database's own is: who has waited for a lock sees what was done meanwhile. */
  readonly begin?: Begin;
  /** Milliseconds for which we may stand still inside it; then Postgres ends it and frees its locks. Default 10,000. */
  readonly idleMs?: number;
}

/**
 * Runs `body` between `begin` and COMMIT; whatever it throws, it throws after a ROLLBACK. When `body` has ended, the `query`
 * of its `tx` rejects with a CqrsError: await all that belongs to it.
 *
 * @throws StoreError when the connection can't be had, or was lost or didn't answer in time: whatever `body` made of that
 */
export async function inTransaction<T>(
  pool: Pool,
  body: (tx: PoolClient) => Promise<T>,
  { begin = 'BEGIN ISOLATION LEVEL READ COMMITTED', idleMs = 10_000 }: TransactionOptions = {},
): Promise<T> {
  return connected(pool, async (client, lose) => {
    let silent: unknown;
    const tx = watched(client, (error) => {
      silent = error;
      lose(error);
    });
    try {
      await tx.query(`${begin}; SET LOCAL idle_in_transaction_session_timeout = ${idleMs}`);
      const result = await whileItRuns(tx, body);
      if (silent) throw silent;
      await tx.query('COMMIT');
      return result;
    } catch (error) {
      // The connection itself says whether it was lost: whoever was inside may have caught its error, or have one of his own.
      const alive = !silent && (await client.query('ROLLBACK').catch(lose));
      throw alive ? error : lost(error);
    }
  });
}

/** The connection, and who hears of a question that pg no longer waits for (`query_timeout`): its error is a plain one. */
function watched(client: PoolClient, unanswered: (error: unknown) => void): PoolClient {
  const query = (...asked: unknown[]): unknown => {
    const answer: unknown = Reflect.apply(client.query, client, asked);
    if (answer instanceof Promise)
      answer.catch((error: unknown) => {
        if (error instanceof Error && error.message === 'Query read timeout') unanswered(error);
      });
    return answer;
  };
  return asking(client, query);
}

/** What comes after `body` would be kept by itself, or with another's transaction. */
async function whileItRuns<T>(tx: PoolClient, body: (tx: PoolClient) => Promise<T>): Promise<T> {
  let over = false;
  const late = () => Promise.reject(new CqrsError('The transaction has ended, and this came too late: not sent.'));
  try {
    return await body(asking(tx, (...asked) => (over ? late() : Reflect.apply(tx.query, tx, asked))));
  } finally {
    over = true;
  }
}

const asking = (client: PoolClient, query: (...asked: unknown[]) => unknown): PoolClient =>
  new Proxy(client, { get: (of, key) => (key === 'query' ? query : Reflect.get(of, key)) });

/**
 * Asks one thing, in a transaction of its own; again where the database's default is not "read committed", and it refuses
 * whoever only met others on the way: nothing was done then.
 *
 * @throws StoreError when the connection can't be had or was lost, and when Postgres refused
 */
export async function ask<R extends QueryResultRow>(pool: Pool, query: QueryConfig): Promise<QueryResult<R>> {
  return connected(pool, async (client, lose) => {
    for (;;) {
      try {
        return await client.query<R>(query);
      } catch (error) {
        if (error instanceof DatabaseError && error.code === '40001') continue;
        if (isRefusal(error)) throw new StoreError(`Postgres refused: ${error.message}`, 'no', error);
        lose(error);
        throw lost(error);
      }
    }
  });
}

async function connected<T>(pool: Pool, body: (client: PoolClient, lose: (error: unknown) => void) => Promise<T>) {
  let broken: Error | undefined;
  const lose = (error: unknown): void => {
    broken = error instanceof Error ? error : new Error(String(error));
  };
  // The pool listens for errors only while nobody has the connection, and one that nobody hears ends the process. By
  // callback: the connection's end can come in one packet with its greeting, before a promise tells of either.
  const client = await new Promise<PoolClient>((resolve, reject) => {
    pool.connect((error, lent) => (lent ? resolve(lent.on('error', lose)) : reject(error)));
  }).catch((error: unknown) => {
    throw new StoreError('There is no connection to Postgres: is it up?', 'no', error);
  });
  try {
    return await body(client, lose);
  } finally {
    client.off('error', lose);
    client.release(broken);
  }
}

const lost = (error: unknown) =>
  new StoreError(
    'The connection to Postgres was lost before its answer: what was asked may have been done.',
    'unknown',
    error,
  );

/**
 * Postgres itself has answered, and not to say that this connection ends (08, 57P): then nothing was done. 08P01 is what
 * PgBouncer says when it has lost Postgres, maybe after the commit.
 */
const isRefusal = (error: unknown): error is DatabaseError =>
  error instanceof DatabaseError && !/^(08...|57P..)$/.test(error.code ?? '');

/**
 * What a second attempt can cure: lost connections, deadlocks and serialisation failures, a server without room, a lock
 * that wasn't had in time. Only the driver's own error is asked, for its whole SQLSTATE: a handler's error may have any text,
 * and any `code`. 08P01 is also a statement that lacks a parameter: whether the connection is lost shows at its ROLLBACK.
 */
export function isPassing(error: unknown): boolean {
  if (error instanceof StoreError)
    return error.written === 'unknown' || isPassing(error.cause) || !(error.cause instanceof DatabaseError);
  return error instanceof DatabaseError && /^((08(?!P01)|40|53|57|58)...|55P03|25P03)$/.test(error.code ?? '');
}

/** A statement whose bigint columns arrive as a bigint: pg's default is a string. With a name it is planned once a connection. */
export const exactly = (text: string, values: unknown[], name?: string): QueryConfig => ({
  text,
  values,
  types: { getTypeParser },
  ...(name !== undefined && { name }),
});

function getTypeParser(oid: number, format?: 'text' | 'binary') {
  return oid === types.builtins.INT8 ? BigInt : types.getTypeParser(oid, format);
}
