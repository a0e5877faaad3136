// Laws on real rows: finding, relations, saving, whatever a user sends, the schema.
import { startPostgres } from '@shared/services';
import { describeWith, random } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import {
  Avg,
  apply,
  Count,
  DoesNotExistError,
  diff,
  Entity,
  F,
  Field,
  ForeignKey,
  InvalidQueryError,
  Max,
  Model,
  MultipleObjectsError,
  NotLoadedError,
  ProtectedError,
  Q,
  type Ref,
  type RepeatedLoad,
  StaleObjectError,
  Sum,
  UnknownFieldError,
} from '#lab';
import { Author, Book, ENTITIES, Order, Publisher, Review } from './bookshop.ts';
import { failure, open, stocked } from './shop.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const titles = (books: readonly { title: string }[]) => books.map(({ title }) => title);

await describeWith('on Postgres', { pg: startPostgres }, ({ pg }) => {
  // ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────

  test('each lookup finds what it says', async () => {
    const { db } = await open(pg);
    const author = await Author.objects(db).create({ name: 'Ann', born: 1950 });
    await Author.objects(db).create({ name: 'Bob' });
    const rows = ['Ann of Green', 'green', 'Blue', '50% off', 'a_b', 'a\\b'];
    await Book.objects(db).bulkCreate(rows.map((title, stock) => ({ title, stock, price: `${stock}.00`, author })));
    const expected: [object, string][] = [
      [{ title: 'Blue' }, 'Blue'],
      [{ title__exact: 'Blue' }, 'Blue'],
      [{ title__iexact: 'BLUE' }, 'Blue'],
      [{ title__contains: 'Gre' }, 'Ann of Green'],
      [{ title__icontains: 'GREEN' }, 'Ann of Green, green'],
      [{ title__startswith: 'gr' }, 'green'],
      [{ title__istartswith: 'GR' }, 'green'],
      [{ title__endswith: 'Green' }, 'Ann of Green'],
      [{ title__iendswith: 'GREEN' }, 'Ann of Green, green'],
      [{ title__regex: '^[ab]_' }, 'a_b'],
      [{ title__iregex: '^GREEN$' }, 'green'],
      [{ title__in: ['green', 'Blue', 'none'] }, 'green, Blue'],
      [{ stock__gt: 4 }, 'a\\b'],
      [{ stock__gte: 4 }, 'a_b, a\\b'],
      [{ stock__lt: 1 }, 'Ann of Green'],
      [{ stock__lte: 1 }, 'Ann of Green, green'],
      [{ stock__range: [2, 3] }, 'Blue, 50% off'],
      [{ price__gt: '4.5' }, 'a\\b'],
      [{ stock: F('id').minus(1), title: 'Blue' }, 'Blue'],
      [{ stock__lt: 1, author }, 'Ann of Green'],
      [{ stock__lt: 1, author: author.id }, 'Ann of Green'],
      [{ stock__lt: 1, author__id__in: [author.id] }, 'Ann of Green'],
      [{ stock__lt: 1, author__name__startswith: 'A', author__born__gt: 1900 }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__isnull: true }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__name: null }, 'Ann of Green'],
      [{ reviews__isnull: false }, ''],
    ];
    for (const [conditions, found] of expected) {
      const books = await Book.objects(db)
        .filterDynamic({ ...conditions })
        .orderBy('id')
        .all();
      expect(titles(books).join(', '), JSON.stringify(conditions)).toBe(found);
    }
  });

  test('percent, underscore and backslash in a pattern mean themselves', async () => {
    const { db } = await open(pg);
    const rows = ['50% off', '50 off', 'a_b', 'axb', 'a\\b', '%', '_', '\\'];
    const author = await Author.objects(db).create({ name: 'Ann' });
    await Book.objects(db).bulkCreate(rows.map((title) => ({ title, price: '1.00', author })));
    const containing = async (part: string) =>
      titles(await Book.objects(db).filter({ title__contains: part }).orderBy('id').all());
    expect(await containing('%')).toEqual(['50% off', '%']);
    expect(await containing('_')).toEqual(['a_b', '_']);
    expect(await containing('\\')).toEqual(['a\\b', '\\']);
    expect(await Book.objects(db).filter({ title__iexact: 'A_B' }).count()).toBe(1);
    expect(await Book.objects(db).filter({ title__startswith: '_' }).count()).toBe(1);
  });

  test('exclude keeps the rows of which nothing is known', async () => {
    const { db } = await stocked(pg);
    const names = async (authors: readonly Author[]) => authors.map(({ born }) => born);
    const young = await Author.objects(db).filter({ born__gt: 1904 }).all();
    const rest = await Author.objects(db).exclude({ born__gt: 1904 }).all();
    expect(young.length + rest.length).toBe(10);
    expect(await names(rest)).toContain(null);
    expect(
      await Author.objects(db)
        .filter(Q.not({ born: 1904 }))
        .count(),
    ).toBe(9);
    expect(await Author.objects(db).exclude({ born: 1904, name: 'Author 5' }).count(), 'not all of them').toBe(10);
  });

  test('conditions are joined by and, or and not, nested', async () => {
    const { db } = await stocked(pg);
    const found = Book.objects(db)
      .filter(Q.or({ title: 'Book 3' }, Q.and({ stock: 6 }, Q.not({ price__lt: '90.00' }))), { id__gt: 4 })
      .orderBy('id');
    expect(titles(await found.all())).toEqual(['Book 90', 'Book 97']);
  });

  test('conditions of one filter speak of the same related row, those of two filters of any', async () => {
    const { db } = await open(pg);
    const [one, two] = await Author.objects(db).bulkCreate([{ name: 'One' }, { name: 'Two' }]);
    await Book.objects(db).bulkCreate([
      { title: 'cheap', price: '1.00', author: one ?? 0 },
      { title: 'dear', price: '99.00', author: one ?? 0 },
      { title: 'cheap', price: '99.00', author: two ?? 0 },
    ]);
    const names = async (query: AsyncIterable<Author>) => (await Array.fromAsync(query)).map(({ name }) => name);
    const authors = Author.objects(db).orderBy('name');
    expect(await names(authors.filter({ books__title: 'cheap', books__price: '99.00' }))).toEqual(['Two']);
    expect(await names(authors.filter({ books__title: 'cheap' }).filter({ books__price: '99.00' }))).toEqual([
      'One',
      'Two',
    ]);
    expect(await names(authors.filter({ books__price__gt: '0.50' })), 'each author once').toEqual(['One', 'Two']);
    expect(await names(authors.exclude({ books__title: 'dear' }))).toEqual(['Two']);
  });

  test('an empty list finds nothing and asks nobody', async () => {
    const { db, during } = await open(pg);
    const none = Book.objects(db).filter({ id__in: [] });
    const queries = await during(async () => {
      expect(await none.all()).toEqual([]);
      expect(await none.count()).toBe(0);
      expect(await none.exists()).toBe(false);
      expect(await none.update({ stock: 1 })).toBe(0);
      expect(
        await Book.objects(db)
          .filter(Q.and({ id: 1 }, { id__in: [] }))
          .first(),
      ).toBeUndefined();
    });
    expect(queries).toBe(0);
    expect(await Book.objects(db).exclude({ id__in: [] }).count()).toBe(0);
  });

  test('iterating twice asks once, and a count after it asks nobody', async () => {
    const { db, during } = await stocked(pg);
    const books = Book.objects(db).filter({ stock: 1 });
    const queries = await during(async () => {
      const [first, second] = [await Array.fromAsync(books), await Array.fromAsync(books)];
      expect(first.length).toBeGreaterThan(0);
      expect(second[0]).toBe(first[0]);
      expect([await books.count(), await books.exists()]).toEqual([first.length, true]);
    });
    expect(queries).toBe(1);
    expect(await during(() => books.orderBy('id').all()), 'another set asks again').toBe(1);
  });

  test('get finds the one, or says whether there was none or more', async () => {
    const { db } = await stocked(pg);
    expect((await Book.objects(db).get({ title: 'Book 7' })).price).toBe('7.50');
    expect(await failure(() => Book.objects(db).get({ title: 'none' }))).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => Book.objects(db).get({ stock: 1 }))).toBeInstanceOf(MultipleObjectsError);
    expect((await Book.objects(db).orderBy('-price').first())?.title).toBe('Book 99');
    expect((await Book.objects(db).first())?.title).toBe('Book 0');
  });

  test('both conditions on a related row hold, the row itself being one of them', async () => {
    const { db, books } = await stocked(pg);
    const [first, second] = books;
    const authors = (which: object) =>
      Author.objects(db)
        .filterDynamic({ ...which })
        .count();
    expect(await authors({ books: first, books__id: second?.id })).toBe(0);
    expect(await authors({ books: first, books__id: first?.id })).toBe(1);
  });

  test('slices, counts and distinct values agree', async () => {
    const { db } = await stocked(pg);
    const books = Book.objects(db).orderBy('id');
    expect(titles(await books.slice(10, 20).slice(2, 4).all())).toEqual(['Book 12', 'Book 13']);
    expect(await books.slice(95).count()).toBe(5);
    expect(await books.slice(100).exists()).toBe(false);
    const stocks = Book.objects(db).orderBy('stock').values('stock').distinct();
    expect((await stocks.all()).map(({ stock }) => stock)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(await Book.objects(db).values('stock').distinct().count()).toBe(7);
    expect(await Book.objects(db).values('stock').distinct().first()).toEqual({ stock: 0 });
    expect(await books.values('title', 'author', 'author__publisher__name').slice(0, 2).all()).toEqual([
      { title: 'Book 0', author: 1, author__publisher__name: 'Penguin' },
      { title: 'Book 1', author: 2, author__publisher__name: null },
    ]);
    expect(await Book.objects(db).filter({ stock: 1 }).distinct().delete()).toEqual({ Book: 15 });
  });

  test('two counts over two relations do not multiply each other', async () => {
    const { db, authors, books } = await stocked(pg);
    const [first] = books;
    await Review.objects(db).bulkCreate([1, 5].map((stars) => ({ stars, reader: 'R', book: first ?? 0 })));
    await Author.objects(db)
      .filter({ id: authors[9]?.id ?? 0 })
      .update({ name: 'Last' });
    const rows = await Author.objects(db)
      .annotate({
        titles: Count('books'),
        stars: Sum('books__stock'),
        mean: Avg('books__stock'),
        dear: Max('books__price'),
      })
      .filter({ dear__gte: '90.50' })
      .orderBy('-dear')
      .slice(0, 1)
      .all();
    expect(rows[0]).toMatchObject({ name: 'Last', titles: 10, dear: '99.50' });
    const [one] = await Book.objects(db)
      .annotate({ n: Count('reviews'), best: Max('reviews__stars') })
      .orderBy('id')
      .values('n', 'best')
      .all();
    expect(one).toEqual({ n: 2, best: 5 });
    expect(await Book.objects(db).aggregate({ n: Count('id'), all: Sum('stock'), money: Sum('price') })).toEqual({
      n: 100,
      all: books.reduce((sum, { stock }) => sum + stock, 0),
      money: '5000.00',
    });
    expect(
      await Book.objects(db)
        .filter({ id__lt: 0 })
        .aggregate({ n: Count('id'), s: Sum('stock') }),
    ).toEqual({ n: 0, s: null });
  });

  test('what annotate adds is in each row, and counts related rows alone', async () => {
    const { db } = await stocked(pg);
    const sums = Author.objects(db)
      .filter({ id: 10 })
      .values('name')
      .annotate({ n: Count('books'), sum: Sum('books__price') });
    expect(await sums.all()).toEqual([{ name: 'Author 9', n: 10, sum: '545.00' }]);
    const dear = Author.objects(db).annotate({ sum: Sum('books__price') });
    expect(await dear.filter({ sum__lt: '10000000.00' }).count(), 'a sum outgrows its column').toBe(10);
    expect(
      await failure(() =>
        Book.objects(db)
          .annotate({ n: Count('id') })
          .all(),
      ),
    ).toBeInstanceOf(InvalidQueryError);
  });

  test('a moment comes back to the millisecond, whatever the year and the time zone', async () => {
    @Entity({ table: 'moment' })
    class Moment extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @Field.timestamp() declare at: Date;
      @Field.float({ default: -0 }) declare zero: number;
    }
    const { db } = await open(pg, {}, [Moment]);
    const zone = process.env['TZ'];
    onTestFinished(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    // Until 1901 its clocks were 8:05:43 ahead.
    process.env['TZ'] = 'Asia/Shanghai';
    expect(new Date('1900-01-01T00:00:00Z').getSeconds(), 'the time zone is in force').toBe(43);
    const moments = [
      '1900-01-01T00:00:00.001Z',
      '0001-01-01T00:00:00.000Z',
      '-000001-03-01T00:00:00.000Z',
      '+012345-01-01T00:00:00.000Z',
      '2024-02-29T23:59:59.999Z',
    ];
    const saved = await Moment.objects(db).bulkCreate(moments.map((at) => ({ at: new Date(at) })));
    for (const [at, { id, zero }] of saved.entries()) {
      const found = await Moment.objects(db).get({ at: new Date(moments[at] ?? ''), id });
      expect([found.at.toISOString(), Object.is(found.zero, zero)]).toEqual([moments[at], true]);
    }
  });

  test('what is written comes back as it was', async () => {
    @Entity({ table: 'everything' })
    class Everything extends Model {
      @Field.bigint({ primaryKey: true }) declare id: bigint;
      @Field.decimal({ digits: 30, scale: 10 }) declare money: string;
      @Field.float() declare float: number;
      @Field.timestamp() declare at: Date;
      @Field.json<{ list: readonly unknown[] }>() declare json: { list: readonly unknown[] };
      @Field.bytes() declare bytes: Buffer;
      @Field.uuid() declare uuid: string;
      @Field.text({ null: true }) declare text: string | null;
      @Field.bool() declare yes: boolean;
    }
    const { db } = await open(pg, {}, [Everything]);
    const values = {
      id: 2n ** 63n - 1n,
      money: '12345678901234567890.0123456789',
      float: 0.1 + 0.2,
      at: new Date('2024-02-29T12:34:56.789Z'),
      json: { list: [1, 'a"b', null, { '{}': '\\' }] },
      bytes: Buffer.from([0, 255, 92]),
      uuid: '0190163d-8694-739b-aea5-966c26f8ad91',
      text: 'NULL',
      yes: false,
    };
    await Everything.objects(db).bulkCreate([values, { ...values, id: 1n, text: null }]);
    const row = await Everything.objects(db).get({ text: 'NULL', at: values.at, float: values.float });
    expect(Object.fromEntries(Object.entries(row))).toEqual(values);
    expect(
      await Everything.objects(db)
        .filter({ json__contains: { list: [1] }, json__haskey: 'list', id__in: [1n] })
        .count(),
    ).toBe(1);
  });

  test('iterator reads a large result in batches and gives its connection back', async () => {
    const { db, sent } = await stocked(pg, { max: 1 });
    const seen: string[] = [];
    for await (const { title } of Book.objects(db).orderBy('id').iterator({ batchSize: 30 })) seen.push(title);
    expect(seen.length).toBe(100);
    expect(sent.filter(({ sql }) => sql.startsWith('FETCH')).length).toBe(4);
    for await (const book of Book.objects(db).prefetch('author').iterator({ batchSize: 30 })) {
      expect(book.author.isLoaded).toBe(true);
      if (seen.push(book.title) > 140) break;
    }
    expect(db.stats).toEqual({ total: 1, idle: 1, waiting: 0 });
    expect(await Book.objects(db).filter({ id: 1 }).explain()).toContain('Scan');
  });

  // ── relations ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a hundred books with their authors cost 1 query when joined, 2 when prefetched, 101 one by one', async () => {
    const { db, during } = await stocked(pg, { onRepeatedLoad: () => {} });
    const read = async (books: readonly Book[]) => {
      for (const book of books) expect((await book.author.load()).name).toMatch(/^Author/);
    };
    expect(await during(async () => read(await Book.objects(db).selectRelated('author').all()))).toBe(1);
    expect(await during(async () => read(await Book.objects(db).prefetch('author').all()))).toBe(2);
    expect(await during(async () => read(await Book.objects(db).all()))).toBe(101);
  });

  test('a relation that is loaded one by one is reported, with the place', async () => {
    const loads: RepeatedLoad[] = [];
    const { db } = await stocked(pg, { onRepeatedLoad: (load) => loads.push(load), repeatedLoads: 5 });
    for (const book of await Book.objects(db).slice(0, 4).all()) await book.author.load();
    expect(loads, 'four are not many').toEqual([]);
    for (const book of await Book.objects(db).all()) await book.author.load();
    for (const author of await Author.objects(db).all()) await author.books.load();
    expect(loads).toEqual([
      {
        relation: 'author',
        remedy: 'selectRelated',
        count: 5,
        of: 100,
        at: expect.stringMatching(/rows\.test\.ts:\d+/),
      },
      { relation: 'books', remedy: 'prefetch', count: 5, of: 10, at: expect.stringMatching(/rows\.test\.ts:\d+/) },
    ]);
  });

  test('prefetch goes through relations to many, a query each, and knows the way back', async () => {
    const { db, during, books } = await stocked(pg);
    await Review.objects(db).bulkCreate(books.map((book) => ({ stars: 3, reader: 'R', book })));
    const queries = await during(async () => {
      const authors = await Author.objects(db).prefetch('books', 'books__reviews', 'publisher').orderBy('id').all();
      expect(authors.map((author) => author.books.items.length)).toEqual(authors.map(() => 10));
      expect(authors[0]?.publisher?.value.name).toBe('Penguin');
      for (const author of authors) {
        for (const book of author.books.items) {
          expect(book.author.value).toBe(author);
          expect(book.reviews.items.map((review) => review.book.value)).toEqual([book]);
        }
      }
    });
    expect(queries).toBe(4);
  });

  test('a join finds what there is, and null where there is nothing', async () => {
    const { db, during } = await stocked(pg);
    const queries = await during(async () => {
      const [first, second, ...more] = await Book.objects(db)
        .selectRelated('author', 'author__publisher')
        .orderBy('id')
        .all();
      expect(first?.author.value.publisher?.value.name).toBe('Penguin');
      expect(second?.author.value.publisher).toBeNull();
      expect(more[8]?.author.value, 'one author, one object').toBe(first?.author.value);
    });
    expect(queries).toBe(1);
  });

  test('a relation that is not loaded says so, and does not ask behind your back', async () => {
    const { db, during } = await stocked(pg);
    const [book, author] = [await Book.objects(db).get({ id: 1 }), await Author.objects(db).get({ id: 1 })];
    expect(await during(() => expect(() => book.author.value).toThrow(NotLoadedError))).toBe(0);
    expect(() => author.books.items).toThrow(NotLoadedError);
    expect(book.author.id, 'its key is known').toBe(1);
    expect((await author.books.query().filter({ price__gt: '50.00' }).all()).length).toBe(5);
  });

  test('a delete counts what went with it, and lists what forbids it', async () => {
    const { db, books } = await stocked(pg);
    const [first, second] = books;
    await Review.objects(db).bulkCreate([1, 2, 3].map((stars) => ({ stars, reader: 'R', book: first ?? 0 })));
    await Order.objects(db).create({ book: second ?? 0 });
    const author = await Author.objects(db).get({ id: 1 });
    expect(await author.delete()).toEqual({ Author: 1, Book: 10, Review: 3 });
    const blocked = await failure(() => Author.objects(db).filter({ id: 2 }).delete());
    expect(blocked instanceof ProtectedError && blocked.blockers).toEqual({ 'Order.book': 1 });
    expect(await Book.objects(db).filter({ author: 2 }).count(), 'nothing went').toBe(10);
    await Order.objects(db).bulkCreate([{ book: books[3] ?? 0 }, { book: books[2] ?? 0 }]);
    const more = await failure(() =>
      Author.objects(db)
        .filter({ id__in: [2, 3, 4] })
        .delete(),
    );
    expect(more instanceof ProtectedError && more.blockers).toEqual({ 'Order.book': 3 });
    expect(await Publisher.objects(db).filter({ name: 'Penguin' }).delete()).toEqual({ Publisher: 1 });
    expect(await Author.objects(db).filter({ publisher__isnull: false }).count(), 'forgotten').toBe(0);
  });

  test('what forbids a delete is counted on every level of a tree', async () => {
    @Entity({ table: 'shelf' })
    class Shelf extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => Shelf, { onDelete: 'cascade', null: true }) declare above: Ref<Shelf> | null;
    }
    @Entity({ table: 'vase' })
    class Vase extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => Shelf, { onDelete: 'protect' }) declare shelf: Ref<Shelf>;
    }
    const { db } = await open(pg, {}, [Shelf, Vase]);
    const top = await Shelf.objects(db).create({});
    const below = await Shelf.objects(db).create({ above: top });
    await Vase.objects(db).bulkCreate([top, below, below].map((shelf) => ({ shelf })));
    const blocked = await failure(() => top.delete());
    expect(blocked instanceof ProtectedError && blocked.blockers).toEqual({ 'Vase.shelf': 3 });
  });

  test('rows that refer to each other are inserted and deleted in one transaction', async () => {
    @Entity({ table: 'team' })
    class Team extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => Player, { onDelete: 'cascade' }) declare captain: Ref<Player>;
    }
    @Entity({ table: 'player' })
    class Player extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => Team, { onDelete: 'cascade' }) declare team: Ref<Team>;
    }
    const { db } = await open(pg, {}, [Team, Player]);
    await db.transaction(async () => {
      await Team.objects(db).create({ id: 1, captain: 7 });
      await Player.objects(db).create({ id: 7, team: 1 });
    });
    expect(await (await Team.objects(db).get({ id: 1 })).delete()).toEqual({ Player: 1, Team: 1 });
  });

  // ── saving ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('save inserts what is new, updates what is not, and says when the row is gone', async () => {
    const { db, sent } = await open(pg);
    const publisher = await Publisher.of({ name: 'A' }).save({ db });
    publisher.name = 'B';
    await publisher.save();
    await Publisher.of({ id: publisher.id, name: 'C' }).save({ db });
    expect((await publisher.refresh()).name).toBe('C');
    await Publisher.of({ id: 77, name: 'D' }).save({ db });
    expect(sent.map(({ sql }) => sql.split(' ')[0])).toEqual([
      'INSERT',
      'UPDATE',
      'UPDATE',
      'SELECT',
      'UPDATE',
      'INSERT',
    ]);
    await Publisher.objects(db).filter({ id: 77 }).delete();
    await publisher.delete();
    expect(await failure(() => publisher.save())).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => publisher.refresh())).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => publisher.delete())).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => Publisher.of({ name: 'E' }).save())).toBeInstanceOf(InvalidQueryError);
    expect(await Publisher.objects(db).count()).toBe(0);
  });

  test('a row of nothing but its key is a row', async () => {
    @Entity({ table: 'ticket' })
    class Ticket extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
    }
    const { db } = await open(pg, {}, [Ticket]);
    expect((await Ticket.objects(db).create({})).id).toBe(1);
    expect((await Ticket.objects(db).bulkCreate([{}, {}])).map(({ id }) => id)).toEqual([2, 3]);
    const own = await Ticket.objects(db).create({ id: 7 });
    expect(await Ticket.objects(db).count(), 'the key of one that is new may be given').toBe(4);
    await own.delete();
    expect(await failure(() => own.save())).toBeInstanceOf(DoesNotExistError);
  });

  test('updateFields writes these fields alone', async () => {
    const { db } = await stocked(pg);
    const [mine, theirs] = [await Book.objects(db).get({ id: 1 }), await Book.objects(db).get({ id: 1 })];
    theirs.title = 'Theirs';
    await theirs.save({ updateFields: ['title'] });
    mine.stock = 99;
    await mine.save({ updateFields: ['stock'] });
    expect(await Book.objects(db).get({ id: 1 })).toMatchObject({ title: 'Theirs', stock: 99 });
    expect(await failure(() => mine.save({ updateFields: ['stokc'] }))).toBeInstanceOf(UnknownFieldError);
  });

  test('a save of stale data is refused and changes nothing', async () => {
    const { db, books } = await stocked(pg);
    const order = await Order.objects(db).create({ book: books[0] ?? 0 });
    const stale = await Order.objects(db).get({ id: order.id });
    order.quantity = 2;
    await order.save();
    expect(order.version).toBe(2);
    stale.quantity = 50;
    expect(await failure(() => stale.save())).toBeInstanceOf(StaleObjectError);
    expect(await failure(() => stale.delete())).toBeInstanceOf(StaleObjectError);
    const other = await Order.objects(db).create({ book: books[0] ?? 0 });
    other.quantity = 50;
    expect(await failure(() => Order.objects(db).bulkUpdate([other, stale], ['quantity']))).toBeInstanceOf(
      StaleObjectError,
    );
    expect((await Order.objects(db).orderBy('id').all()).map(({ quantity }) => quantity)).toEqual([2, 1]);
    await Order.objects(db).filter({ id: order.id }).update({ state: 'paid' });
    expect(await failure(() => order.save()), 'an update counts too').toBeInstanceOf(StaleObjectError);
    await (await order.refresh()).save();
    expect(order).toMatchObject({ state: 'paid', version: 4 });
  });

  test('an update by an expression loses no concurrent update', async () => {
    const { db } = await stocked(pg);
    await Promise.all(
      Array.from({ length: 20 }, () =>
        Book.objects(db)
          .filter({ id: 1 })
          .update({ stock: F('stock').plus(1).times(1) }),
      ),
    );
    expect((await Book.objects(db).get({ id: 1 })).stock).toBe(20);
    expect(
      await Book.objects(db).filter({ author__name: 'Author 3' }).update({ blurb: 'x' }),
      'through a relation',
    ).toBe(10);
  });

  test('hooks run around a save, in its transaction', async () => {
    const log: string[] = [];
    @Entity({ table: 'hooked' })
    class Hooked extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @Field.text() declare title: string;
      override beforeSave() {
        this.title = this.title.trim();
        log.push(`before ${this.title}`);
      }
      override afterSave(created: boolean) {
        log.push(`after ${created}`);
        if (this.title === 'bad') throw new Error('not this one');
      }
      override afterDelete() {
        log.push('deleted');
      }
    }
    const { db } = await open(pg, {}, [Hooked]);
    const saved = await Hooked.objects(db).create({ title: ' x ' });
    await saved.save();
    expect(await failure(() => Hooked.objects(db).create({ title: 'bad' }))).toBeInstanceOf(Error);
    await saved.delete();
    expect(log).toEqual(['before x', 'after true', 'before x', 'after false', 'before bad', 'after true', 'deleted']);
    expect(await Hooked.objects(db).count(), 'rolled back with its hook').toBe(0);
  });

  test('many rows go in one statement, and get their keys', async () => {
    const { db, sent } = await stocked(pg);
    sent.length = 0;
    const rows = Array.from({ length: 12_000 }, (_, n) => ({ title: `New ${n}`, price: '1.00', author: 1 }));
    const created = await Book.objects(db).bulkCreate(rows.slice(0, 9_000));
    expect(sent.length).toBe(1);
    const at = created[8_999];
    expect((await Book.objects(db).get({ id: at?.id ?? 0 })).title).toBe('New 8999');
    for (const book of created) book.stock = 5;
    await Book.objects(db).bulkUpdate([...created.slice(0, 2), ...created.slice(0, 2)], ['stock']);
    sent.length = 0;
    await Book.objects(db).bulkUpdate(created, ['stock']);
    expect(sent.map(({ sql }) => sql.split(' ')[0])).toEqual(['BEGIN', 'UPDATE', 'COMMIT']);
    expect(await Book.objects(db).filter({ stock: 5, title__startswith: 'New' }).count()).toBe(9_000);
    await failure(() =>
      Book.objects(db).bulkCreate([...rows.slice(9_000), { title: 'x', price: '1.00', author: 12_345 }], {
        batchSize: 1_000,
      }),
    );
    expect(await Book.objects(db).filter({ title: 'New 9000' }).exists(), 'all batches or none').toBe(false);
  });

  test('rows in conflict are left out or overwritten, as was asked', async () => {
    const { db } = await open(pg);
    const publishers = Publisher.objects(db);
    await publishers.bulkCreate([{ id: 1, name: 'A' }]);
    await publishers.bulkCreate([{ name: 'A' }, { name: 'B' }], { onConflict: 'ignore' });
    expect(await publishers.count()).toBe(2);
    const nowhere = { onConflict: { on: [], update: [] } };
    expect(await failure(() => publishers.bulkCreate([{ name: 'A' }], nowhere))).toBeInstanceOf(InvalidQueryError);
    await publishers.bulkCreate([{ id: 1, name: 'C' }], { onConflict: { on: ['id'], update: ['name'] } });
    expect((await Publisher.objects(db).get({ id: 1 })).name).toBe('C');
  });

  // ── whatever a user sends ─────────────────────────────────────────────────────────────────────────────────────────

  const HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE book; --",
    '"; DROP TABLE book; --',
    '$1',
    '$1::text; SELECT 1',
    "\\'; SELECT pg_sleep(9); --",
    '%',
    '{"a","b"}',
    '{NULL}',
    'NULL',
    "E'\\x27'",
    '/* */',
    'ｂook＇ --',
    '`; process.exit(1)',
    '1; UPDATE book SET stock = 666',
    'title" = title OR "a',
  ];

  test('a hostile value stays a value, wherever a value goes', async () => {
    const { db, sent } = await stocked(pg);
    for (const text of HOSTILE) {
      const title = text.slice(0, 50);
      const book = await Book.objects(db).create({ title, price: '1.00', blurb: text, author: 1 });
      for (const lookup of [
        'exact',
        'iexact',
        'contains',
        'icontains',
        'startswith',
        'istartswith',
        'endswith',
        'iendswith',
      ]) {
        const found = await Book.objects(db)
          .filterDynamic({ [`title__${lookup}`]: title, id__gt: 100 })
          .all();
        expect(
          found.map(({ id }) => id),
          `${lookup} ${text}`,
        ).toContain(book.id);
        expect(found.length, `${lookup} ${text}`).toBeLessThanOrEqual(lookup === 'exact' ? 1 : HOSTILE.length);
      }
      const ids = async (query: AsyncIterable<Book>) => (await Array.fromAsync(query)).map(({ id }) => id);
      expect(await ids(Book.objects(db).filter({ title__in: [title] }))).toEqual([book.id]);
      expect(await ids(Book.objects(db).filter({ title__range: [title, title] }))).toEqual([book.id]);
      expect(await ids(Book.objects(db).filter(Q.or({ title }, { blurb: text })))).toEqual([book.id]);
      expect(await Author.objects(db).filter({ books__title: title }).count()).toBe(1);
      await Book.objects(db)
        .filter({ title })
        .update({ blurb: `${text}!` });
      book.blurb = `${text}?`;
      await Book.objects(db).bulkUpdate([book], ['blurb']);
      expect((await book.refresh()).blurb).toBe(`${text}?`);
      expect((await db.sql`SELECT count(*) FROM book WHERE title = ${title}`)[0]).toEqual([1n]);
      await failure(() => Book.objects(db).filter({ title__regex: text, id__lt: 0 }).all());
      await Book.objects(db).filter({ id: book.id }).delete();
    }
    expect(await Book.objects(db).count(), 'the hundred that were there').toBe(100);
    expect(await Book.objects(db).filter({ stock: 666 }).count()).toBe(0);
    const texts = new Set(sent.map(({ sql }) => sql));
    const leaked = [...texts].filter((sql) => HOSTILE.some((text) => text.length > 4 && sql.includes(text)));
    expect(leaked, 'no statement has a value in its text').toEqual([]);
  });

  test('random texts made of syntax are found again, and nothing else is', async () => {
    const { db } = await open(pg);
    const dice = random(SEED);
    const pieces = [
      "'",
      '"',
      '\\',
      '%',
      '_',
      '$1',
      ';',
      '--',
      '/*',
      '{',
      '}',
      ',',
      '?',
      '\n',
      'x',
      '&',
      'é',
      '🐍',
      '\u2028',
    ];
    const all = [
      ...new Set(
        Array.from({ length: 300 }, () => Array.from({ length: dice.int(1, 8) }, () => dice.pick(pieces)).join('')),
      ),
    ];
    const author = await Author.objects(db).create({ name: 'A' });
    await Book.objects(db).bulkCreate(all.map((title) => ({ title, price: '1.00', author })));
    for (const text of all.slice(0, 100)) {
      expect(titles(await Book.objects(db).filter({ title: text }).all())).toEqual([text]);
      const containing = all.filter((title) => title.includes(text)).length;
      expect(await Book.objects(db).filter({ title__contains: text }).count(), JSON.stringify(text)).toBe(containing);
    }
  });

  test('a hostile name is refused before anything is sent, wherever a name goes', async () => {
    const { db, during } = await stocked(pg);
    const book = await Book.objects(db).get({ id: 1 });
    const names = [
      ...HOSTILE,
      'title"',
      'title"; --',
      'title DESC',
      '__proto__',
      'constructor',
      'toString',
      '',
      '__',
      'title__',
      'id,title',
      't0.id',
    ];
    for (const name of names) {
      const books = Book.objects(db);
      const any = name as never;
      const calls: (() => unknown)[] = [
        () => books.filterDynamic(Object.fromEntries([[name, 'x']])).all(),
        () => books.filterDynamic({ [`title__${name || 'x'}`]: 'x' }).all(),
        () => books.filterDynamic({ [`author__${name || 'x'}`]: 'x' }).all(),
        () => books.filterDynamic(JSON.parse(`{${JSON.stringify(name)}: "x"}`)).all(),
        () => books.orderDynamic(name).all(),
        () => books.orderDynamic(`-${name}`).all(),
        () => books.values(any).all(),
        () => books.selectRelated(any).all(),
        () => books.aggregate({ x: Count(any) }),
        () =>
          Author.objects(db)
            .annotate({ x: Count(`books__${name || 'x'}` as never) })
            .all(),
        () => books.filter({ id: 1 }).update(Object.fromEntries([[name, 'x']])),
        () => Book.of(Object.fromEntries([[name, 'x']])),
        () => books.filter({ stock: F(any) }).all(),
        () => book.save({ updateFields: [name] }),
        () =>
          books.bulkCreate([{ title: 'x', price: '1.00', author: 1 }], {
            onConflict: { on: [any], update: ['title'] },
          }),
      ];
      const aliases = /^[a-z]\w*$/i.test(name) && !['constructor', 'toString'].includes(name) && !name.includes('__');
      if (!aliases)
        calls.push(() =>
          Author.objects(db)
            .annotate(Object.fromEntries([[name, Count('books')]]))
            .all(),
        );
      for (const call of calls) {
        const [error, queries] = [await failure(call), await during(() => failure(call))];
        expect(error, `${JSON.stringify(name)}: ${call}`).toBeInstanceOf(InvalidQueryError);
        expect(queries, `${JSON.stringify(name)}: ${call}`).toBe(0);
      }
    }
    expect(await Book.objects(db).count()).toBe(100);
  });

  test('a hostile object, number or limit is refused', async () => {
    const { db } = await stocked(pg);
    const books = Book.objects(db);
    const calls: (() => unknown)[] = [
      () => books.filterDynamic({ title: { gt: '' } }).all(),
      () => books.filterDynamic({ title: ['a'] }).all(),
      () => books.filterDynamic({ title: { toString: () => 'x', toPostgres: () => 'x' } }).all(),
      () => books.filterDynamic({ id: '1 OR 1=1' }).all(),
      () => books.filterDynamic({ id__in: '1' }).all(),
      () => books.filterDynamic({ id__in: [[1]] }).all(),
      () => books.filterDynamic({ author: { id: 1 } }).all(),
      () => books.slice('0; DROP TABLE book' as never),
      () => books.slice(0, '1; DROP TABLE book' as never),
      () => books.filter({ id: 1 }).update({ stock: F('stock').plus('1); DROP TABLE book; --') }),
      () => books.filterDynamic({ title: 'a\0b' }).all(),
      () => books.filterDynamic({ title__contains: '\ud800' }).all(),
      () => books.filterDynamic(new Map([['id', 1]]) as never).all(),
      () => books.filterDynamic(new Date() as never).all(),
      () => books.orderDynamic({ toString: () => 'id; --' } as never).all(),
      // What is text in a statement and comes from no metadata: the size of a FETCH, the function of an aggregate.
      () => Array.fromAsync(books.iterator({ batchSize: '1 FROM c1; COMMIT; DROP TABLE book; --' as never })),
      () => Array.fromAsync(books.iterator({ batchSize: Number.NaN })),
      () => Array.fromAsync(books.iterator({ batchSize: 0 })),
      () => books.aggregate(JSON.parse('{"x":{"kind":"version() || format","path":"title"}}')),
      () => Author.objects(db).annotate(JSON.parse('{"x":{"kind":"1); DROP TABLE book; --","path":"books"}}')).all(),
      () => books.aggregate({ x: Count({} as never) }),
    ];
    for (const call of calls) expect(await failure(call), String(call)).toBeInstanceOf(InvalidQueryError);
    expect(await Book.objects(db).count()).toBe(100);
  });

  test('hostile names in the metadata are names like any other', async () => {
    @Entity({ table: 'x"; DROP TABLE book; --' })
    class Bobby extends Model {
      @Field.int({ primaryKey: true, column: 'id"' }) declare id: number;
      @Field.text({ column: "'; --" }) declare order: string;
      @ForeignKey(() => Bobby, { onDelete: 'cascade', null: true, column: 'select $1' })
      declare parent: Ref<Bobby> | null;
    }
    const { db } = await open(pg, {}, [Bobby, ...ENTITIES]);
    const [parent] = await Bobby.objects(db).bulkCreate([{ order: 'a' }]);
    await Bobby.objects(db).create({ order: 'b', parent: parent ?? null });
    expect(
      await Bobby.objects(db)
        .filter({ parent__order: 'a', parent__isnull: false })
        .orderBy('-order')
        .values('order')
        .all(),
    ).toEqual([{ order: 'b' }]);
    expect(await Bobby.objects(db).filter({ order: 'b' }).update({ order: 'c' })).toBe(1);
    expect(await parent?.delete()).toEqual({ Bobby: 2 });
    expect(await diff(db, [Bobby, ...ENTITIES])).toEqual([]);
    expect(await Book.objects(db).count()).toBe(0);
  });

  // ── schema ────────────────────────────────────────────────────────────────────────────────────────────────────────

  const shape = (define: (target: Model) => void) => {
    class Thing extends Model {
      declare id: number;
    }
    Field.int({ primaryKey: true })(Thing.prototype, 'id');
    define(Thing.prototype);
    Entity({ table: 'thing' })(Thing);
    return Thing;
  };
  const column = (decorate: (target: object, name: string) => void, name: string) => (target: object) =>
    decorate(target, name);

  test('after apply there is nothing to change', async () => {
    const { db } = await open(pg);
    expect(await diff(db, ENTITIES)).toEqual([]);
  });

  test('a new column is added, with its default for the rows that are there', async () => {
    const { db } = await open(pg, {}, [shape(() => {})]);
    await db.sql`INSERT INTO thing VALUES (1)`;
    const size = Field.int({ default: 7 }) as (target: object, name: string) => void;
    const Bigger = shape(column(size, 'size'));
    const changes = await diff(db, [Bigger]);
    expect(changes.map(({ kind, what, destructive }) => ({ kind, what, destructive }))).toEqual([
      { kind: 'add column', what: 'thing.size', destructive: false },
    ]);
    await apply(db, changes);
    expect(await db.sql`SELECT * FROM thing`).toEqual([[1, 7]]);
    expect(await diff(db, [Bigger])).toEqual([]);
    const version = Field.int({ version: true }) as (target: object, name: string) => void;
    await apply(db, await diff(db, [shape(column(version, 'version'))]), { allowDestructive: true });
    expect(await db.sql`SELECT * FROM thing`, 'whose first version is 1').toEqual([[1, 1]]);
  });

  test('indexes of two tables never want one name', async () => {
    @Entity({ table: 'user' })
    class User extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => User, { onDelete: 'cascade', null: true, unique: true }) declare groupOwner: Ref<User> | null;
    }
    @Entity({ table: 'user_group' })
    class UserGroup extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
      @ForeignKey(() => User, { onDelete: 'cascade', unique: true }) declare owner: Ref<User>;
    }
    const { db } = await open(pg, {}, [User]);
    await apply(db, await diff(db, [User, UserGroup]));
    expect(await diff(db, [User, UserGroup])).toEqual([]);
    const keys =
      await db.sql`SELECT count(*) FROM pg_constraint WHERE contype IN ('f', 'u') AND conrelid = 'user_group'::regclass`;
    expect(keys).toEqual([[2n]]);
  });

  test('a change that loses data needs to be allowed, and a rename is not guessed', async () => {
    const text = Field.text({ null: true }) as (target: object, name: string) => void;
    const { db } = await open(pg, {}, [shape(column(text, 'title'))]);
    await db.sql`INSERT INTO thing (title) VALUES (${'kept'})`;
    const renamed = await diff(db, [shape(column(text, 'name'))]);
    expect(renamed.map(({ kind, destructive }) => [kind, destructive])).toEqual([
      ['add column', false],
      ['drop column', true],
    ]);
    await expect(apply(db, renamed)).rejects.toThrow(/drop column thing\.title/);
    expect(await db.sql`SELECT title FROM thing`, 'none of it was done').toEqual([['kept']]);
    await apply(db, renamed, { allowDestructive: true });
    const short = Field.char({ max: 3, null: true }) as (target: object, name: string) => void;
    const narrowed = await diff(db, [shape(column(short, 'name'))]);
    expect(narrowed.map(({ kind, destructive }) => [kind, destructive])).toEqual([['alter type', true]]);
  });
});
