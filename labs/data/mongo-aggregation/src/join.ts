import type { Collection, Document, WithId } from 'mongodb';
import { type AskOptions, ask } from './ask.ts';
import { InvalidArgumentError } from './errors.ts';
import { type Field, fieldName, fieldPath, plainText, type Where } from './outside.ts';

/** A reference: the field `local` holds what the field `foreign` of the collection `from` is. */
export interface Refs<Local extends string = string, As extends string = string> {
  readonly from: string;
  /** A value, or an array of them. No path through a list: it leaves out who has no such field. */
  readonly local: Local;
  /** A unique key there, and no list. Default: `_id`. */
  readonly foreign?: string;
  /** The field that gets what was found. */
  readonly as: As;
  /** Fields to keep of it, beside its key. Default: all. */
  readonly show?: readonly string[];
}

export type Joined<T, As extends string> = WithId<T> &
  Readonly<Record<As, Document | null | readonly (Document | null)[]>>;

/**
 * Documents with what they refer to, in one round trip however many they are. A reference that is null, missing or leads
 * nowhere is null; an array of references is an array of the same length and order.
 * @throws InvalidArgumentError; errors of `ask`
 */
export function joinRefs<T extends Document, As extends string>(
  collection: Collection<T>,
  refs: Refs<Field<T>, As> & { readonly where?: Where },
  options?: AskOptions,
): Promise<Joined<T, As>[]> {
  return ask(collection, [{ $match: refs.where ?? {} }, ...lookupRefs(refs)], options);
}

/** The stages of `joinRefs`, for a pipeline of your own. @throws InvalidArgumentError */
export function lookupRefs({ from, local, foreign = '_id', as, show }: Refs): Document[] {
  const [path, key] = [fieldPath(local), fieldName(foreign)];
  const keep = show && Object.fromEntries([key, ...show.map(fieldName)].map((name) => [name, 1]));
  // A `local` that is missing equals a `foreign` that is missing: whoever has no key is nobody's.
  const pipeline = [{ $match: { [key]: { $ne: null } } }, ...(keep ? [{ $project: keep }] : [])];
  const found = output(as);
  if (local.split('.')[0] === as)
    throw new InvalidArgumentError(`"${as}" is what refers: what is found needs another field.`);
  const one = (ref: string) => ({
    $ifNull: [{ $first: { $filter: { input: `$${found}`, cond: { $eq: [`$$this.${key}`, ref] } } } }, null],
  });
  return [
    { $lookup: { from: plainText('from', from), localField: local, foreignField: key, pipeline, as: found } },
    // The server gives them in an order of its own, each once, without those it didn't find.
    {
      $set: {
        [found]: {
          $cond: [{ $isArray: path }, { $map: { input: path, as: 'ref', in: one('$$ref') } }, one(path)],
        },
      },
    },
  ];
}

/** What held at a time: of the documents of one `key`, the last whose `from` is not after the local `at`. */
export interface AsOf<Local extends string = string, As extends string = string> {
  readonly from: string;
  readonly local: Local;
  /** The field there that equals `local`. */
  readonly foreign: string;
  /** The local time: a date. */
  readonly at: Local;
  /** The field there that says since when: a date. */
  readonly since: string;
  readonly as: As;
}

/**
 * Stages that add what held at that time (the price on the day of the order), or null. Equality can't say "the last one
 * before": this is the `$lookup` with `let` and a pipeline, run for each document. It wants an index on `foreign, since`.
 * @throws InvalidArgumentError
 */
export function lookupAsOf({ from, local, foreign, at, since, as }: AsOf): Document[] {
  const [found, start] = [output(as), fieldName(since)];
  const holds = {
    $and: [
      { $gt: ['$$ref', null] }, // in an expression, too, missing equals missing
      { $eq: [fieldPath(foreign), '$$ref'] },
      { $eq: [{ $type: fieldPath(start) }, 'date'] }, // a text or a number sorts before any date
      { $lte: [fieldPath(start), '$$at'] },
    ],
  };
  return [
    {
      $lookup: {
        from: plainText('from', from),
        let: { ref: fieldPath(local), at: fieldPath(at) },
        pipeline: [{ $match: { $expr: holds } }, { $sort: { [start]: -1, _id: -1 } }, { $limit: 1 }],
        as: found,
      },
    },
    { $set: { [found]: { $ifNull: [{ $first: `$${found}` }, null] } } },
  ];
}

function output(name: string): string {
  if (!fieldName(name).includes('.') && name !== '_id') return name;
  throw new InvalidArgumentError(`"${name}" is taken, or a path: what is found gets a field of its own.`);
}
