import type { PostgresServers } from '@shared/services';
import { onTestFinished } from 'vitest';
import { createTables, Database, type DatabaseOptions, type EntityClass, type Statement } from '#lab';
import { Author, Book, ENTITIES, Publisher } from './bookshop.ts';

let schemas = 0;
let ready: Promise<string> | undefined;

/** A schema with the tables of these entities. */
async function create(pg: PostgresServers, entities: readonly EntityClass[]): Promise<string> {
  const url = new URL(pg.url);
  url.searchParams.set('options', `-c search_path=shop_${process.pid}_${++schemas}`);
  await using db = new Database({ connectionString: url.href });
  await db.query(`CREATE SCHEMA shop_${process.pid}_${schemas}`);
  await createTables(db, entities);
  return url.href;
}

/** An empty bookshop, and the statements that were sent to it. Other entities get a schema of their own. */
export async function open(
  pg: PostgresServers,
  options: Partial<DatabaseOptions> = {},
  entities: readonly EntityClass[] = ENTITIES,
) {
  if (entities === ENTITIES) ready ??= create(pg, entities);
  const connectionString = await (entities === ENTITIES && ready ? ready : create(pg, entities));
  const db = new Database({ connectionString, ...options });
  onTestFinished(() => db[Symbol.asyncDispose]());
  if (entities === ENTITIES) await db.query('TRUNCATE publisher, author, book, "order" RESTART IDENTITY');
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
    Array.from({ length: 10 }, (_, n) => ({
      name: `Author ${n}`,
      born: n % 2 === 0 ? 1900 + n : null,
      publisher: n % 2 === 0 ? (penguin ?? null) : null,
    })),
  );
  const books = await Book.objects(shop.db).bulkCreate(
    Array.from({ length: 100 }, (_, n) => ({
      title: `Book ${n}`,
      price: `${n}.50`,
      stock: n % 7,
      author: (n % 10) + 1,
    })),
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
