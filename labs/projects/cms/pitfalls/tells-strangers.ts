// Flaw: looks at the revision first, and at who asks second: "too late" comes with the text, whoever it was.
// Seen in: conflict pages that show "the current version" to anybody who guesses an old one
// Caught by: whoever may not read a text is not told of it by a change that comes too late
export * from '../src/index.ts';

import { type Action, ContentStore as Sound, type User } from '../src/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

export class ContentStore extends Sound {
  protected override async allowed(tx: Db, id: string, revision: number, action: Action, user: User) {
    const article = await this.lock(tx, id, revision);
    return { article, state: this.decide(article, action, user) };
  }
}
