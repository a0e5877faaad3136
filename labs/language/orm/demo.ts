import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Database as Hasty } from './pitfalls/mail-before-commit.ts';
import { Model as OwnFields } from './pitfalls/own-fields-only.ts';
import { Model as Forgetful } from './pitfalls/undefined-means-all.ts';
import { Model as Interpolating } from './pitfalls/value-in-the-text.ts';
import { Model as Blind } from './pitfalls/version-for-show.ts';
import {
  createTables,
  Database,
  Entity,
  F,
  Field,
  ForeignKey,
  InvalidQueryError,
  Model,
  QuerySet,
  type Ref,
  type RepeatedLoadWarning,
  Reverse,
  type StaleObjectError,
  ValidationError,
} from './src/index.ts';
import type { Query } from './src/query-set.ts';

/** The bookshop's entities, on this lab's Model or on a flawed one. */
function bookshop(Base: typeof Model) {
  @Entity()
  class Author extends Base {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.char({ max: 50 }) declare name: string;
    @Reverse(() => Book, 'author') declare books: readonly Book[];
  }
  @Entity()
  class Book extends Base {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.char({ max: 50 }) declare title: string;
    @Field.decimal({ digits: 8, scale: 2 }) declare price: string;
    @Field.int({ default: 10 }) declare stock: number;
    @ForeignKey(() => Author, { onDelete: 'cascade' }) declare author: Ref<Author>;
    @Field.int({ version: true }) declare version: number;
  }
  return { Author, Book };
}
const { Author, Book } = bookshop(Model);

const options = {
  title: 'ORM 对象关系映射',
  subtitle: 'A bookshop: a class is a table, an object is a row, and what the database is really sent',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const open = (
    Pool: typeof Database,
    url = pg.url,
    onRepeatedLoad: (warning: RepeatedLoadWarning) => void = () => {},
  ) => bin.use(new Pool({ connectionString: url, onRepeatedLoad }));
  const db = open(Database);
  await createTables(db, [Author, Book]);
  const restock = async () => {
    await Author.objects(db).delete({ everything: true });
    const authors = await Author.objects(db).bulkCreate(
      Array.from({ length: 10 }, (_, n) => ({ name: `Author ${n}` })),
    );
    const author = (n: number) => authors[n % authors.length] ?? 0;
    return Book.objects(db).bulkCreate(
      Array.from({ length: 100 }, (_, n) => ({ title: `Book ${n}`, price: `${n}.90`, author: author(n) })),
    );
  };
  await restock();
  /** How `body` ends, and the statements that it sends. */
  const counted = async <T>(on: Database, body: () => Promise<T>) => {
    let statements = 0;
    using _ = on.onQuery(() => statements++);
    const start = performance.now();
    const result = await body().catch((error: unknown) => error);
    return { result, statements, took: performance.now() - start };
  };

  await story.scene('A hundred books, and who wrote them', async () => {
    story.say('A page lists 100 books with their authors. The database is 1 ms away: a proxy sees to that.');
    const reports: RepeatedLoadWarning[] = [];
    await using net = await pg.node.proxy();
    const url = Object.assign(new URL(pg.url), { host: new URL(net.url).host }).href;
    await using far = new Database({ connectionString: url, onRepeatedLoad: (warning) => reports.push(warning) });
    await far.sql`SELECT 1`;
    net.latency(1);
    const page = (books: AsyncIterable<InstanceType<typeof Book>>) => async () => {
      const names = new Set<string>();
      for await (const book of books) names.add((await book.author.load()).name);
      return names.size;
    };
    const lazy = await counted(far, page(Book.objects(far)));
    const prefetched = await counted(far, page(Book.objects(far).prefetch('author')));
    const joined = await counted(far, page(Book.objects(far).selectRelated('author')));
    story.bars({
      title: 'One page: 100 books with their authors, the database 1 ms away',
      unit: 'ms',
      picture: true,
      items: [
        { label: 'load() in a loop', value: Math.round(lazy.took), note: `${lazy.statements} statements`, tone: 'bad' },
        {
          label: "prefetch('author')",
          value: Math.round(prefetched.took),
          note: `${prefetched.statements} statements`,
          tone: 'good',
        },
        {
          label: "selectRelated('author')",
          value: Math.round(joined.took),
          note: `${joined.statements} statement`,
          tone: 'good',
        },
      ],
    });
    story.verdict('One by one it is N+1', `${lazy.statements} statements`, lazy.statements === 101);
    const [report] = reports;
    story.verdict(
      'The database names the relation and the line',
      report?.message.replace(/ at .*\//, ' at ') ?? 'nothing',
      /author .* at .*demo\.ts:/.test(report?.message ?? ''),
    );
    story.code('src/load.ts', { from: 'const missing =', to: 'const found' });
    story.verdict(
      'Prefetched or joined, the page is the same',
      `${prefetched.statements} and ${joined.statements} statements; ${lazy.result}, ${prefetched.result} and ${joined.result} authors`,
      prefetched.statements === 2 && joined.statements === 1 && lazy.result === joined.result,
    );
  });

  await story.scene('A query is a plan', async () => {
    const cheap = Book.objects(db).filter({ price__lt: '50.00' });
    const built = await counted(db, async () => {
      const report = cheap.filter({ author__name__endswith: '3' }).orderBy('-price').slice(0, 2);
      return [cheap.toSql().params.length, report.toSql()] as const;
    });
    const page = cheap.filter({ author__name__endswith: '3' }).orderBy('-price').slice(0, 2);
    story.say(`\`${page.toSql().sql.replace(/^SELECT .* FROM/, 'SELECT … FROM')}\``);
    story.verdict(
      'Building it sends nothing, and leaves the base as it was',
      `${built.statements} statements`,
      built.statements === 0 && cheap.toSql().params.length === 1,
    );
    const twice = await counted(db, async () => [...(await page.all()), ...(await page.all())].length);
    story.verdict(
      'Asked for twice, it is sent once',
      `${twice.result} rows from ${twice.statements} statement`,
      twice.statements === 1 && twice.result === 4,
    );
  });

  await story.scene("The roadmap's forty lines", async () => {
    story.say('Its metaclass collects the fields of the class alone, and its `_clone` copies the conditions alone.');
    class Forgetting<M extends Model> extends QuerySet<M> {
      protected override with(change: Partial<Query>): QuerySet<M> {
        return super.with({ from: 0, to: Number.POSITIVE_INFINITY, ...change });
      }
    }
    const Cloned = bookshop(
      class extends Model {
        protected static override readonly querySet = Forgetting;
      },
    ).Book;
    const columns = (Base: typeof Model) => {
      class Signed extends Base {
        @Field.int({ primaryKey: true }) declare id: number;
        @Field.timestamp() declare signedAt: Date;
      }
      @Entity()
      class Contract extends Signed {
        @Field.int({ primaryKey: true }) declare id: number;
        @Field.text() declare text: string;
      }
      return Contract.meta.columns.map(({ column }) => column).join(', ');
    };
    const [theirs, ours] = [columns(OwnFields), columns(Model)];
    story.verdict('What a base class declares has no column', theirs, theirs === 'id, text');
    story.verdict('Read up the prototype chain, it has', ours, ours === 'id, signed_at, text');
    const page = async (Shelf: typeof Book) => (await Shelf.objects(db).slice(0, 10).orderBy('title').all()).length;
    const [forgotten, kept] = [await page(Cloned), await page(Book)];
    story.verdict(
      'A page of 10, ordered after it was sliced',
      `_clone: ${forgotten} books; here: ${kept}`,
      forgotten === 100 && kept === 10,
    );
  });

  await story.scene("A customer's search", async () => {
    const search = "' OR '1'='1";
    story.say(
      `Somebody searches for the title \`${search}\`. The roadmap's ORM writes values into the text, between quotes.`,
    );
    const flawed = bookshop(Interpolating).Book;
    const interpolated = await flawed.objects(db).filter({ title: search }).all();
    story.verdict(
      'Written into the text, the value is SQL',
      `${interpolated.length} of 100 books found`,
      interpolated.length === 100,
    );
    story.code('src/compiler.ts', { from: 'protected bind(', to: 'return' });
    const bound = await Book.objects(db).filter({ title: search }).all();
    story.verdict('As a parameter it is a title that no book has', `${bound.length} books`, bound.length === 0);
    const sort = 'price; DROP TABLE book';
    const refused = await counted(db, () => Book.objects(db).orderDynamic(sort).all());
    story.verdict(
      'A name is looked up, not pasted',
      `ordered by "${sort}": refused, ${refused.statements} statements`,
      refused.result instanceof InvalidQueryError && refused.statements === 0,
    );
    const wild = await Book.objects(db).filter({ title__contains: '%' }).count();
    story.verdict('A % in a search is a percent sign', `${wild} titles contain one`, wild === 0);
  });

  await story.scene('The id that was forgotten', async () => {
    const request: { id?: number } = {};
    story.say('A handler deletes `filter({ id: request.id })`, and the request has no id.');
    const wrong = bookshop(Forgetful).Book;
    const id = request.id as number;
    const lost = await wrong.objects(db).filter({ id }).delete();
    story.verdict('Where undefined means "no condition", it deletes', `${lost} of 100 books`, lost === 100);
    await restock();
    const refused = await counted(db, () => Book.objects(db).filter({ id }).delete());
    const left = await Book.objects(db).count();
    story.verdict(
      'Here it is refused',
      `${refused.statements} statements, ${left} books left`,
      refused.result instanceof InvalidQueryError && left === 100,
    );
  });

  await story.scene('Two clerks, one shelf', async () => {
    story.say('Ten copies. Two clerks look at the same time, each sells three, each saves what he has counted.');
    const sell = async (Shelf: typeof Book) => {
      const [first] = await Shelf.objects(db).orderBy('id').slice(0, 1).all();
      const key = first?.id ?? 0;
      await Shelf.objects(db).filter({ id: key }).update({ stock: 10 });
      const clerks = await Promise.all([Shelf.objects(db).get({ id: key }), Shelf.objects(db).get({ id: key })]);
      const saves = await Promise.allSettled(
        clerks.map((book) => Object.assign(book, { stock: book.stock - 3 }).save()),
      );
      const refused = saves.filter(
        (save) => save.status === 'rejected' && (save.reason as StaleObjectError).name === 'StaleObjectError',
      ).length;
      return { stock: (await Shelf.objects(db).get({ id: key })).stock, refused, key };
    };
    const blind = await sell(bookshop(Blind).Book);
    story.verdict(
      'Without a look at the version the last save wins',
      `stock ${blind.stock} after 6 sales of 10`,
      blind.stock === 7 && blind.refused === 0,
    );
    const seen = await sell(Book);
    story.verdict(
      'With it, the second clerk is told',
      `stock ${seen.stock}, ${seen.refused} save refused`,
      seen.stock === 7 && seen.refused === 1,
    );
    await Book.objects(db).filter({ id: seen.key }).update({ stock: 10 });
    await Promise.all(
      [1, 2].map(() =>
        Book.objects(db)
          .filter({ id: seen.key })
          .update({ stock: F('stock').minus(3) }),
      ),
    );
    const { stock } = await Book.objects(db).get({ id: seen.key });
    story.verdict(
      "Left to the database, nobody's sale is lost",
      `F('stock').minus(3), twice: stock ${stock}`,
      stock === 4,
    );
  });

  await story.scene('The mail about an order that never was', async () => {
    const order = async (on: Database) => {
      const mails: string[] = [];
      const book = await Book.objects(on).first();
      const attempt = on.transaction(async () => {
        await Book.objects(on)
          .filter({ id: book?.id ?? 0 })
          .update({ stock: F('stock').minus(1) });
        await on.onCommit(() => mails.push('thank you'));
        await on.transaction(async () => on.sql`SELECT 1 / 0`).catch(() => mails.length);
        throw new Error('the card was declined');
      });
      await attempt.catch(() => {});
      const after = await Book.objects(on).get({ id: book?.id ?? 0 });
      return { mails: mails.length, sold: (book?.stock ?? 0) - after.stock };
    };
    const hasty = await order(open(Hasty));
    story.verdict(
      'Sent at once, it thanks for nothing',
      `${hasty.mails} mail, ${hasty.sold} books sold`,
      hasty.mails === 1 && hasty.sold === 0,
    );
    const patient = await order(db);
    story.verdict(
      'After the commit, or never',
      `${patient.mails} mails, ${patient.sold} books sold`,
      patient.mails === 0 && patient.sold === 0,
    );
  });

  await story.scene('A form with four mistakes', async () => {
    const { result, statements } = await counted(db, () =>
      Book.objects(db).create({ title: 'x'.repeat(51), price: '1.999', stock: 0.5 }),
    );
    const issues = result instanceof ValidationError ? result.issues : [];
    story.table({ columns: ['field', 'what is wrong'], rows: issues.map(({ field, message }) => [field, message]) });
    story.verdict(
      'All of them at once, before anything is sent',
      `${issues.length} mistakes, ${statements} statements`,
      issues.length === 4 && statements === 0,
    );
  });
});
