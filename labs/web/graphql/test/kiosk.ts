import { createSchema, createYoga, type Plugin } from 'graphql-yoga';
import { Pool } from 'pg';
import {
  batchByKey,
  createLoaders,
  groupByKey,
  type Incident,
  Loader,
  type LoaderOptions,
  maskErrors,
  PublicError,
} from '#lab';
import { typeDefs } from './schema.ts';

interface Row {
  readonly id: string;
}
interface Author extends Row {
  readonly name: string;
}
interface Article extends Row {
  readonly title: string;
  readonly body: string;
  readonly author: string | null;
}
interface Comment extends Row {
  readonly text: string;
  readonly author: string;
  readonly article: string;
}
export interface Context {
  readonly request: Request;
  readonly signal?: AbortSignal;
}
interface First {
  readonly first?: number | null;
}

const isId = (id: string): boolean => /^\d{1,9}$/.test(id);
const AUTHORS = 'SELECT id::text, name FROM authors';
const ARTICLES = 'SELECT id::text, title, body, author_id::text AS author FROM articles';
const COMMENTS = 'SELECT id::text, text, author_id::text AS author, article_id::text AS article FROM comments';

export interface KioskOptions {
  /** `each`: every resolver asks the database by itself. Default `batched`. */
  readonly resolvers?: 'each' | 'batched';
  readonly plugins?: readonly Plugin[];
  /** Default true. */
  readonly masked?: boolean;
  readonly sql?: string[];
}

/** A magazine kiosk: articles, authors, comments. `sql` has each statement that was sent for a request. */
export function openKiosk(pool: Pool, options: KioskOptions = {}) {
  const { resolvers = 'batched', plugins = [], masked = true, sql = [] } = options;
  const incidents: Incident[] = [];
  const rows = async <R extends object>(text: string, values: readonly unknown[] = []): Promise<R[]> => {
    sql.push(text);
    return (await pool.query<R>(text, [...values])).rows;
  };
  const one = async <R extends object>(text: string, id: string) => (await rows<R>(`${text} WHERE id = $1`, [id]))[0];
  const top = (text: string, column: string) =>
    `SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY ${column} ORDER BY id::int) AS n
     FROM (${text}) each WHERE ${column} = ANY($1)) ranked WHERE n <= $2 ORDER BY n`;

  const perSize = <R extends Row>(ctx: Context, text: string, column: string, keyOf: (row: R) => string) => {
    const bySize = new Map<number, Loader<string, readonly R[]>>();
    return (size: number) => {
      const fetch = (keys: readonly string[]) => rows<R>(top(text, column), [keys, size]);
      const loader =
        bySize.get(size) ?? new Loader(groupByKey({ fetch, keyOf, read: (row) => row, isKey: isId }), optionsOf(ctx));
      bySize.set(size, loader);
      return loader;
    };
  };
  const loaders = createLoaders({
    author: (ctx: Context) =>
      new Loader(
        batchByKey<string, Author, Author>({
          fetch: (ids) => rows(`${AUTHORS} WHERE id = ANY($1)`, [ids]),
          keyOf: ({ id }) => id,
          read: (row) => row,
          isKey: isId,
        }),
        optionsOf(ctx),
      ),
    note: (ctx: Context) =>
      new Loader(
        batchByKey<string, Row & { text: string }, string>({
          fetch: (ids) =>
            rows('SELECT article_id::text AS id, text FROM notes WHERE reader = $1 AND article_id = ANY($2)', [
              readerOf(ctx),
              ids,
            ]),
          keyOf: ({ id }) => id,
          read: ({ text }) => text,
        }),
        optionsOf(ctx),
      ),
    comments: (ctx: Context) => perSize<Comment>(ctx, COMMENTS, 'article', ({ article }) => article),
    articlesOf: (ctx: Context) => perSize<Article>(ctx, ARTICLES, 'author', ({ author }) => author ?? ''),
  });

  const batched = resolvers === 'batched';
  const author = ({ author: id }: { author: string | null }, _: unknown, ctx: Context) =>
    id === null ? null : batched ? loaders.of(ctx).author.load(id) : one<Author>(AUTHORS, id);
  const schema = createSchema<Context>({
    typeDefs,
    resolvers: {
      Query: {
        articles: (_: unknown, { first, order }: First & { order?: string }) =>
          rows(`${ARTICLES} ORDER BY articles.id ${order === 'NEWEST' ? 'DESC' : ''} LIMIT $1`, [first ?? 10]),
        article: (_: unknown, { id }: Row) => (isId(id) ? one<Article>(ARTICLES, id) : null),
        takings: () => rows('SELECT sum(cents) FROM sales_2025 WHERE till = $1', ['till 7']),
      },
      Mutation: {
        rename: async (_: unknown, { author: id, name }: { author: string; name: string }, ctx: Context) => {
          if (name === '') throw new PublicError('An author needs a name.', { code: 'NAME_EMPTY' });
          await loaders.of(ctx).author.load(id);
          try {
            await rows('UPDATE authors SET name = $2 WHERE id = $1', [id, name]);
          } finally {
            loaders.clear(ctx);
          }
          return loaders.of(ctx).author.load(id);
        },
      },
      Article: {
        author,
        comments: ({ id }: Article, { first }: First, ctx: Context) =>
          batched
            ? loaders
                .of(ctx)
                .comments(first ?? 10)
                .load(id)
            : rows(`${COMMENTS} WHERE article_id = $1 ORDER BY comments.id LIMIT $2`, [id, first ?? 10]),
        note: ({ id }: Article, _: unknown, ctx: Context) => loaders.of(ctx).note.load(id),
      },
      Author: {
        articles: ({ id }: Author, { first }: First, ctx: Context) =>
          batched
            ? loaders
                .of(ctx)
                .articlesOf(first ?? 10)
                .load(id)
            : rows(`${ARTICLES} WHERE author_id = $1 ORDER BY articles.id LIMIT $2`, [id, first ?? 10]),
      },
      Comment: { author, article: ({ article }: Comment) => one<Article>(ARTICLES, article) },
    },
  });
  const yoga = createYoga({
    schema,
    plugins: [...plugins],
    logging: false,
    graphiql: false,
    landingPage: false,
    maskedErrors: masked && { maskError: maskErrors({ onIncident: (incident) => void incidents.push(incident) }) },
  });
  const ask = async (query: string | undefined, { reader = 'ann', ...more }: Record<string, unknown> = {}) => {
    const response = await yoga.fetch('http://kiosk/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-reader': String(reader) },
      body: JSON.stringify({ query, ...more }),
    });
    const text = await response.text();
    const { data, errors = [] }: Answer = JSON.parse(text);
    return { status: response.status, data, errors, code: errors[0]?.extensions?.code, text };
  };
  return { schema, yoga, ask, sql, incidents };
}

export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the query's
  readonly data?: any;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: { readonly code?: string; readonly id?: string; readonly max?: number };
  }[];
}

const readerOf = (ctx: Context): string => ctx.request.headers.get('x-reader') ?? '';
const optionsOf = ({ signal }: Context): LoaderOptions => ({ signal });

export interface Stock {
  readonly articles: number;
  readonly authors: number;
  /** Of each article. */
  readonly comments: number;
}

/** Tables in a schema of their own: call with a pool whose `search_path` is `name`. */
export async function stock(pool: Pool, name: string, { articles, authors, comments }: Stock): Promise<void> {
  await pool.query(`CREATE SCHEMA ${name};
    CREATE TABLE ${name}.authors (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE ${name}.articles (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL, author_id int);
    CREATE TABLE ${name}.comments (id int PRIMARY KEY, text text NOT NULL, author_id int, article_id int);
    CREATE TABLE ${name}.notes (reader text, article_id int, text text NOT NULL, PRIMARY KEY (reader, article_id));
    CREATE INDEX ON ${name}.articles (author_id);
    CREATE INDEX ON ${name}.comments (article_id);
    INSERT INTO ${name}.authors SELECT n, 'Author ' || n FROM generate_series(1, ${authors}) n;
    INSERT INTO ${name}.articles SELECT n, 'Article ' || n, repeat('word ', 400), 1 + (n * 7) % ${authors}
      FROM generate_series(1, ${articles}) n;
    INSERT INTO ${name}.comments SELECT n, 'Comment ' || n, 1 + n % ${authors}, 1 + n % ${articles}
      FROM generate_series(1, ${articles * comments}) n;
    INSERT INTO ${name}.notes SELECT reader, n, reader || ' on ' || n
      FROM generate_series(1, ${articles}) n, (VALUES ('ann'), ('ben')) AS r (reader)`);
}

/** A pool whose statements see the tables in `name`. */
export const poolOf = (url: string, name: string): Pool =>
  new Pool({ connectionString: url, max: 8, options: `-c search_path=${name}` }).on('error', () => {});
