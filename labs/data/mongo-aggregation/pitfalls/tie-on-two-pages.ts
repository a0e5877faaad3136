// Flaw: a page is sorted by a field that many share, and by nothing else: who is first among equals is left to the server.
// Seen in: https://github.com/Automattic/mongoose/issues/14718
// Caught by: a page tells the total and the counts of all pages, and no item is on two of them
import type { Collection, Document, WithId } from 'mongodb';
import { ask, type FacetPage, type Field, type PageOptions, facetPage as reference } from '../src/index.ts';

export * from '../src/index.ts';

export async function facetPage<T extends Document, C extends Field<T>>(
  collection: Collection<T>,
  options: PageOptions<T, C>,
): Promise<FacetPage<T, C>> {
  const { where = {}, sort, page, size } = options;
  const pages = [
    { $sort: { [sort.by]: sort.order === 'desc' ? -1 : 1 } },
    { $skip: (page - 1) * size },
    { $limit: size },
  ];
  const items = await ask<WithId<T>>(collection, [{ $match: where }, ...pages]);
  return { ...(await reference(collection, options)), items };
}
