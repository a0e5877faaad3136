// Flaw: looks at who asks, and not at where the text stands: what an editor says is done.
// Seen in: status columns that every form may set; "published" that was never reviewed, "draft" that is still in print
// Caught by: a text goes from draft by review to print, and nothing else can be done with it
export * from '../src/index.ts';

import {
  type Action,
  type Article,
  ForbiddenError,
  ContentStore as Sound,
  type State,
  type User,
} from '../src/index.ts';

const LEADS: Readonly<Record<Action, State | undefined>> = {
  edit: undefined,
  submit: 'review',
  return: 'draft',
  schedule: 'scheduled',
  publish: 'published',
  unpublish: 'draft',
};

export class ContentStore extends Sound {
  protected override decide(article: Article, action: Action, user: User): State {
    const own = article.author === user.name;
    if (user.role !== 'editor' && !own) throw new ForbiddenError(action, user.name, 'an editor may');
    return LEADS[action] ?? article.state;
  }
}
