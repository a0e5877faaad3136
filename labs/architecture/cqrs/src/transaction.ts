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
  try {
    await client.query(begin);
    const result = await body(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
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
