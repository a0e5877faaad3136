// Flaw: `$bucket` without a default: one amount outside the edges, or none at all, and there is no report.
// Seen in: https://github.com/kofrasa/mingo/pull/148
// Caught by: an amount at an edge is in the bucket above, and what fits in none is outside
import type { Collection, Document } from 'mongodb';
import { amounts, ask, type BucketOptions, type BucketReport, type Edge, fieldPath, readCents } from '../src/index.ts';

export * from '../src/index.ts';

export async function bucketReport<T extends Document, E extends Edge>(
  collection: Collection<T>,
  { by, edges, sum, where = {} }: BucketOptions<T, E>,
): Promise<BucketReport<E>> {
  const amount = amounts(fieldPath(sum));
  const output = { count: { $sum: 1 }, sum: { $sum: amount.sum }, unread: { $sum: amount.unread } };
  const stage = { groupBy: fieldPath(by), boundaries: [...edges], output };
  const rows = await ask<Document>(collection, [{ $match: where }, { $bucket: stage }]);
  const buckets = edges.slice(0, -1).map((from, i) => {
    const row = rows.find(({ _id }) => String(_id) === String(from));
    const to = edges[i + 1] ?? from;
    return { from, to, count: row?.['count'] ?? 0, sum: readCents(row?.['sum'] ?? 0), unread: row?.['unread'] ?? 0 };
  });
  return { buckets, outside: { count: 0, sum: 0n, unread: 0 } };
}
