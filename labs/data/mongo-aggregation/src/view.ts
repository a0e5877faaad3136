import type { Collection, Document } from 'mongodb';
import { type AskOptions, answer, ask } from './ask.ts';
import { InvalidArgumentError } from './errors.ts';
import { amounts, readCents, type Total } from './money.ts';
import { type Field, fieldName, fieldPath, isDate, plainText, safeIntegerWithin } from './outside.ts';

/** A day of the view. */
export interface Day extends Total {
  /** When it begins. */
  readonly day: Date;
  /** Documents that count. */
  readonly count: number;
}

/** A day as the view keeps it. */
export interface DayDocument {
  _id: Date;
  sum: unknown;
  unread: number;
  count: number;
  /** It knows of all changes up to then. */
  asOf: Date;
}

/** How far the view has read. `_id` is the view's namespace. */
export interface Watermark {
  _id: string;
  upTo: Date;
}

export interface ViewOptions<T> {
  /** The view: its documents are `DayDocument`s, and only `refreshView` writes them. */
  readonly into: Collection<DayDocument>;
  readonly marks: Collection<Watermark>;
  /** A date: which day a document belongs to; without one it belongs to none. It never changes, and no document is deleted: it is cancelled. */
  readonly at: Field<T>;
  /** A date that every write sets to the time of the write. It wants an index, and so does `at`. */
  readonly changed: Field<T>;
  readonly sum: Field<T>;
  /** An expression: which documents count (`{ $ne: ['$status', 'cancelled'] }`). Default: all. */
  readonly counts?: unknown;
  /** An Olson name or an offset. Default: UTC. */
  readonly timezone?: string;
  /** How much later than `changed` says a write may show: clocks differ, commits take time. Default: 60,000. */
  readonly overlapMs?: number;
}

export interface Refreshed {
  /** Days that were computed. */
  readonly days: number;
  /** The newest change that was seen; undefined when there is no document yet. */
  readonly upTo: Date | undefined;
}

/**
 * Brings a view of sums per day up to date: each day that has a change since the last time is computed anew, from all of
 * its documents, and replaced. So a refresh that is repeated, or ends half-way, or meets another, does no harm.
 * @throws InvalidArgumentError; errors of `ask`
 */
export async function refreshView<T extends Document>(
  source: Collection<T>,
  { into, marks, at, changed, sum, counts = true, timezone = 'UTC', overlapMs = 60_000 }: ViewOptions<T>,
  options: AskOptions = {},
): Promise<Refreshed> {
  if (new Set([source, into, marks].map(({ namespace }) => namespace)).size < 3)
    throw new InvalidArgumentError('A view, its source and its marks are three collections.');
  plainText('timezone', timezone);
  safeIntegerWithin('overlapMs', overlapMs, 0, 86_400_000);
  const [time, change] = [fieldName(at), fieldName(changed)];
  const begun = await answer(() => into.findOne({}, { projection: { _id: 1 } }), options.signal);
  // The mark of a view that was dropped since says nothing of the new one, nor of a half of it.
  if (!begun) await answer(() => marks.deleteOne({ _id: into.namespace }), options.signal);
  const mark = await answer(() => marks.findOne({ _id: into.namespace }), options.signal);
  const before = mark?.upTo instanceof Date ? mark.upTo.getTime() : undefined;
  // Read before the days are: what changes while they are computed is newer than this, and is found next time.
  const seen = await ask<Document>(
    source,
    [
      { $match: isDate(change) },
      { $sort: { [change]: -1 } },
      { $limit: 1 },
      { $project: { _id: 0, upTo: fieldPath(change) } },
    ],
    options,
  );
  const newest: Date | undefined = seen[0]?.['upTo'];
  if (!newest) return { days: 0, upTo: newest };
  // One change that is dated in the future by mistake must not hide those to come.
  const upTo = new Date(Math.min(newest.getTime(), Date.now()));
  // Not the newest change of the day: that goes back when a clock behind, or a correction, takes its place.
  const asOf = new Date(Math.max(upTo.getTime(), before ?? Number.NEGATIVE_INFINITY));
  const since = before === undefined ? {} : { [change]: { $gte: new Date(before - overlapMs) } };
  const day = { $dateTrunc: { date: fieldPath(time), unit: 'day', timezone } };
  const noon = { $dateAdd: { startDate: '$_id', unit: 'hour', amount: 36 } };
  const touched = await ask<Document>(
    source,
    [
      { $match: { $and: [since, isDate(time)] } },
      { $group: { _id: day } },
      // A day without a midnight begins at 1:00, and 1:00 is a day later: so go to the next noon, and back to its begin.
      { $project: { end: { $dateTrunc: { date: noon, unit: 'day', timezone } } } },
      { $sort: { _id: 1 } },
    ],
    options,
  );
  if (touched.length > 0) {
    const amount = amounts(fieldPath(sum), counts);
    await ask(
      source,
      [
        {
          $match: {
            $and: [isDate(time), { $or: ranges(touched).map((range) => ({ [time]: range })) }],
          },
        },
        {
          $group: {
            _id: day,
            sum: { $sum: amount.sum },
            unread: { $sum: amount.unread },
            count: { $sum: { $cond: [counts, 1, 0] } },
          },
        },
        { $set: { asOf } },
        {
          $merge: {
            into: { db: into.dbName, coll: into.collectionName },
            on: '_id',
            whenMatched: NEWER,
            whenNotMatched: 'insert',
          },
        },
      ],
      options,
    );
  }
  // Last, and never back: a refresh that ends before this line is done again, from where it began.
  await answer(() => marks.updateOne({ _id: into.namespace }, { $max: { upTo } }, { upsert: true }), options.signal);
  return { days: touched.length, upTo };
}

/** Days side by side are one range: of a year's days each document would be tried against each. */
function ranges(days: readonly Document[]): { readonly $gte: Date; $lt: Date }[] {
  const found: { readonly $gte: Date; $lt: Date }[] = [];
  for (const { _id, end } of days) {
    const last = found.at(-1);
    if (last && last.$lt.getTime() === _id.getTime()) last.$lt = end;
    else found.push({ $gte: _id, $lt: end });
  }
  return found;
}

/** A slow refresh that began earlier doesn't overwrite what a later one has seen. */
const NEWER = [{ $replaceWith: { $cond: [{ $gte: ['$$new.asOf', '$asOf'] }, '$$new', '$$ROOT'] } }];

/** The view, in the order of days. @throws errors of `ask` */
export async function readView(view: Collection<DayDocument>, options?: AskOptions): Promise<Day[]> {
  const rows = await ask<DayDocument>(view, [{ $sort: { _id: 1 } }], options);
  return rows.map(({ _id, sum, unread, count }) => ({
    day: _id,
    count: Number(count),
    sum: readCents(sum),
    unread: Number(unread),
  }));
}
