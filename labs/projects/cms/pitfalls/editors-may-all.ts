// Flaw: asks for the role alone: an editor approves what he has written himself.
// Seen in: https://github.com/nathanwoulfe/Plumber/issues/120
// Caught by: nobody publishes what he has written himself, an editor neither
export * from '../src/index.ts';

import { type Action, type Article, ContentStore as Sound, type State, type User } from '../src/index.ts';

export class ContentStore extends Sound {
  protected override decide(article: Article, action: Action, user: User): State {
    const by = user.role === 'editor' ? { ...article, author: '' } : article;
    return super.decide(by, action, user);
  }
}
