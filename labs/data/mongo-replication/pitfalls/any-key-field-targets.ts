// Flaw: a filter that has any field of the shard key is taken for a targeted one. Only a prefix of the key says where to look.
// Seen in: https://github.com/MongoEngine/mongoengine/pull/2099
// Caught by: a query is sent to the shards that can have its documents, and to no other
import type { Document } from 'mongodb';
import { shardsFor as given, type Layout, type Targeting } from '../src/index.ts';

export * from '../src/index.ts';

export function shardsFor(layout: Layout, filter: Document): Targeting {
  const { shards, targeted } = given(layout, filter);
  return { shards, targeted: targeted || layout.key.some(([field]) => field in filter) };
}
