import { type Collection, Decimal128, type Document, Long } from 'mongodb';
import { type AskOptions, ask } from './ask.ts';
import { InvalidArgumentError, told } from './errors.ts';
import { amounts, readCents, type Total } from './money.ts';
import { type Field, fieldPath, storable, type Where } from './outside.ts';

/** Where a bucket begins. All edges are of one kind: numbers (of any type), or dates. */
export type Edge = number | bigint | Long | Decimal128 | Date;

export interface BucketOptions<T, E extends Edge> {
  /** The field that decides. */
  readonly by: Field<T>;
  /** At least two, ascending: bucket i is [edges[i], edges[i + 1]). */
  readonly edges: readonly [E, E, ...E[]];
  /** The field whose cents are added up. */
  readonly sum: Field<T>;
  readonly where?: Where;
}

export interface Bucket extends Total {
  readonly count: number;
}

export interface BucketReport<E extends Edge> {
  /** One for each pair of edges, also where nothing fell into it. An amount at an edge is in the bucket above. */
  readonly buckets: readonly (Bucket & { readonly from: E; readonly to: E })[];
  /** Below the first edge, from the last one on, or of another kind: null, missing, NaN, a text. */
  readonly outside: Bucket;
}

const OUTSIDE = 'outside';
const EMPTY: Bucket = { count: 0, sum: 0n, unread: 0 };

/**
 * Counts and sums by bands. Every document that matches is in exactly one bucket, or outside.
 * @throws InvalidArgumentError for edges that don't ascend or are of two kinds; errors of `ask`
 */
export async function bucketReport<T extends Document, E extends Edge>(
  collection: Collection<T>,
  { by, edges, sum, where = {} }: BucketOptions<T, E>,
  options?: AskOptions,
): Promise<BucketReport<E>> {
  const boundaries = ascending(edges);
  const bands = edges.slice(0, -1).map((from, i) => ({ from, to: edges[i + 1] ?? from })); // now: the array is the caller's
  const amount = amounts(fieldPath(sum));
  const stage = {
    groupBy: fieldPath(by),
    boundaries,
    default: OUTSIDE,
    output: { count: { $sum: 1 }, sum: { $sum: amount.sum }, unread: { $sum: amount.unread } },
  };
  const rows = await ask(collection, [{ $match: where }, { $bucket: stage }], options);
  const found = new Map(rows.map((row) => [row['_id'] === OUTSIDE ? OUTSIDE : order(row['_id']), row]));
  const bucket = (key: string | number) => {
    const row = found.get(key);
    return row ? { count: Number(row['count']), sum: readCents(row['sum']), unread: Number(row['unread']) } : EMPTY;
  };
  return {
    buckets: bands.map((band) => ({ ...band, ...bucket(order(band.from)) })),
    outside: bucket(OUTSIDE),
  };
}

/** A number to tell edges apart by: 5, Long(5) and Decimal128('5.0') are one. */
function order(edge: unknown): number {
  return edge instanceof Date ? edge.getTime() : Number(String(edge));
}

function ascending(edges: readonly Edge[]): unknown[] {
  if (!Array.isArray(edges) || edges.length < 2) throw new InvalidArgumentError('A bucket has two edges.');
  const dates = edges.filter((edge) => edge instanceof Date).length;
  if (dates !== 0 && dates !== edges.length) throw new InvalidArgumentError('Edges are numbers, or dates, not both.');
  edges.forEach((edge, i) => {
    const number = ['number', 'bigint'].includes(typeof edge) || edge instanceof Long || edge instanceof Decimal128;
    const before = i === 0 ? Number.NEGATIVE_INFINITY : order(edges[i - 1]);
    if ((number || edge instanceof Date) && order(edge) > before && order(edge) < Number.POSITIVE_INFINITY) return;
    throw new InvalidArgumentError(
      `Edge ${i} is ${told(edge)}: edges are finite, and each is above the one before, as doubles.`,
    );
  });
  return edges.map((edge) => storable(edge));
}
