// Flaw: a refresh sums what is new and adds that to the day: who is repeated, or begins anew, counts it twice.
// Seen in: https://github.com/geminimir/meterguard/pull/80
// Caught by: a view that is refreshed twice is the same view
import type { Collection, Document } from 'mongodb';
import { amounts, ask, fieldPath, type Refreshed, type ViewOptions } from '../src/index.ts';

export * from '../src/index.ts';

export async function refreshView<T extends Document>(
  source: Collection<T>,
  { into, marks, at, changed, sum, counts = true }: ViewOptions<T>,
): Promise<Refreshed> {
  const mark = await marks.findOne({ _id: into.namespace });
  const [newest] = await source
    .find<Document>({})
    .sort({ [changed]: -1 })
    .limit(1)
    .toArray();
  const upTo: Date | undefined = newest?.[changed];
  const isNew = { $match: mark ? { [changed]: { $gt: mark.upTo } } : {} };
  const amount = amounts(fieldPath(sum), counts);
  const group = {
    _id: { $dateTrunc: { date: fieldPath(at), unit: 'day' } },
    sum: { $sum: amount.sum },
    unread: { $sum: amount.unread },
    count: { $sum: { $cond: [counts, 1, 0] } },
    asOf: { $max: fieldPath(changed) },
  };
  const added = { sum: { $add: ['$sum', '$$new.sum'] }, count: { $add: ['$count', '$$new.count'] } };
  const whenMatched = [{ $set: added }];
  const days = await ask(source, [isNew, { $group: group }]);
  await ask(source, [isNew, { $group: group }, { $merge: { into: into.collectionName, whenMatched } }]);
  if (upTo) await marks.updateOne({ _id: into.namespace }, { $max: { upTo } }, { upsert: true });
  return { days: days.length, upTo };
}
