import type { Random } from '@shared/testkit';
import type { Document } from 'mongodb';
import type { ShardKey } from '../src/index.ts';

export const SHARDS = Array.from({ length: 10 }, (_, i) => `counter ${i + 1}`);

/** The parcels of a big sale, oldest first: numbered as they come, a phone's last digit, one shop that sends half of all. */
export interface Parcel extends Document {
  readonly no: number;
  readonly tail: number;
  readonly customer: string;
  readonly shop: string;
  readonly at: number;
}

export function parcels(count: number, dice: Random): Parcel[] {
  return Array.from({ length: count }, (_, no) => ({
    no,
    tail: dice.int(0, 9),
    customer: `c${dice.int(0, 999)}`,
    shop: dice.int(0, 1) === 0 ? 'the big one' : `shop ${dice.int(1, 200)}`,
    at: dice.int(0, 86_400),
  }));
}

type Any = () => number;
/** A filter, and what it says of a and of b: some values, one range, nothing, or what no router has to understand. */
export interface Shape {
  readonly filter: (any: Any) => Document;
  readonly a: 'values' | 'range' | 'other';
  readonly b: 'values' | 'range' | 'nothing';
}

const shape = (filter: Shape['filter'], a: Shape['a'], b: Shape['b'] = 'nothing'): Shape => ({ filter, a, b });

export const SHAPES: readonly Shape[] = [
  shape((any) => ({ a: any() }), 'values'),
  shape((any) => ({ a: { $eq: any() } }), 'values'),
  shape((any) => ({ a: { $in: [any(), any()] } }), 'values'),
  shape((any) => ({ a: { $gte: any() } }), 'range'),
  shape((any) => ({ a: { $lt: any() } }), 'range'),
  shape((any) => ({ a: { $gt: any(), $lte: any() } }), 'range'),
  shape((any) => ({ a: any(), b: any() }), 'values', 'values'),
  shape((any) => ({ a: any(), b: { $gte: any() } }), 'values', 'range'),
  shape((any) => ({ a: { $in: [any(), any()] }, b: { $lt: any() } }), 'values', 'range'),
  shape((any) => ({ $and: [{ a: any() }, { b: any() }] }), 'values', 'values'),
  shape((any) => ({ $and: [{ a: { $in: [any(), any(), any()] } }, { a: { $gte: any() } }] }), 'values'),
  shape((any) => ({ b: any() }), 'other', 'values'),
  shape((any) => ({ c: any() }), 'other'),
  shape((any) => ({ a: { $gte: any() }, b: any() }), 'range', 'values'),
  shape((any) => ({ a: { $ne: any() } }), 'other'),
  shape((any) => ({ $or: [{ a: any() }, { b: any() }] }), 'other'),
  shape((any) => ({ a: { $not: { $gte: any() } } }), 'other'),
  shape(() => ({}), 'other'),
];

/** Whether a filter of this shape can be sent to exactly the shards that have its documents. */
export function isExact({ a, b }: Shape, [first, second]: ShardKey): boolean {
  const hashed = (field: ShardKey[number] | undefined) => field?.[1] === 'hashed';
  if (hashed(first) || second === undefined)
    return a === 'values' || (a === 'range' && b === 'nothing' && !hashed(first));
  if (hashed(second)) return a === 'values' && b === 'values';
  return a === 'values' || (a === 'range' && b === 'nothing');
}

/** Whether a document matches, for the operators above. */
export function matches(filter: Document, document: Document): boolean {
  return Object.entries(filter).every(([name, wanted]) => {
    if (name === '$and') return wanted.every((it: Document) => matches(it, document));
    if (name === '$or') return wanted.some((it: Document) => matches(it, document));
    return holds(wanted, document[name]);
  });
}

function holds(wanted: unknown, value: number): boolean {
  if (typeof wanted !== 'object' || wanted === null) return wanted === value;
  return Object.entries(wanted).every(([operator, than]) => {
    if (operator === '$in') return than.includes(value);
    if (operator === '$not') return !holds(than, value);
    if (operator === '$eq') return value === than;
    if (operator === '$ne') return value !== than;
    if (operator === '$gt') return value > than;
    if (operator === '$gte') return value >= than;
    return operator === '$lt' ? value < than : value <= than;
  });
}
