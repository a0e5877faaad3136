import type { Collection, Document, WithId } from 'mongodb';
import { type AskOptions, ask } from './ask.ts';
import { amounts, readCents } from './money.ts';
import { type Field, fieldName, fieldPath, isDate, safeIntegerWithin, type Where } from './outside.ts';

export interface RunningOptions<T> {
  /** A total of its own for each value of this field. Null and missing are one; the server refuses a list. */
  readonly per: Field<T>;
  /** The time, a date. Documents without one are in no period, and left out. */
  readonly by: Field<T>;
  readonly sum: Field<T>;
  /** How far `recent` looks back: 1 to 3,660 days of 24 hours. */
  readonly days: number;
  readonly where?: Where;
}

export interface Running<T> {
  readonly doc: WithId<T>;
  /** Cents up to and with this document. */
  readonly total: bigint;
  /** Cents of the `days` that end with this document's time, others of that very time included. */
  readonly recent: bigint;
  /** Documents up to this one whose amount is no whole number. */
  readonly unread: number;
}

const DAY_MS = 86_400_000;

/**
 * Running totals in the order of time, `_id` where times are equal; a period is of time, however many documents it has.
 * @throws InvalidArgumentError; errors of `ask`
 */
export async function runningTotals<T extends Document>(
  collection: Collection<T>,
  { per, by, sum, days, where = {} }: RunningOptions<T>,
  options?: AskOptions,
): Promise<Running<T>[]> {
  const time = fieldName(by);
  const partitionBy = fieldPath(`doc.${fieldName(per)}`);
  const amount = amounts(fieldPath(`doc.${fieldName(sum)}`));
  const before = safeIntegerWithin('days', days, 1, 3_660) * DAY_MS - 1;
  const soFar = { documents: ['unbounded', 'current'] };
  const rows = await ask<Document>(
    collection,
    [
      { $match: { $and: [where, isDate(time)] } },
      { $project: { _id: 0, doc: '$$ROOT' } },
      {
        $setWindowFields: {
          partitionBy,
          sortBy: { [`doc.${time}`]: 1, 'doc._id': 1 },
          output: { total: { $sum: amount.sum, window: soFar }, unread: { $sum: amount.unread, window: soFar } },
        },
      },
      {
        $setWindowFields: {
          partitionBy,
          sortBy: { [`doc.${time}`]: 1 }, // a range is told by one field
          output: { recent: { $sum: amount.sum, window: { range: [-before, 0], unit: 'millisecond' } } },
        },
      },
      { $sort: { [`doc.${per}`]: 1, [`doc.${time}`]: 1, 'doc._id': 1 } },
    ],
    options,
  );
  return rows.map(({ doc, total, recent, unread }) => ({
    doc,
    total: readCents(total),
    recent: readCents(recent),
    unread: Number(unread),
  }));
}
