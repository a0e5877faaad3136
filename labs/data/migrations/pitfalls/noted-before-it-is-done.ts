// Flaw: the progress is committed before the batch, so the rows of a batch that fails are never come back to.
// Seen in: https://github.com/tempoxyz/tidx/pull/107 (progress that runs ahead of the data)
// Caught by: a batch that failed is not noted as done
import { quoted } from '../src/check.ts';
import type { BatchUpdateOptions, BatchUpdateResult } from '../src/index.ts';
import { expressionsOf } from '../src/migration.ts';

export * from '../src/index.ts';

export async function batchUpdate(options: BatchUpdateOptions): Promise<BatchUpdateResult> {
  const { db, name, size, onProgress } = options;
  const [table, key] = [quoted(options.table), quoted(options.key)];
  const set = expressionsOf(options.transform).map((pair) => pair.join(' = '));
  await db.query('CREATE TABLE IF NOT EXISTS noted (name text PRIMARY KEY, last bigint, rows integer)');
  await db.query('INSERT INTO noted VALUES ($1, 0, 0) ON CONFLICT DO NOTHING', [name]);
  const note = async () => (await db.query('SELECT last::text, rows FROM noted WHERE name = $1', [name])).rows[0];
  const { last: resumedFrom } = await note();
  for (;;) {
    const { last, rows } = await note();
    const next = `SELECT ${key} AS k FROM ${table} WHERE ${key} > $1 ORDER BY ${key} LIMIT $2`;
    const batch = await db.query(next, [last, size]);
    const end = batch.rows.at(-1)?.k;
    if (end === undefined) return { rows, resumedFrom: resumedFrom === '0' ? undefined : resumedFrom };
    await db.query('UPDATE noted SET last = $2, rows = rows + $3 WHERE name = $1', [name, end, batch.rows.length]);
    await db.query(`UPDATE ${table} SET ${set} WHERE ${key} > $1 AND ${key} <= $2`, [last, end]);
    onProgress?.({ rows: rows + batch.rows.length, last: end });
  }
}
