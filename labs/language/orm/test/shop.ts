import type { PostgresServers } from '@shared/services';
import { expect, onTestFinished } from 'vitest';
import { createTables, Database, type DatabaseOptions, InvalidQueryError, type Statement } from '#lab';
import { Author, Book, ENTITIES, Publisher } from './bookshop.ts';

let ready: Promise<string> | undefined;

/** A schema of this process with the bookshop's tables. */
async function create(pg: PostgresServers): Promise<string> {
  const url = new URL(pg.url);
  // A transaction that waits for itself ends before its test does.
  url.searchParams.set('options', `-c search_path=shop_${process.pid} -c lock_timeout=4s`);
  await using db = new Database({ connectionString: url.href });
  await db.query(`CREATE SCHEMA shop_${process.pid}`);
  await createTables(db, ENTITIES);
  return url.href;
}

/** An empty bookshop, and the statements that were sent to it. */
export async function open(pg: PostgresServers, options: Partial<DatabaseOptions> = {}) {
  ready ??= create(pg);
  const db = new Database({ connectionString: await ready, ...options });
  onTestFinished(() => db[Symbol.asyncDispose]());
  await db.query('TRUNCATE publisher, author, book, "order" RESTART IDENTITY');
  const sent: Statement[] = [];
  db.onQuery((statement) => sent.push(statement));
  /** Statements that `body` sends. */
  const during = async (body: () => unknown) => {
    const before = sent.length;
    await body();
    return sent.length - before;
  };
  return { db, sent, during };
}

/** Two publishers, ten authors (every second without a birthday and a publisher), a hundred books. */
export async function stocked(pg: PostgresServers, options: Partial<DatabaseOptions> = {}) {
  const shop = await open(pg, options);
  const [penguin] = await Publisher.objects(shop.db).bulkCreate([{ name: 'Penguin' }, { name: 'Reclam' }]);
  const authors = await Author.objects(shop.db).bulkCreate(
    Array.from({ length: 10 }, (_, n) => {
      const known = n % 2 === 0 && penguin ? { born: 1900 + n, publisher: penguin } : {};
      return { name: `Author ${n}`, ...known };
    }),
  );
  const books = await Book.objects(shop.db).bulkCreate(
    Array.from({ length: 100 }, (_, n) => {
      return { title: `Book ${n}`, price: `${n}.50`, stock: n % 7, author: (n % 10) + 1 };
    }),
  );
  return { ...shop, authors, books };
}

/** What a promise or a call throws. */
export const failure = async (call: () => unknown): Promise<unknown> => {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return 'nothing was thrown';
};

/** That each of these is refused as a query without meaning. */
export const refused = async (calls: readonly (() => unknown)[]): Promise<void> => {
  for (const call of calls) expect(await failure(call), String(call)).toBeInstanceOf(InvalidQueryError);
};
