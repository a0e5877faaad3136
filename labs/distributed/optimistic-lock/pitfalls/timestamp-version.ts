// Flaw: the version is the time of the update, which two updates can share: whoever has read the first is not seen as stale.
// Seen in: https://github.com/SciCatProject/backend/pull/2929
// Caught by: each update moves the version on by one, two in one transaction too
import {
  type Db,
  type Expected,
  type Patch,
  StaleVersionError,
  type VersionedRow,
  type VersionedTable,
} from '../src/index.ts';

export * from '../src/index.ts';

export async function updateVersioned<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  id: Row['id'],
  expected: Expected,
  patch: Patch<Row>,
): Promise<Row> {
  const { sql, values } = table.assign(patch, 3);
  const { rows } = await db.query<Row>(
    `UPDATE ${table.name} SET ${sql}, version = floor(extract(epoch FROM now()) * 1000)
     WHERE id = $1 AND version = $2 RETURNING ${table.selection}`,
    [id, expected, ...values],
  );
  const [row] = rows;
  if (row) return row;
  throw new StaleVersionError(table.name, id, [], Number.NaN);
}
