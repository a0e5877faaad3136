// Flaw: whatever was loaded is stored, also what was read before an invalidation: the old value is back for a whole TTL.
// Seen in: https://github.com/logto-io/logto/pull/9428
// Caught by: a load that began before an invalidation is not stored
import { TtlCache as Reference } from '../src/index.ts';
import type { Place } from '../src/read-through.ts';

export * from '../src/index.ts';

export class TtlCache extends Reference {
  protected override async keep(key: string, text: string, places: readonly Place[]): Promise<boolean> {
    const now = places.map(async ({ store }) => ({ store, generation: await store.generation(key) }));
    return super.keep(key, text, await Promise.all(now));
  }
}
