import type { Pool } from 'pg';
import { type Db, rowsOf, runTransaction, type TransactionOptions } from './connection.ts';
import { NotFoundError } from './errors.ts';
import { type RetryOptions, withRetry } from './retry.ts';
import { checkedId, type Patch, type VersionedRow, type VersionedTable } from './table.ts';
import { readVersioned, updateVersioned } from './versioned.ts';

/** Decides on the row as it is. It may be asked several times, each time with a newer row; let it have no effect elsewhere. */
export type Change<Row> = (row: Row) => Patch<Row> | Promise<Patch<Row>>;

/**
 * Optimistic: read, decide, write if nobody was faster; else all of it again. Nobody waits for anybody, and nobody is kept
 * out: two may decide at once, and one of them in vain.
 *
 * @returns the row as it was written
 * @throws RetriesExhaustedError, NotFoundError, and what `change` throws
 */
export function modify<Row extends VersionedRow>(
  pool: Pool,
  table: VersionedTable<Row>,
  id: Row['id'],
  change: Change<Row>,
  options?: RetryOptions,
): Promise<Row> {
  return withRetry(async () => {
    const row = await readVersioned(pool, table, id);
    return updateVersioned(pool, table, id, row.version, await change(row));
  }, options);
}

/**
 * Pessimistic: the row's lock first (`FOR UPDATE`), then decide and write, in one transaction. `change` is asked once; the
 * others queue, each with a connection, for as long as it takes.
 *
 * @returns the row as it was written
 * @throws LockTimeoutError, NotFoundError, and what `change` throws
 */
export function modifyLocked<Row extends VersionedRow>(
  pool: Pool,
  table: VersionedTable<Row>,
  id: Row['id'],
  change: Change<Row>,
  options?: TransactionOptions,
): Promise<Row> {
  return runTransaction(
    pool,
    async (tx) => {
      const text = `SELECT ${table.selection} FROM ${table.name} WHERE id = $1 FOR UPDATE`;
      const [row] = await rowsOf<Row>(tx, text, [checkedId(id)]);
      if (!row) throw new NotFoundError(table.name, id);
      return updateVersioned(tx, table, id, row.version, await change(row));
    },
    options,
  );
}

/**
 * For a rule over several rows, which their versions don't see: `body` runs as if alone (SERIALIZABLE), and anew, in a
 * transaction of its own with a new look at everything, when Postgres found that it wasn't.
 *
 * It holds among those who use it: a writer at a lower level is not seen.
 *
 * @throws RetriesExhaustedError, what `transaction` throws, and what `body` throws
 */
export function serializable<T>(
  pool: Pool,
  body: (tx: Db) => Promise<T>,
  options: RetryOptions & Omit<TransactionOptions, 'isolation'> = {},
): Promise<T> {
  return withRetry(() => runTransaction(pool, body, { ...options, isolation: 'SERIALIZABLE' }), options);
}
