// Flaw: only rows are kept. Of a row that doesn't exist there is nothing to keep, so each question goes to the database.
// Seen in: https://github.com/alibaba/jetcache/issues/102
// Caught by: a row is loaded once, and so is the news that there is none
import { LookupCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LookupCache extends Reference {
  protected override async store(key: string, generation: string, text: string, ttlMs: number): Promise<boolean> {
    return text.startsWith('n') ? true : super.store(key, generation, text, ttlMs);
  }
}
