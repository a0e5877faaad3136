import { checkWords, ForbiddenError, IllegalTransitionError, InvalidInputError } from './errors.ts';

export type State = 'draft' | 'review' | 'scheduled' | 'published';
export type Role = 'author' | 'editor';
export type Action = 'edit' | 'submit' | 'return' | 'schedule' | 'publish' | 'unpublish';
export type Field = 'title' | 'teaser' | 'body';
export const FIELDS: readonly Field[] = ['title', 'teaser', 'body'];

export interface User {
  readonly name: string;
  readonly role: Role;
}

export interface Article {
  readonly id: string;
  /** Where readers find it. */
  readonly slug: string;
  readonly title: string;
  readonly teaser: string;
  /** HTML as it was typed in: unclean. */
  readonly body: string;
  readonly state: State;
  /** One more with each change, of its text or of its state. */
  readonly revision: number;
  readonly author: string;
  /** When it is to be published, or was. */
  readonly publishAt: Date | undefined;
}

/** What an edit changes; what is absent stays. */
export type Patch = { readonly [K in Field | 'slug']?: string | undefined };

interface Step {
  readonly to: State;
  /** `owner`: its author, or an editor. `other`: an editor who has not written it. */
  readonly by: 'owner' | 'other';
}

/** The life of a text. What is not in here can't be done. */
export const LIFE: Readonly<Record<State, Readonly<Partial<Record<Action, Step>>>>> = {
  draft: { edit: { to: 'draft', by: 'owner' }, submit: { to: 'review', by: 'owner' } },
  review: {
    edit: { to: 'review', by: 'other' },
    return: { to: 'draft', by: 'other' },
    schedule: { to: 'scheduled', by: 'other' },
    publish: { to: 'published', by: 'other' },
  },
  scheduled: { return: { to: 'draft', by: 'other' }, publish: { to: 'published', by: 'other' } },
  published: { edit: { to: 'published', by: 'other' }, unpublish: { to: 'draft', by: 'other' } },
};

const ACTIONS: readonly string[] = ['edit', 'submit', 'return', 'schedule', 'publish', 'unpublish'] satisfies Action[];

/** @throws InvalidInputError */
export function checkAction(value: unknown): asserts value is Action {
  if (typeof value !== 'string' || !ACTIONS.includes(value)) {
    throw new InvalidInputError('action', value, ACTIONS.join(', '));
  }
}

/**
 * The state that `action` leads to.
 * @throws IllegalTransitionError when nobody can do that now, ForbiddenError when this user can't
 */
export function decide(article: Pick<Article, 'state' | 'author'>, action: Action, user: User): State {
  const steps = LIFE[article.state];
  const step = steps[action];
  if (step === undefined) throw new IllegalTransitionError(action, article.state, Object.keys(steps));
  const own = article.author === user.name;
  const allowed = step.by === 'owner' ? own || user.role === 'editor' : !own && user.role === 'editor';
  if (allowed) return step.to;
  const who = step.by === 'owner' ? 'its author may, and an editor' : 'an editor may who has not written it';
  throw new ForbiddenError(action, user.name, who);
}

const SLUG = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** @throws InvalidInputError */
export function checkPatch(patch: Patch): void {
  if (patch.title !== undefined) {
    checkWords('title', patch.title, 1, 200);
    // What nobody sees nobody can click.
    if (!/[^\s\p{C}\u3164]/u.test(patch.title))
      throw new InvalidInputError('title', patch.title, 'one that can be seen');
  }
  if (patch.teaser !== undefined) checkWords('teaser', patch.teaser, 0, 500);
  if (patch.body !== undefined) checkWords('body', patch.body, 0, 200_000);
  if (patch.slug !== undefined && (patch.slug.length > 80 || !SLUG.test(patch.slug))) {
    throw new InvalidInputError('slug', patch.slug, '1 to 80 of a-z, 0-9 and single "-" between them');
  }
}

/** An address made of a title; empty where it has no Latin letter and no digit. */
export function slugOf(title: string): string {
  const plain = title.normalize('NFKD').toLowerCase().replace(/\p{M}/gu, '');
  return plain
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 80)
    .replace(/^-+|-+$/g, '');
}
