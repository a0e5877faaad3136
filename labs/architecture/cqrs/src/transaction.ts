import { type Pool, type PoolClient, type QueryConfig, types } from 'pg';

export type Begin = 'BEGIN' | 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Runs `body` between `begin` and COMMIT; whatever it throws, it throws after a ROLLBACK. */
export async function inTransaction<T>(
  pool: Pool,
  body: (tx: PoolClient) => Promise<T>,
  begin: Begin = 'BEGIN',
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const lose = (error: Error) => {
    broken = error;
  };
  // The pool listens for errors only while nobody has the connection, and one that nobody hears ends the process.
  client.on('error', lose);
  try {
    await client.query(begin);
    const result = await body(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(lose);
    throw error;
  } finally {
    client.off('error', lose);
    client.release(broken);
  }
}

/** A name of ours as part of a statement. */
export const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** A statement whose bigint columns arrive as a bigint: pg's default is a string. */
export const exactly = (text: string, values: unknown[]): QueryConfig => ({ text, values, types: { getTypeParser } });

function getTypeParser(oid: number, format?: 'text' | 'binary') {
  return oid === types.builtins.INT8 ? BigInt : types.getTypeParser(oid, format);
}
