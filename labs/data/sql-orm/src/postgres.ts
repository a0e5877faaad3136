import { Kysely, type KyselyConfig, PostgresDialect } from 'kysely';
import { Pool, type PoolConfig, types } from 'pg';

/**
 * A Kysely whose values are what the models say: int8 as `bigint` (pg gives text), `date` as text (pg gives midnight in
 * the machine's zone), `timestamp` as text too: it is no instant, and no column of a model takes it. A connection that breaks doesn't end the process; who uses it gets the error.
 */
export function openPostgres<DB>(config: PoolConfig, options?: Omit<KyselyConfig, 'dialect'>): Kysely<DB> {
  const own = new Map<number, (text: string) => unknown>([
    [types.builtins.INT8, BigInt],
    [types.builtins.DATE, String],
    [types.builtins.TIMESTAMP, String],
  ]);
  const pool = new Pool({
    ...config,
    types: { getTypeParser: (oid: number, format = 'text') => own.get(oid) ?? types.getTypeParser(oid, format) },
  });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new Kysely<DB>({ ...options, dialect: new PostgresDialect({ pool }) });
}
