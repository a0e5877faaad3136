// Flaw: the update of many rows leaves their versions as they are, so whoever has read one of them before overwrites it.
// Seen in: https://github.com/mikro-orm/mikro-orm/issues/1703
// Caught by: an update of many rows makes what was read of any of them old
import type { Db, Patch, VersionedRow, VersionedTable } from '../src/index.ts';

export * from '../src/index.ts';

export async function updateMany<Row extends VersionedRow>(
  db: Db,
  table: VersionedTable<Row>,
  ids: readonly Row['id'][],
  patch: Patch<Row>,
): Promise<Row[]> {
  const { sql, values } = table.assign(patch, 2);
  const { rows } = await db.query<Row>(
    `UPDATE ${table.name} SET ${sql} WHERE id = ANY ($1) RETURNING ${table.selection}`,
    [ids, ...values],
  );
  return rows;
}
