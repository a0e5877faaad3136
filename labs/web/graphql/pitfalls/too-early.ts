// Flaw: the batch is sent with the next microtask. A resolver that awaits something first, however short, is in another batch.
// Seen in: https://github.com/graphql-python/graphene/issues/1075
// Caught by: who comes a few promises later is in the same batch
import { type Key, Loader as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Loader<K extends Key, Value> extends Reference<K, Value> {
  protected override schedule(dispatch: () => void): void {
    queueMicrotask(dispatch);
  }
}
