// Flaw: an UPDATE that changed no row is taken for a success; whoever was late learns nothing, and his change is gone.
// Seen in: https://github.com/abel533/Mapper/issues/210
// Caught by: whoever is late gets a StaleVersionError and writes nothing; where no row is, a NotFoundError
import {
  type Db,
  type Expected,
  type Patch,
  readVersioned,
  updateVersioned as reference,
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
  try {
    return await reference(db, table, id, expected, patch);
  } catch (error) {
    if (error instanceof StaleVersionError) return readVersioned(db, table, id);
    throw error;
  }
}
