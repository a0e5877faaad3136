import type { Collection, Document } from 'mongodb';
import { type AskOptions, ask } from './ask.ts';
import { InvalidArgumentError } from './errors.ts';
import { equals, type Field, fieldName, fieldPath, safeIntegerWithin } from './outside.ts';

export interface ReachOptions<T> {
  /** The key of the document to begin with. */
  readonly start: string | number;
  /** The field that holds the keys of the next ones. */
  readonly via: Field<T>;
  /** The field that is the key. Default: `_id`. */
  readonly key?: Field<T>;
  /** How many steps to go at most: 1 to 100. */
  readonly maxDepth: number;
}

/**
 * All that `start` leads to (the parts of a dish, and their parts), each once with its least number of steps, nearest
 * first. A circle ends; `start` itself isn't told. `$graphLookup` has 100 MB and no disk.
 * @throws InvalidArgumentError; errors of `ask`
 */
export async function reachable<T extends Document>(
  collection: Collection<T>,
  { start, via, key = '_id', maxDepth }: ReachOptions<T>,
  options?: AskOptions,
): Promise<{ readonly key: unknown; readonly depth: number }[]> {
  if (typeof start !== 'string' && !Number.isFinite(start))
    throw new InvalidArgumentError('start is a text or a number.');
  const name = fieldName(key);
  const rows = await ask<Document>(
    collection,
    [
      { $match: equals({ [name]: start }) },
      { $limit: 1 },
      {
        $graphLookup: {
          from: collection.collectionName,
          startWith: fieldPath(via),
          connectFromField: fieldName(via),
          connectToField: name,
          as: 'found',
          depthField: 'depth',
          maxDepth: safeIntegerWithin('maxDepth', maxDepth, 1, 100) - 1,
          restrictSearchWithMatch: { [name]: { $ne: null } },
        },
      },
      { $unwind: '$found' },
      { $project: { _id: 0, key: fieldPath(`found.${name}`), depth: '$found.depth' } },
      { $match: { key: { $ne: start } } }, // a circle comes back to it
      { $sort: { depth: 1, key: 1 } },
    ],
    options,
  );
  return rows.map((row) => ({ key: row['key'], depth: Number(row['depth']) + 1 }));
}
