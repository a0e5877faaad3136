// Flaw: an error of the database is taken for "no such row" and cached as that.
// Seen in: https://github.com/dotCMS/core/issues/22430
// Caught by: a load that fails is thrown to its caller and stored as nothing
import { type Read, LookupCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LookupCache extends Reference {
  protected override fetch<T>(next: () => Promise<Read<T>>): Promise<Read<T>> {
    return next().catch(() => ({ value: null, source: 'load', ageMs: 0 }));
  }
}
