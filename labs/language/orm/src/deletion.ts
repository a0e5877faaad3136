import type { Database } from './database.ts';
import { ProtectedError } from './errors.ts';
import { quote } from './identifier.ts';
import type { ForeignKeyColumn, ModelMeta } from './meta.ts';
import type { EntityClass } from './model.ts';

/**
 * Deletes rows and follows the foreign keys that refer to them, as `onDelete` says; the constraints in the database say
 * the same, for everybody else. Looks first, then deletes, so that a protected row far down leaves all as it was.
 * Call it in a transaction: what it has looked at is locked.
 */
export async function deleteRows(
  db: Database,
  entity: EntityClass,
  keys: readonly unknown[],
): Promise<Readonly<Record<string, number>>> {
  const doomed = new Map<ModelMeta, Set<unknown>>();
  const forgotten: {
    readonly meta: ModelMeta;
    readonly column: ForeignKeyColumn;
    readonly keys: readonly unknown[];
  }[] = [];
  const blockers: Record<string, number> = {};

  const collect = async (meta: ModelMeta, found: readonly unknown[]): Promise<void> => {
    const known = doomed.get(meta) ?? new Set();
    doomed.set(meta, known);
    const added = found.filter((key) => !known.has(key));
    for (const key of added) known.add(key);
    if (added.length === 0) return;
    for (const { entity: source, column } of meta.incoming) {
      const referring = await keysOf(
        db,
        source.meta,
        column,
        added.map((key) => meta.pk.encode(key)),
      );
      if (referring.length === 0) continue;
      if (column.onDelete === 'cascade') await collect(source.meta, referring);
      else if (column.onDelete === 'setNull') forgotten.push({ meta: source.meta, column, keys: added });
      else {
        const by = `${source.name}.${column.name}`;
        blockers[by] = (blockers[by] ?? 0) + referring.length;
      }
    }
  };
  await collect(entity.meta, keys);
  if (Object.keys(blockers).length > 0) throw new ProtectedError(`${entity.name}`, blockers);

  const any = (meta: ModelMeta, list: Iterable<unknown>) => [[...list].map((key) => meta.pk.encode(key))];
  for (const { meta, column, keys: gone } of forgotten) {
    const name = quote(column.column);
    await db.query(
      `UPDATE ${quote(meta.table)} SET ${name} = NULL WHERE ${name} = ANY($1::${column.type.array}[])`,
      any(column.target().meta, gone),
    );
  }
  const counts: Record<string, number> = {};
  // What refers goes before what it refers to. In a cycle that can't be: the constraints are checked at COMMIT.
  for (const [meta, gone] of [...doomed].toReversed()) {
    const sql = `DELETE FROM ${quote(meta.table)} WHERE ${quote(meta.pk.column)} = ANY($1::${meta.pk.type.array}[])`;
    await db.query(sql, any(meta, gone));
    // All of them were there, and are locked: also those that went by a constraint of the database's.
    counts[meta.name] = gone.size;
  }
  return counts;
}

async function keysOf(
  db: Database,
  meta: ModelMeta,
  column: ForeignKeyColumn,
  targets: readonly unknown[],
): Promise<unknown[]> {
  const where = `${quote(column.column)} = ANY($1::${column.type.array}[])`;
  const sql = `SELECT ${quote(meta.pk.column)} FROM ${quote(meta.table)} WHERE ${where} FOR UPDATE`;
  return (await db.query(sql, [targets])).rows.map(([key]) => key);
}
