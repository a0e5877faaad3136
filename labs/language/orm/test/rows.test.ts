// Laws on real rows: finding, relations, saving, whatever a user sends.
import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { describeWith, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  ConstraintError,
  createTables,
  DoesNotExistError,
  Entity,
  F,
  Field,
  ForeignKey,
  InvalidQueryError,
  Model,
  MultipleObjectsError,
  NotLoadedError,
  Q,
  QueryError,
  Ref,
  type RepeatedLoadWarning,
  StaleObjectError,
  ValidationError,
  type Where,
} from '#lab';
import { Author, Book, Order, Publisher } from './bookshop.ts';
import { failure, open, refused, stocked } from './shop.ts';

function fail(): never {
  throw new Error('the log is full');
}

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const titles = async (books: AsyncIterable<Book>) => (await Array.fromAsync(books)).map(({ title }) => title);
const names = async (query: AsyncIterable<Author>) => (await Array.fromAsync(query)).map(({ name }) => name);

await describeWith('on Postgres', { pg: startPostgres }, ({ pg }) => {
  test('each lookup finds what it says', async () => {
    const { db } = await open(pg);
    const author = await Author.objects(db).create({ name: 'Ann', born: 1950 });
    const rows = ['Ann of Green', 'green', 'Blue', 'a_b', 'a\\b'];
    await Book.objects(db).bulkCreate(rows.map((title, stock) => ({ title, stock, price: `${stock}.00`, author })));
    const expected: [object, string][] = [
      [{ title: 'Blue' }, 'Blue'],
      [{ title__contains: 'Gre' }, 'Ann of Green'],
      [{ title__icontains: 'GREEN' }, 'Ann of Green, green'],
      [{ title__startswith: 'gr' }, 'green'],
      [{ title__endswith: 'Green' }, 'Ann of Green'],
      [{ title__in: ['green', 'Blue', 'none'] }, 'green, Blue'],
      [{ stock__gt: 3 }, 'a\\b'],
      [{ stock__gte: 3 }, 'a_b, a\\b'],
      [{ stock__lt: 1 }, 'Ann of Green'],
      [{ stock__lte: 1 }, 'Ann of Green, green'],
      [{ price__gt: '3.5' }, 'a\\b'],
      [{ stock__lt: 1, author }, 'Ann of Green'],
      [{ stock__lt: 1, author__in: [author.id] }, 'Ann of Green'],
      [{ stock__lt: 1, author__name__startswith: 'A', author__born__gt: 1900 }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__isnull: true }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__name: null }, 'Ann of Green'],
    ];
    for (const [which, found] of expected) {
      const books = Book.objects(db).filterDynamic({ ...which });
      expect((await titles(books.orderBy('id'))).join(', '), JSON.stringify(which)).toBe(found);
    }
  });

  test('percent, underscore and backslash in a pattern mean themselves', async () => {
    const { db } = await open(pg);
    const rows = ['50% off', '50 off', 'a_b', 'axb', 'a\\b', '%', '_', '\\'];
    const author = await Author.objects(db).create({ name: 'Ann' });
    await Book.objects(db).bulkCreate(rows.map((title) => ({ title, price: '1.00', author })));
    const containing = (part: string) => titles(Book.objects(db).filter({ title__contains: part }).orderBy('id'));
    expect(await containing('%')).toEqual(['50% off', '%']);
    expect(await containing('_')).toEqual(['a_b', '_']);
    expect(await containing('\\')).toEqual(['a\\b', '\\']);
    expect(await titles(Book.objects(db).filter({ title__icontains: 'A_B' }))).toEqual(['a_b']);
  });

  test('exclude keeps the rows of which nothing is known', async () => {
    const { db } = await stocked(pg);
    const rest = await Author.objects(db).exclude({ born__gt: 1904 }).all();
    expect(rest.map(({ born }) => born).toSorted()).toEqual([1900, 1902, 1904, null, null, null, null, null]);
    const not = Author.objects(db).filter(Q.not({ born: 1904 }));
    expect(await not.count()).toBe(9);
    expect(await Author.objects(db).exclude({ born: 1904, name: 'Author 5' }).count(), 'not all of them').toBe(10);
  });

  test('random trees of conditions find what a filter in JavaScript finds', async () => {
    const { db, authors } = await stocked(pg);
    const dice = random(SEED);
    /** A condition, and what it says of a row, in SQL's logic: null is unknown. */
    type Tree = readonly [sql: object, holds: (author: Author) => boolean | null];
    const all = (parts: readonly (boolean | null)[]) => !parts.includes(false) && (parts.includes(null) ? null : true);
    const any = (parts: readonly (boolean | null)[]) => parts.includes(true) || (parts.includes(null) ? null : false);
    const leaf = (): Tree => {
      const [born, id] = [dice.int(1_899, 1_910), dice.int(0, 10)];
      const leaves: readonly Tree[] = [
        [{ born__gt: born }, ({ born: own }) => (own === null ? null : own > born)],
        [{ born: null }, (author) => author.born === null],
        [{ born__in: [] }, () => false],
        [{ name: `Author ${id}`, id__in: [] }, () => false],
        [{ id__lt: id, name__contains: '1' }, (author) => author.id < id && author.name.includes('1')],
        [{ publisher__name: 'Penguin' }, ({ publisher }) => (publisher ? true : null)],
        [{ books__id: id }, (author) => author.id === id],
        [{ books__title__in: [] }, () => false],
      ];
      return dice.pick(leaves);
    };
    const tree = (depth: number): Tree => {
      const kind = depth === 0 ? 'leaf' : dice.pick(['leaf', 'and', 'or', 'not'] as const);
      if (kind === 'leaf') return leaf();
      const parts = Array.from({ length: kind === 'not' ? 1 : dice.int(1, 3) }, () => tree(depth - 1));
      const held = (author: Author) => parts.map(([, holds]) => holds(author));
      const [first, ...more] = parts.map(([sql]) => sql);
      if (kind === 'and') return [Q.and<unknown>(first, ...more), (author) => all(held(author))];
      if (kind === 'or') return [Q.or<unknown>(first, ...more), (author) => any(held(author))];
      return [Q.not<unknown>(first), (author) => held(author)[0] !== true];
    };
    for (let round = 0; round < 250; round++) {
      const [[one, holds], [two, holdsToo], [out, keepsOut]] = [tree(3), tree(2), tree(1)];
      const query = Author.objects(db)
        .filter(one as never, two as never)
        .exclude(out as never)
        .orderBy('id');
      const kept = authors.filter((each) => holds(each) && holdsToo(each) && keepsOut(each) !== true);
      expect(await names(query), query.toSql().sql).toEqual(kept.map(({ name }) => name));
    }
  });

  test('conditions of one filter speak of the same related row, those of two filters of any', async () => {
    const { db } = await open(pg);
    const [one, two] = await Author.objects(db).bulkCreate([{ name: 'One' }, { name: 'Two' }, { name: 'Zoe' }]);
    await Book.objects(db).bulkCreate([
      { title: 'cheap', price: '1.00', author: one ?? 0 },
      { title: 'dear', price: '99.00', author: one ?? 0 },
      { title: 'cheap', price: '99.00', author: two ?? 0 },
    ]);
    const authors = Author.objects(db).orderBy('name');
    const [cheap, dear] = [{ books__title: 'cheap' }, { books__price: '99.00' }] as const;
    expect(await names(authors.filter({ ...cheap, ...dear }))).toEqual(['Two']);
    expect(await names(authors.filter(cheap, dear)), 'however they are written').toEqual(['Two']);
    expect(await names(authors.filter(Q.and(cheap, Q.and(dear))))).toEqual(['Two']);
    expect(await names(authors.filter(Q.or(cheap, { books__title: 'free' }), dear)), 'also in a Q.or').toEqual(['Two']);
    const [zoe, gone] = [{ name: 'Zoe' }, { books__id__in: [] }] as const;
    expect(await names(authors.filter(Q.or(cheap, zoe), Q.or(dear, zoe, gone))), 'or of none').toEqual(['Two', 'Zoe']);
    expect(await names(authors.filter(Q.or(dear, Q.not(cheap)), Q.not({ books__title: 'x' })))).toEqual([
      'One',
      'Two',
      'Zoe',
    ]);
    expect(await names(authors.filter(dear, Q.not(cheap))), 'but not in a Q.not').toEqual([]);
    const untitled = Q.or<Where<Author>>({ books__title: 'x' }, Q.not(cheap));
    expect(await names(authors.filter(untitled, dear)), 'nor in one within a Q.or').toEqual([]);
    const bare = Q.or<Where<Author>>({ books__isnull: true }, cheap);
    expect(await names(authors.filter(bare, dear)), 'having no row is said of no row').toEqual(['Two']);
    expect(await names(authors.filter(cheap).filter(dear))).toEqual(['One', 'Two']);
    expect(await names(authors.filter({ books__price__gt: '0.50' })), 'each author once').toEqual(['One', 'Two']);
    expect(await names(authors.exclude({ books__title: 'dear' }))).toEqual(['Two', 'Zoe']);
    expect(await names(authors.filter({ books__isnull: true }))).toEqual(['Zoe']);
  });

  test('words that are looked for in several relations cost no try of all their rows together', async () => {
    const { db } = await open(pg);
    const publisher = await Publisher.objects(db).create({ name: 'P' });
    const author = await Author.objects(db).create({ name: 'A', publisher });
    const rows = Array.from({ length: 300 }, (_, n) => ({ title: `Book ${n}`, price: '1.00', author }));
    await Book.objects(db).bulkCreate(rows);
    const one = (title: string) => ({ author__books__title: title });
    // A path that is longer than the types know.
    const other = (title: string): object => ({ author__publisher__authors__books__title: title });
    const count = (...words: string[]) =>
      Book.objects(db)
        .filter(...words.map((word) => Q.or<Where<Book>>(one(word), other(word))))
        .count();
    await db.transaction(async () => {
      await db.query("SET LOCAL statement_timeout = '1s'");
      expect([await count('none', 'Book 1'), await count('Book 1', 'Book 2')]).toEqual([0, 300]);
    });
  });

  test('what is known without asking is not asked', async () => {
    const { db, during } = await stocked(pg);
    const none = Book.objects(db).filter({ title: 'x', id__in: [] });
    const queries = await during(async () => {
      expect([await none.count(), await none.all(), await none.update({ stock: 1 })]).toEqual([0, [], 0]);
      expect(await Book.objects(db).slice(3, 3).all()).toEqual([]);
    });
    expect(queries).toBe(0);
    const books = Book.objects(db).filter({ stock: 1 });
    const twice = await during(async () => {
      const [first, second] = [await Array.fromAsync(books), await Array.fromAsync(books)];
      expect(second[0]).toBe(first[0]);
      expect(await books.count()).toBe(first.length);
    });
    expect(twice, 'iterated twice, then counted').toBe(1);
    await books.update({ stock: 99 });
    expect([await books.count(), await books.all()], 'what a set has changed is asked for again').toEqual([0, []]);
    const shelf = Book.objects(db);
    const read = (await shelf.all()).length;
    const book = { title: 'x', price: '1.00', author: 1 };
    await shelf.create(book);
    expect((await shelf.all()).length, 'and what it has created').toBe(read + 1);
    await shelf.bulkCreate([book, book]);
    expect(await shelf.count(), 'and created many at once').toBe(read + 3);
    expect(await during(() => books.orderBy('id').all()), 'another set asks again').toBe(1);
    const retried = Book.objects(db).filter({ stock: 2 });
    const aborted = async () => {
      await failure(() => db.query('SELECT 1 / 0'));
      return retried.all();
    };
    expect(await failure(() => db.transaction(aborted))).toBeInstanceOf(QueryError);
    expect((await retried.all()).length, 'a failure is not kept').toBe(14);
    const returned = await (async () => books.orderBy('title'))();
    expect(returned.toSql().sql, 'returned from an async function it stays a query').toContain('ORDER BY');
  });

  test('get finds the one, or says whether there was none or more', async () => {
    const { db, sent } = await stocked(pg);
    const books = Book.objects(db);
    expect((await books.get({ title: 'Book 7' })).price).toBe('7.50');
    expect(await failure(() => books.get({ title: 'none' }))).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => books.get({ stock: 1 }))).toBeInstanceOf(MultipleObjectsError);
    expect(sent.at(-1)?.params, 'a second row is enough to know').toEqual([1, 2]);
    expect([(await books.first())?.id, (await books.orderBy('-price').first())?.title]).toEqual([1, 'Book 99']);
    expect(await titles(books.orderBy('id').slice(10, 20).slice(2, 4))).toEqual(['Book 12', 'Book 13']);
    expect(await books.slice(95).selectRelated('author').count()).toBe(5);
  });

  test('what is written comes back as it was, whatever the time zone', async () => {
    const { db } = await open(pg);
    const zone = process.env['TZ'];
    onTestFinished(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    // Until 1901 its clocks were 8:05:43 ahead.
    process.env['TZ'] = 'Asia/Shanghai';
    expect(new Date('1900-01-01T00:00:00Z').getSeconds(), 'the time zone is in force').toBe(43);
    for (const moment of ['1900-01-01T00:00:00.001Z', '0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z']) {
      const since = new Date(moment);
      const author = await Author.objects(db).create({ name: 'NULL', since });
      expect(await Author.objects(db).get({ since, name: 'NULL' })).toMatchObject({ since, born: null });
      const price = '123456.78';
      const { id } = await Book.objects(db).create({ title: '\n"\\', price, stock: 1 - 2 ** 31, author });
      expect(await Book.objects(db).get({ id })).toMatchObject({ title: '\n"\\', price, stock: 1 - 2 ** 31 });
    }
  });

  test('a hundred books with their authors cost 1 query when joined, 2 when prefetched, 101 one by one', async () => {
    const { db, during } = await stocked(pg, { onRepeatedLoad: () => {} });
    const read = async (books: readonly Book[]) => {
      for (const book of books) expect(await book.author.load()).toBe(book.author.value);
      expect(books[3]?.author.value.name).toBe('Author 3');
    };
    expect(await during(async () => read(await Book.objects(db).selectRelated('author').all()))).toBe(1);
    expect(await during(async () => read(await Book.objects(db).prefetch('author').all()))).toBe(2);
    expect(await during(async () => read(await Book.objects(db).all()))).toBe(101);
  });

  test('a relation that is loaded one by one is reported, with the place', async () => {
    const loads: RepeatedLoadWarning[] = [];
    const { db } = await stocked(pg, { onRepeatedLoad: (warning) => loads.push(warning) });
    for (const book of await Book.objects(db).slice(0, 9).all()) await book.author.load();
    expect(loads, 'nine are not many').toEqual([]);
    for (const book of await Book.objects(db).all()) await book.author.load();
    const place = expect.stringMatching(/: author is loaded one by one at \S+rows\.test\.ts:\d+/);
    expect(loads.map(String), 'once').toEqual([place]);
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    for (const onRepeatedLoad of [() => fail(), async () => fail()]) {
      const shop = await stocked(pg, { onRepeatedLoad });
      for (const book of await Book.objects(shop.db).slice(0, 10).all()) await book.author.load();
    }
    await until(() => warned.mock.calls.length === 2, { what: 'the listeners that failed to be told of' });
  });

  test('prefetch goes through relations to many, a query each, and knows the way back', async () => {
    const { db, during } = await stocked(pg);
    const queries = await during(async () => {
      const [penguin, reclam] = await Publisher.objects(db)
        .prefetch('authors__books')
        .prefetch('authors')
        .orderBy('id')
        .all();
      expect([penguin?.authors.length, reclam?.authors.length]).toEqual([5, 0]);
      for (const author of penguin?.authors ?? []) {
        expect(author.publisher?.value).toBe(penguin);
        expect(author.books.map(({ author: back }) => back.value)).toEqual(Array(10).fill(author));
      }
    });
    expect(queries).toBe(3);
    const [around] = await Author.objects(db).prefetch('books__author__books').orderBy('id').all();
    expect(around?.books[0]?.author.value.books, 'there and back again').toHaveLength(10);
    const [house] = await Publisher.objects(db).prefetch('authors__books', 'authors__publisher__authors').all();
    expect(house?.authors[0]?.books, 'no path takes away what another has loaded').toHaveLength(10);
    await house?.refresh();
    expect(() => house?.authors, 'no list is older than its row').toThrow(NotLoadedError);
    expect((await Author.objects(db).prefetch('publisher').orderBy('id').all())[1]?.publisher).toBeNull();
    await refused(
      ['title', 'toString'].map(
        (name) => () =>
          Book.objects(db)
            .prefetch(name as never)
            .all(),
      ),
    );
  });

  test('a join finds what there is, null where there is nothing, and what was not loaded says so', async () => {
    const { db, during } = await stocked(pg);
    const joined = Book.objects(db).selectRelated('author__publisher').orderBy('id');
    expect(await during(() => joined.all())).toBe(1);
    const [first, second, ...more] = await joined.all();
    expect(first?.author.value.publisher?.value.name).toBe('Penguin');
    expect(second?.author.value.publisher).toBeNull();
    expect(more[8]?.author.value, 'one author, one object').toBe(first?.author.value);
    const [book, author] = [await Book.objects(db).get({ id: 1 }), await Author.objects(db).get({ id: 1 })];
    expect(await during(() => expect(() => book.author.value).toThrow(NotLoadedError))).toBe(0);
    expect(() => author.books).toThrow(NotLoadedError);
    await refused([() => Book.of({ author: 7 }).author.load()]);
    expect([book.author.id, JSON.stringify(book.author)], 'its key is known').toEqual([1, '1']);
  });

  test('what refers to a deleted row goes, forgets or forbids, as was declared', async () => {
    const { db, books } = await stocked(pg);
    expect(await Publisher.objects(db).filter({ name: 'Penguin' }).delete()).toBe(1);
    expect(await Author.objects(db).filter({ publisher__isnull: false }).count(), 'forgotten').toBe(0);
    await (await Author.objects(db).get({ id: 1 })).delete();
    expect(await Book.objects(db).count(), 'gone with their author').toBe(90);
    await Order.objects(db).create({ book: books[1] ?? 0 });
    const blocked = await failure(() => Author.objects(db).filter({ id: 2 }).delete());
    expect(blocked instanceof ConstraintError && blocked.constraint).toBe('order_book_id_fkey');
    expect(await Book.objects(db).filter({ author__name: 'Author 3' }).delete(), 'through a relation').toBe(10);
  });

  test('save inserts what is new, updates what is not, and says when the row is gone', async () => {
    const { db, sent } = await open(pg);
    const publisher = await Publisher.of({ name: 'A' }).save({ db });
    publisher.name = 'B';
    await publisher.save();
    expect((await publisher.refresh()).name).toBe('B');
    expect(sent.map(({ sql }) => sql.split(' ')[0])).toEqual(['INSERT', 'UPDATE', 'SELECT']);
    await Publisher.objects(db).create({ id: 77, name: 'D' });
    await publisher.delete();
    expect((await Publisher.objects(db).get()).id, 'a key may be given').toBe(77);
    for (const call of [() => publisher.save(), () => publisher.refresh(), () => publisher.delete()])
      expect(await failure(call)).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => Publisher.of({ name: 'E' }).save())).toBeInstanceOf(InvalidQueryError);
    const author = await Author.objects(db).create({ name: 'F', publisher: 77 });
    expect((await author.publisher?.load())?.name, 'what was saved knows its database').toBe('D');
    const once = Author.of({ name: 'once' });
    await refused([() => Promise.all([once.save({ db }), once.save({ db })])]);
    await refused([() => Author.objects(db).bulkCreate([author, author])]);
    await until(() => once.id !== undefined, { what: 'the first save' });
    await once.save();
    expect(await Author.objects(db).filter({ name: 'once' }).count(), 'one object, one row').toBe(1);
    const book = await Book.objects(db).create({ title: 'G', price: '1.00', stock: 3, author });
    book.blurb = 'Sold out';
    expect(await failure(() => book.save()), 'a rule of its class').toBeInstanceOf(ValidationError);
    expect((await book.refresh()).blurb).toBeNull();
  });

  test('an object whose key was changed is no other row', async () => {
    const { db, sent } = await open(pg);
    const [one, two] = await Publisher.objects(db).bulkCreate([{ name: 'A' }, { name: 'B' }]);
    for (const object of [await Publisher.objects(db).get({ name: 'A' }), one ?? fail()]) {
      object.id = two?.id ?? 0;
      const before = sent.length;
      await refused([() => object.save(), () => object.delete()]);
      expect(sent.length - before).toBe(0);
      expect(await object.refresh(), 'its own row').toMatchObject({ id: 1, name: 'A' });
      await object.save();
    }
    expect(await Publisher.objects(db).count()).toBe(2);
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
    expect((await Order.objects(db).get({ id: order.id })).quantity).toBe(2);
    await Order.objects(db).filter({ id: order.id }).update({ state: 'paid' });
    expect(await failure(() => order.save()), 'an update counts too').toBeInstanceOf(StaleObjectError);
    await (await order.refresh()).save();
    expect(order).toMatchObject({ state: 'paid', version: 4 });
  });

  test('an update by an expression loses no concurrent update', async () => {
    const { db } = await stocked(pg);
    const one = Book.objects(db).filter({ id: 1 });
    const sell = () => one.update({ stock: F('stock').minus(1) });
    await Promise.all(Array.from({ length: 20 }, sell));
    expect((await one.get()).stock).toBe(-20);
    expect(await Book.objects(db).filter({ author__name: 'Author 3' }).update({ blurb: 'x' })).toBe(10);
    // Somebody sells the last copy. Who asks for it meanwhile, by its author, waits, and looks again.
    const last = Book.objects(db).filter({ id: 1, stock__gt: 0, author__name: 'Author 0' });
    const outside = AsyncLocalStorage.snapshot();
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%JOIN "author"%'`;
    for (const second of [() => last.update({ stock: F('stock').minus(1) }), () => last.delete()]) {
      await one.update({ stock: 1 });
      const { late } = await db.transaction(async () => {
        await sell();
        const late = outside(second);
        await until(() => outside(async () => (await db.query(waiting)).count > 0), { what: 'the second to wait' });
        return { late };
      });
      expect([await late, (await one.get()).stock], String(second)).toEqual([0, 0]);
    }
  });

  test('many rows go in one statement, and get their keys', async () => {
    const { db, during } = await stocked(pg);
    const rows = Array.from({ length: 9_000 }, (_, n) => ({ title: `New ${n}`, price: '1.00', author: 1 }));
    expect(await during(() => Book.objects(db).bulkCreate(rows))).toBe(1);
    const [, made] = await Book.objects(db).bulkCreate(rows.slice(7, 9));
    expect((await Book.objects(db).get({ id: made?.id ?? 0 })).title).toBe('New 8');
    expect(await during(() => Book.objects(db).bulkCreate([]))).toBe(0);
    await refused([() => Author.objects(db).bulkCreate([{ id: 20_000, name: 'A' }, { name: 'B' }])]);
  });

  test('where a trigger keeps rows out, no object gets the key of another', async () => {
    const { db } = await open(pg);
    await db.query(`CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`);
    onTestFinished(async () => void (await db.query('DROP FUNCTION skip CASCADE')));
    const when = `BEFORE INSERT ON publisher FOR EACH ROW WHEN (NEW.name = 'out')`;
    await db.query(`CREATE TRIGGER skip ${when} EXECUTE FUNCTION skip()`);
    const [out, kept] = [Publisher.of({ name: 'out' }), Publisher.of({ name: 'kept' })];
    expect(await failure(() => out.save({ db }))).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => Publisher.objects(db).bulkCreate([out, kept]))).toBeInstanceOf(DoesNotExistError);
    expect([out.id, kept.id]).toEqual([undefined, undefined]);
  });

  const HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE book; --",
    '"; DROP TABLE book; --',
    '$1::text; SELECT 1',
    "\\'; SELECT pg_sleep(9); --",
    '{"a","b"}',
    '{NULL}',
    "E'\\x27'",
    'title" = title OR "a',
  ];

  test('a hostile value stays a value, wherever a value goes', async () => {
    const { db, sent } = await stocked(pg);
    const books = Book.objects(db);
    for (const title of HOSTILE) {
      const book = await books.create({ title, price: '1.00', author: 1 });
      for (const lookup of ['title', 'title__contains', 'title__icontains', 'title__startswith', 'title__endswith'])
        expect(await titles(books.filterDynamic({ [lookup]: title })), `${lookup} ${title}`).toEqual([title]);
      expect(await titles(books.filter({ title__in: [title] }))).toEqual([title]);
      expect(await names(Author.objects(db).filter({ books__title: title }))).toEqual(['Author 0']);
      await books.filter({ title }).update({ blurb: `${title}!` });
      expect((await book.refresh()).blurb).toBe(`${title}!`);
      await book.save();
      expect(await db.sql`SELECT id FROM book WHERE title = ${title}`).toEqual([[book.id]]);
      expect(await books.filter({ title }).delete()).toBe(1);
    }
    expect(await books.count(), 'the hundred that were there').toBe(100);
    const leaked = sent.filter(({ sql }) => HOSTILE.some((text) => sql.includes(text)));
    expect(leaked, 'no statement has a value in its text').toEqual([]);
  });

  test('a hostile name is refused before anything is sent, wherever a name goes', async () => {
    const { db, during } = await stocked(pg);
    const odd = [
      'titel',
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
    for (const name of [...HOSTILE, ...odd]) {
      const books = Book.objects(db);
      const any = name as never;
      const queries = await during(() =>
        refused([
          () => books.filterDynamic(Object.fromEntries([[name, 'x']])).all(),
          () => books.filterDynamic({ [`title__${name || 'x'}`]: 'x' }).all(),
          () => books.filterDynamic({ [`author__${name || 'x'}`]: 'x' }).all(),
          () => books.filterDynamic(JSON.parse(`{${JSON.stringify(name)}: "x"}`)).all(),
          () => books.orderDynamic(`-${name}`).all(),
          () => books.selectRelated(any).all(),
          () => books.prefetch(any).all(),
          () =>
            Order.objects(db)
              .prefetch(`book__author__${name || 'x'}` as never)
              .all(),
          () => books.filter({ id: 1 }).update(Object.fromEntries([[name, 'x']])),
          () => books.filter({ id: 1 }).update({ stock: F<never>(any).plus(1) }),
          () => Book.of(Object.fromEntries([[name, 'x']])),
        ]),
      );
      expect(queries, name).toBe(0);
    }
    expect(String(await failure(() => Book.objects(db).orderDynamic('titel').all()))).toMatch(/Choices: id, title, pr/);
    const behind = await failure(() => Book.objects(db).filterDynamic({ author__nme: 'x' }).all());
    expect(String(behind)).toMatch(/"nme".*Choices: .*name.*isnull/);
    const ends = [Book.objects(db).orderDynamic('price__gt'), Author.objects(db).orderDynamic('-books')];
    await refused(ends.map((each) => () => each.all()));
  });

  test('a hostile object or number is refused', async () => {
    const { db } = await open(pg);
    const which: readonly Record<string, unknown>[] = [
      { title: { gt: '' } },
      { title: { toString: () => 'x', toPostgres: () => 'x' } },
      { id: '1 OR 1=1' },
      { id__in: '1' },
      { id__in: [[1]] },
      { author: { id: 1 } },
      { author: Object.assign(Order.of({}), { id: 7 }) },
      { author: new Ref(() => Publisher, 7) },
      { title: 'a\0b' },
      { title__contains: '\ud800' },
      { title__contains: ['a'] },
      { stock: F('id').plus(1) },
      { stock__contains: '1' },
    ];
    const drop = F('stock').plus('1); DROP TABLE book; --' as never);
    await refused([
      ...which.map((each) => () => Book.objects(db).filterDynamic(each).all()),
      () => Book.objects(db).filter({ id: 1 }).update({ stock: drop }),
      () =>
        Book.objects(db)
          .orderDynamic({ toString: () => 'id; --' } as never)
          .all(),
      () => db.sql`SELECT ${'\ud800'}::text`,
    ]);
    const shown = await failure(() =>
      Book.objects(db)
        .filterDynamic({ title: { password: 'x', [inspect.custom]: () => 'x' } })
        .all(),
    );
    expect(String(shown), 'what is in an object stays out of messages').toMatch(/it is \[Object\]/);
  });

  test('hostile names in the metadata are names like any other', async () => {
    @Entity({ table: 'x"; DROP TABLE book; --' })
    class Bobby extends Model {
      @Field.int({ primaryKey: true, column: 'id"' }) declare id: number;
      @Field.text({ column: "'; --", unique: true }) declare order: string;
      @ForeignKey(() => Bobby, { onDelete: 'cascade', null: true, column: 'select $1' })
      declare parent: Ref<Bobby> | null;
    }
    const { db } = await open(pg);
    await createTables(db, [Bobby]);
    onTestFinished(async () => void (await db.query('DROP TABLE "x""; DROP TABLE book; --"')));
    const bobbies = Bobby.objects(db);
    const [parent] = await bobbies.bulkCreate([{ order: 'a' }]);
    await bobbies.create({ order: 'b', parent: parent ?? null });
    const found = await bobbies.filter({ parent__order: 'a', parent__isnull: false }).orderBy('-order').all();
    expect(found.map(({ order }) => order)).toEqual(['b']);
    expect(await bobbies.filter({ order: 'b' }).update({ order: 'c' })).toBe(1);
    await parent?.delete();
    expect([await bobbies.count(), await Book.objects(db).count()]).toEqual([0, 0]);
  });
});
