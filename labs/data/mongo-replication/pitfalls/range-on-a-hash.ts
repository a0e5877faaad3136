// Flaw: a range is looked up between the hashes of its two ends. Neighbours have hashes far apart: documents are missed.
// Seen in: https://www.mongodb.com/docs/manual/core/hashed-sharding/
// Caught by: a query is sent to the shards that can have its documents, and to no other
import type { Document } from 'mongodb';
import { shardsFor as given, hashedValue, type Layout, layoutOf, type Targeting } from '../src/index.ts';

export * from '../src/index.ts';

export function shardsFor({ key, chunks }: Layout, filter: Document): Targeting {
  const ranged = layoutOf(
    key.map(([field]) => [field, 1] as const),
    chunks,
  );
  const hashedFields = new Set(key.filter(([, kind]) => kind === 'hashed').map(([field]) => field));
  const hashes = (wanted: unknown): unknown => {
    if (typeof wanted === 'number') return hashedValue(wanted);
    if (Array.isArray(wanted)) return wanted.map(hashes);
    return Object.fromEntries(Object.entries(Object(wanted)).map(([name, value]) => [name, hashes(value)]));
  };
  const pairs = Object.entries(filter).map(([name, wanted]) => [
    name,
    hashedFields.has(name) ? hashes(wanted) : wanted,
  ]);
  return given(ranged, Object.fromEntries(pairs));
}
