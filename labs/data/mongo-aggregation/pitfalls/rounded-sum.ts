// Flaw: amounts are summed as they are, and the sum is read as a JavaScript number: beyond 2^53 cents are rounded away.
// Seen in: https://github.com/appsmithorg/appsmith/issues/5743
// Caught by: sums are exact to the cent whatever types the books mix, and what is no amount is counted
import type { Collection, Document } from 'mongodb';
import {
  ask,
  type BucketOptions,
  type BucketReport,
  type Edge,
  fieldPath,
  bucketReport as reference,
} from '../src/index.ts';

export * from '../src/index.ts';

export async function bucketReport<T extends Document, E extends Edge>(
  collection: Collection<T>,
  options: BucketOptions<T, E>,
): Promise<BucketReport<E>> {
  const { buckets, outside } = await reference(collection, options);
  const { by, edges, where = {}, sum } = options;
  const total = { $sum: { $cond: [{ $isNumber: fieldPath(sum) }, fieldPath(sum), 0] } };
  const stage = { groupBy: fieldPath(by), boundaries: [...edges], default: 'outside', output: { total } };
  const rows = await ask<Document>(collection, [{ $match: where }, { $bucket: stage }]);
  const rounded = (from: unknown) => {
    const row = rows.find(({ _id }) => String(_id) === String(from));
    const number = Number(String(row?.['total'] ?? 0));
    return Number.isFinite(number) ? BigInt(Math.round(number)) : 0n;
  };
  return {
    buckets: buckets.map((bucket) => ({ ...bucket, sum: rounded(bucket.from) })),
    outside: { ...outside, sum: rounded('outside') },
  };
}
