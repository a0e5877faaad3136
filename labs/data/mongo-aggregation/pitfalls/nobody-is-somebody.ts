// Flaw: `$lookup` by two fields alone. Missing equals null there, so an order without a dish gets all dishes without a code.
// Seen in: https://www.mongodb.com/docs/manual/reference/operator/aggregation/lookup/
// Caught by: a reference that is null, missing or lost joins nothing
import type { Collection, Document } from 'mongodb';
import { ask, type Joined, lookupRefs, type Refs } from '../src/index.ts';

export * from '../src/index.ts';

export function joinRefs<T extends Document, As extends string>(
  collection: Collection<T>,
  refs: Refs<string, As>,
): Promise<Joined<T, As>[]> {
  const [lookup, order] = lookupRefs(refs);
  const { from, localField, foreignField } = lookup?.['$lookup'] ?? {};
  const found = `$${refs.as}`;
  const first = { $set: { [refs.as]: { $ifNull: [{ $first: found }, null] } } };
  const list = { $cond: [{ $isArray: `$${refs.local}` }, order?.['$set'][refs.as], first.$set[refs.as]] };
  return ask(collection, [{ $lookup: { from, localField, foreignField, as: refs.as } }, { $set: { [refs.as]: list } }]);
}
