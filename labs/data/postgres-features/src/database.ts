import { DatabaseError, type Pool, type PoolClient, type QueryResultRow, types } from 'pg';
import { DisconnectedError, QueryRefusedError } from './errors.ts';
import { fromJson } from './json.ts';

/** One statement and its parameters, to be run or to be explained. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Asks one statement on one connection. */
export type Ask = <R extends QueryResultRow>(statement: Statement) => Promise<R[]>;

/** @throws QueryRefusedError, DisconnectedError */
export function ask<R extends QueryResultRow>(pool: Pool, statement: Statement): Promise<R[]> {
  return withClient(pool, (query) => query<R>(statement));
}

/**
 * Runs `body` in a transaction. Whatever it throws, it throws after a ROLLBACK.
 *
 * @param begin e.g. "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
 * @param end `ROLLBACK`: nothing of what `body` did stays
 * @throws QueryRefusedError, DisconnectedError
 */
export function transact<T>(
  pool: Pool,
  begin: string,
  body: (ask: Ask) => Promise<T>,
  end: 'COMMIT' | 'ROLLBACK' = 'COMMIT',
): Promise<T> {
  return withClient(pool, async (query, lose) => {
    await query(plain(begin));
    try {
      const result = await body(query);
      await query(plain(end));
      return result;
    } catch (error) {
      await query(plain('ROLLBACK')).catch(lose);
      throw error;
    }
  });
}

/** Runs the statements of a schema, all or none, one caller at a time: two `IF NOT EXISTS` at once can both find nothing. */
export function migrateBy(pool: Pool, statements: readonly string[]): Promise<void> {
  return transact(pool, 'BEGIN', async (query) => {
    await query(plain("SELECT pg_advisory_xact_lock(hashtext('postgres-features: schema'))"));
    for (const text of statements) await query(plain(text));
  });
}

async function withClient<T>(pool: Pool, body: (ask: Ask, lose: (error: Error) => void) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const lose = (error: Error): void => {
    broken ??= error;
  };
  const client = await heardBy(pool, lose);
  const query = async <R extends QueryResultRow>({ text, values }: Statement): Promise<R[]> => {
    try {
      // Extended: the simple protocol would run whatever stands after a semicolon.
      const extended = { text, values: [...values], types: { getTypeParser: parserOf }, queryMode: 'extended' };
      return (await client.query<R>(extended)).rows;
    } catch (error) {
      if (isAnswer(error)) throw new QueryRefusedError(error);
      lose(error instanceof Error ? error : new Error(String(error)));
      throw new DisconnectedError('unknown', error);
    }
  };
  try {
    return await body(query, lose);
  } finally {
    client.off('error', lose);
    client.release(broken);
  }
}

/** With a listener from the start: the pool has none while a client is lent, and an error that nobody hears ends the process. */
function heardBy(pool: Pool, lose: (error: Error) => void): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    // By callback, since the error can come in one packet with the greeting, before a promise has told anybody.
    pool.connect((error, client) => {
      if (client) resolve(client.on('error', lose));
      else reject(new DisconnectedError('no', error));
    });
  });
}

const plain = (text: string): Statement => ({ text, values: [] });

/**
 * Postgres itself has answered, and not to say that this connection ends (08, 57P). 08P01 it says of a message that it has
 * understood, such as a statement that lacks a parameter.
 */
const isAnswer = (error: unknown): error is DatabaseError =>
  error instanceof DatabaseError && !/^(08(?!P01)...|57P..)$/.test(error.code ?? '');

/** jsonb with its integers exact: pg's default is JSON.parse, which rounds them. */
function parserOf(oid: number, format?: 'text' | 'binary') {
  return oid === types.builtins.JSONB ? fromJson : types.getTypeParser(oid, format);
}
