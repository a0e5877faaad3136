import { type Document, MaxKey, type MongoClient } from 'mongodb';
import { ShardKeyError } from './errors.ts';
import {
  type Chunk,
  compareKeys,
  type KeyValue,
  keyOf,
  keyValue,
  type Layout,
  MAX,
  MIN,
  type ShardKey,
} from './shard-key.ts';

/**
 * The chunk that a key is in: the last whose `min` it has reached.
 * @param chunks in order, without a gap, from MinKey on: `layoutOf` sees to that
 */
export function chunkFor(key: readonly KeyValue[], chunks: readonly Chunk[]): Chunk {
  let [low, high] = [0, chunks.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const chunk = chunks[middle];
    if (chunk !== undefined && compareKeys(chunk.min, key) <= 0) low = middle;
    else high = middle - 1;
  }
  const found = chunks[low];
  if (found === undefined) throw new ShardKeyError('There are no chunks: a sharded collection has one at least.');
  return found;
}

/** A checked layout: a key of one to 32 fields, one of them hashed at most; chunks that cover all keys once. */
export function layoutOf(key: ShardKey, chunks: Iterable<Chunk>): Layout {
  checkedKey(key);
  const sorted = [...chunks].sort((a, b) => compareKeys(a.min, b.min));
  let end: readonly KeyValue[] = key.map(() => MIN);
  for (const { min, max, shard } of sorted) {
    if (min.length !== key.length || max.length !== key.length)
      throw new ShardKeyError(`A chunk of "${shard}" has not a value for each field.`);
    if (compareKeys(end, min) !== 0 || compareKeys(min, max) >= 0) {
      throw new ShardKeyError(`Chunks meet: that of "${shard}" from ${min.join()} to ${max.join()} doesn't fit.`);
    }
    end = max;
  }
  const isWhole = end.every((value) => value instanceof MaxKey);
  if (!isWhole) throw new ShardKeyError(`Chunks cover all keys, up to MaxKey: these end at ${end.join()}.`);
  return {
    key: key.map(([field, kind]) => [field, kind] as const),
    chunks: sorted.map(({ min, max, shard }) => ({ min: [...min], max: [...max], shard })),
  };
}

function checkedKey(key: ShardKey): void {
  const fields = new Set(key.map(([field]) => field));
  const hashed = key.filter(([, kind]) => kind === 'hashed').length;
  if (key.length === 0 || key.length > 32 || fields.size < key.length || fields.has('') || hashed > 1) {
    throw new ShardKeyError('A shard key has one to 32 fields with names of their own, one of them hashed at most.');
  }
}

/**
 * Chunks that hold these documents evenly, one a shard: as a balancer would have them in the end. It splits between two
 * values of the key, never within one: shards for which no value is left get none.
 */
export function evenLayout(key: ShardKey, documents: readonly Document[], shards: readonly string[]): Layout {
  checkedKey(key);
  if (shards.length === 0) throw new ShardKeyError('There is no shard to put chunks on: name one at least.');
  const keys = documents.map((it) => keyOf(key, it)).sort(compareKeys);
  const end = key.map(() => MAX);
  const splits: (readonly KeyValue[])[] = [];
  for (let i = 1; i < shards.length; i++) {
    const last = splits.at(-1) ?? keys[0] ?? [];
    const from = Math.round((i * keys.length) / shards.length);
    const split = keys.find((it, at) => at >= from && compareKeys(last, it) < 0);
    if (split !== undefined && compareKeys(split, end) < 0) splits.push(split);
  }
  const edges: (readonly KeyValue[])[] = [key.map(() => MIN), ...splits, end];
  const chunks = edges.slice(1).map((max, i) => ({ min: edges[i] ?? [], max, shard: shards[i] ?? '' }));
  return layoutOf(key, chunks);
}

/** How many of these documents are on each shard. */
export function placement(
  { key, chunks }: Layout,
  documents: Iterable<Document>,
  shards: readonly string[],
): Map<string, number> {
  const counts = new Map(shards.map((shard) => [shard, 0]));
  for (const document of documents) {
    const { shard } = chunkFor(keyOf(key, document), chunks);
    counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  return counts;
}

/**
 * Reads a collection's layout from a router (mongos). undefined: the collection is not sharded. While chunks move,
 * what it reads may not fit together: a ShardKeyError, and to be read again.
 */
export async function readLayout(client: MongoClient, namespace: string): Promise<Layout | undefined> {
  const config = client.db('config');
  const found = await config.collection<Document & { _id: string }>('collections').findOne({ _id: namespace });
  if (found === null) return undefined;
  const key = Object.entries<unknown>(found['key']).map(
    ([field, kind]) => [field, kind === 'hashed' ? kind : 1] as const,
  );
  const chunks = await config.collection('chunks').find({ uuid: found['uuid'] }, { promoteLongs: false }).toArray();
  const values = (bound: Document) => key.map(([field]) => keyValue(field, bound[field]));
  return layoutOf(
    key,
    chunks.map(({ min, max, shard }) => ({ min: values(min), max: values(max), shard: String(shard) })),
  );
}
