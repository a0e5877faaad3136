import { createHash } from 'node:crypto';
import { type Document, Long, MaxKey, MinKey, ObjectId } from 'mongodb';
import { ShardKeyError } from './errors.ts';

/** A shard key as MongoDB writes it, `{ phone: 1, at: 1 }`, as pairs: their order matters. */
export type ShardKey = readonly (readonly [field: string, kind: 1 | 'hashed'])[];

/** What a shard key's field can hold here. No list can be in one, and a document in one is beyond these sums. */
export type KeyValue = MinKey | MaxKey | null | number | bigint | Long | string | ObjectId | boolean | Date;

/** From `min` up to `max`, which is the next chunk's: one value for each field of the key, hashes for hashed fields. */
export interface Chunk {
  readonly min: readonly KeyValue[];
  readonly max: readonly KeyValue[];
  readonly shard: string;
}

/** Where the documents of a collection are: all keys, in chunks, each on a shard. */
export interface Layout {
  readonly key: ShardKey;
  readonly chunks: readonly Chunk[];
}

export const MIN = new MinKey();
export const MAX = new MaxKey();

/** MongoDB's order of types. */
function rank(value: KeyValue): number {
  if (value instanceof MinKey) return 0;
  if (value === null) return 1;
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Long) return 2;
  if (typeof value === 'string') return 3;
  if (value instanceof ObjectId) return 4;
  if (typeof value === 'boolean') return 5;
  if (value instanceof Date) return 6;
  return 7;
}

/** In the order of BSON: text by its UTF-8 bytes, numbers of all kinds by value, NaN before them. */
export function compareValues(a: KeyValue, b: KeyValue): number {
  const by = rank(a) - rank(b);
  if (by !== 0) return by;
  if (a instanceof ObjectId && b instanceof ObjectId) return Buffer.compare(a.id, b.id);
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  const [x, y] = [magnitude(a), magnitude(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(y)) - Number(Number.isNaN(x));
  return x < y ? -1 : Number(x > y);
}

function magnitude(value: KeyValue): number | bigint {
  if (value instanceof Long) return value.toSigned().toBigInt();
  return typeof value === 'bigint' ? value : Number(value);
}

/** Field by field, as the fields of the key stand. */
export function compareKeys(a: readonly KeyValue[], b: readonly KeyValue[]): number {
  for (const [i, value] of a.entries()) {
    const other = b[i];
    const by = other === undefined ? 0 : compareValues(value, other);
    if (by !== 0) return by;
  }
  return 0;
}

/** A value as this package can order it. @throws ShardKeyError */
export function keyValue(field: string, value: unknown): KeyValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value;
  if (typeof value === 'string' && value.isWellFormed()) return value;
  if (value instanceof ObjectId || value instanceof Long || value instanceof MinKey || value instanceof MaxKey)
    return value;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw new ShardKeyError(
    `The field "${field}" of a shard key holds a ${typeof value} that can't be one, or not here.`,
  );
}

/**
 * A document's place: a value for each field of the key. A missing field counts as null.
 * @throws ShardKeyError
 */
export function keyOf(key: ShardKey, document: Document): KeyValue[] {
  return key.map(([field, kind]) => {
    const value = keyValue(field, valueAt(document, field));
    return kind === 'hashed' ? hashedValue(value) : value;
  });
}

/** A list on the way is no value either: whoever asks for one is told so. */
function valueAt(document: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => {
    if (Array.isArray(value)) return value;
    const isHolder = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
    return isHolder ? Reflect.get(value, name) : undefined;
  }, document);
}

/**
 * What MongoDB's hashed indexes make of a value: 64 bits of the MD5 of its type and bytes. Numbers lose what is behind
 * their point: 2.3 and 2.9 are one hash.
 * Source: `BSONElementHasher::hash64` of the server; its own tests' values are a law here.
 */
export function hashedValue(value: KeyValue): bigint {
  const bytes = Buffer.concat([int32(0), int32(CANONICAL[rank(value)] ?? 0), contents(value)]);
  return createHash('md5').update(bytes).digest().readBigInt64LE(0);
}

/** The server's number for a type, by our rank: MinKey, null, number, text, ObjectId, boolean, date, MaxKey. */
const CANONICAL = [-1, 5, 10, 15, 35, 40, 45, 127];
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

function contents(value: KeyValue): Buffer {
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Long) return int64(wholePart(value));
  if (typeof value === 'string') return Buffer.concat([int32(Buffer.byteLength(value) + 1), Buffer.from(`${value}\0`)]);
  if (value instanceof ObjectId) return Buffer.from(value.id);
  if (typeof value === 'boolean') return Buffer.from([Number(value)]);
  return value instanceof Date ? int64(BigInt(value.getTime())) : Buffer.alloc(0);
}

function wholePart(value: number | bigint | Long): bigint {
  if (typeof value !== 'number') return BigInt.asIntN(64, BigInt(value.toString()));
  if (Number.isNaN(value)) return 0n;
  if (value >= 2 ** 63) return INT64.max;
  return value < -(2 ** 63) ? INT64.min : BigInt(Math.trunc(value));
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}
