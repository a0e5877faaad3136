// Flaw: a key is judged by how evenly it divides the documents that are there. Every key with many values does that.
// Seen in: https://github.com/turms-im/turms/issues/602
// Caught by: a key is judged by where the next documents go
import type { Document } from 'mongodb';
import { evenLayout, keyReport as given, type KeyReport, placement, type ShardKey } from '../src/index.ts';

export * from '../src/index.ts';

export function keyReport(key: ShardKey, documents: readonly Document[], shards: number): KeyReport {
  const names = Array.from({ length: shards }, (_, i) => `shard ${i + 1}`);
  const counts = [...placement(evenLayout(key, documents, names), documents, names).values()];
  const busiest = Math.max(...counts) / documents.length;
  return { ...given(key, documents, shards), busiest, idle: counts.filter((count) => count === 0).length };
}
