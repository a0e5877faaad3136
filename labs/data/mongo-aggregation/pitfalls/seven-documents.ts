// Flaw: "the last seven days" are the last seven documents: on a quiet table that is a month.
// Seen in: https://github.com/apache/superset/issues/12314
// Caught by: a running total goes by table and time, and a period is of days, not of documents
import type { Collection, Document } from 'mongodb';
import { type Running, type RunningOptions, runningTotals as reference } from '../src/index.ts';

export * from '../src/index.ts';

export async function runningTotals<T extends Document>(
  collection: Collection<T>,
  options: RunningOptions<T>,
): Promise<Running<T>[]> {
  const rows = await reference(collection, options);
  return rows.map((row, i) => {
    const table = rows.slice(0, i + 1).filter(({ doc }) => doc[options.per] === row.doc[options.per]);
    return { ...row, recent: row.total - (table.at(-options.days - 1)?.total ?? 0n) };
  });
}
