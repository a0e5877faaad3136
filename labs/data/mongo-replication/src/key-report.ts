import type { Document } from 'mongodb';
import { ShardKeyError } from './errors.ts';
import { evenLayout, placement } from './layout.ts';
import { compareKeys, keyOf, type ShardKey } from './shard-key.ts';

/** What a shard key would do, by a sample of the documents. Shares are from 0 to 1. */
export interface KeyReport {
  /** Different values: more chunks than that there can't be. */
  readonly distinct: number;
  /** The share of the most frequent value: its documents stay in one chunk, however large (a jumbo chunk). */
  readonly mostFrequent: number;
  /** The share of the newer half that the busiest shard gets, where chunks are even over the older half. */
  readonly busiest: number;
  /** How many of the shards get nothing of the newer half. */
  readonly idle: number;
}

/**
 * Tries a shard key on a sample before anything is sharded by it.
 *
 * The server has `analyzeShardKey` (7.0) for its own collections; this asks for documents alone.
 * @param documents oldest first, two at least
 * @throws ShardKeyError
 */
export function keyReport(key: ShardKey, documents: readonly Document[], shards: number): KeyReport {
  if (documents.length < 2 || !Number.isSafeInteger(shards) || shards < 1) {
    throw new ShardKeyError(
      `${documents.length} documents on ${shards} shards tell nothing: two, and one, are the least.`,
    );
  }
  const names = Array.from({ length: shards }, (_, i) => `shard ${i + 1}`);
  const half = Math.floor(documents.length / 2);
  const [older, newer] = [documents.slice(0, half), documents.slice(half)];
  const counts = [...placement(evenLayout(key, older, names), newer, names).values()];
  const busiest = counts.reduce((most, count) => Math.max(most, count), 0) / newer.length;
  return { ...characteristics(key, documents), busiest, idle: counts.filter((count) => count === 0).length };
}

/** What the keys alone tell. */
export function characteristics(
  key: ShardKey,
  documents: readonly Document[],
): Pick<KeyReport, 'distinct' | 'mostFrequent'> {
  const keys = documents.map((it) => keyOf(key, it)).sort(compareKeys);
  let [distinct, most, run] = [0, 0, 0];
  for (const [i, it] of keys.entries()) {
    const before = keys[i - 1];
    run = before !== undefined && compareKeys(before, it) === 0 ? run + 1 : 1;
    if (run === 1) distinct++;
    most = Math.max(most, run);
  }
  return { distinct, mostFrequent: most / documents.length };
}

/**
 * Whether MongoDB takes an index as unique on a collection that is sharded so: only one that begins with the whole shard
 * key, of which no field is hashed. A shard sees its own documents alone, and can't promise more.
 */
export function mayBeUnique(index: readonly string[], key: ShardKey): boolean {
  return key.every(([field, kind], i) => kind !== 'hashed' && index[i] === field);
}
