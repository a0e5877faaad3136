import { type Db, rowsOf } from './connection.ts';
import { NotFoundError, StaleVersionError, WriteWithheldError } from './errors.ts';
import {
  checkedExpected,
  checkedId,
  type Expected,
  type Patch,
  type VersionedRow,
  type VersionedTable,
} from './table.ts';

// Every function here sends one statement (up to four when it refuses), to a pool or inside a transaction. Besides the errors
// they name, they throw InvalidArgumentError, ConnectionLostError, and pg's `DatabaseError` as it came: a broken constraint, say.

/**
 * The row as it is now; its `version` is the slip to come back with.
 *
 * @throws NotFoundError
 */
export async function readVersioned<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  id: Row['id'],
): Promise<Row> {
  const text = `SELECT ${table.selection} FROM ${table.name} WHERE id = $1`;
  const [row] = await rowsOf<Row>(db, text, [checkedId(id)]);
  if (row) return row;
  throw new NotFoundError(table.name, id);
}

/**
 * Changes the row if it is still at the expected version, and moves the version on by one: checked and written in one
 * statement, so nobody comes in between. The count of rows decides.
 *
 * @returns the row as it was written, with its new version
 * @throws StaleVersionError when somebody was faster, NotFoundError when there is no such row, WriteWithheldError when a policy
 * or a trigger lets nobody write it
 */
export async function updateVersioned<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  id: Row['id'],
  expected: Expected,
  patch: Patch<Row>,
): Promise<Row> {
  const { sql, values } = table.assign(patch, 3);
  const text = `UPDATE ${table.name} SET ${sql}, version = version + 1
    WHERE id = $1 AND ($2::bigint[] IS NULL OR version = ANY ($2))
    RETURNING ${table.selection}`;
  return writeOne(db, table, id, expected, text, values);
}

/**
 * Deletes the row if it is still at the expected version. Don't give its id away again: a new row begins at an old version.
 *
 * @returns the row as it was
 * @throws as `updateVersioned`
 */
export async function deleteVersioned<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  id: Row['id'],
  expected: Expected,
): Promise<Row> {
  const text = `DELETE FROM ${table.name}
    WHERE id = $1 AND ($2::bigint[] IS NULL OR version = ANY ($2))
    RETURNING ${table.selection}`;
  return writeOne(db, table, id, expected, text, []);
}

/**
 * Changes many rows whatever their versions are, and moves each version on: whoever has read one of them before is stale.
 * Two of these over the same rows can deadlock (40P01); `withRetry` helps.
 *
 * @returns the rows that were there, as they were written
 */
export async function updateMany<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  ids: readonly Row['id'][],
  patch: Patch<Row>,
): Promise<Row[]> {
  const { sql, values } = table.assign(patch, 2);
  return rowsOf<Row>(
    db,
    `UPDATE ${table.name} SET ${sql}, version = version + 1 WHERE id = ANY ($1) RETURNING ${table.selection}`,
    [ids.map(checkedId), ...values],
  );
}

/** The row as written, or why there was none: a second look, since the statement has seen the row as it was before its wait. */
async function writeOne<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  id: Row['id'],
  expected: Expected,
  text: string,
  values: readonly unknown[],
): Promise<Row> {
  const versions = checkedExpected(expected);
  const parameters = [checkedId(id), versions === '*' ? null : versions, ...values];
  for (let again = false; ; again = true) {
    const [row] = await rowsOf<Row>(db, text, parameters);
    if (row) return row;
    const look = `SELECT version::float8 AS version FROM ${table.name} WHERE id = $1`;
    const [now] = await rowsOf<VersionedRow>(db, look, [id]);
    if (!now) throw new NotFoundError(table.name, id);
    if (versions !== '*' && !versions.includes(now.version)) {
      throw new StaleVersionError(table.name, id, versions, now.version);
    }
    // It would do: it came between the two, or nobody may write it.
    if (again) throw new WriteWithheldError(table.name, id);
  }
}
