import type { Collection, Document, WithId } from 'mongodb';
import type {
  AskOptions,
  Bucket,
  BucketOptions,
  BucketReport,
  Edge,
  FacetPage,
  Field,
  Joined,
  PageOptions,
  Refreshed,
  Refs,
  Running,
  RunningOptions,
  ViewOptions,
  Where,
} from '../src/index.ts';
import { amounts, ask, fieldPath, readCents } from '../src/index.ts';
import { storable } from '../src/outside.ts';

// What is not the idea is given: names are checked (`fieldName`, `fieldPath`), pipelines are run and their errors have
// words (`ask`), amounts are added exactly (`amounts`, `readCents`), answers are read. The stages are yours. `h` in
// `pnpm lab learn mongo-aggregation` gives a hint. src/join.ts, src/bucket.ts, src/page.ts, src/running.ts and
// src/view.ts hold solutions.
export {
  AggregationError,
  type Askable,
  type AskOptions,
  type AsOf,
  amounts,
  ask,
  type Bucket,
  type BucketOptions,
  type BucketReport,
  type Day,
  type DayDocument,
  type Edge,
  type FacetPage,
  type Field,
  fieldName,
  fieldPath,
  InexactAmountError,
  InvalidArgumentError,
  type Joined,
  LimitExceededError,
  lookupAsOf,
  type PageOptions,
  PipelineRefusedError,
  type ReachOptions,
  type Refreshed,
  type Refs,
  type Running,
  type RunningOptions,
  reachable,
  readCents,
  readView,
  ServerUnreachableError,
  type Total,
  type ViewOptions,
  type Watermark,
  type Where,
} from '../src/index.ts';

/** A value in an expression, whatever it is. Its flaw: there '$cents' is a field, and { $add: … } a sum. */
export function literal(value: unknown): { readonly $literal: unknown } {
  const asItCame: unknown = storable(value);
  return asItCame as { readonly $literal: unknown };
}

/**
 * A filter: each field has exactly that value. `fieldName(name)` (import it above) throws for a name that is none,
 * `storable(value)` for what BSON can't keep. Its flaw: a value from outside can be an operator, and a name too.
 */
export function equals(conditions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(conditions).map(([name, is]) => [name, storable(is)]));
}

/**
 * The stages that join: `$lookup`, and what makes its array into what `joinRefs` promises. Of `Refs`, `local` is the field
 * that asks, `foreign` (default `_id`) the one that is looked for in `from`, and `show` may wait.
 */
export function lookupRefs(_refs: Refs): Document[] {
  return todo('lookupRefs');
}

/**
 * Documents with what they refer to in the field `as`: null where there is nothing; for an array of references an array
 * of the same length and order. Its flaws: it asks for each document, and doesn't know what a list or nobody is.
 */
export async function joinRefs<T extends Document, As extends string>(
  collection: Collection<T>,
  refs: Refs<Field<T>, As> & { readonly where?: Where },
  options?: AskOptions,
): Promise<Joined<T, As>[]> {
  const menu = collection.db.collection(refs.from);
  const all = await ask<Joined<T, As>>(collection, [{ $match: refs.where ?? {} }], options);
  const one = (ref: unknown = null) => menu.findOne({ [refs.foreign ?? '_id']: { $eq: ref } });
  return Promise.all(all.map(async (it) => ({ ...it, [refs.as]: await one(it[refs.local]) })));
}

/**
 * Your `$bucket` stage. Its rows are `{ _id, count, sum, unread }`, where `_id` is the lower edge, or 'outside' for what
 * is in none. `amount.sum` and `amount.unread` are expressions to `$sum`.
 */
function bucketStage(_by: string, _edges: readonly Edge[], _amount: ReturnType<typeof amounts>): Document {
  return todo('bucketStage');
}

/** Counts and sums by bands: [edges[i], edges[i + 1]). A band into which nothing fell is there too. Given: the reading. */
export async function bucketReport<T extends Document, E extends Edge>(
  collection: Collection<T>,
  { by, edges, sum, where = {} }: BucketOptions<T, E>,
  options?: AskOptions,
): Promise<BucketReport<E>> {
  const stage = bucketStage(by, edges, amounts(fieldPath(sum)));
  const rows = await ask<Document>(collection, [{ $match: where }, stage], options);
  const bucket = (key: unknown): Bucket => {
    const row = rows.find(({ _id }) => String(_id) === String(key));
    return {
      count: Number(row?.['count'] ?? 0),
      sum: readCents(row?.['sum'] ?? 0),
      unread: Number(row?.['unread'] ?? 0),
    };
  };
  return {
    buckets: edges.slice(0, -1).map((from, i) => ({ from, to: edges[i + 1] ?? from, ...bucket(from) })),
    outside: bucket('outside'),
  };
}

/**
 * Your stages for a page: they answer one document `{ items: […], total: [{ n }], count0: [{ _id: { v }, n }], … }`, with
 * a `count` for each of `counts`, most frequent first. `v` is the value: a document without one has an `_id` of `{}`.
 * `where`, `sort` (equal ones by `_id`, upwards), `page` (from 1), `size` and `counts` matter; `show`, and arrays in
 * `counts`, may wait for the hardening laws.
 */
function pageStages<T, C extends string>(_options: PageOptions<T, C>): Document[] {
  return todo('pageStages');
}

/** A page of documents with its total and counts, in one command. Given: the reading. */
export async function facetPage<T extends Document, C extends Field<T>>(
  collection: Collection<T>,
  page: PageOptions<T, C>,
  options?: AskOptions,
): Promise<FacetPage<T, C>> {
  const [row] = await ask<Document>(collection, pageStages(page), options);
  const values = (i: number): Document[] => row?.[`count${i}`] ?? [];
  const counted = page.counts.map((name, i) => [
    name,
    values(i).map(({ _id, n }) => ({ value: Object.hasOwn(_id, 'v') ? _id.v : undefined, count: Number(n) })),
  ]);
  const items: WithId<T>[] = row?.['items'] ?? [];
  return { items, total: Number(row?.['total'][0]?.n ?? 0), counts: Object.fromEntries(counted) };
}

/**
 * Your stages for running totals: they answer `{ doc, total, recent, unread }` in the order of `per`, `by` and `_id`, where
 * `doc` is the document as it was. `total` and `unread` are up to and with it; `recent` is of the `days` (of 24 hours) that
 * end with its time: what is exactly so many days older is out. Cents are in `sum`: `amounts` gives what to `$sum`.
 */
function runningStages<T>(_options: RunningOptions<T>): Document[] {
  return todo('runningStages');
}

/** Running totals. Given: the reading. */
export async function runningTotals<T extends Document>(
  collection: Collection<T>,
  running: RunningOptions<T>,
  options?: AskOptions,
): Promise<Running<T>[]> {
  const rows = await ask<Document>(collection, runningStages(running), options);
  return rows.map(({ doc, total, recent, unread }) => ({
    doc,
    total: readCents(total),
    recent: readCents(recent),
    unread: Number(unread),
  }));
}

/**
 * Brings the view of sums per day up to date. `marks` keeps how far it has read, `changed` says when a document was
 * written, `counts` which documents count. `days` of the result is how many were computed.
 * Its flaws: it adds what is new to what is there; and what is new it tells by the day of the order.
 * `timezone`, `overlapMs` and what a slow refresh may not overwrite can wait for the hardening laws.
 */
export async function refreshView<T extends Document>(
  source: Collection<T>,
  { into, marks, at, changed, sum, counts = true }: ViewOptions<T>,
  options: AskOptions = {},
): Promise<Refreshed> {
  const mark = await marks.findOne({ _id: into.namespace });
  const isNew = { $match: mark ? { [at]: { $gt: mark.upTo } } : {} };
  const amount = amounts(fieldPath(sum), counts);
  const perDay = {
    $group: {
      _id: { $dateTrunc: { date: fieldPath(at), unit: 'day' } },
      sum: { $sum: amount.sum },
      unread: { $sum: amount.unread },
      count: { $sum: { $cond: [counts, 1, 0] } },
      asOf: { $max: fieldPath(changed) },
    },
  };
  const days = await ask<Document>(source, [isNew, perDay], options);
  const added = { sum: { $add: ['$sum', '$$new.sum'] }, count: { $add: ['$count', '$$new.count'] } };
  const merge = { $merge: { into: into.collectionName, whenMatched: [{ $set: added }], whenNotMatched: 'insert' } };
  await ask(source, [isNew, perDay, merge], options);
  const upTo = days.map(({ asOf }): Date => asOf).reduce<Date | undefined>((a, b) => (a && a > b ? a : b), mark?.upTo);
  if (upTo) await marks.updateOne({ _id: into.namespace }, { $max: { upTo } }, { upsert: true });
  return { days: days.length, upTo };
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
