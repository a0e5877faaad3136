// Flaw: writes what it is given, whatever revision that was made from.
// Seen in: two tabs, two editors, one paragraph less; most forms that save "the record"
// Caught by: an edit of what somebody has changed meanwhile is refused, and says what has changed
export * from '../src/index.ts';

import { type Article, ContentStore as Sound } from '../src/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

export class ContentStore extends Sound {
  protected override lock(tx: Db, id: string, _revision: number): Promise<Article> {
    return this.get(tx, id, 'FOR UPDATE OF a');
  }
}
