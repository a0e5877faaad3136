// Flaw: the version is read, compared in JavaScript, and then the row is updated by its id alone: two who compared at once both write.
// Seen in: https://github.com/proteanhq/protean/pull/888
// Caught by: of those who read one version one writes
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
  const { version } = await readVersioned(db, table, id);
  if (version !== expected) throw new StaleVersionError(table.name, id, [], version);
  return reference(db, table, id, '*', patch);
}
