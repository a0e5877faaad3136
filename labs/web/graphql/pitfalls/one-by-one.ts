// Flaw: each key is asked for by itself, so that a hundred articles ask for their authors a hundred times.
// Seen in: https://github.com/graphql-python/graphene-sqlalchemy/issues/35
// Caught by: what is asked for in one go is asked for at once, a key that comes twice as well
import { type Batch, type Key, type LoaderOptions, Loader as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Loader<K extends Key, Value> extends Reference<K, Value> {
  constructor(batch: Batch<K, Value>, options?: LoaderOptions) {
    super(batch, { ...options, maxBatch: 1 });
  }
}
