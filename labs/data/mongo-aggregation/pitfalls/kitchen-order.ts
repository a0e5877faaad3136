// Flaw: an array of references becomes what `$lookup` found: in the order of the menu, each once, the lost ones left out.
// Seen in: https://github.com/vadimdemedes/mongorito/pull/111
// Caught by: an array of references comes back in its order, each as often as it is there
import type { Collection, Document } from 'mongodb';
import { ask, type Joined, lookupRefs, type Refs } from '../src/index.ts';

export * from '../src/index.ts';

export function joinRefs<T extends Document, As extends string>(
  collection: Collection<T>,
  refs: Refs<string, As>,
): Promise<Joined<T, As>[]> {
  const [lookup] = lookupRefs(refs);
  const found = `$${refs.as}`;
  const one = { $ifNull: [{ $first: found }, null] };
  return ask(collection, [
    { ...lookup },
    { $set: { [refs.as]: { $cond: [{ $isArray: `$${refs.local}` }, found, one] } } },
  ]);
}
