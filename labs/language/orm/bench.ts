import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio } from '@shared/testkit';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import * as d from 'drizzle-orm/pg-core';
import { type Generated, Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import { DataSource, EntitySchema } from 'typeorm';
import { createTables, Database, Entity, Field, ForeignKey, Model, type Ref } from './src/index.ts';

// One table, seen through six libraries: each declares it as its own documentation does.

// Decorators are functions, and here they are called as such: a loader that compiles decorators may also compile #private
// fields down to WeakMaps (@oxc-node/core does), and it is the library that is to be measured.
class Author extends Model {
  declare id: number;
  declare name: string;
}
Field.int({ primaryKey: true })(Author.prototype, 'id');
Field.char({ max: 50 })(Author.prototype, 'name');
Entity()(Author);

class Book extends Model {
  declare id: number;
  declare title: string;
  declare price: string;
  declare stock: number;
  declare published: Date;
  declare author: Ref<Author>;
}
Field.int({ primaryKey: true })(Book.prototype, 'id');
Field.char({ max: 50 })(Book.prototype, 'title');
Field.decimal({ digits: 8, scale: 2 })(Book.prototype, 'price');
Field.int()(Book.prototype, 'stock');
Field.timestamp()(Book.prototype, 'published');
ForeignKey(() => Author, { onDelete: 'cascade' })(Book.prototype, 'author');
Entity()(Book);

interface Tables {
  author: { id: Generated<number>; name: string };
  book: { id: Generated<number>; title: string; price: string; stock: number; published: Date; author_id: number };
}

const authors = d.pgTable('author', {
  id: d.integer().primaryKey().generatedByDefaultAsIdentity(),
  name: d.varchar({ length: 50 }).notNull(),
});
const books = d.pgTable('book', {
  id: d.integer().primaryKey().generatedByDefaultAsIdentity(),
  title: d.varchar({ length: 50 }).notNull(),
  price: d.numeric({ precision: 8, scale: 2 }).notNull(),
  stock: d.integer().notNull(),
  published: d.timestamp({ withTimezone: true, precision: 3 }).notNull(),
  author_id: d.integer().notNull(),
});

const MikroAuthor = defineEntity({
  name: 'Author',
  tableName: 'author',
  properties: { id: p.integer().primary(), name: p.string() },
});
const MikroBook = defineEntity({
  name: 'Book',
  tableName: 'book',
  properties: {
    id: p.integer().primary(),
    title: p.string(),
    price: p.decimal(),
    stock: p.integer(),
    published: p.datetime(),
    author: () => p.manyToOne(MikroAuthor),
  },
});

interface TypeAuthor {
  id: number;
  name: string;
}
interface TypeBook {
  id: number;
  title: string;
  price: string;
  stock: number;
  published: Date;
  author: { id: number };
}
const TypeAuthors = new EntitySchema<TypeAuthor>({
  name: 'author',
  columns: { id: { type: Number, primary: true, generated: 'increment' }, name: { type: 'varchar' } },
});
const TypeBooks = new EntitySchema<TypeBook>({
  name: 'book',
  columns: {
    id: { type: Number, primary: true, generated: 'increment' },
    title: { type: 'varchar' },
    price: { type: 'numeric' },
    stock: { type: Number },
    published: { type: 'timestamptz' },
  },
  relations: { author: { type: 'many-to-one', target: 'author', joinColumn: { name: 'author_id' } } },
});

const ROWS = 10_000;

await tell({ title: 'ORM against Kysely, Drizzle, MikroORM and TypeORM', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = () => bin.adopt(new Pool({ connectionString: pg.url, max: 2 }), (it) => it.end());
  const db = bin.use(new Database({ connectionString: pg.url, max: 2 }));
  await createTables(db, [Author, Book]);
  const raw = pool();
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool() }) });
  const drizzled = drizzle({ client: pool() });
  const mikro = bin.adopt(
    await MikroORM.init({ entities: [MikroAuthor, MikroBook], clientUrl: pg.url, pool: { max: 2 } }),
    (it) => it.close(),
  );
  const typeorm = bin.adopt(
    await new DataSource({
      type: 'postgres',
      url: pg.url,
      entities: [TypeAuthors, TypeBooks],
      poolSize: 2,
    }).initialize(),
    (it) => it.destroy(),
  );

  const makers = await Author.objects(db).bulkCreate(Array.from({ length: 100 }, (_, n) => ({ name: `Author ${n}` })));
  const published = new Date('2024-02-29T12:00:00Z');
  const rows = Array.from({ length: ROWS }, (_, n) => ({
    title: `Book ${n}`,
    price: `${n % 100}.50`,
    stock: n % 7,
    published,
    author: (n % makers.length) + 1,
  }));
  const flat = rows.map(({ author: author_id, ...row }) => ({ ...row, author_id }));

  const race = async (
    title: string,
    contestants: Record<string, () => Promise<unknown>>,
    aims: Record<string, number>,
  ) => {
    await story.scene(title, async () => {
      const standings = await contest(contestants, { rounds: 5, turnMs: 1_000 });
      const lab = standings.find(({ name }) => name === 'lab');
      if (!lab) throw new Error('the lab runs too');
      const median = (perSecond: number) => 1_000 / perSecond;
      story.table({
        columns: [
          '',
          { label: 'ms', align: 'right' },
          { label: 'best–worst', align: 'right' },
          { label: 'lab ÷ it', align: 'right' },
        ],
        rows: standings.map((each) => [
          each.name,
          median(each.perSecond).toFixed(1),
          `${median(each.spread[1]).toFixed(1)}–${median(each.spread[0]).toFixed(1)}`,
          each === lab ? '' : `${ratio(each, lab).toFixed(2)} × its time`,
        ]),
      });
      for (const [name, most] of Object.entries(aims)) {
        const peer = standings.find((each) => each.name === name);
        const times = peer ? ratio(peer, lab) : Number.NaN;
        story.verdict(
          most === 1 ? `ahead of ${name}` : `at most ${most} × the time of ${name}`,
          `${times.toFixed(2)} ×`,
          times <= most,
        );
      }
    });
  };

  const emptied = async (insert: () => Promise<{ readonly length: number }>) => {
    await raw.query('TRUNCATE book RESTART IDENTITY');
    const { length } = await insert();
    if (length !== ROWS) throw new Error(`${length} keys came back`);
  };
  await race(
    `Insert ${ROWS} rows, and know their keys`,
    {
      lab: () => emptied(() => Book.objects(db).bulkCreate(rows)),
      Kysely: () => emptied(() => kysely.insertInto('book').values(flat).returning('id').execute()),
      Drizzle: () => emptied(() => drizzled.insert(books).values(flat).returning({ id: books.id })),
      MikroORM: () =>
        emptied(async () => {
          const em = mikro.em.fork();
          const made = rows.map((row) => em.create(MikroBook, row));
          await em.flush();
          return made;
        }),
      // Gives the first key alone.
      'MikroORM insertMany': async () => {
        await raw.query('TRUNCATE book RESTART IDENTITY');
        await mikro.em.fork().insertMany(MikroBook, rows);
      },
      TypeORM: () =>
        emptied(
          async () =>
            (await typeorm.getRepository(TypeBooks).insert(rows.map((row) => ({ ...row, author: { id: row.author } }))))
              .identifiers,
        ),
    },
    { MikroORM: 1, 'MikroORM insertMany': 1, TypeORM: 1 },
  );

  const all = async (select: () => Promise<readonly unknown[]>) => {
    const { length } = await select();
    if (length !== ROWS) throw new Error(`${length} rows came back`);
  };
  await race(
    `Select ${ROWS} rows as objects`,
    {
      lab: () => all(() => Book.objects(db).all()),
      'pg alone': () => all(async () => (await raw.query('SELECT * FROM book')).rows),
      Kysely: () => all(() => kysely.selectFrom('book').selectAll().execute()),
      Drizzle: () => all(() => drizzled.select().from(books)),
      MikroORM: () => all(() => mikro.em.fork().findAll(MikroBook)),
      TypeORM: () => all(() => typeorm.getRepository(TypeBooks).find()),
    },
    { Kysely: 1.3, MikroORM: 1, TypeORM: 1 },
  );
  const columns = [
    'book.id',
    'book.title',
    'book.price',
    'book.stock',
    'book.published',
    'author.id as author_id',
    'author.name as author_name',
  ] as const;
  await race(
    `Select ${ROWS} rows with their ${makers.length} authors, joined`,
    {
      lab: () => all(() => Book.objects(db).selectRelated('author').all()),
      Kysely: () =>
        all(() =>
          kysely.selectFrom('book').leftJoin('author', 'author.id', 'book.author_id').select(columns).execute(),
        ),
      Drizzle: () => all(() => drizzled.select().from(books).leftJoin(authors, eq(authors.id, books.author_id))),
      MikroORM: () => all(() => mikro.em.fork().findAll(MikroBook, { populate: ['author'], strategy: 'joined' })),
      TypeORM: () => all(() => typeorm.getRepository(TypeBooks).find({ relations: { author: true } })),
    },
    { MikroORM: 1, TypeORM: 1 },
  );
  const build = (times: number, query: () => unknown) => async () => {
    for (let n = 0; n < times; n++) query();
  };
  await race(
    'Build 1,000 queries, and send none',
    {
      lab: build(1_000, () =>
        Book.objects(db).filter({ title__startswith: 'B', stock__gt: 3 }).orderBy('-price').slice(0, 10).toSql(),
      ),
      Kysely: build(1_000, () =>
        kysely
          .selectFrom('book')
          .selectAll()
          .where('title', 'like', 'B%')
          .where('stock', '>', 3)
          .orderBy('price', 'desc')
          .limit(10)
          .compile(),
      ),
    },
    {},
  );
});
