// Laws on real rows: finding, relations, saving, whatever a user sends.
import { startPostgres } from '@shared/services';
import { describeWith, random } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
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
  type Ref,
  type RepeatedLoad,
  StaleObjectError,
} from '#lab';
import { Author, Book, Order, Publisher } from './bookshop.ts';
import { failure, open, stocked } from './shop.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const titles = (books: readonly { title: string }[]) => books.map(({ title }) => title);
const names = async (query: AsyncIterable<{ name: string }>) => (await Array.fromAsync(query)).map(({ name }) => name);

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
      [{ title__contains: 'Gre' }, 'Ann of Green'],
      [{ title__icontains: 'GREEN' }, 'Ann of Green, green'],
      [{ title__startswith: 'gr' }, 'green'],
      [{ title__endswith: 'Green' }, 'Ann of Green'],
      [{ title__in: ['green', 'Blue', 'none'] }, 'green, Blue'],
      [{ stock__gt: 4 }, 'a\\b'],
      [{ stock__gte: 4 }, 'a_b, a\\b'],
      [{ stock__lt: 1 }, 'Ann of Green'],
      [{ stock__lte: 1 }, 'Ann of Green, green'],
      [{ price__gt: '4.5' }, 'a\\b'],
      [{ stock__lt: 1, author }, 'Ann of Green'],
      [{ stock__lt: 1, author: author.id }, 'Ann of Green'],
      [{ stock__lt: 1, author__id__in: [author.id] }, 'Ann of Green'],
      [{ stock__lt: 1, author__name__startswith: 'A', author__born__gt: 1900 }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__isnull: true }, 'Ann of Green'],
      [{ stock__lt: 1, author__publisher__name: null }, 'Ann of Green'],
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
    expect(await Book.objects(db).filter({ title__icontains: 'A_B' }).count()).toBe(1);
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

  test('random trees of conditions find what a filter in JavaScript finds', async () => {
    const { db, authors } = await stocked(pg);
    const dice = random(SEED);
    type Tree = { readonly sql: object; holds(author: Author): boolean | null };
    /** SQL's logic: null is unknown. */
    const all = (parts: readonly (boolean | null)[]) =>
      parts.includes(false) ? false : parts.includes(null) ? null : true;
    const any = (parts: readonly (boolean | null)[]) =>
      parts.includes(true) ? true : parts.includes(null) ? null : false;
    const leaf = (): [string, unknown, Tree['holds']] => {
      const n = 1_899 + dice.int(0, 11);
      const list = Array.from({ length: dice.int(0, 2) }, () => n);
      const id = dice.int(0, 11);
      return dice.pick<[string, unknown, Tree['holds']]>([
        ['born__gt', n, ({ born }) => (born === null ? null : born > n)],
        ['born', null, ({ born }) => born === null],
        ['born__in', list, ({ born }) => (list.length > 0 && born === null ? null : list.includes(born ?? 0))],
        ['id__lt', id, (author) => author.id < id],
        ['id__in', [], () => false],
        ['publisher__name', 'Penguin', ({ publisher }) => (publisher ? true : null)],
        ['books__id', id, (author) => author.id === id],
        ['books__title__in', [], () => false],
      ]);
    };
    const tree = (depth: number): Tree => {
      const kind = depth === 0 ? 'object' : dice.pick(['object', 'and', 'or', 'not']);
      if (kind === 'object') {
        const leaves = Array.from({ length: dice.int(1, 3) }, leaf);
        const last = new Map(leaves.map((each) => [each[0], each]));
        return {
          sql: Object.fromEntries(leaves),
          holds: (author) => all([...last.values()].map(([, , holds]) => holds(author))),
        };
      }
      const parts = Array.from({ length: kind === 'not' ? 1 : dice.int(1, 3) }, () => tree(depth - 1));
      const holds = (author: Author) => parts.map((part) => part.holds(author));
      const sql = parts.map((part) => part.sql);
      if (kind === 'and') return { sql: Q.and<unknown>(...sql), holds: (author) => all(holds(author)) };
      if (kind === 'or') return { sql: Q.or<unknown>(...sql), holds: (author) => any(holds(author)) };
      return { sql: Q.not<unknown>(sql[0]), holds: (author) => holds(author)[0] !== true };
    };
    for (let round = 0; round < 250; round++) {
      const [one, two, out] = [tree(3), tree(2), tree(1)];
      const query = Author.objects(db)
        .filter(one.sql as never, two.sql as never)
        .exclude(out.sql as never);
      const expected = authors.filter((author) => one.holds(author) && two.holds(author) && out.holds(author) !== true);
      const found = (await query.orderBy('id').all()).map(({ id }) => id);
      expect(found, query.toSql().sql).toEqual(expected.map(({ id }) => id));
    }
  });

  test('conditions of one filter speak of the same related row, those of two filters of any', async () => {
    const { db } = await open(pg);
    const [one, two] = await Author.objects(db).bulkCreate([{ name: 'One' }, { name: 'Two' }]);
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
    expect(await names(authors.filter(cheap).filter(dear))).toEqual(['One', 'Two']);
    expect(await names(authors.filter({ books__price__gt: '0.50' })), 'each author once').toEqual(['One', 'Two']);
    expect(await names(authors.exclude({ books__title: 'dear' }))).toEqual(['Two']);
    expect(await authors.filter({ books__isnull: true }).count()).toBe(0);
  });

  test('an empty list finds nothing and asks nobody', async () => {
    const { db, during } = await open(pg);
    const none = Book.objects(db).filter({ id__in: [] });
    const queries = await during(async () => {
      expect(await none.all()).toEqual([]);
      expect(await none.count()).toBe(0);
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
      expect(await books.count()).toBe(first.length);
    });
    expect(queries).toBe(1);
    expect(await during(() => books.orderBy('id').all()), 'another set asks again').toBe(1);
    const returned = await (async () => books.orderBy('title'))();
    expect(returned.toSql().sql, 'returned from an async function it stays a query').toContain('ORDER BY');
  });

  test('get finds the one, or says whether there was none or more', async () => {
    const { db } = await stocked(pg);
    expect((await Book.objects(db).get({ title: 'Book 7' })).price).toBe('7.50');
    expect(await failure(() => Book.objects(db).get({ title: 'none' }))).toBeInstanceOf(DoesNotExistError);
    expect(await failure(() => Book.objects(db).get({ stock: 1 }))).toBeInstanceOf(MultipleObjectsError);
    expect((await Book.objects(db).orderBy('-price').first())?.title).toBe('Book 99');
    expect((await Book.objects(db).first())?.title).toBe('Book 0');
    const books = Book.objects(db).orderBy('id');
    expect(titles(await books.slice(10, 20).slice(2, 4).all())).toEqual(['Book 12', 'Book 13']);
    expect(await books.slice(95).selectRelated('author').count()).toBe(5);
    expect(await books.slice(3, 3).count()).toBe(0);
  });

  test('what is written comes back as it was, whatever the time zone', async () => {
    @Entity({ table: 'everything' })
    class Everything extends Model {
      @Field.bigint({ primaryKey: true }) declare id: bigint;
      @Field.decimal({ digits: 30, scale: 10 }) declare money: string;
      @Field.timestamp() declare at: Date;
      @Field.text({ null: true }) declare text: string | null;
      @Field.bool() declare yes: boolean;
    }
    const { db } = await open(pg, {}, [Everything]);
    const zone = process.env['TZ'];
    onTestFinished(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    // Until 1901 its clocks were 8:05:43 ahead.
    process.env['TZ'] = 'Asia/Shanghai';
    expect(new Date('1900-01-01T00:00:00Z').getSeconds(), 'the time zone is in force').toBe(43);
    for (const moment of ['1900-01-01T00:00:00.001Z', '0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z']) {
      const values = {
        id: 2n ** 63n - 1n,
        money: '12345678901234567890.0123456789',
        at: new Date(moment),
        text: 'NULL',
        yes: false,
      };
      await Everything.objects(db).bulkCreate([values, { ...values, id: 1n, text: null }]);
      const row = await Everything.objects(db).get(values);
      expect(Object.fromEntries(Object.entries(row))).toEqual(values);
      expect(await Everything.objects(db).get({ id__in: [1n] })).toMatchObject({ text: null });
      await Everything.objects(db).delete({ everything: true });
    }
  });

  // ── relations ──────────────────────────────────────────────────────────────────────────────────────────────────────

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
    const { db } = await stocked(pg, { onRepeatedLoad: (load) => loads.push(load) });
    for (const book of await Book.objects(db).slice(0, 9).all()) await book.author.load();
    expect(loads, 'nine are not many').toEqual([]);
    for (const book of await Book.objects(db).all()) await book.author.load();
    for (const author of await Author.objects(db).all()) await author.books.load();
    expect(loads).toEqual([
      {
        relation: 'author',
        remedy: 'selectRelated',
        of: 100,
        at: expect.stringMatching(/rows\.test\.ts:\d+/),
      },
      { relation: 'books', remedy: 'prefetch', of: 10, at: expect.stringMatching(/rows\.test\.ts:\d+/) },
    ]);
  });

  test('prefetch goes through relations to many, a query each, and knows the way back', async () => {
    const { db, during } = await stocked(pg);
    const queries = await during(async () => {
      const [penguin, reclam] = await Publisher.objects(db).prefetch('authors', 'authors__books').orderBy('id').all();
      expect([penguin?.authors.items.length, reclam?.authors.items.length]).toEqual([5, 0]);
      for (const author of penguin?.authors.items ?? []) {
        expect(author.publisher?.value).toBe(penguin);
        expect(author.books.items.length).toBe(10);
        for (const book of author.books.items) expect(book.author.value).toBe(author);
      }
    });
    expect(queries).toBe(3);
    expect((await Author.objects(db).prefetch('publisher').orderBy('id').all())[1]?.publisher).toBeNull();
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
    expect(await Book.objects(db).filter({ author: 2 }).count(), 'nothing went').toBe(10);
    expect(await Book.objects(db).filter({ author__name: 'Author 3' }).delete(), 'through a relation').toBe(10);
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
      expect((await Team.objects(db).prefetch('captain').all()).length, 'who is not there yet').toBe(1);
      await Player.objects(db).create({ id: 7, team: 1 });
    });
    await (await Team.objects(db).get({ id: 1 })).delete();
    expect(await Player.objects(db).count()).toBe(0);
  });

  // ── saving ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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
    await Promise.all(Array.from({ length: 20 }, () => one.update({ stock: F('stock').plus(1) })));
    expect((await Book.objects(db).get({ id: 1 })).stock).toBe(20);
    expect(await Book.objects(db).filter({ author__name: 'Author 3' }).update({ blurb: 'x' })).toBe(10);
    const orders = Order.objects(db).filter({ quantity: 1 });
    expect(await failure(() => orders.update({ version: 7 }))).toBeInstanceOf(InvalidQueryError);
    expect(await failure(() => orders.update({}))).toBeInstanceOf(InvalidQueryError);
  });

  test('many rows go in one statement, and get their keys', async () => {
    const { db, during } = await stocked(pg);
    const rows = Array.from({ length: 9_000 }, (_, n) => ({ title: `New ${n}`, price: '1.00', author: 1 }));
    expect(await during(() => Book.objects(db).bulkCreate(rows))).toBe(1);
    const [made] = await Book.objects(db).bulkCreate([{ title: 'Last', price: '1.00', author: 1 }]);
    expect((await Book.objects(db).get({ id: made?.id ?? 0 })).title).toBe('Last');
    expect(await Book.objects(db).count()).toBe(9_101);
    expect(await during(() => Book.objects(db).bulkCreate([]))).toBe(0);
    const mixed = [{ id: 20_000, name: 'A' }, { name: 'B' }];
    expect(await failure(() => Author.objects(db).bulkCreate(mixed))).toBeInstanceOf(InvalidQueryError);
    @Entity({ table: 'ticket' })
    class Ticket extends Model {
      @Field.int({ primaryKey: true }) declare id: number;
    }
    const { db: other } = await open(pg, {}, [Ticket]);
    const tickets = await Ticket.objects(other).bulkCreate([{}, {}]);
    expect(
      tickets.map(({ id }) => id),
      'a row of nothing but its key is a row',
    ).toEqual([1, 2]);
    await tickets[0]?.save();
  });

  // ── whatever a user sends ──────────────────────────────────────────────────────────────────────────────────────────

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
      for (const lookup of ['exact', 'contains', 'icontains', 'startswith', 'endswith']) {
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
      expect(await ids(Book.objects(db).filter(Q.or({ title }, { blurb: text })))).toEqual([book.id]);
      expect(await Author.objects(db).filter({ books__title: title }).count()).toBe(1);
      await Book.objects(db)
        .filter({ title })
        .update({ blurb: `${text}!` });
      book.blurb = `${text}?`;
      await book.save();
      expect((await book.refresh()).blurb).toBe(`${text}?`);
      expect((await db.sql`SELECT count(*) FROM book WHERE title = ${title}`)[0]).toEqual([1n]);
      await Book.objects(db).filter({ id: book.id }).delete();
    }
    expect(await Book.objects(db).count(), 'the hundred that were there').toBe(100);
    expect(await Book.objects(db).filter({ stock: 666 }).count()).toBe(0);
    const leaked = sent.filter(({ sql }) => HOSTILE.some((text) => text.length > 4 && sql.includes(text)));
    expect(leaked, 'no statement has a value in its text').toEqual([]);
  });

  test('a hostile name is refused before anything is sent, wherever a name goes', async () => {
    const { db, sent } = await stocked(pg);
    sent.length = 0;
    const odd = [
      'title"',
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
      const calls: (() => unknown)[] = [
        () => books.filterDynamic(Object.fromEntries([[name, 'x']])).all(),
        () => books.filterDynamic({ [`title__${name || 'x'}`]: 'x' }).all(),
        () => books.filterDynamic({ [`author__${name || 'x'}`]: 'x' }).all(),
        () => books.filterDynamic(JSON.parse(`{${JSON.stringify(name)}: "x"}`)).all(),
        () => books.orderDynamic(name).all(),
        () => books.orderDynamic(`-${name}`).all(),
        () => books.selectRelated(any).all(),
        () => books.filter({ id: 1 }).update(Object.fromEntries([[name, 'x']])),
        () => books.filter({ id: 1 }).update({ stock: F<never>(any).plus(1) }),
        () => Book.of(Object.fromEntries([[name, 'x']])),
      ];
      for (const call of calls) {
        expect(await failure(call), `${JSON.stringify(name)}: ${call}`).toBeInstanceOf(InvalidQueryError);
        expect(sent, `${JSON.stringify(name)}: ${call}`).toEqual([]);
      }
      expect(await failure(() => books.slice(0, 1).prefetch(any).all())).toBeInstanceOf(InvalidQueryError);
      sent.length = 0;
    }
  });

  test('a hostile object or number is refused', async () => {
    const { db } = await stocked(pg);
    const books = Book.objects(db);
    for (const which of [
      { title: { gt: '' } },
      { title: ['a'] },
      { title: { toString: () => 'x', toPostgres: () => 'x' } },
      { id: '1 OR 1=1' },
      { id__in: '1' },
      { id__in: [[1]] },
      { author: { id: 1 } },
      { title: 'a\0b' },
      { title__contains: '\ud800' },
      { title__contains: ['a'] },
      { stock: F('id').plus(1) },
      { stock__contains: '1' },
    ])
      expect(await failure(() => books.filterDynamic(which).all())).toBeInstanceOf(InvalidQueryError);
    const drop = F('stock').plus('1); DROP TABLE book; --' as never);
    expect(await failure(() => books.filter({ id: 1 }).update({ stock: drop }))).toBeInstanceOf(InvalidQueryError);
    const order = { toString: () => 'id; --' } as never;
    expect(await failure(() => books.orderDynamic(order).all())).toBeInstanceOf(InvalidQueryError);
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
