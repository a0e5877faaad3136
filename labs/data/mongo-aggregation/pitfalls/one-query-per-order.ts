// Flaw: the orders are read, and then for each of them the menu is asked: 1 + N round trips.
// Seen in: https://github.com/Automattic/mongoose/issues/1574
// Caught by: a join asks the server once, however many the orders are
import type { Collection, Document } from 'mongodb';
import type { Joined, Refs } from '../src/index.ts';

export * from '../src/index.ts';

export async function joinRefs<T extends Document, As extends string>(
  collection: Collection<T>,
  { from, local, foreign = '_id', as }: Refs<string, As>,
): Promise<Joined<T, As>[]> {
  const menu = collection.db.collection(from);
  const one = (ref: unknown) => (ref == null ? null : menu.findOne({ [foreign]: { $eq: ref } }));
  const joined: Document[] = [];
  for (const document of await collection.find<Document>({}).toArray()) {
    const ref = document[local];
    joined.push({ ...document, [as]: Array.isArray(ref) ? await Promise.all(ref.map(one)) : await one(ref) });
  }
  return joined as Joined<T, As>[];
}
