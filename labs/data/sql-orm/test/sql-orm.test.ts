import assert from 'node:assert';
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { describeWith, History, outcome } from '@shared/testkit';
import fc from 'fast-check';
import { type Expression, type Kysely, sql } from 'kysely';
import { afterAll, expect, expectTypeOf, test } from 'vitest';
import * as lab from '#lab';
import { lines, type OrderRow, orderBook } from './shop.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
type Db = Record<string, OrderRow>;
const { events, Session } = lab;

await describeWith('sql-orm', { postgres: () => startPostgres() }, ({ postgres }) => {
  const sent: string[] = [];
  const log = ({ query }: { query: { sql: string } }) => void sent.push(query.sql);
  const db: Kysely<Db> = lab.openPostgres<Db>({ connectionString: postgres.url, max: 10 }, { log });
  afterAll(() => db.destroy());

  let books = 0;
  /** An order book of the test's own, with some rows. */
  const open = async (...rows: (Partial<OrderRow> & { id: string })[]) => {
    const table = `orders_${++books}`;
    const { Order, GiftOrder, create } = orderBook(table);
    await create.execute(db);
    for (const row of rows) await db.insertInto(table).values(row_(row)).execute();
    const session = () => new Session(db);
    const stored = (columns: readonly (keyof OrderRow)[] = ['id', 'unit_cents']) =>
      db.selectFrom(table).select(columns).orderBy('id').execute();
    return { table, Order, GiftOrder, session, stored };
  };
  const row_ = (row: Partial<OrderRow>): OrderRow => ({ ...EMPTY, ...row });
  const EMPTY: OrderRow = {
    id: '',
    version: 1,
    customer: null,
    quantity: 1n,
    unit_cents: 100n,
    percent_off: null,
    express: null,
    paid: false,
    placed_at: null,
  };
  /** What is sent to the server meanwhile, by its first word. */
  const statements = async (work: () => Promise<unknown>) => {
    sent.length = 0;
    await work();
    return sent.map((text) => text.split(/\s/)[0]?.toLowerCase()).join(' ');
  };

  // ── one definition, two languages ─────────────────────────────────────────────────────────────────────────────────

  const { Order: Book } = orderBook('book');
  /** Random rows, made a table by one query: what SQL answers must be what JavaScript answers. */
  const agree = async (rows: fc.Arbitrary<Partial<OrderRow>>, answers: Record<string, Answer>, runs = 6) => {
    const list = fc.array(rows, { minLength: 60, maxLength: 150 });
    const { failed, errorInstance } = await fc.check(
      fc.asyncProperty(list, async (some) => {
        const all = some.map((row, n) => row_({ ...row, id: String(n).padStart(4, '0') }));
        const json = JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? String(value) : value));
        const table = sql`json_to_recordset(${json}::json) AS book(id text, version int, customer text, quantity int8,
          unit_cents int8, percent_off int8, express boolean, paid boolean, placed_at timestamptz)`;
        const asked = Object.entries(answers).map(([name, answer]) => sql`${answer} AS ${sql.id(name)}`);
        const query = sql<object>`SELECT ${sql.join(asked)} FROM ${table} ORDER BY id`;
        const inSql = (await query.execute(db)).rows;
        const inJs = all.map((row) =>
          Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, answer.of(row)])),
        );
        const at = inSql.findIndex((row, n) => !Object.entries(row).every(([name, it]) => inJs[n]?.[name] === it));
        const print = (it: unknown) => JSON.stringify(it, (_, v) => (typeof v === 'bigint' ? `${v}n` : v));
        if (at >= 0) expect.fail(`row ${print(all[at])}\nSQL says  ${print(inSql[at])}\nJavaScript ${print(inJs[at])}`);
      }),
      { seed: SEED, numRuns: runs, endOnFailure: true },
    );
    if (failed) throw errorInstance;
  };
  type Answer = Expression<unknown> & { of(row: OrderRow): unknown };
  const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: null, freq: 4 });
  const flag = maybe(fc.boolean());

  test('NULL makes NULL, and what is unknown decides nothing: JavaScript and SQL give one answer', async () => {
    const some = fc.record({
      quantity: maybe(fc.bigInt(-300n, 300n)),
      unit_cents: fc.bigInt(-20_000n, 20_000n),
      percent_off: maybe(fc.constantFrom(0n, 10n, 50n, 100n)),
      express: flag,
      paid: flag,
    });
    // In steps of ten cents a discount of ten percent has nothing to round.
    const even = some.map((row) => ({ ...row, unit_cents: row.unit_cents * 10n }));
    await agree(even, { total: Book.total, big: Book.big, urgent: Book.urgent, price: Book.price, never: Book.never });
  });

  test('money is rounded half away from zero, to the last cent of int8, in JavaScript as in SQL', async () => {
    const cents = fc.oneof(fc.bigInt(-500n, 500n), fc.bigInt(-90_000_000_000_000_000n, 90_000_000_000_000_000n));
    const some = fc.record({ unit_cents: cents, percent_off: fc.bigInt(0n, 100n) });
    await agree(some, { total: Book.total }, 10);
  });

  test('an instant has one calendar day in a named zone, in JavaScript as in SQL', async () => {
    const zones = ['UTC', 'Asia/Shanghai', 'America/New_York', 'Europe/Berlin', 'Asia/Kathmandu', 'Pacific/Apia'];
    const [min, max] = [new Date('1980-01-01T00:00Z'), new Date('2025-01-01T00:00Z')];
    const instant = maybe(fc.date({ min, max, noInvalidDate: true }));
    const days = Object.fromEntries(zones.map((zone) => [zone, Book.placedOn(zone)]));
    await agree(fc.record({ placed_at: instant }), days);
    for (const zone of ['+02:00', 'CEST', 'Mars/Olympus', '']) {
      expect(() => Book.placedOn(zone).of(EMPTY), `in JavaScript, the zone '${zone}'`).toThrow(
        lab.InvalidArgumentError,
      );
      expect(() => db.selectFrom('book').select(Book.placedOn(zone).as('day')).compile(), `in SQL, '${zone}'`).toThrow(
        lab.InvalidArgumentError,
      );
    }
  });

  test('text is counted in characters, in JavaScript as in SQL', async () => {
    const letters = fc.constantFrom('a', 'é', '\u0301', 'ß', '李', '👩', '\u200d', '🚀');
    const customer = maybe(fc.array(letters, { maxLength: 6 }).map((all) => all.join('')));
    await agree(fc.record({ customer }), { length: Book.nameLength }, 3);
  });

  test('where, orderBy and select take a hybrid, in whatever query its table stands', async () => {
    const { Order, session, table } = await open(
      { id: 'a', unit_cents: 5_000n, quantity: 3n },
      { id: 'b', unit_cents: 20_000n },
      { id: 'c', quantity: null },
    );
    const query = db.selectFrom(table).select(Order.total.as('total')).where(Order.total, '>=', 10_000n);
    const rows = await query.orderBy(Order.total, 'desc').execute();
    expectTypeOf(rows).toEqualTypeOf<{ total: bigint | null }[]>();
    expect(rows).toEqual([{ total: 20_000n }, { total: 15_000n }]);
    const twins = db.selectFrom(`${table} as x`).innerJoin(`${table} as y`, 'x.id', 'y.id');
    const sums = twins
      .select(sql<bigint>`${Order.total.at('x')} + ${Order.total.at('y')}`.as('both'))
      .where('x.id', '=', 'b');
    expect(await sums.execute()).toEqual([{ both: 40_000n }]);
    await using unit = session();
    const [first] = await unit.find(Order, (orders) => orders.where(Order.big, '=', true).orderBy(Order.total));
    expect([first?.id, first?.total, first?.owed, first?.price]).toEqual(['a', 15_000n, 1n, '50.00']);
    expect((await db.selectFrom(table).select(Order.owed.as('it')).where('id', '=', 'a').execute())[0]?.it).toBe(1n);
    expectTypeOf(Order.total).toEqualTypeOf<lab.BoundHybrid<OrderRow, bigint | null>>();
    expectTypeOf<InstanceType<typeof Order>['urgent']>().toEqualTypeOf<boolean | null>();
    expectTypeOf<InstanceType<typeof Order>['placedOn']>().toEqualTypeOf<(zone: string) => string | null>();
    const unitPrice = lab.hybrid<OrderRow>()((o) => lab.plus(o.unit_cents, 1n));
    expectTypeOf(unitPrice.js).returns.toEqualTypeOf<bigint>();
    // @ts-expect-error: what can be NULL in JavaScript can be NULL in SQL
    lab.hybrid<OrderRow>()({ js: (o) => o.unit_cents, sql: (o) => o.percent_off });
    // @ts-expect-error: JavaScript's own operators can't be written as SQL
    lab.hybrid<OrderRow>()((o) => o.unit_cents + 1n);
  });

  test('what Postgres refuses to compute, JavaScript refuses too', async () => {
    const max = 2n ** 63n - 1n;
    const bad: [Answer, Partial<OrderRow>, string][] = [
      [Book.total, { unit_cents: max, quantity: 2n }, '22003'],
      [Book.ratio, { unit_cents: 1n, quantity: 0n }, '22012'],
    ];
    for (const [answer, row, code] of bad) {
      expect(() => answer.of(row_(row))).toThrow(lab.OutOfRangeError);
      const table = sql`(SELECT ${row.unit_cents}::int8, ${row.quantity}::int8, 50::int8)`;
      const asked = sql`SELECT ${answer} FROM ${table} AS book(unit_cents, quantity, percent_off)`.execute(db);
      expect((await outcome(asked)).error).toMatchObject({ code });
    }
    // @ts-expect-error: a row that lacks a column
    expect(() => Book.total.of({ unit_cents: 1n })).toThrow(lab.InvalidArgumentError);
  });
  test('what is set through a hybrid is set in its columns, one by one and in bulk', async () => {
    const { Order, session, stored } = await open({ id: 'a' }, { id: 'b', unit_cents: 500n });
    await using unit = session();
    const order = await unit.get(Order, 'a');
    if (order) order.price = '-0.05';
    expect([order?.unit_cents, order?.price]).toEqual([-5n, '-0.05']);
    await unit.bulkUpdate(Order, { price: '9.99' }, (eb) => eb('unit_cents', '=', 500n));
    await unit.commit();
    expect(await stored()).toEqual([
      { id: 'a', unit_cents: -5n },
      { id: 'b', unit_cents: 999n },
    ]);
    const fixed = () => {
      // @ts-expect-error: total has no set
      new Order({ id: 'c' }).total = 1n;
    };
    expect(fixed).toThrow(TypeError);
  });

  // ── session ───────────────────────────────────────────────────────────────────────────────────────────────────────

  test('the same row is the same object, in one session and in no other', async () => {
    const { Order, session } = await open({ id: 'a' });
    await using one = session();
    await using other = session();
    const [found] = await one.find(Order, (orders) => orders.where('id', '=', 'a'));
    expect((await one.get(Order, 'a')) === found, 'found, then got: one object').toBe(true);
    expect(await one.find(Order, (orders) => orders)).toEqual([found]);
    if (found) found.unit_cents = 7n;
    const [again] = await one.find(Order, (orders) => orders);
    expect(again?.unit_cents, 'a query does not undo what has been set').toBe(7n);
    const theirs = await other.get(Order, 'a');
    expect(theirs === found, 'an object of another session').toBe(false);
    expect(theirs?.unit_cents, 'nobody sees what is not committed').toBe(100n);
    const added = new Order({ id: 'b', unit_cents: 1n });
    one.add(added);
    await one.flush();
    expect(await one.get(Order, 'b')).toBe(added);
  });

  test('a flush writes what has changed, and nothing else, in one statement for each kind of change', async () => {
    const many = Array.from({ length: 50 }, (_, n) => ({ id: `n${n}`, customer: 'Ann', paid: false }));
    const { Order, session, stored } = await open(...many, { id: 'x' }, { id: 'y' });
    await using unit = session();
    const orders = await unit.find(Order, (all) => all.orderBy('id'));
    for (const order of orders) order.customer = order.id.startsWith('n') ? 'Bob' : order.customer;
    const [x, y] = orders.slice(-2);
    if (x) x.unit_cents += 1n;
    if (x) x.unit_cents -= 1n;
    if (y) unit.delete(y);
    unit.add(new Order({ id: 'z', unit_cents: 1n }));
    unit.add(new Order({ id: 'w', unit_cents: 2n }));
    expect(unit.dirty()).toHaveLength(53);
    expect(await statements(() => unit.flush()), 'what is as it was is not written').toBe('insert update delete');
    expect(
      sent.find((text) => /update/i.test(text)),
      'only the column that changed',
    ).not.toContain('unit_cents" =');
    expect(unit.dirty()).toEqual([]);
    expect(await statements(() => unit.flush())).toBe('');
    await unit.commit();
    expect((await stored(['customer'])).filter(({ customer }) => customer === 'Bob')).toHaveLength(50);
    expect((await stored()).slice(-3).map(({ id }) => id)).toEqual(['w', 'x', 'z']);
  });

  test('a read looks at what was touched, and at nothing else', async () => {
    const { Order, session, stored } = await open(...Array.from({ length: 30 }, (_, n) => ({ id: `n${n}` })));
    let looks = 0;
    class Counted extends Session<Db> {
      protected override changes(...of: Parameters<lab.Session['changes']>) {
        looks++;
        return super.changes(...of);
      }
    }
    await using unit = new Counted(db);
    for (let n = 0; n < 30; n++) await unit.get(Order, `n${n}`);
    await unit.find(Order, (orders) => orders);
    expect(looks, 'nothing was touched').toBe(0);
    const order = await unit.get(Order, 'n1');
    if (order) order.unit_cents += 0n;
    await unit.find(Order, (orders) => orders);
    const once = looks;
    expect(once).toBeGreaterThan(0);
    await unit.find(Order, (orders) => orders);
    expect(looks, 'what is as it was is looked at once').toBe(once);
    if (order) order.unit_cents = 7n;
    expect(await unit.find(Order, (orders) => orders.where('unit_cents', '=', 7n))).toEqual([order]);
    await unit.commit();
    expect((await stored()).filter(({ unit_cents }) => unit_cents === 7n)).toHaveLength(1);
    await expect(unit.get(Order, 'n1'), 'it has ended').rejects.toThrow(lab.SessionStateError);
    await using other = session();
    // @ts-expect-error: a key of another type
    await expect(other.get(Order, {}), 'no key').rejects.toThrow(lab.InvalidArgumentError);
  });

  test('a timestamp without a zone is no instant: it is refused, not read in the zone of the machine', async () => {
    const { Order, session, table, stored } = await open({ id: 'a', placed_at: new Date(0) });
    await sql`ALTER TABLE ${sql.table(table)} ALTER placed_at TYPE timestamp`.execute(db);
    await using reader = session();
    await expect(reader.get(Order, 'a')).rejects.toThrow(lab.InvalidArgumentError);
    await using writer = session();
    writer.add(new Order({ id: 'b', unit_cents: 1n, placed_at: new Date(0) }));
    await expect(writer.commit()).rejects.toThrow('an instant is a timestamptz');
    await writer.rollback();
    expect(await stored()).toHaveLength(1);
  });

  test('row events come before the first statement and after the last, in order; before may change the row, after may not', async () => {
    const { Order, session, stored } = await open({ id: 'a' }, { id: 'b' }, { id: 'c' });
    const heard: string[] = [];
    const names = [
      'beforeInsert',
      'beforeUpdate',
      'beforeDelete',
      'afterInsert',
      'afterUpdate',
      'afterDelete',
    ] as const;
    for (const name of names) {
      events.on(Order, name, ({ entity }) => void heard.push(`${name} ${entity.id} after ${sent.length}`));
    }
    events.on(Order, 'beforeFlush', ({ entities }) => void heard.push(`beforeFlush ${entities.map((it) => it.id)}`));
    events.on(Order, 'beforeUpdate', ({ entity }) => {
      entity.unit_cents = entity.id === 'b' ? 100n : entity.unit_cents * 2n;
    });
    const frozen = { code: 'none', error: new Error('never told') as unknown };
    events.on(Order, 'afterUpdate', ({ entity, changes }) => {
      heard.push(changes.map(({ column, from, to }) => `${column} ${from} → ${to}`).join());
      frozen.error = caught(() => Object.assign(entity, { unit_cents: 1n }));
    });
    await using unit = session();
    const [a, b, c] = await unit.find(Order, (orders) => orders.orderBy('id'));
    if (a) a.unit_cents = 300n;
    if (b) b.unit_cents = 999n;
    if (c) unit.delete(c);
    unit.add(new Order({ id: 'd', unit_cents: 5n }));
    sent.length = 0;
    await unit.commit();
    const history = heard.join('\n');
    expect(heard, history).toEqual([
      'beforeFlush a,b,c,d',
      'beforeUpdate a after 0',
      'beforeUpdate b after 0',
      'beforeDelete c after 0',
      'beforeInsert d after 0',
      'afterUpdate a after 3',
      'unit_cents 100 → 600',
      'afterDelete c after 3',
      'afterInsert d after 3',
    ]);
    expect(frozen.error, 'a row that has been written').toBeInstanceOf(lab.SessionStateError);
    expect(await stored()).toEqual([
      { id: 'a', unit_cents: 600n },
      { id: 'b', unit_cents: 100n },
      { id: 'd', unit_cents: 5n },
    ]);
  });
  const caught = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      return error;
    }
  };

  test('a row that somebody else has changed since is a conflict, and nothing is overwritten', async () => {
    const { Order, session, stored } = await open({ id: 'a' }, { id: 'b' });
    await using mine = session();
    await using theirs = session();
    const [order, sibling] = await mine.find(Order, (orders) => orders.orderBy('id'));
    const same = await theirs.get(Order, 'a');
    if (same) same.unit_cents = 1n;
    await theirs.commit();
    if (order) order.unit_cents = 2n;
    if (sibling) sibling.unit_cents = 3n;
    const { error } = await outcome(mine.commit());
    expect(error, 'what the second to save is told').toBeInstanceOf(lab.StaleError);
    expect(error).toMatchObject({ keys: ['a'] });
    await mine.rollback();
    expect(await stored(['unit_cents', 'version'])).toEqual([
      { unit_cents: 1n, version: 2 },
      { unit_cents: 100n, version: 1 },
    ]);
  });

  test('afterCommit is told once, when it is true for everybody, and never after a rollback', async () => {
    const { Order, session, stored } = await open({ id: 'a' }, { id: 'b' });
    const mails: string[] = [];
    events.on(Order, 'afterCommit', async ({ inserted, updated, deleted }) => {
      const ids = (all: readonly { id: string }[]) => all.map(({ id }) => id).join();
      const seen = (await stored()).map(({ id }) => id).join();
      mails.push(`new ${ids(inserted)}; changed ${ids(updated)}; gone ${ids(deleted)}; others see ${seen}`);
    });
    events.on(Order, 'afterRollback', async ({ entities }) => {
      const left = (await stored()).length;
      mails.push(`taken back: ${entities.map(({ id }) => id)}; ${left} left`);
    });
    const work = async (unit: lab.Session<Db>) => {
      const [a, b] = await unit.find(Order, (orders) => orders.orderBy('id'));
      unit.add(new Order({ id: 'c', unit_cents: 1n }));
      await unit.flush();
      if (a) a.unit_cents = 5n;
      if (b) unit.delete(b);
      const brief = new Order({ id: 'd', unit_cents: 1n });
      unit.add(brief);
      await unit.flush();
      unit.delete(brief);
    };
    {
      await using unit = session();
      await work(unit);
      await unit.flush();
      expect(mails, 'written, and not yet true').toEqual([]);
    }
    expect(mails.splice(0)).toEqual(['taken back: c,d,a,b; 2 left']);
    expect(await stored()).toHaveLength(2);
    await using unit = session();
    await work(unit);
    await unit.commit();
    expect(mails).toEqual(['new c; changed a; gone b; others see a,c']);
  });

  test('a bulk update is heard as such, not row by row, and whoever has read the rows finds out', async () => {
    const { Order, session } = await open({ id: 'a' }, { id: 'b' }, { id: 'c', unit_cents: 900n });
    const heard: string[] = [];
    for (const name of ['beforeUpdate', 'afterUpdate'] as const) events.on(Order, name, () => void heard.push(name));
    events.on(Order, 'bulkUpdate', ({ rows, set }) => void heard.push(`${rows} rows: ${Object.keys(set)}`));
    await using early = session();
    const read = await early.get(Order, 'b');
    await using unit = session();
    const before = await unit.get(Order, 'a');
    expect(await unit.bulkUpdate(Order, { paid: true }, (eb) => eb(Order.total, '<', 500n))).toBe(2);
    expect(heard).toEqual(['2 rows: paid']);
    const after = await unit.get(Order, 'a');
    expect([after?.paid, after?.version], 'read anew').toEqual([true, 2]);
    expect(() => Object.assign(before ?? {}, { paid: false }), 'the object of before').toThrow(lab.SessionStateError);
    await unit.commit();
    if (read) read.customer = 'Eve';
    expect((await outcome(early.commit())).error).toBeInstanceOf(lab.StaleError);
  });

  // ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Tells whoever listens, as a session does. */
  const fire = (bus: lab.Events, model: object) => {
    for (const tell of bus.telling(model, 'set')) tell({});
  };

  test('a listener hears its own model, a subclass only if it propagates, and nothing once it has gone', () => {
    const { Order, GiftOrder } = orderBook('none');
    const bus = new lab.Events();
    const heard: string[] = [];
    const on = (name: string, options?: lab.ListenOptions, model: typeof Order = Order) =>
      bus.on(model, 'set', () => void heard.push(name), options);
    const told = (model: typeof Order) => {
      fire(bus, model);
      return heard.splice(0).join();
    };
    const controller = new AbortController();
    on('plain');
    on('gift', {}, GiftOrder);
    const all = on('all', { propagate: true });
    on('once', { once: true, propagate: true });
    on('while', { signal: controller.signal });
    on('never', { signal: AbortSignal.abort() });
    expect(told(GiftOrder)).toBe('gift,all,once');
    expect(told(Order)).toBe('plain,all,while');
    controller.abort();
    all[Symbol.dispose]();
    all[Symbol.dispose]();
    expect(told(Order)).toBe('plain');
    expect(told(GiftOrder)).toBe('gift');
    const lasting = new AbortController().signal;
    for (let n = 0; n < 5; n++) on('brief', { signal: lasting })[Symbol.dispose]();
    on('once', { once: true, signal: lasting });
    expect(told(Order)).toBe('plain,once');
    expect(getEventListeners(lasting, 'abort'), 'listeners left on a signal that lives on').toEqual([]);
  });

  test('listeners may come and go while others are told', () => {
    const { Order } = orderBook('none');
    const bus = new lab.Events();
    const heard: string[] = [];
    const on = (name: string, then = () => {}) =>
      bus.on(Order, 'set', () => {
        heard.push(name);
        then();
      });
    const first = on('first', () => first[Symbol.dispose]());
    on('second', () => third[Symbol.dispose]());
    const third = on('third');
    on('fourth', () => on('late'));
    fire(bus, Order);
    expect(heard.join()).toBe('first,second,fourth');
  });

  test('a set is told of the old value, and may be replaced or refused', () => {
    const { Order } = orderBook('none');
    const order = new Order({ customer: 'Ann' });
    events.on(Order, 'set', ({ column, value, old }) => {
      if (column === 'customer' && value === '') throw new RangeError(`${old} needs a name`);
      return typeof value === 'string' ? value.trim() : undefined;
    });
    events.on(Order, 'set', ({ value }) => (typeof value === 'string' ? `${value}!` : undefined));
    order.customer = ' Bob ';
    expect(order.customer, 'one after the other').toBe('Bob!');
    expect(() => Object.assign(order, { customer: '' })).toThrow('Bob! needs a name');
    expect(order.customer).toBe('Bob!');
    // @ts-expect-error: a set can't wait
    const late = events.on(Order, 'set', () => Promise.reject(new RangeError('too late')));
    expect(() => Object.assign(order, { customer: 'Eve' }), 'async').toThrow('set is async');
    late[Symbol.dispose]();
    events.on(Order, 'set', () => 7);
    expect(() => Object.assign(order, { customer: 'Eve' })).toThrow(lab.InvalidArgumentError);
  });

  test('what a before listener adds or changes is told and written too; one that throws stops all of it', async () => {
    const { Order, session, table, stored } = await open({ id: 'a' }, { id: 'b' });
    const { Line, create } = lines(`${table}_lines`, table);
    await create.execute(db);
    const heard: string[] = [];
    events.on(Line, 'beforeInsert', ({ entity }) => void heard.push(entity.text));
    const audit = events.on(Order, 'beforeInsert', ({ session, entity }) =>
      session.add(new Line({ id: `line of ${entity.id}`, order_id: entity.id, text: 'opened' })),
    );
    await using unit = session();
    unit.add(new Order({ id: 'c', unit_cents: 1n }));
    expect(await statements(() => unit.flush())).toBe('begin insert insert');
    expect(heard).toEqual(['opened']);
    audit[Symbol.dispose]();
    events.on(Order, 'beforeDelete', () => Promise.reject(new RangeError('paid orders stay')));
    const [a, b] = await unit.find(Order, (orders) => orders.orderBy('id'));
    if (a) a.unit_cents = 5n;
    if (b) unit.delete(b);
    expect(await statements(async () => expect(unit.flush()).rejects.toThrow('paid orders stay'))).toBe('');
    if (b) unit.add(b);
    await unit.commit();
    expect((await stored()).map(({ unit_cents }) => unit_cents)).toEqual([5n, 100n, 1n]);
    await using endless = session();
    let n = 0;
    events.on(Order, 'beforeInsert', (it) => it.session.add(new Order({ id: `e${++n}`, unit_cents: 1n })));
    endless.add(new Order({ id: 'e', unit_cents: 1n }));
    await expect(endless.flush()).rejects.toThrow(lab.SessionStateError);
  });

  test('what is referred to is written before what refers to it, and deleted after', async () => {
    const { Order, session, table, stored } = await open();
    const { Line, create } = lines(`${table}_lines`, table);
    await create.execute(db);
    await using unit = session();
    const [line, order] = [new Line({ id: '1', order_id: 'a', text: '' }), new Order({ id: 'a', unit_cents: 1n })];
    unit.add(line);
    unit.add(order);
    await unit.flush();
    unit.delete(order);
    unit.delete(line);
    unit.add(new Order({ id: 'b', unit_cents: 1n }));
    await unit.commit();
    expect(await stored()).toEqual([{ id: 'b', unit_cents: 1n }]);
  });

  test('a listener that fails after the commit is an error that says so, and the others are told', async () => {
    const { Order, session, stored } = await open();
    const heard: string[] = [];
    events.on(Order, 'load', ({ entity }) => void heard.push(`loaded ${entity.id}`));
    events.on(Order, 'afterCommit', () => Promise.reject(new RangeError('no mail server')));
    events.on(Order, 'afterCommit', () => void heard.push('second'));
    await using unit = session();
    unit.add(new Order({ id: 'a', unit_cents: 1n }));
    const { error } = await outcome(unit.commit());
    expect(error).toBeInstanceOf(lab.ListenerError);
    expect(error).toMatchObject({ errors: [{ message: 'no mail server' }] });
    expect(await stored()).toHaveLength(1);
    await using next = session();
    await next.get(Order, 'a');
    expect(heard).toEqual(['second', 'loaded a']);
  });

  test('what is set or added while something is written is refused, not lost', async () => {
    const { Order, session, stored } = await open({ id: 'a' }, { id: 'b' });
    await using unit = session();
    const order = await unit.get(Order, 'a');
    const steps = {
      flush: () => unit.flush(),
      bulkUpdate: () => unit.bulkUpdate(Order, { paid: true }, (eb) => eb('id', '=', 'b')),
      commit: () => unit.commit(),
    };
    const late = new Order({ id: 'c', unit_cents: 1n });
    for (const [name, step] of Object.entries(steps)) {
      const brief = new Order({ id: name, unit_cents: 7n });
      if (name === 'flush') unit.add(brief);
      const running = step();
      await new Promise(setImmediate);
      const it = name === 'flush' ? brief : order;
      expect(() => Object.assign(it ?? {}, { unit_cents: 8n }), name).toThrow(lab.SessionStateError);
      expect(() => unit.add(late), name).toThrow(lab.SessionStateError);
      await running;
    }
    expect((await stored()).map(({ unit_cents }) => unit_cents)).toEqual([100n, 100n, 7n]);
  });

  test('who leaves while a query still runs leaves no transaction open', async () => {
    const { Order, session } = await open({ id: 'a' });
    const own = lab.openPostgres<Db>({ connectionString: postgres.url, max: 1 });
    const leave = async () => {
      await using unit = new Session(own);
      await Promise.all([unit.find(Order, (it) => it), unit.find(Order, (it) => it)]);
    };
    expect((await outcome(leave())).error).toBeInstanceOf(lab.SessionStateError);
    await using next = new Session(own);
    expect(await next.get(Order, 'a')).toBeDefined();
    await next.rollback();
    await own.destroy();
    await using other = session();
    expect(await other.find(Order, (it) => it)).toHaveLength(1);
  });

  // ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('JSON of an object is its row; a field that would hide a column is refused', async () => {
    const { Order, session, table } = await open({ id: 'a' });
    const order = new Order({ id: 'b', unit_cents: 2n ** 62n, placed_at: new Date(0), paid: null });
    const row = { id: 'b', unit_cents: '4611686018427387904', placed_at: '1970-01-01T00:00:00.000Z', paid: null };
    expect(JSON.parse(JSON.stringify(order))).toEqual(row);
    class Paid extends Order {
      override paid = true;
    }
    class Free extends Order {
      override total = 0n;
    }
    await using unit = session();
    expect(() => unit.add(new Paid({ id: 'c' }))).toThrow(lab.InvalidArgumentError);
    expect(() => unit.add(new Free({ id: 'c' }))).toThrow(`hides ${table}.total`);
    expect(unit.dirty()).toEqual([]);
    await expect(unit.get(Paid, 'a')).rejects.toThrow(lab.InvalidArgumentError);
  });

  test('a bulk update sends a Date as the instant that it is', async () => {
    const { Order, stored } = await open({ id: 'a' });
    const parameters: unknown[] = [];
    const own = lab.openPostgres<Db>(
      { connectionString: postgres.url, max: 1 },
      { log: ({ query }) => void parameters.push(...query.parameters) },
    );
    await using unit = new Session(own);
    const placed_at = new Date('0099-01-01T00:00:01.500Z');
    await unit.bulkUpdate(Order, { placed_at }, (eb) => eb('id', '=', 'a'));
    await unit.commit();
    expect(parameters, 'in no zone of the machine').toContain(placed_at.toISOString());
    expect(await stored(['placed_at'])).toEqual([{ placed_at }]);
    await own.destroy();
  });

  test('what listeners throw may be anything, and a COMMIT that lost its connection is not known to have failed', async () => {
    const { Order, session, table, stored } = await open();
    const odd = [Symbol('odd'), Object.create(null), undefined];
    const telling = odd.map((it) => events.on(Order, 'afterCommit', () => Promise.reject(it)));
    await using unit = session();
    unit.add(new Order({ id: 'a', unit_cents: 1n }));
    const { error } = await outcome(unit.commit());
    expect(error).toBeInstanceOf(lab.ListenerError);
    expect(error).toMatchObject({ errors: odd });
    for (const it of telling) it[Symbol.dispose]();
    await using other = session();
    const silent = events.on(Order, 'afterInsert', () => Promise.reject(undefined));
    other.add(new Order({ id: 'b', unit_cents: 1n }));
    await other.flush().catch(() => {});
    await expect(other.commit(), 'it has failed').rejects.toThrow(lab.SessionStateError);
    await other.rollback();
    silent[Symbol.dispose]();
    const lost = sql.id(`${table}_lost`);
    await sql`CREATE FUNCTION ${lost}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '08006'; END $$`.execute(db);
    await sql`CREATE CONSTRAINT TRIGGER lost AFTER INSERT ON ${sql.table(table)} DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION ${lost}()`.execute(db);
    await using last = session();
    last.add(new Order({ id: 'c', unit_cents: 1n }));
    expect((await outcome(last.commit())).error).toMatchObject({ code: '08006', committed: 'unknown' });
    await last.rollback();
    expect((await stored()).map(({ id }) => id)).toEqual(['a']);
  });

  test('who deletes what is not of his session is told so; a bulk update has ended when its listeners have', async () => {
    const { Order, session } = await open({ id: 'a' });
    await using unit = session();
    expect(() => unit.delete(new Order({ id: 'x' })), 'never added').toThrow(lab.SessionStateError);
    expect(() => unit.delete(Object.create(Order.prototype)), 'never made').toThrow(lab.InvalidArgumentError);
    const told: number[] = [];
    events.on(Order, 'bulkUpdate', async ({ rows }) => {
      await new Promise(setImmediate);
      told.push(rows);
    });
    await unit.bulkUpdate(Order, { paid: true }, (eb) => eb('id', '=', 'a'));
    expect(told).toEqual([1]);
    await unit.rollback();
    const first = new Date('0001-01-01T00:00:00Z');
    expect(new Order({ id: 'y', placed_at: first }).placed_at).toEqual(first);
  });

  test('a session has one caller at a time, and no flush within a flush', async () => {
    const { Order, session } = await open({ id: 'a' });
    await using unit = session();
    const both = await Promise.all([outcome(unit.find(Order, (it) => it)), outcome(unit.find(Order, (it) => it))]);
    expect(both.map(({ error }) => error?.constructor.name)).toEqual([undefined, 'SessionStateError']);
    let within: unknown;
    events.on(Order, 'beforeInsert', async () => {
      within = (await outcome(unit.flush())).error;
    });
    unit.add(new Order({ id: 'b', unit_cents: 1n }));
    await unit.commit();
    expect(within).toBeInstanceOf(lab.SessionStateError);
    const order = new Order({ id: 'c', unit_cents: 1n });
    await using mine = session();
    await using theirs = session();
    mine.add(order);
    expect(() => theirs.add(order), 'an object has one session').toThrow(lab.SessionStateError);
    expect(() => theirs.delete(order)).toThrow(lab.SessionStateError);
    mine.delete(order);
    expect(mine.dirty()).toEqual([]);
    theirs.add(order);
    await unit.rollback();
    await expect(unit.flush(), 'it has ended').rejects.toThrow(lab.SessionStateError);
  });

  test('twenty callers that read, add one and try again lose no change', async () => {
    const { Order, session, stored } = await open({ id: 'a', unit_cents: 0n });
    const history = new History<string>();
    const once = async (who: number): Promise<void> => {
      await using unit = session();
      const order = await unit.get(Order, 'a');
      if (order) order.unit_cents += 1n;
      const { error } = await outcome(unit.commit());
      history.record(`${who}: ${order?.unit_cents} ${error?.constructor.name ?? 'committed'}`);
      if (!error) return;
      expect(error).toBeInstanceOf(lab.StaleError);
      await unit.rollback();
      await once(who);
    };
    await Promise.all(Array.from({ length: 20 }, (_, who) => once(who)));
    expect(await stored(['unit_cents', 'version']), history.toString()).toEqual([{ unit_cents: 20n, version: 21 }]);
  });

  test('a connection that dies in the middle is an error of its session, and the next has another', async () => {
    const { Order, session, stored } = await open({ id: 'a' });
    const own = lab.openPostgres<Db>({ connectionString: postgres.url, max: 1 });
    let undone = 0;
    events.on(Order, 'afterRollback', () => void undone++);
    for (const when of ['flush', 'commit'] as const) {
      await using unit = new Session(own);
      const order = await unit.get(Order, 'a');
      if (order) order.unit_cents += 1n;
      if (when === 'commit') await unit.flush();
      await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND query ILIKE ${`%${Order.meta.table}%`}`.execute(db);
      const { error } = await outcome(unit.commit());
      expect(error, when).toBeInstanceOf(lab.StatementError);
      expect(error, 'a COMMIT without an answer').toMatchObject({ committed: when === 'commit' ? 'unknown' : 'no' });
      await expect(unit.commit()).rejects.toThrow(lab.SessionStateError);
    }
    expect(undone, 'nobody knows whether that was rolled back').toBe(0);
    await using next = new Session(own);
    const order = await next.get(Order, 'a');
    if (order) order.unit_cents += 1n;
    await next.commit();
    expect(await stored()).toEqual([{ id: 'a', unit_cents: 101n }]);
    await own.destroy();
    await using without = new Session(lab.openPostgres<Db>({ host: '127.0.0.1', port: 1 }));
    expect((await outcome(without.get(Order, 'a'))).error).toBeInstanceOf(lab.StatementError);
    await using last = session();
    expect((await last.get(Order, 'a'))?.unit_cents).toBe(101n);
  });

  test('a statement that Postgres refuses ends the transaction: nothing of it is kept, no connection either', async () => {
    const { Order, session, stored, table } = await open({ id: 'a' });
    const { Line, create } = lines(`${table}_lines`, table);
    await create.execute(db);
    {
      await using unit = session();
      unit.add(new Order({ id: 'b', unit_cents: 1n }));
      await unit.flush();
      unit.add(new Order({ id: 'a', unit_cents: 1n }));
      expect((await outcome(unit.flush())).error).toMatchObject({ code: '23505', committed: 'no' });
      await expect(unit.commit(), 'what has failed is not committed').rejects.toThrow('rollback() first');
    }
    {
      await using unit = session();
      await sql`ALTER TABLE ${sql.table(`${table}_lines`)} ALTER CONSTRAINT ${sql.id(`${table}_lines_order_id_fkey`)}
        INITIALLY DEFERRED`.execute(db);
      unit.add(new Line({ id: '1', order_id: 'nobody', text: '' }));
      await unit.flush();
      expect((await outcome(unit.commit())).error, 'refused by the COMMIT').toMatchObject({
        code: '23503',
        committed: 'no',
      });
    }
    const open_ = await sql`SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'`.execute(db);
    expect([await stored(), open_.rows]).toEqual([[{ id: 'a', unit_cents: 100n }], []]);
  });

  test('what a column does not hold, or Postgres would not keep, is refused where it is assigned', async () => {
    const { Order, session } = await open({ id: 'a' });
    const bad: [string, unknown][] = [
      ['unit_cents', 1.5],
      ['unit_cents', 2n ** 63n],
      ['unit_cents', '1'],
      ['customer', 'cut \ud83d'],
      ['customer', 'nul \0'],
      ['customer', 7],
      ['version', Number.NaN],
      ['placed_at', new Date('never')],
      ['placed_at', '2026-01-01'],
      ['paid', undefined],
      ['paid', {}],
      ['paid', Object.create(null)],
      ['customer', Object.assign(() => {}, { toString: () => assert.fail('shown') })],
      ['placed_at', new Date('+010000-01-01T00:00Z')],
      ['placed_at', new Date('0000-12-31T00:00Z')],
    ];
    const order = new Order({ id: 'b', unit_cents: 1n });
    for (const [column, value] of bad) {
      expect(() => Object.assign(order, { [column]: value }), `${column} ${inspect(value)}`).toThrow(
        lab.InvalidArgumentError,
      );
    }
    for (const name of ['nope', 'toString', '__proto__', 'total']) {
      expect(() => new Order(JSON.parse(`{"${name}":1}`)), name).toThrow(lab.InvalidArgumentError);
    }
    await using unit = session();
    const everything = () => sql<boolean>`true`;
    for (const set of [
      {},
      { id: 'x' },
      { version: 7 },
      { nope: 1 },
      { unit_cents: 1.5 },
      JSON.parse('{"__proto__":1}'),
    ]) {
      const { error } = await outcome(unit.bulkUpdate(Order, set, everything));
      expect(error, Object.keys(set).join()).toBeInstanceOf(lab.InvalidArgumentError);
    }
    const date = new Date(0);
    order.placed_at = date;
    date.setTime(1);
    order.placed_at.setTime(2);
    expect(order.placed_at, 'a Date is copied on its way in and out').toEqual(new Date(0));
    // A driver that gives int8 as text is found out at the first row.
    const { Kysely, PostgresDialect } = await import('kysely');
    const { Pool } = await import('pg');
    const plain = new Kysely<Db>({
      dialect: new PostgresDialect({ pool: new Pool({ connectionString: postgres.url }) }),
    });
    await using naive = new Session(plain);
    await expect(naive.get(Order, 'a')).rejects.toThrow('openPostgres() reads int8 as bigint');
    await naive.rollback();
    await plain.destroy();
  });

  test('a row has the key that it is given, once; a name is what Postgres and JavaScript can keep', async () => {
    const { Order, GiftOrder, session } = await open({ id: 'a' });
    await using unit = session();
    unit.add(new Order({ unit_cents: 1n }));
    expect(await statements(() => outcome(unit.flush()))).toBe('');
    const { error } = await outcome(unit.flush());
    expect(error).toBeInstanceOf(lab.InvalidArgumentError);
    await unit.rollback();
    await using next = session();
    const a = await next.get(Order, 'a');
    await expect(next.get(GiftOrder, 'a'), 'one object has one class').rejects.toThrow(lab.SessionStateError);
    // @ts-expect-error: a key of another type
    await expect(next.get(Order, 7)).rejects.toThrow(lab.InvalidArgumentError);
    if (a) a.id = 'z';
    await expect(next.flush()).rejects.toThrow(lab.InvalidArgumentError);
    if (a) next.delete(a);
    await expect(next.flush(), 'z is another row').rejects.toThrow(lab.InvalidArgumentError);
    expect(await statements(() => next.rollback()), 'done when the server has done it').toBe('rollback');
    const named = (table: string, id: string, hybrid: string) => () =>
      lab.model<{ id: string }>()({
        table,
        key: 'id',
        columns: Object.fromEntries([
          ['id', 'string' as const],
          [id, 'string' as const],
        ]) as { id: 'string' },
        hybrids: { [hybrid]: lab.hybrid<{ id: string }>()((o) => lab.charLength(o.id)) },
      });
    expect(named('shop.t', 'id', 'size')).not.toThrow();
    for (const name of ['x'.repeat(64), 'a"b', '', 'constructor', 'then', 'größe']) {
      expect(named('t', name, 'size'), `column ${name}`).toThrow(lab.InvalidArgumentError);
      expect(named('t', 'id', name), `hybrid ${name}`).toThrow(lab.InvalidArgumentError);
    }
    expect(named('a"b', 'id', 'size')).toThrow(lab.InvalidArgumentError);
    const dated = { table: 't', key: 'at', columns: { at: 'instant' } } as const;
    expect(() => lab.model<{ at: Date }>()(dated), 'no two Dates are one key').toThrow(lab.InvalidArgumentError);
    expect(named('t', 'id', 'meta'), 'a name of the class').toThrow(lab.InvalidArgumentError);
  });
});
