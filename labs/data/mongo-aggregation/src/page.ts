import type { Collection, Document, WithId } from 'mongodb';
import { type AskOptions, ask } from './ask.ts';
import { InvalidArgumentError, told } from './errors.ts';
import { type Field, fieldName, fieldPath, safeIntegerWithin, type Where } from './outside.ts';

export interface PageOptions<T, C extends string> {
  /** Stands before the `$facet`, where an index can answer it. Default: all. */
  readonly where?: Where;
  readonly sort: { readonly by: Field<T>; readonly order?: 'asc' | 'desc' };
  /** From 1 on. */
  readonly page: number;
  /** Items of a page: 1 to 100. */
  readonly size: number;
  /** Fields whose values are counted over all pages; the 100 most frequent of each. */
  readonly counts: readonly C[];
  /** Fields to keep of an item, beside its `_id`. All items and counts are one document, of at most 16 MB. Default: all. */
  readonly show?: readonly Field<T>[];
}

export interface FacetPage<T, C extends string> {
  readonly items: readonly WithId<T>[];
  /** Of all pages. */
  readonly total: number;
  /** Most frequent first. Missing is `undefined`, and not null; of an array each value counts once. */
  readonly counts: Readonly<Record<C, readonly { readonly value: unknown; readonly count: number }[]>>;
}

const MAX_SIZE = 100;
const MAX_PAGE = 1_000_000;

/**
 * A page of documents with its total and counts: one command, so the three agree while others write. Whoever equals
 * another in `sort` comes in the order of `_id`, so no item is on two pages.
 * @throws InvalidArgumentError; LimitExceededError beyond 16 MB; errors of `ask`
 */
export async function facetPage<T extends Document, C extends Field<T>>(
  collection: Collection<T>,
  { where = {}, sort, page, size, counts, show }: PageOptions<T, C>,
  options?: AskOptions,
): Promise<FacetPage<T, C>> {
  safeIntegerWithin('size', size, 1, MAX_SIZE);
  const skip = (safeIntegerWithin('page', page, 1, MAX_PAGE) - 1) * size;
  if (sort.order !== undefined && sort.order !== 'asc' && sort.order !== 'desc')
    throw new InvalidArgumentError(`order is ${told(sort.order)}: it is asc or desc.`);
  const direction = sort.order === 'desc' ? -1 : 1;
  const order = sort.by === '_id' ? { _id: direction } : { [fieldName(sort.by)]: direction, _id: 1 };
  const keep = show ? [{ $project: Object.fromEntries(['_id', ...show.map(fieldName)].map((name) => [name, 1])) }] : [];
  const names = [...counts];
  const facets = {
    items: [{ $sort: order }, { $skip: skip }, { $limit: size }, ...keep],
    total: [{ $count: 'n' }],
    ...Object.fromEntries(names.map((name, i) => [`count${i}`, frequencies(fieldPath(name))])),
  };
  const [row] = await ask<Document>(collection, [{ $match: where }, { $facet: facets }], options);
  const values = (i: number): Document[] => row?.[`count${i}`] ?? [];
  const counted = names.map((name, i) => [
    name,
    values(i).map(({ _id, n }) => ({ value: Object.hasOwn(_id, 'v') ? _id.v : undefined, count: Number(n) })),
  ]);
  // Nothing matched: no stage gives a document, so there is no count of 0 either.
  return { items: row?.['items'] ?? [], total: Number(row?.['total'][0]?.n ?? 0), counts: Object.fromEntries(counted) };
}

function frequencies(path: string): Document[] {
  return [
    { $project: { _id: 0, v: { $cond: [{ $isArray: path }, { $setUnion: [path] }, path] } } },
    { $unwind: { path: '$v', preserveNullAndEmptyArrays: true } },
    { $group: { _id: { v: '$v' }, n: { $sum: 1 } } }, // { v: … } keeps missing and null apart
    { $sort: { n: -1, _id: 1 } },
    { $limit: MAX_SIZE },
  ];
}
