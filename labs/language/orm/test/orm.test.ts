// Laws that need no server: what an entity is, what is refused, what a query asks for.
import { expect, test } from 'vitest';
import {
  createTableSql,
  Database,
  DefinitionError,
  Entity,
  type EntityClass,
  Field,
  InvalidQueryError,
  Model,
  Q,
  Ref,
  UnknownFieldError,
  ValidationError,
} from '#lab';
import { Author, Book, Dated, Order } from './bookshop.ts';
import { failure } from './shop.ts';

/** Nobody listens there: what sends nothing doesn't notice. */
const db = new Database({ connectionString: 'postgres://127.0.0.1:1/nowhere', waitMs: 1_000 });

// ── metadata ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('an entity has its table, its columns and its key from its class', () => {
  expect(Book.meta.table).toBe('book');
  expect(Order.meta.table).toBe('order');
  expect(Book.meta.pk.name).toBe('id');
  expect(Book.meta.columns.map(({ name, column, type }) => `${name}: ${column} ${type.sql}`)).toEqual([
    'id: id integer',
    'title: title character varying(50)',
    'price: price numeric(8,2)',
    'stock: stock integer',
    'blurb: blurb text',
    'author: author_id integer',
  ]);
});

test('inherited fields are collected, and never reach a sibling through the base', () => {
  @Entity()
  class Poet extends Dated {
    @Field.text() declare verse: string;
  }
  @Entity()
  class Painter extends Dated {
    @Field.text() declare colour: string;
  }
  expect([...Poet.meta.fields.keys()]).toEqual(['id', 'createdAt', 'verse']);
  expect([...Painter.meta.fields.keys()]).toEqual(['id', 'createdAt', 'colour']);
  expect(() => Dated.meta, 'a base without @Entity() has no table').toThrow(DefinitionError);
});

test('a bare field has the column that follows from its type', () => {
  @Entity()
  class Guess extends Model {
    @Field.uuid({ primaryKey: true }) declare id: string;
    @Field() declare words: string;
    @Field() declare share: number;
    @Field() declare big: bigint;
    @Field() declare yes: boolean;
    @Field() declare lastSeen: Date;
  }
  expect(Guess.meta.columns.map(({ column, type }) => `${column} ${type.sql}`)).toEqual([
    'id uuid',
    'words text',
    'share double precision',
    'big bigint',
    'yes boolean',
    'last_seen timestamp(3) with time zone',
  ]);
});

test('a field without declare is refused, since it would hide what the row holds', () => {
  @Entity()
  class Hidden extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.text() title = '';
  }
  expect(() => Hidden.meta).toThrow(DefinitionError);
  expect(() => Hidden.meta).toThrow(/declare title/);
});

test('a class that no table can be made from is refused with the reason', () => {
  class Bare extends Model {}
  @Entity()
  class Keyless extends Model {
    @Field.int() declare n: number;
  }
  @Entity()
  class TwoKeys extends Model {
    @Field.int({ primaryKey: true }) declare a: number;
    @Field.int({ primaryKey: true }) declare b: number;
  }
  @Entity()
  class OneColumn extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.int({ column: 'n' }) declare a: number;
    @Field.int({ column: 'n' }) declare b: number;
  }
  @Entity()
  class Step extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.int() declare a__b: number;
  }
  @Entity({ table: 'x'.repeat(64) })
  class Long extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
  }
  @Entity()
  class Moment extends Model {
    @Field.timestamp({ primaryKey: true }) declare at: Date;
  }
  const cases: [EntityClass, RegExp][] = [
    [Moment, /its key at is timestamp/],
    [Bare, /@Entity\(\)/],
    [Keyless, /primaryKey/],
    [TwoKeys, /both a and b/],
    [OneColumn, /column n/],
    [Step, /"__"/],
    [Long, /63 bytes/],
  ];
  for (const [entity, reason] of cases) {
    expect(() => entity.meta, entity.name).toThrow(DefinitionError);
    expect(() => entity.meta, entity.name).toThrow(reason);
  }
  const untyped: (() => unknown)[] = [
    () => {
      class Union {
        @Field() declare a: string | number;
      }
      return Union;
    },
    () => {
      class Liar {
        @Reflect.metadata('design:type', String) declare a: number;
      }
      Field.int()(Liar.prototype, 'a');
    },
    () => {
      class Injected {
        @Field.char({ max: '1); DROP TABLE book; --' as never }) declare a: string;
      }
      return Injected;
    },
    () => {
      class Negative {
        @Field.decimal({ digits: 4, scale: -1 }) declare a: string;
      }
      return Negative;
    },
  ];
  for (const define of untyped) expect(define).toThrow(DefinitionError);
});

test('the statements that create a table quote every name', () => {
  @Entity({ table: 'a"b' })
  class Odd extends Model {
    @Field.int({ primaryKey: true, column: 'select' }) declare id: number;
    @Field.char({ max: 3, null: true, unique: true }) declare group: string | null;
  }
  const sql = createTableSql(Odd);
  expect(sql).toContain('CREATE TABLE "a""b" (');
  expect(sql).toContain('"select" integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY');
  expect(sql).toContain('"group" character varying(3)\n');
  expect(sql).toContain('UNIQUE ("group")');
  expect(createTableSql(Book)).toContain('REFERENCES "author" ("id") ON DELETE CASCADE');
});

// ── validation ────────────────────────────────────────────────────────────────────────────────────────────────────

test('validation reports all that is wrong at once, before anything is sent', async () => {
  const bad = { title: 'x'.repeat(51), price: '-1.00', stock: 1.5, blurb: 'Sold out!' };
  const error = await failure(() => Book.objects(db).create(bad));
  expect(error).toBeInstanceOf(ValidationError);
  expect(error instanceof ValidationError && error.issues).toEqual([
    { field: 'title', message: 'is 51 characters long; at most 50' },
    { field: 'price', message: 'must not be negative' },
    { field: 'stock', message: 'must be a whole number within ±2147483647; it is 1.5' },
    { field: 'author', message: 'is required' },
    { field: 'stock', message: 'is not 0, and the blurb says sold out' },
  ]);
});

test('a list is validated to its end, row by row, before the first is sent', async () => {
  const good = { title: 'x', price: '1.00', author: 1 };
  const error = await failure(() =>
    Book.objects(db).bulkCreate([good, { ...good, title: '\0' }, good, { price: '1.00', author: 1 }]),
  );
  expect(error instanceof ValidationError && error.issues.map(({ row, field }) => [row, field])).toEqual([
    [1, 'title'],
    [3, 'title'],
  ]);
});

test('each type of column refuses what it cannot hold', () => {
  @Entity()
  class Every extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.bigint() declare big: bigint;
    @Field.float() declare float: number;
    @Field.decimal({ digits: 4, scale: 2 }) declare money: string;
    @Field.bool() declare bool: boolean;
    @Field.timestamp() declare at: Date;
    @Field.uuid() declare uuid: string;
    @Field.json<unknown>() declare json: unknown;
    @Field.char({ max: 2, choices: ['a', 'b'] }) declare choice: 'a' | 'b';
    @Field.bytes() declare bytes: Buffer;
  }
  const bad: Record<string, readonly unknown[]> = {
    id: ['1', Number.NaN, 2 ** 31, 0.1, null],
    big: [1, 2n ** 63n],
    float: [Number.POSITIVE_INFINITY, '1'],
    money: [1, '1.234', '123.45', '1e2', ' 1', '١'],
    bool: [0, 'true'],
    at: ['2020-01-01', new Date(Number.NaN)],
    uuid: ['x', 7],
    json: [() => 1, 1n, { key: 'a\0b' }, { key: '\ud83d' }, [Number.NaN]],
    choice: ['c', 'a\0', '\ud83d'],
    bytes: ['x'],
  };
  const faults = Object.entries(bad).flatMap(([name, values]) =>
    values.map((value) => [name, value, Every.meta.column(name).fault(value)]),
  );
  expect(faults.filter(([, , fault]) => fault === undefined)).toEqual([]);
  const good = {
    id: -1,
    big: 2n ** 63n - 1n,
    float: 1e300,
    money: '-12.5',
    bool: false,
    at: new Date(0),
    json: { a: '\\u0000' },
    choice: 'b',
  };
  for (const [name, value] of Object.entries(good)) expect(Every.meta.column(name).fault(value), name).toBeUndefined();
});

test('a new object has the defaults, each a value of its own', () => {
  const [one, two] = [Author.of({ name: 'A' }), Author.of({ name: 'B' })];
  expect(one).toMatchObject({ name: 'A', born: null, publisher: null });
  expect(one.createdAt).toBeInstanceOf(Date);
  expect(one.createdAt).not.toBe(two.createdAt);
  expect(Order.of({})).toMatchObject({ quantity: 1, state: 'open', version: 1 });
  @Entity()
  class Tagged extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    @Field.json<string[]>({ default: [] }) declare tags: string[];
    @Field.bytes({ default: Buffer.from('a') }) declare bytes: Buffer;
  }
  Tagged.of({}).tags.push('only here');
  expect(Tagged.of({})).toEqual(Object.assign(new Tagged(), { tags: [], bytes: Buffer.from('a') }));
});

// ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('building a query sends nothing, and each step leaves the one before as it was', () => {
  const all = Book.objects(db);
  const before = all.toSql();
  const cheap = all.filter({ price__lt: '5.00' });
  const steps = [
    cheap.filter({ stock__gt: 0 }),
    cheap.exclude({ title: 'x' }),
    cheap.orderBy('-price'),
    cheap.slice(0, 3),
    cheap.values('title'),
    cheap.selectRelated('author'),
    cheap.distinct(),
    cheap.forUpdate(),
  ].map((step) => step.toSql().sql);
  expect(new Set([cheap.toSql().sql, ...steps]).size, 'each step is another query').toBe(9);
  expect(all.toSql()).toEqual(before);
  expect(cheap.toSql().params).toEqual(['5.00']);
  expect(db.stats.total).toBe(0);
});

test('every step keeps what the others asked for', () => {
  const { sql, params } = Book.objects(db)
    .slice(5, 9)
    .orderBy('-price', 'author__name')
    .selectRelated('author')
    .toSql();
  expect(sql).toMatch(/JOIN "author".*ORDER BY t0."price" DESC, t1."name" LIMIT \$1 OFFSET \$2$/);
  expect(params).toEqual([4, 5]);
});

test('a query is not thenable: returned from an async function it stays a query', async () => {
  const query = await (async () => Book.objects(db))();
  expect(query.toSql().sql).toContain('SELECT');
  expect('then' in query).toBe(false);
});

test('an undefined is refused everywhere', async () => {
  const books = Book.objects(db);
  const forgotten: { title?: string } = {};
  const title = forgotten.title as string;
  const calls: (() => unknown)[] = [
    () => books.filter({ title }).all(),
    () => books.exclude({ title }).all(),
    () => books.filter({ author__name: title }).all(),
    () => books.filter({ reviews__reader: title }).all(),
    () => books.filter(Q.or({ title }, { stock: 1 })).all(),
    () => books.filter({ title__in: [title] }).all(),
    () => books.filter({ price__range: ['1', title] }).all(),
    () => books.filter({ author: Ref.key(Author, Number(title) || (undefined as never)) }).all(),
    () => books.get({ title }),
    () => books.filter({ title }).delete(),
    () => books.filter({ title }).update({ stock: 0 }),
    () => books.filter({ id: 1 }).update({ title }),
    () => books.create({ title }),
    () => books.filter(undefined as never).all(),
  ];
  for (const call of calls) expect(await failure(call), String(call)).toBeInstanceOf(InvalidQueryError);
});

test('an unknown name lists the choices', async () => {
  const books = Book.objects(db);
  const names: [() => unknown, RegExp][] = [
    [() => books.filterDynamic({ titel: 'x' }).all(), /Book has no "titel".*title, price/],
    [() => books.filterDynamic({ author__nam: 'x' }).all(), /author__nam has no "nam"|Author has no "nam"/],
    [() => books.filterDynamic({ title__like: 'x' }).all(), /"like".*contains/],
    [() => books.orderDynamic('-titel').all(), /titel/],
    [() => books.filter({ id: 1 }).update({ titel: 1 } as never), /titel/],
    [() => Book.of({ titel: 1 } as never), /titel/],
  ];
  for (const [call, message] of names) {
    const error = await failure(call);
    expect(error).toBeInstanceOf(UnknownFieldError);
    expect(String(error)).toMatch(message);
  }
});

test('a slice counts from the start, and is not filtered, changed or deleted', async () => {
  const books = Book.objects(db);
  const slice = books.filter({ stock: 1 }).slice(2, 5);
  const calls: (() => unknown)[] = [
    () => books.slice(-1),
    () => books.slice(3, 2),
    () => books.slice(0.5),
    () => books.slice(Number.NaN),
    () => slice.filter({ stock: 1 }),
    () => slice.exclude({ stock: 1 }),
    () => slice.delete(),
    () => slice.update({ stock: 1 }),
  ];
  for (const call of calls) expect(await failure(call), String(call)).toBeInstanceOf(InvalidQueryError);
  expect(books.slice(10, 20).slice(2, 50).toSql().params, 'a slice of a slice stays inside').toEqual([8, 12]);
});

test('null asks for NULL, and nothing compares to it', async () => {
  const books = Book.objects(db);
  expect(books.filter({ blurb: null }).toSql()).toMatchObject({
    sql: expect.stringMatching(/"blurb" IS NULL$/),
    params: [],
  });
  expect(books.filter({ blurb__isnull: false }).toSql().sql).toMatch(/"blurb" IS NOT NULL$/);
  for (const conditions of [
    { stock__gt: null },
    { stock__in: [1, null] },
    { blurb__contains: null },
    { blurb__isnull: 1 },
    { reviews: null },
  ]) {
    expect(await failure(() => books.filterDynamic(conditions).all())).toBeInstanceOf(InvalidQueryError);
  }
});

test('an object of another entity is no key', async () => {
  const other = Object.assign(Order.of({}), { id: 7 });
  const calls: (() => unknown)[] = [
    () => Book.objects(db).filterDynamic({ author: other }).all(),
    () =>
      Book.objects(db)
        .filterDynamic({ author: Ref.to(other) })
        .all(),
    () => Book.objects(db).filterDynamic({ reviews: other }).all(),
    () => Book.of({ title: 'x', price: '1.00', author: other as never }).save({ db }),
  ];
  for (const call of calls) {
    const error = await failure(call);
    expect(error instanceof InvalidQueryError || error instanceof ValidationError, String(call)).toBe(true);
  }
  const author = Object.assign(Author.of({ name: 'A' }), { id: 7 });
  expect(Book.objects(db).filter({ author }).toSql().params).toEqual([7]);
});

test('an update or a delete of everything has to be said', async () => {
  const calls: (() => unknown)[] = [
    () => Book.objects(db).delete(),
    () => Book.objects(db).update({ stock: 0 }),
    () => Book.objects(db).orderBy('title').delete(),
    () => Book.objects(db).filter({}).delete(),
    () => Book.objects(db).exclude({ id__in: [] }).update({ stock: 0 }),
    () =>
      Book.objects(db)
        .filter(Q.or({}, { stock: 1 }))
        .delete(),
  ];
  for (const call of calls) expect(await failure(call), String(call)).toBeInstanceOf(InvalidQueryError);
});
