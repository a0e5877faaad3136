import type { Document } from 'mongodb';
import {
  type Chunk,
  compareKeys,
  compareValues,
  hashedValue,
  type KeyValue,
  keyValue,
  type Layout,
  MAX,
  MIN,
  type ShardKey,
} from './shard-key.ts';

/** Where a router sends a query. */
export interface Targeting {
  readonly shards: readonly string[];
  /** Whether the filter says anything of the key: else every shard is asked, however many there are. */
  readonly targeted: boolean;
}

/** What a filter allows a field of the key: some values, or all from one to another. */
export type Allowed = Points | Range;
interface Points {
  readonly points: readonly KeyValue[];
}
export interface Range {
  readonly from: Edge;
  readonly to: Edge;
}
interface Edge {
  readonly value: KeyValue;
  readonly inside: boolean;
}

export const EVERYTHING: Range = { from: { value: MIN, inside: true }, to: { value: MAX, inside: true } };

/**
 * The shards that a query with this filter is sent to: those with a chunk that can hold what it asks for.
 *
 * Fields of the key count from the first on, as long as each has given values; the first with a range is the last that
 * counts. A hashed field knows given values only. `$eq`, `$in`, `$gt`, `$gte`, `$lt`, `$lte` and `$and` are understood;
 * of what is not it's assumed that it allows everything, so that no shard is missed.
 * Source: https://www.mongodb.com/docs/manual/core/sharded-cluster-query-router/
 */
export function shardsFor({ key, chunks }: Layout, filter: Document): Targeting {
  const ranges = keyRanges(key, filter);
  const last = chunks.at(-1);
  // The last chunk alone has its upper bound: MaxKey.
  const hit = (chunk: Chunk) =>
    ranges.some(({ from, to }) => {
      const by = compareKeys(chunk.min, to.key);
      return (chunk === last || compareKeys(from, chunk.max) < 0) && (by < 0 || (by === 0 && to.inside));
    });
  const shards = new Set(chunks.filter(hit).map(({ shard }) => shard));
  const [first] = key;
  return { shards: [...shards].sort(), targeted: first !== undefined && allowed(first, filter) !== EVERYTHING };
}

/** Keys from one to another; `inside`: with the last. */
export interface KeyRange {
  readonly from: readonly KeyValue[];
  readonly to: { readonly key: readonly KeyValue[]; readonly inside: boolean };
}

function keyRanges(key: ShardKey, filter: Document): KeyRange[] {
  let prefixes: KeyValue[][] = [[]];
  for (const [i, field] of key.entries()) {
    const it = allowed(field, filter);
    if (!('points' in it)) {
      const rest = key.slice(i + 1);
      const fill = (value: KeyValue) => rest.map(() => value);
      return prefixes.map((prefix) => ({
        from: [...prefix, it.from.value, ...fill(it.from.inside ? MIN : MAX)],
        to: { key: [...prefix, it.to.value, ...fill(it.to.inside ? MAX : MIN)], inside: it.to.inside },
      }));
    }
    prefixes = prefixes.flatMap((prefix) => it.points.map((point) => [...prefix, point]));
  }
  return prefixes.map((point) => ({ from: point, to: { key: point, inside: true } }));
}

/** What a filter allows a field of the key; `EVERYTHING` where it says nothing that helps. Of a hashed field: hashes. */
export function allowed([field, kind]: ShardKey[number], filter: Document): Allowed {
  let found: Allowed = EVERYTHING;
  for (const [name, wanted] of conditions(filter)) {
    if (name === field) for (const it of readings(field, wanted)) found = both(found, it);
  }
  if (kind !== 'hashed') return found;
  return 'points' in found ? { points: found.points.map(hashedValue) } : EVERYTHING;
}

/** The filter's own conditions, and those in its `$and`. */
function conditions(filter: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(filter).flatMap(([name, wanted]): [string, unknown][] =>
    name === '$and' && Array.isArray(wanted) ? wanted.filter(isFilterDocument).flatMap(conditions) : [[name, wanted]],
  );
}

function readings(field: string, wanted: unknown): Allowed[] {
  const operators = operatorsOf(wanted);
  if (operators === undefined) return isValue(wanted) ? [{ points: [keyValue(field, wanted)] }] : [];
  return operators.flatMap(([name, value]): Allowed[] => {
    if (name === '$in' && Array.isArray(value) && value.every(isValue))
      return [{ points: value.map((it) => keyValue(field, it)) }];
    if (!isValue(value)) return [];
    const edge = { value: keyValue(field, value), inside: name.endsWith('e') };
    if (name === '$eq') return [{ points: [edge.value] }];
    if (name === '$gt' || name === '$gte') return [{ from: edge, to: EVERYTHING.to }];
    return name === '$lt' || name === '$lte' ? [{ from: EVERYTHING.from, to: edge }] : [];
  });
}

/** `[['$gt', 5]]` of `{ $gt: 5 }`; undefined of what is a value. */
function operatorsOf(wanted: unknown): [string, unknown][] | undefined {
  if (!isFilterDocument(wanted)) return undefined;
  const pairs = Object.entries(wanted);
  return pairs.some(([name]) => name.startsWith('$')) ? pairs : undefined;
}

function isFilterDocument(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Of undefined the driver makes null, or nothing at all: that is an option of the client's. */
function isValue(value: unknown): boolean {
  if (value === undefined) return false;
  try {
    keyValue('', value);
    return true;
  } catch {
    return false;
  }
}

function both(a: Allowed, b: Allowed): Allowed {
  if ('points' in a) return { points: a.points.filter((it) => admits(b, it)) };
  if ('points' in b) return { points: b.points.filter((it) => admits(a, it)) };
  const [from, to] = [tighter(a.from, b.from, 1), tighter(a.to, b.to, -1)];
  const by = compareValues(from.value, to.value);
  return by > 0 || (by === 0 && !(from.inside && to.inside)) ? { points: [] } : { from, to };
}

function admits(it: Allowed, point: KeyValue): boolean {
  if ('points' in it) return it.points.some((other) => compareValues(other, point) === 0);
  const [low, high] = [compareValues(it.from.value, point), compareValues(point, it.to.value)];
  return (low < 0 || (low === 0 && it.from.inside)) && (high < 0 || (high === 0 && it.to.inside));
}

function tighter(a: Edge, b: Edge, sign: 1 | -1): Edge {
  const by = sign * compareValues(a.value, b.value);
  return by > 0 || (by === 0 && !a.inside) ? a : b;
}
