// Flaw: batches by OFFSET: once rows before it are gone, it points further along, and as many rows are left out.
// Seen in: https://github.com/GeiserX/Telegram-Archive/pull/368
// Caught by: a backfill leaves no row out while others come and go
import { quoted } from '../src/check.ts';
import type { BatchUpdateOptions, BatchUpdateResult } from '../src/index.ts';
import { expressionsOf } from '../src/migration.ts';
import { pause } from '../src/session.ts';

export * from '../src/index.ts';

export async function batchUpdate(options: BatchUpdateOptions): Promise<BatchUpdateResult> {
  const { db, size, pauseMs = 0, signal, onProgress } = options;
  const [table, key] = [quoted(options.table), quoted(options.key)];
  const set = expressionsOf(options.transform).map((pair) => pair.join(' = '));
  for (let offset = 0; ; offset += size) {
    const { rows, rowCount } = await db.query(
      `UPDATE ${table} SET ${set} WHERE ${key} IN (SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT $1 OFFSET $2)
       RETURNING ${key}::text AS last`,
      [size, offset],
    );
    if (!rowCount) return { rows: offset, resumedFrom: undefined };
    onProgress?.({ rows: offset + rowCount, last: rows.at(-1)?.last });
    await pause(pauseMs, signal);
  }
}
