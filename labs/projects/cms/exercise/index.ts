import type { Article as ArticleMessage } from '../src/cms/v1/cms_pb.ts';
import {
  type Action,
  type Article,
  type Document,
  type Field,
  ContentStore as GivenContent,
  Gateway as GivenGateway,
  SearchIndex as GivenIndex,
  MediaStore as GivenMedia,
  type Hits,
  type Kind,
  type Operation,
  type State,
  type User,
} from '../src/index.ts';
import { type Caller, propagate } from '../src/vendor/grpc/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

// What is not the idea is given: the contract, the processes, connections, errors, checks of input, users, HTTP and pages.
// What is here puts a magazine on the screen while nobody else works on it and nothing is away, and has the flaws that its
// comments name. `h` in `pnpm lab learn cms` gives a hint. The classes that are extended have solutions of what is yours:
// don't call `super` for it, nor `decide`, `LIFE` and `clean` of src/. `tx.query(text, values)` is a statement in the
// transaction of the change. The tables: cms_articles (id, author, title, teaser, body, state, revision, publish_at); cms_slugs (slug,
// article, current), a row for each address, of which one is the article's current; cms_history (article, revision, title, teaser,
// body), a row for each revision; cms_outbox (article, trace).
export * from '../src/index.ts';

export class ContentStore extends GivenContent {
  /**
   * The state that `action` leads to: draft –submit→ review; review –return→ draft, –schedule→ scheduled, –publish→ published;
   * scheduled –return→ draft, –publish→ published; published –unpublish→ draft. `edit` leaves it: in draft, review and published.
   * Throws `IllegalTransitionError(action, state, possible)` for what nobody can do in this state (`possible`: the actions that
   * it has), and `ForbiddenError(action, user.name, who)` for what this user may not (`who`: in words, who may): drafts are edited
   * and submitted by their author (`article.author`) or an editor (`user.role`); all else is for an editor who has not written the
   * text. Its flaws: all may do all.
   */
  protected override decide(article: Article, action: Action, _user: User): State {
    const to = {
      edit: article.state,
      submit: 'review',
      return: 'draft',
      schedule: 'scheduled',
      publish: 'published',
      unpublish: 'draft',
    };
    const states: readonly State[] = ['draft', 'review', 'scheduled', 'published'];
    return states.find((state) => state === to[action]) ?? article.state;
  }

  /**
   * The text, which nobody else changes until the transaction ends. Throws `StaleEditError(article, revision, changed)`, with
   * the article as it is now, where somebody has changed it since `revision`; `changed` is what `this.changed` says. Its flaw: it
   * doesn't look.
   */
  protected override lock(tx: Db, id: string, _revision: number): Promise<Article> {
    return this.get(tx, id, 'FOR UPDATE OF a');
  }

  /**
   * Which of title, teaser and body differ between `revision` (a row of `cms_history`) and the article as it is now. Its flaw:
   * it doesn't know.
   */
  protected override async changed(_tx: Db, _article: Article, _revision: number): Promise<readonly Field[]> {
    return [];
  }

  /**
   * Gives a text its address: the row of `cms_slugs` that is `current`. Rows that are not lead readers to the text's current one.
   * Throws `SlugTakenError(slug)` where it is another text's current one. Its flaw: it forgets the address of before.
   */
  protected override async move(tx: Db, id: string, slug: string): Promise<void> {
    await tx.query('DELETE FROM cms_slugs WHERE article = $1', [id]);
    await tx.query('INSERT INTO cms_slugs VALUES ($1, $2, true)', [slug, id]);
  }

  /**
   * Publishes what is scheduled and due, `limit` texts at most: the state, a revision more, and `this.written(tx, id, who)`, whose
   * results it returns. Its flaws: it asks its own clock, and so do the other nodes, at the same time.
   */
  override publishDue(limit = 100): Promise<readonly Article[]> {
    return this.run('publish what is due', async (tx) => {
      const { rows } = await tx.query<{ id: string }>(
        "SELECT id FROM cms_articles WHERE state = 'scheduled' AND publish_at <= $1 LIMIT $2",
        [new Date(Date.now()), limit],
      );
      const published: Article[] = [];
      for (const { id } of rows) {
        await tx.query("UPDATE cms_articles SET state = 'published', revision = revision + 1 WHERE id = $1", [id]);
        published.push(await this.written(tx, id, 'the clock'));
      }
      return published;
    });
  }

  /**
   * The last step of each change: notes in `cms_outbox` (article, trace) that the index has to be told of it; `trace` is
   * `traceNow()` of ../src/trace.ts, or `{}`. Its flaw: it leaves that to others.
   */
  protected override async note(_tx: Db, _id: string): Promise<void> {}
}

export class SearchIndex extends GivenIndex {
  /**
   * How one document is written: an action and a source of OpenSearch's `_bulk`. `document.live` says whether readers may find
   * it; the search looks at that field, too. Its flaws: whatever comes last stays, and what was deleted may come again.
   */
  protected override operation(document: Document): Operation {
    if (!document.live) return { action: { delete: { _id: document.id } } };
    return { action: { index: { _id: document.id } }, source: { ...document } };
  }
}

export class MediaStore extends GivenMedia {
  /** What the bytes say that they are: `png`, `jpg`, `gif`, `webp`, or undefined. Its flaw: it believes. */
  protected override sniff(_bytes: Uint8Array): Kind | undefined {
    return 'png';
  }
}

export class Gateway extends GivenGateway {
  /**
   * A stranger's HTML as it may stand in our page: p, h2, h3, ul, ol, li, blockquote, strong, em, code, pre, br, hr; a with an
   * http, https or mailto `href`; img with an `alt` and a `src` of ours (`/media/`, 64 hex digits, a dot, png, jpg,
   * gif or webp); an img without one goes. The package sanitize-html is here. Its flaw: it trusts.
   */
  protected override clean(html: string): string {
    return html;
  }

  /**
   * What the search finds. While it is away: `this.latest(caller, limit, except)`, degraded. `this.breaker` is a circuit breaker
   * (see that lab); it hands the call a signal that ends it, for the search in place of `propagate(caller)`'s. `this.o.searchMs` is
   * how long the search may take. `except` is the id of a text that is left out. Its flaw: it waits, and fails with the search.
   */
  protected override async hits(caller: Caller, words: string, limit = 20, except = ''): Promise<Hits> {
    const { hits } = await this.search.search({ words, limit, except }, propagate(caller));
    return { hits, degraded: false };
  }

  /** Beside a text: `hits` for its title, 4 at most, without itself; never a reason not to show the text. Its flaw: it is one. */
  protected override related({ id, title }: ArticleMessage, caller: Caller): Promise<Hits> {
    return this.hits(caller, title, 4, id);
  }
}
