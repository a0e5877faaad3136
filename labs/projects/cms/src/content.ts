import { randomUUID } from 'node:crypto';
import { DatabaseError, type Pool } from 'pg';
import {
  type Action,
  type Article,
  checkPatch,
  decide,
  FIELDS,
  type Field,
  type Patch,
  type State,
  slugOf,
  type User,
} from './article.ts';
import {
  checkAmount,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  SlugTakenError,
  StaleEditError,
  UnavailableError,
} from './errors.ts';
import { step, traceNow } from './trace.ts';
import { ConnectionLostError, type Db, LockTimeoutError, runTransaction } from './vendor/optimistic-lock/index.ts';

/** The content service's own tables. A column that comes later has a default: the release before doesn't name it. */
export const CONTENT_SCHEMA = `
CREATE TABLE IF NOT EXISTS cms_articles (
  id uuid PRIMARY KEY,
  author text NOT NULL,
  title text NOT NULL,
  body text NOT NULL,
  state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'review', 'scheduled', 'published')),
  revision integer NOT NULL DEFAULT 1,
  publish_at timestamptz
);
ALTER TABLE cms_articles ADD COLUMN IF NOT EXISTS teaser text NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS cms_due ON cms_articles (publish_at) WHERE state IN ('scheduled', 'published');
CREATE TABLE IF NOT EXISTS cms_slugs (
  slug text PRIMARY KEY,
  article uuid NOT NULL REFERENCES cms_articles,
  current boolean NOT NULL
);
ALTER TABLE cms_slugs ADD COLUMN IF NOT EXISTS former uuid;
CREATE UNIQUE INDEX IF NOT EXISTS cms_one_slug ON cms_slugs (article) WHERE current;
CREATE TABLE IF NOT EXISTS cms_history (
  article uuid NOT NULL REFERENCES cms_articles,
  revision integer NOT NULL,
  state text NOT NULL,
  title text NOT NULL,
  teaser text NOT NULL DEFAULT '',
  body text NOT NULL,
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (article, revision)
);
CREATE TABLE IF NOT EXISTS cms_outbox (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  article uuid NOT NULL,
  trace jsonb NOT NULL,
  refused text
);
CREATE INDEX IF NOT EXISTS cms_waiting ON cms_outbox (position) WHERE refused IS NULL;
`;

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly slug: string;
  readonly title: string;
  readonly teaser: string;
  readonly body: string;
  readonly state: State;
  readonly revision: number;
  readonly author: string;
  readonly publish_at: Date | null;
}

const ARTICLE = `SELECT a.*, s.slug FROM cms_articles a JOIN cms_slugs s ON s.article = a.id AND s.current`;
/** A hundred bodies would be more than one message can hold. */
const LISTED = ARTICLE.replace(
  'a.*',
  "a.id, a.author, a.title, a.teaser, '' AS body, a.state, a.revision, a.publish_at",
);
/** What waits for somebody, before what is done: there may be more texts than one list holds. */
const FIRST = "array_position(ARRAY['review', 'draft', 'scheduled', 'published'], a.state)";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Who publishes what is due. No user has this name. */
const CLOCK = 'the clock';

export type Found =
  | { readonly article: Article }
  /** It is at this address now. */
  | { readonly moved: string };

/** A note that the index is behind, and under which trace it was made. */
export interface Note {
  readonly position: string;
  readonly article: Article;
  readonly trace: unknown;
}

/** The truth: texts, states, addresses, and what the index has yet to be told. */
export class ContentStore {
  readonly #pool: Pool;

  /** @param pool with a listener for its errors */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** A draft. @throws InvalidInputError, SlugTakenError, UnavailableError */
  async create(user: User, given: Patch & { readonly title: string; readonly body: string }): Promise<Article> {
    checkPatch(given);
    const id = randomUUID();
    const slug = given.slug ?? (slugOf(given.title) || `text-${id.slice(0, 8)}`);
    return this.run('create', async (tx) => {
      await tx.query('INSERT INTO cms_articles (id, author, title, teaser, body) VALUES ($1, $2, $3, $4, $5)', [
        id,
        user.name,
        given.title,
        given.teaser ?? '',
        given.body,
      ]);
      await this.move(tx, id, slug);
      return this.written(tx, id, user.name);
    });
  }

  /**
   * Changes what `patch` names.
   * @param revision that the user has seen
   * @throws StaleEditError, ForbiddenError, IllegalTransitionError, SlugTakenError, NotFoundError, InvalidInputError, UnavailableError
   */
  async edit(id: string, revision: number, patch: Patch, user: User): Promise<Article> {
    checkPatch(patch);
    return this.run('edit', async (tx) => {
      const { article } = await this.allowed(tx, id, revision, 'edit', user);
      await tx.query(
        `UPDATE cms_articles SET revision = revision + 1,
            title = coalesce($2, title), teaser = coalesce($3, teaser), body = coalesce($4, body) WHERE id = $1`,
        [id, patch.title, patch.teaser, patch.body],
      );
      if (patch.slug !== undefined && patch.slug !== article.slug) await this.move(tx, id, patch.slug);
      return this.written(tx, id, user.name);
    });
  }

  /**
   * Submits, returns, schedules, publishes or unpublishes.
   * @param publishAt for `schedule`: by the clock of Postgres; in the past it is due at once
   * @throws as `edit`
   */
  async act(id: string, revision: number, action: Action, user: User, publishAt?: Date): Promise<Article> {
    if (action === 'edit') throw new InvalidInputError('action', action, 'what is no edit');
    if (action === 'schedule' && !isDate(publishAt))
      throw new InvalidInputError('publishAt', publishAt, 'a date of the years 1 to 9999');
    return this.run(action, async (tx) => {
      const { state } = await this.allowed(tx, id, revision, action, user);
      await tx.query(
        `UPDATE cms_articles SET revision = revision + 1, state = $2::text, publish_at =
          CASE $2::text WHEN 'published' THEN clock_timestamp() WHEN 'scheduled' THEN $3::timestamptz END WHERE id = $1`,
        [id, state, publishAt],
      );
      return this.written(tx, id, user.name);
    });
  }

  /**
   * Publishes what is due, by the clock of Postgres; any number of nodes may ask at once.
   * @returns what this call has published @throws UnavailableError
   */
  async publishDue(limit = 100): Promise<readonly Article[]> {
    return this.run('publish what is due', async (tx) => {
      // Whoever waits for the row of another node looks at it anew when he has it: it is published, and no row of his.
      const { rows } = await tx.query<{ id: string }>(
        `WITH due AS (
          SELECT id FROM cms_articles WHERE state = 'scheduled' AND publish_at <= clock_timestamp()
            ORDER BY publish_at LIMIT $1 FOR UPDATE SKIP LOCKED
        ) UPDATE cms_articles a SET state = 'published', revision = revision + 1 FROM due WHERE a.id = due.id RETURNING a.id`,
        [limit],
      );
      const published: Article[] = [];
      for (const { id } of rows) published.push(await this.written(tx, id, CLOCK));
      return published;
    });
  }

  /** For its author, and for editors. @throws NotFoundError, UnavailableError */
  async read(id: string, user: User): Promise<Article> {
    const article = await this.run('read', (tx) => this.get(tx, id));
    // Not "forbidden": whether there is a draft of somebody else's is nobody's business.
    if (!mayRead(article, user)) throw new NotFoundError('article', id);
    return article;
  }

  /** What readers see at an address, or where it has gone. @returns undefined where nothing is published */
  async find(slug: string): Promise<Found | undefined> {
    return this.run('find', async (tx) => {
      const { rows } = await tx.query<Row & { asked: boolean }>(
        // A draft may have taken the address of a text that is in print: until it is in print itself, readers find that one.
        `SELECT a.*, s.slug FROM cms_slugs o JOIN cms_articles a ON a.id IN (o.article, o.former)
          JOIN cms_slugs s ON s.article = a.id AND s.current WHERE o.slug = $1 AND a.state = 'published'
          ORDER BY a.id = o.article DESC LIMIT 1`,
        // A text that Postgres can't even be asked for is nobody's address.
        [slug.isWellFormed() ? slug.replaceAll('\0', '') : ''],
      );
      const [row] = rows;
      if (row === undefined) return undefined;
      return row.slug === slug ? { article: articleOf(row) } : { moved: row.slug };
    });
  }

  /** What readers may see, the newest first; for a user what he works on. Without their bodies. @param limit 1 to 100 */
  async list(limit: number, user?: User): Promise<readonly Article[]> {
    checkAmount('limit', limit, 1, 100);
    return this.run('list', async (tx) => {
      const { rows } = await (user === undefined
        ? tx.query<Row>(`${LISTED} WHERE a.state = 'published' ORDER BY a.publish_at DESC, a.id LIMIT $1`, [limit])
        : tx.query<Row>(`${LISTED} WHERE a.author = $2 OR $3 ORDER BY ${FIRST}, a.title, a.id LIMIT $1`, [
            limit,
            user.name,
            user.role === 'editor',
          ]));
      return rows.map(articleOf);
    });
  }

  /** What the index has yet to be told, the oldest first: each text as it is now. */
  async waiting(limit: number): Promise<readonly Note[]> {
    return this.run('look at the outbox', async (tx) => {
      const { rows } = await tx.query<Row & { position: string; trace: unknown }>(
        `SELECT a.*, s.slug, o.position, o.trace FROM cms_outbox o JOIN cms_articles a ON a.id = o.article
          JOIN cms_slugs s ON s.article = a.id AND s.current WHERE o.refused IS NULL ORDER BY o.position LIMIT $1`,
        [limit],
      );
      return rows.map((row) => ({ position: row.position, trace: row.trace, article: articleOf(row) }));
    });
  }

  /** The index has been told. @param refusals why it will never take some of them: they are set aside */
  async told(positions: readonly string[], refusals: ReadonlyMap<string, string>): Promise<void> {
    await this.run('clear the outbox', async (tx) => {
      await tx.query('DELETE FROM cms_outbox WHERE position = ANY($1::bigint[])', [
        positions.filter((position) => !refusals.has(position)),
      ]);
      for (const [position, why] of refusals) {
        await tx.query('UPDATE cms_outbox SET refused = $2 WHERE position = $1', [position, why]);
      }
    });
  }

  /** Notes every text: the index has been lost, and is told anew. */
  async noteAll(): Promise<void> {
    await this.run('note all', (tx) =>
      tx.query('INSERT INTO cms_outbox (article, trace) SELECT id, $1 FROM cms_articles', [traceNow()]),
    );
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  protected decide(article: Article, action: Action, user: User): State {
    return decide(article, action, user);
  }

  /** The text, locked, and the state that `action` leads to. */
  protected async allowed(tx: Db, id: string, revision: number, action: Action, user: User) {
    const article = await this.lock(tx, id, revision).catch((error: unknown) => {
      // What others have made of it is for whoever may read it.
      if (!(error instanceof StaleEditError) || mayRead(error.current, user)) throw error;
      throw new ForbiddenError(action, user.name, 'its author may, and an editor');
    });
    return { article, state: this.decide(article, action, user) };
  }

  /** The text, which nobody else changes until this transaction ends. @throws StaleEditError, NotFoundError */
  protected async lock(tx: Db, id: string, revision: number): Promise<Article> {
    checkAmount('revision', revision, 1, 2 ** 31 - 1);
    const article = await this.get(tx, id, 'FOR UPDATE OF a');
    if (article.revision !== revision)
      throw new StaleEditError(article, revision, await this.changed(tx, article, revision));
    return article;
  }

  /** What differs between the revision that the user has seen and the text that is there. */
  protected async changed(tx: Db, article: Article, revision: number): Promise<readonly Field[]> {
    const { rows } = await tx.query<Pick<Row, Field>>(
      'SELECT title, teaser, body FROM cms_history WHERE article = $1 AND revision = $2',
      [article.id, revision],
    );
    const [seen] = rows;
    return FIELDS.filter((field) => seen?.[field] !== article[field]);
  }

  /** Gives a text its address. The old ones lead to it, until another text that has taken them is in print. @throws SlugTakenError */
  protected async move(tx: Db, id: string, slug: string): Promise<void> {
    await tx.query('UPDATE cms_slugs SET current = false WHERE article = $1 AND current', [id]);
    const { rowCount } = await tx.query(
      `INSERT INTO cms_slugs AS s VALUES ($1, $2, true)
        ON CONFLICT (slug) DO UPDATE SET article = excluded.article, current = true, former = CASE
          WHEN EXISTS (SELECT FROM cms_articles a WHERE a.id = s.article AND a.state = 'published') THEN s.article
          ELSE s.former END
        WHERE NOT s.current`,
      [slug, id],
    );
    if (rowCount === 0) throw new SlugTakenError(slug);
  }

  /** The last step of each change: its history, and the note for the index. @returns the text as it is now */
  protected async written(tx: Db, id: string, by: string): Promise<Article> {
    const article = await this.get(tx, id);
    await tx.query(
      `INSERT INTO cms_history (article, revision, state, title, teaser, body, changed_by)
        SELECT id, revision, state, title, teaser, body, $2 FROM cms_articles WHERE id = $1`,
      [id, by],
    );
    await this.note(tx, id);
    return article;
  }

  /** In the transaction of the change: there is no moment at which one of them exists without the other. */
  protected async note(tx: Db, id: string): Promise<void> {
    await tx.query('INSERT INTO cms_outbox (article, trace) VALUES ($1, $2)', [id, traceNow()]);
  }

  /** @param how what to lock @throws NotFoundError */
  protected async get(tx: Db, id: string, how = ''): Promise<Article> {
    const { rows } = UUID.test(id) ? await tx.query<Row>(`${ARTICLE} WHERE a.id = $1 ${how}`, [id]) : { rows: [] };
    const [row] = rows;
    if (row === undefined) throw new NotFoundError('article', id);
    return articleOf(row);
  }

  protected async run<T>(what: string, body: (tx: Db) => Promise<T>): Promise<T> {
    try {
      return await step(`postgres ${what}`, () => runTransaction(this.#pool, body));
    } catch (error) {
      const silent = error instanceof ConnectionLostError || error instanceof LockTimeoutError || isDeadlock(error);
      throw silent ? new UnavailableError('Postgres', error) : error;
    }
  }
}

const mayRead = ({ author }: Article, { name, role }: User) => role === 'editor' || author === name;

/** One that JavaScript, Postgres and a page can say. */
const isDate = (value: unknown): value is Date =>
  value instanceof Date && value.getUTCFullYear() >= 1 && value.getUTCFullYear() <= 9_999;

/** Of two changes that wait for each other Postgres ends one. */
const isDeadlock = (error: unknown) => error instanceof DatabaseError && error.code === '40P01';

function articleOf({ id, slug, title, teaser, body, state, revision, author, publish_at }: Row): Article {
  return { id, slug, title, teaser, body, state, revision, author, publishAt: publish_at ?? undefined };
}
