// Flaw: whoever has loaded stores, so a "no such row" that was read before the insert is stored after it.
// Seen in: https://github.com/google/guava/issues/1881
// Caught by: a load that began before an invalidation stores nothing after it
import { LookupCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LookupCache extends Reference {
  protected override async store(key: string, _generation: string, text: string, ttlMs: number): Promise<boolean> {
    const now = await this.generation(key);
    return super.store(key, now ?? '', text, ttlMs);
  }
}
