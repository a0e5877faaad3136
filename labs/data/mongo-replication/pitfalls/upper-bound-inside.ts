// Flaw: a chunk's upper bound is taken for its last key. The key on the edge is in two chunks, and looked for in the wrong one.
// Seen in: https://github.com/futurewei-cloud/chogori-platform/pull/4
// Caught by: a key is in the chunk whose lower bound it has reached, and not in the one that ends there
import { type Chunk, compareKeys, chunkFor as given, type KeyValue } from '../src/index.ts';

export * from '../src/index.ts';

export function chunkFor(key: readonly KeyValue[], chunks: readonly Chunk[]): Chunk {
  return chunks.find(({ max }) => compareKeys(key, max) <= 0) ?? given(key, chunks);
}
