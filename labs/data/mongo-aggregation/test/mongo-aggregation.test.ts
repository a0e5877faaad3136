import { getEventListeners } from 'node:events';
import { startMongo } from '@shared/services';
import { describeWith, needsMongod, outcome, random } from '@shared/testkit';
import {
  type Collection,
  type CommandStartedEvent,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MongoClient,
  MongoServerError,
} from 'mongodb';
import { afterAll, expect, test } from 'vitest';
import {
  AggregationError,
  ask,
  bucketReport,
  type DayDocument,
  equals,
  facetPage,
  fieldName,
  fieldPath,
  InexactAmountError,
  InvalidArgumentError,
  joinRefs,
  LimitExceededError,
  literal,
  lookupAsOf,
  PipelineRefusedError,
  reachable,
  readCents,
  readView,
  refreshView,
  runningTotals,
  ServerUnreachableError,
  type ViewOptions,
  type Watermark,
} from '#lab';
import {
  at,
  bucketsOf,
  centsOf,
  DISHES,
  type Dish,
  daysOf,
  joinOf,
  type Order,
  randomOrders,
  runningOf,
  totalOf,
} from './books.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const EDGES = [0, 1_000, 2_500, 5_000] as const;

await describeWith('aggregation', { mongo: () => startMongo() }, ({ mongo }) => {
  const client = new MongoClient(mongo.url, { monitorCommands: true });
  const db = client.db();
  afterAll(() => client.close());

  let made = 0;
  /** A collection of the test's own, with these documents in it. */
  const shelf = async <T extends Document>(documents: readonly T[] = []): Promise<Collection<T>> => {
    const collection = db.collection<T>(`c${++made}`);
    // @ts-expect-error: an array of T is what an optional _id makes of it
    if (documents.length > 0) await collection.insertMany(documents);
    return collection;
  };
  /** Orders as a till writes them when all goes well. */
  const order = (_id: number, fields: Partial<Order> = {}): Order => ({
    _id,
    table: 't1',
    status: 'paid',
    cents: 100,
    at: at(0),
    changed: at(0),
    ...fields,
  });
  /** What was asked of the server while `body` ran, and what of it. */
  const commands = async <T>(body: () => Promise<T>) => {
    const sent: CommandStartedEvent[] = [];
    const note = (event: CommandStartedEvent) => void sent.push(event);
    client.on('commandStarted', note);
    const result = await body().finally(() => client.off('commandStarted', note));
    return {
      result,
      sent: sent.map(({ commandName }) => commandName),
      texts: sent.map(({ command }) => JSON.stringify(command)),
    };
  };
  const dishes = (documents: readonly Dish[] = DISHES) => shelf(documents);
  const toDish = (from: Collection<Dish>) =>
    ({ from: from.collectionName, local: 'dish', foreign: 'code', as: 'found' }) as const;
  const page = { sort: { by: 'at' }, page: 1, size: 10, counts: [] } as const;

  // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a value or a name from outside is compared, never run', async () => {
    const orders = await shelf([
      order(1, { status: 'paid', table: 't1' }),
      order(2, { status: 'open', table: '$cents' }),
    ]);
    const ids = async (where: Document) => (await ask<Order>(orders, [{ $match: where }])).map(({ _id }) => _id);
    for (const body of ['{"$ne":null}', '{"$gt":""}', '{"$in":["paid"]}', '{"$regex":".*"}', '{"$exists":true}']) {
      const found = await outcome(ids({ ...equals({ status: JSON.parse(body) }) }));
      expect(found.value, `equals({ status: ${body} }): no order has such a status`).toEqual([]);
    }
    expect(await ids(equals({ status: 'paid' })), 'orders whose status is "paid"').toEqual([1]);
    expect(await ids(equals({ table: '$cents' })), 'orders of the table "$cents"').toEqual([2]);
    const said = async (text: unknown) =>
      (await ask(orders, [{ $match: { _id: 1 } }, { $project: { said: literal(text) } }]))[0]?.['said'];
    expect(await said('$cents'), 'the note "$cents" in a report').toBe('$cents');
    expect(await said({ $add: [1, 2] }), 'the note {"$add":[1,2]}').toEqual({ $add: [1, 2] });
    for (const name of ['$where', '$expr', 'a.$b', '', 'a..b', '.a', 'a\0b']) {
      for (const by of [() => equals({ [name]: 1 }), () => fieldPath(name)]) {
        expect(by, `${JSON.stringify(name)} as the name of a field`).toThrow(InvalidArgumentError);
      }
    }
    expect(fieldPath('guest.name')).toBe('$guest.name');
  });

  test('a join asks the server once, however many the orders are', async () => {
    const menu = await dishes();
    for (const count of [3, 60]) {
      const orders = await shelf(
        Array.from({ length: count }, (_, id) => order(id, { dish: DISHES[id % 3]?.code ?? null })),
      );
      const { result, sent } = await commands(() => joinRefs(orders, toDish(menu)));
      expect(
        result.map(({ found }) => found).filter((dish) => dish && 'name' in dish).length,
        'orders with their dish',
      ).toBe(count);
      expect(sent, `what the server was asked for ${count} orders`).toHaveLength(1);
    }
  });

  test('a reference that is null, missing or lost joins nothing', async () => {
    const menu = await dishes();
    const orders = await shelf([
      order(1, { dish: 'ramen' }),
      order(2, { dish: null }),
      order(3),
      order(4, { dish: 'gone' }),
    ]);
    const joined = await joinRefs(orders, toDish(menu));
    const found = Object.fromEntries(
      joined.map(({ _id, dish, found: it }) => [`${_id}: ${dish}`, it && 'name' in it ? it['name'] : it]),
    );
    // One of the two dishes says null, one says nothing.
    expect(found, 'what each order found; two dishes have no code, and are nobody’s').toEqual({
      '1: ramen': 'Ramen',
      '2: null': null,
      '3: undefined': null,
      '4: gone': null,
    });
  });

  test('an array of references comes back in its order, each as often as it is there', async () => {
    const menu = await dishes();
    const lists = [['udon', 'ramen', 'udon'], ['mochi', null, 'gone', 'ramen'], [], ['ramen']];
    const orders = await shelf(lists.map((dish, id) => order(id, { dish })));
    const joined = await joinRefs(orders, toDish(menu));
    const names = joined.map(({ found }) => (Array.isArray(found) ? found.map((dish) => dish?.name ?? null) : found));
    expect(names, 'dishes of the orders udon ramen udon, mochi null gone ramen, none, and ramen').toEqual([
      ['Udon', 'Ramen', 'Udon'],
      ['Mochi', null, null, 'Ramen'],
      [],
      ['Ramen'],
    ]);
  });

  test('an amount at an edge is in the bucket above, and what fits in none is outside', async () => {
    const amounts = [0, 999, 1_000, 2_500, 4_999, 5_000, -1, null, Number.NaN, 'free'];
    const orders = await shelf([
      ...amounts.map((cents, id) => order(id, { cents })),
      { _id: 99, at: at(0), changed: at(0) },
    ]);
    const { buckets, outside } = await bucketReport(orders, { by: 'cents', edges: EDGES, sum: 'cents' });
    expect(buckets, 'buckets').toEqual([
      { from: 0, to: 1_000, count: 2, sum: 999n, unread: 0 },
      { from: 1_000, to: 2_500, count: 1, sum: 1_000n, unread: 0 },
      { from: 2_500, to: 5_000, count: 2, sum: 7_499n, unread: 0 },
    ]);
    expect(outside, 'outside: 5000, -1, null, NaN, a text, and no amount').toEqual({
      count: 6,
      sum: 4_999n,
      unread: 2,
    });
    const edge = [at(0), at(1), at(2)] as const;
    const quiet = await bucketReport(orders, { by: 'at', edges: edge, sum: 'cents', where: { _id: { $lt: 3 } } });
    expect(
      quiet.buckets.map(({ count }) => count),
      'days, of which one had no orders',
    ).toEqual([3, 0]);
  });

  test('a page tells the total and the counts of all pages, and no item is on two of them', async () => {
    const ids = random(SEED).shuffle(Array.from({ length: 25 }, (_, id) => id));
    const orders = await shelf(ids.map((id) => order(id, { status: id % 5 === 0 ? 'open' : 'paid', at: at(id % 2) })));
    const pages = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        facetPage(orders, { ...page, sort: { by: 'at', order: 'desc' }, page: n, counts: ['status'] }),
      ),
    );
    const seen = pages.flatMap(({ items }) => items.map(({ _id }) => _id));
    const odd = (parity: number) => ids.filter((id) => id % 2 === parity).sort((a, b) => a - b);
    expect(seen, 'all pages, one after the other; equal times in the order of _id').toEqual([...odd(1), ...odd(0)]);
    for (const [n, { items, total, counts }] of pages.entries()) {
      expect({ items: items.length, total }, `page ${n + 1}`).toEqual({ items: [10, 10, 5, 0][n], total: 25 });
      expect(counts.status, `counts on page ${n + 1}`).toEqual([
        { value: 'paid', count: 20 },
        { value: 'open', count: 5 },
      ]);
    }
    const { result, sent } = await commands(() =>
      facetPage(orders, { ...page, where: equals({ status: 'nowhere' }), counts: ['status'] }),
    );
    expect(result, 'a page of nothing').toEqual({ items: [], total: 0, counts: { status: [] } });
    expect(sent, 'commands for items, total and counts').toEqual(['aggregate']);
  });

  test('a running total goes by table and time, and a period is of days, not of documents', async () => {
    const orders = await shelf([
      order(5, { at: at(9), cents: 50 }),
      order(1, { at: at(0), cents: 1 }),
      order(2, { at: at(0), cents: 2, table: 't2' }),
      order(3, { at: at(1), cents: 3 }),
      order(4, { at: at(8), cents: 40 }),
    ]);
    const rows = await runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 7 });
    const told = rows.map(
      ({ doc, total, recent }) =>
        `${doc.table} day ${(doc.at.getTime() - at(0).getTime()) / 86_400_000}: ${total}, in 7 days ${recent}`,
    );
    expect(told, 'totals; on day 8, day 1 is 7 days ago and out').toEqual([
      't1 day 0: 1, in 7 days 1',
      't1 day 1: 4, in 7 days 4',
      't1 day 8: 44, in 7 days 40',
      't1 day 9: 94, in 7 days 90',
      't2 day 0: 2, in 7 days 2',
    ]);
  });

  const view = async (options: Partial<ViewOptions<Order>> = {}): Promise<ViewOptions<Order>> => ({
    into: await shelf<DayDocument>(),
    marks: await shelf<Watermark>(),
    at: 'at',
    changed: 'changed',
    sum: 'cents',
    counts: { $ne: ['$status', 'cancelled'] },
    overlapMs: 0,
    ...options,
  });

  test('a view that is refreshed twice is the same view', async () => {
    const orders = await shelf([
      order(1),
      order(2, { at: at(1), cents: 250 }),
      order(3, { cents: 7, changed: at(0, 5) }),
    ]);
    const daily = await view();
    const first = await refreshView(orders, daily);
    const once = await readView(daily.into);
    expect(once, 'the view').toEqual([
      { day: at(0), count: 2, sum: 107n, unread: 0 },
      { day: at(1), count: 1, sum: 250n, unread: 0 },
    ]);
    await refreshView(orders, daily);
    await refreshView(orders, { ...daily, marks: await shelf() }); // who has forgotten how far he was begins anew
    expect(await readView(daily.into), 'the view, refreshed three times').toEqual(once);
    expect(first, 'days of the first refresh, and the newest `changed`').toEqual({ days: 2, upTo: at(0, 5) });
  });

  test('only days with a change are computed anew: late orders, corrections and cancellations among them', async () => {
    const orders = await shelf([order(1, { changed: at(2) }), order(2, { at: at(1) }), order(3, { at: at(2) })]);
    const daily = await view();
    await refreshView(orders, daily);
    await orders.insertOne(order(4, { at: at(0), cents: 900, changed: at(3) })); // yesterday's, written down today
    await orders.updateOne({ _id: 2 }, { $set: { status: 'cancelled', changed: at(3, 1) } });
    const { days, upTo } = await refreshView(orders, daily);
    expect(await readView(daily.into), 'a late order of day 0, and the only order of day 1 cancelled').toEqual([
      { day: at(0), count: 2, sum: 1_000n, unread: 0 },
      { day: at(1), count: 0, sum: 0n, unread: 0 },
      { day: at(2), count: 1, sum: 100n, unread: 0 },
    ]);
    expect({ days, upTo }, 'two of three days were computed').toEqual({ days: 2, upTo: at(3, 1) });
  });

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('sums are exact to the cent whatever types the books mix, and what is no amount is counted', async () => {
    const big = Number.MAX_SAFE_INTEGER;
    const cents = [
      new Int32(3),
      Long.fromString('9007199254740993'),
      new Double(big),
      Decimal128.fromString('9007199254740995'),
      new Double(-1),
    ];
    const orders = await shelf(
      [...cents, '12', 0.5, Number.NaN, Number.NEGATIVE_INFINITY, new Date(0), 1e300, true, [1]].map((it, id) =>
        order(id, { cents: it }),
      ),
    );
    const exact = BigInt(big) + 9007199254740993n + 9007199254740995n + 2n;
    const { outside, buckets } = await bucketReport(orders, { by: 'at', edges: [at(0), at(1)], sum: 'cents' });
    expect(buckets[0]).toEqual({ from: at(0), to: at(1), count: 13, sum: exact, unread: 8 });
    expect(outside).toEqual({ count: 0, sum: 0n, unread: 0 });
    const rows = await runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 1 });
    expect(rows.at(-1)).toMatchObject({ total: exact, recent: exact, unread: 8 });
    const daily = await view({ counts: undefined });
    await refreshView(orders, daily);
    expect(await readView(daily.into)).toEqual([{ day: at(0), count: 13, sum: exact, unread: 8 }]);
    for (const rounded of [
      2 ** 53,
      new Double(2 ** 53),
      0.5,
      Number.NaN,
      '12',
      null,
      Decimal128.fromString('0.5'),
      Decimal128.fromString('1E+40'),
      {},
    ]) {
      expect(() => readCents(rounded), String(rounded)).toThrow(InexactAmountError);
    }
  });

  test('on random books every report is what plain JavaScript makes of them', async () => {
    const dice = random(SEED);
    const menu = await dishes();
    for (let round = 0; round < 4; round++) {
      const books = randomOrders(dice, round === 0 ? 0 : 30);
      const orders = await shelf(books);
      const label = `seed ${SEED}, round ${round}`;
      expect(await bucketReport(orders, { by: 'cents', edges: EDGES, sum: 'cents' }), label).toEqual(
        bucketsOf(books, EDGES),
      );
      const joined = await joinRefs(orders, toDish(menu));
      expect(
        joined.map(({ found }) => found),
        label,
      ).toEqual(books.map((it) => joinOf(it)));
      const rows = await runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 3 });
      expect(
        rows.map(({ doc, ...its }) => ({ id: doc._id, ...its })),
        label,
      ).toEqual(runningOf(books, 3));
      const daily = await view();
      await refreshView(orders, daily);
      expect(await readView(daily.into), label).toEqual(daysOf(books));
      const { total, counts } = await facetPage(orders, {
        ...page,
        where: { cents: { $type: 'number' } },
        counts: ['table', 'tags'],
      });
      const priced = books.filter(
        ({ cents }) => cents !== null && !['undefined', 'string', 'boolean'].includes(typeof cents),
      );
      expect(total, label).toBe(priced.length);
      const tally = (values: unknown[]) =>
        new Map([...Map.groupBy(values, (value) => value)].map(([value, all]) => [value, all.length]));
      expect(new Map(counts.table.map(({ value, count }) => [value, count])), label).toEqual(
        tally(priced.map(({ table }) => table)),
      );
      const tags = priced.flatMap((it) =>
        it.tags?.length ? [...new Set(it.tags)] : [it.tags === null ? null : undefined],
      );
      expect(new Map(counts.tags.map(({ value, count }) => [value, count])), label).toEqual(tally(tags));
    }
  });

  test('what held at its time is joined, not what holds now', async () => {
    const prices = await shelf<Document>([
      { dish: 'ramen', since: at(0), cents: 900 },
      { dish: 'ramen', since: at(5), cents: 1_100 },
      { since: at(0), cents: 1 },
      { dish: null, since: at(0), cents: 2 },
      { dish: 'udon', cents: 3 },
      { dish: 'udon', since: 'monday', cents: 4 },
      { dish: 'udon', since: 5, cents: 5 },
    ]);
    const cases: Partial<Order>[] = [
      { dish: 'ramen', at: at(4) },
      { dish: 'ramen', at: at(5) },
      { dish: 'ramen', at: at(-1) },
      {},
      { dish: null },
      { dish: 'udon' },
    ];
    const orders = await shelf(cases.map((fields, id) => order(id, { at: at(9), ...fields })));
    const stages = lookupAsOf({
      from: prices.collectionName,
      local: 'dish',
      foreign: 'dish',
      at: 'at',
      since: 'since',
      as: 'price',
    });
    const rows = await ask<{ price: { cents: number } | null }>(orders, stages);
    expect(rows.map(({ price }) => price?.cents ?? price)).toEqual([900, 1_100, null, null, null, null]);
  });

  test('the parts of a dish are told each once, nearest first, and a circle ends', async () => {
    const parts = await shelf<{ _id: string; parts?: string[] | string; depth?: number }>([
      { _id: 'ramen', parts: ['broth', 'noodles'] },
      { _id: 'broth', parts: ['bones', 'ramen', 'broth'], depth: 9 },
      { _id: 'noodles', parts: ['flour', 'broth', 'gone'] },
      { _id: 'bones' },
      { _id: 'flour', parts: 'wheat' },
      { _id: 'wheat', parts: [] },
    ]);
    const from = (start: string, maxDepth = 9) =>
      reachable(parts, { start, via: 'parts', maxDepth }).then((all) => all.map(({ key, depth }) => `${key} ${depth}`));
    expect(await from('ramen')).toEqual(['broth 1', 'noodles 1', 'bones 2', 'flour 2', 'wheat 3']);
    expect(await from('ramen', 1)).toEqual(['broth 1', 'noodles 1']);
    expect(await from('bones')).toEqual([]);
    expect(await from('nowhere')).toEqual([]);
    await expect(from('ramen', 0)).rejects.toThrow(InvalidArgumentError);
  });

  test('a field with a name of all objects is a field like any other', async () => {
    const odd: Document[] = JSON.parse(
      '[{"_id":1,"__proto__":"x","toString":5,"constructor":null},{"_id":2,"__proto__":"y"}]',
    );
    const books = await shelf(odd);
    for (const name of ['__proto__', 'toString', 'constructor']) {
      const has = odd.map((it) =>
        Object.hasOwn(it, name) ? Object.entries(it).find(([key]) => key === name)?.[1] : undefined,
      );
      const { counts, items } = await facetPage(books, { ...page, sort: { by: '_id' }, counts: [name], show: [name] });
      const own = Object.entries(counts).find(([key]) => key === name)?.[1];
      expect(new Set(own?.map(({ value }) => value)), name).toEqual(new Set(has));
      expect(
        items.map((item) => Object.hasOwn(item, name)),
        name,
      ).toEqual(odd.map((it) => Object.hasOwn(it, name)));
    }
    const bare = await facetPage(books, { ...page, sort: { by: '_id' }, show: [] });
    expect(bare.items, 'items of which no field is shown').toEqual([{ _id: 1 }, { _id: 2 }]);
    expect(await ask(books, [{ $match: equals(JSON.parse('{"__proto__":"x"}')) }, { $project: { _id: 1 } }])).toEqual([
      { _id: 1 },
    ]);
    expect(await joinRefs(books, { from: 'nowhere', local: 'toString', as: '__proto__' })).toHaveLength(2);
  });

  test('null is null and not missing, and a time that is none is in no period and stops nothing', async () => {
    const times: unknown[] = [at(0), undefined, null, 'monday', [at(0), at(1)], at(1)];
    const orders = await shelf(
      times.map((time, _id) => ({ _id, table: _id < 3 ? null : undefined, cents: 100, at: time, changed: time })),
    );
    await orders.updateMany({ _id: { $gt: 3 } }, { $unset: { table: 1 } });
    const nulls = await facetPage(orders, { ...page, sort: { by: '_id' }, where: equals({ table: null, cents: 100 }) });
    expect(
      nulls.items.map(({ _id }) => _id),
      'orders whose table is null',
    ).toEqual([0, 1, 2, 3]);
    const rows = await runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 9 });
    expect(rows.map(({ doc, total }) => `${doc._id}: ${total}`)).toEqual(['0: 100', '5: 200']);
    const daily = await view();
    await refreshView(orders as never, daily);
    expect((await readView(daily.into)).map(({ day, count }) => [day, count])).toEqual([
      [at(0), 1],
      [at(1), 1],
    ]);
    const listed = await shelf(
      [{ pay: { at: at(0) } }, { pay: [{ at: at(0) }] }].map((it, id) => ({ ...order(id), ...it })),
    );
    expect(await runningTotals(listed, { per: 'table', by: 'pay.at', sum: 'cents', days: 1 })).toHaveLength(1);
    const paid = { ...(await view()), at: 'pay.at' } as const;
    await refreshView(listed, paid);
    expect(await readView(paid.into), 'a time within a list').toMatchObject([{ day: at(0), count: 1 }]);
  });

  test('a refresh that ends half-way is done again, and nothing is lost or counted twice', async () => {
    const orders = await shelf([order(1)]);
    const daily = await view();
    await refreshView(orders, daily);
    await orders.insertMany([1, 2].map((day) => order(day + 1, { at: at(day), changed: at(day) })));
    // What tells the days works, what computes them doesn't.
    await expect(refreshView(orders, { ...daily, counts: { $divide: [1, 0] } })).rejects.toThrow(PipelineRefusedError);
    const days = [0, 1, 2].map((day) => ({ day: at(day), count: 1, sum: 100n, unread: 0 }));
    await refreshView(orders, daily);
    expect(await readView(daily.into)).toEqual(days);
    await daily.into.drop(); // its watermark stays, and the first try to make it again is cut
    await expect(refreshView(orders, { ...daily, counts: { $divide: [1, 0] } })).rejects.toThrow(PipelineRefusedError);
    await daily.into.insertOne({ _id: at(2), count: 1, sum: 100, unread: 0, asOf: at(2) });
    await refreshView(orders, daily);
    expect(await readView(daily.into), 'a view that was dropped').toEqual(days);
  });

  test('refreshes that run at once, while orders are written and cancelled, end with the right view', async () => {
    const dice = random(SEED);
    const books = randomOrders(dice, 26);
    const orders = await shelf(books.slice(0, 10));
    const daily = await view({ overlapMs: 60_000 });
    let done = false;
    const refresher = async () => {
      while (!done) await refreshView(orders, daily);
    };
    const refreshers = Array.from({ length: 3 }, refresher);
    for (const late of books.slice(10)) {
      await orders.insertOne({ ...late, changed: new Date() });
      await orders.updateOne(
        { _id: dice.int(0, 9) },
        { $set: { status: dice.pick(['paid', 'cancelled']), changed: new Date() } },
      );
    }
    done = true;
    await Promise.all(refreshers);
    await refreshView(orders, daily);
    expect(await readView(daily.into), `seed ${SEED}`).toEqual(daysOf(await orders.find().toArray()));
  });

  test('a slow refresh overwrites nothing newer, and a date in the future hides nothing', async () => {
    const orders = await shelf([order(1)]);
    const daily = await view({ overlapMs: 60_000 });
    const newer = { _id: at(0), count: 9, sum: 999, unread: 0, asOf: at(0, 1) };
    await daily.into.insertOne(newer);
    await refreshView(orders, daily);
    expect((await readView(daily.into))[0], 'day 0, by somebody who has seen more').toMatchObject({
      count: 9,
      sum: 999n,
    });
    await orders.insertOne(order(2, { at: at(1), changed: new Date('2999-01-01') }));
    await orders.insertOne(order(3, { changed: new Date(Date.now() + 1_000) }));
    const sums = async () => {
      await refreshView(orders, daily);
      return (await readView(daily.into)).map(({ sum }) => sum);
    };
    expect(await sums(), 'once we have seen more').toEqual([200n, 100n]);
    const behind = new Date(Date.now() - 1_000);
    await orders.updateMany({ _id: { $gt: 1 } }, { $set: { cents: 7, changed: behind } });
    expect(await sums(), 'corrected by a till whose clock is behind').toEqual([107n, 7n]);
  });

  test('a day is the day of the time zone', async () => {
    const orders = await shelf([
      order(1, { at: new Date('2026-03-01T16:30:00Z') }),
      order(2, { at: new Date('2026-03-02T15:59:00Z') }),
      order(3, { at: new Date('2026-03-02T16:00:00Z') }),
    ]);
    const daily = await view({ timezone: 'Asia/Shanghai' });
    await refreshView(orders, daily);
    const days = await readView(daily.into);
    expect(
      days.map(({ day, count }) => `${day.toISOString()} ${count}`),
      'days of Shanghai begin at 16:00 UTC',
    ).toEqual(['2026-03-01T16:00:00.000Z 2', '2026-03-02T16:00:00.000Z 1']);
    // On the 4th there was no midnight: that day began at 1:00, which is 3:00 UTC.
    const hours = ['2018-11-04T12', '2018-11-05T02', '2018-11-05T12'];
    const spring = await shelf(
      hours.map((hour, id) => order(id, { at: new Date(`${hour}:30:00Z`), changed: at(-id) })),
    );
    const brazil = await view({ timezone: 'America/Sao_Paulo' });
    await refreshView(spring, brazil);
    await spring.updateOne({ _id: 0 }, { $set: { cents: 1, changed: at(9) } });
    await refreshView(spring, brazil);
    expect((await readView(brazil.into)).map(({ sum }) => sum)).toEqual([1n, 200n]);
  });

  test('days side by side are asked for as one range', async () => {
    const days = [0, 1, 2, 3, 6, 7, 9];
    const orders = await shelf(days.map((day) => order(day, { at: at(day, 5) })));
    const daily = await view();
    const { texts } = await commands(() => refreshView(orders, daily));
    expect(texts.find((text) => text.includes('$merge'))?.split('"$lt":"'), 'three ranges').toHaveLength(4);
    expect((await readView(daily.into)).map(({ day }) => day)).toEqual(days.map((day) => at(day)));
  });

  test('what no pipeline can be made from is refused before anything is sent', async () => {
    const orders = await shelf<Order>();
    const daily = await view();
    const circle: unknown[] = [];
    circle.push(circle);
    const blank = JSON.parse('{"toString":1,"valueOf":1}') as never;
    const bad: [string, () => unknown][] = [
      ...[
        undefined,
        () => 1,
        Symbol('s'),
        'a\ud83d',
        2n ** 63n,
        -(2n ** 63n) - 1n,
        new Map(),
        Promise.resolve(1),
        new Date(Number.NaN),
        circle,
        { a: [undefined] },
        { _bsontype: 'ObjectId' },
        { 'a\0': 1 },
      ].map((value, i): [string, () => unknown] => [`value ${i}`, () => equals({ status: value })]),
      ['conditions that are a promise', () => equals(Promise.resolve() as never)],
      ['conditions that are a text', () => equals('status' as never)],
      ['conditions that are null', () => equals(null as never)],
      ['conditions that are a list', () => equals([] as never)],
      ['half a surrogate pair', () => fieldName('a\ud83d')],
      ['a number as a name', () => fieldName(5 as never)],
      ['an object as a name', () => fieldName(blank)],
      ...[
        [1],
        [2, 1],
        [1, 1],
        [Number.NaN, 1],
        [0, Number.POSITIVE_INFINITY],
        [0, at(1)],
        ['a', 'b'],
        [0, blank],
        undefined,
      ].map((edges, i): [string, () => unknown] => [
        `edges ${i}`,
        () => bucketReport(orders, { by: 'cents', edges: edges as never, sum: 'cents' }),
      ]),
      ...[
        { size: 0 },
        { size: 101 },
        { size: 1.5 },
        { page: 0 },
        { page: '2' },
        { page: blank },
        { sort: { by: '$at' } },
        { sort: { by: blank } },
        { sort: { by: 'at', order: 'DESC' } },
        { counts: ['$where'] },
        { show: ['a..b'] },
      ].map((wrong): [string, () => unknown] => [
        JSON.stringify(wrong),
        () => facetPage(orders, { ...page, ...wrong } as never),
      ]),
      ...[
        { local: '$dish' },
        { as: 'dish' },
        { as: 'a.b' },
        { as: '$x' },
        { as: '_id' },
        { as: 5 },
        { from: '' },
        { from: blank },
        { from: '$cmd' },
        { foreign: '' },
      ].map((wrong): [string, () => unknown] => [
        JSON.stringify(wrong),
        () => joinRefs(orders, { from: 'd', local: 'dish', as: 'x', ...wrong } as never),
      ]),
      ['days', () => runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 0 })],
      ['a view of itself', () => refreshView(orders, { ...daily, into: orders as never })],
      ['a mark in the view', () => refreshView(orders, { ...daily, marks: daily.into as never })],
      ['a mark in the source', () => refreshView(orders, { ...daily, marks: orders as never })],
      ...[null, '', '$at', 'a\ud83d', blank].map((timezone, i): [string, () => unknown] => [
        `time zone ${i}`,
        () => refreshView(orders, { ...daily, timezone: timezone as never }),
      ]),
      ['an overlap of NaN', () => refreshView(orders, { ...daily, overlapMs: Number.NaN })],
      ['a start that is an object', () => reachable(orders, { start: { $ne: 1 } as never, via: 'dish', maxDepth: 1 })],
    ];
    const { sent } = await commands(async () => {
      for (const [what, attempt] of bad) {
        await expect(Promise.resolve().then(attempt), what).rejects.toThrow(InvalidArgumentError);
      }
    });
    expect(sent).toEqual([]);
    expect((await facetPage(orders, { ...page, size: 100, where: equals({ table: -(2n ** 63n) }) })).total).toBe(0);
  });

  test('a period begins just after the same time, days before, and ends with its own', async () => {
    const times = [at(0), at(1, -1), at(1), at(1), at(1, 1), at(3)];
    const orders = await shelf(times.map((time, id) => order(id, { at: time, cents: 10 ** id })));
    const rows = await runningTotals(orders, { per: 'table', by: 'at', sum: 'cents', days: 1 });
    expect(rows.map(({ recent }) => recent)).toEqual([1n, 11n, 1_110n, 1_110n, 11_110n, 100_000n]);
    expect(rows.map(({ total }) => total)).toEqual([1n, 11n, 111n, 1_111n, 11_111n, 111_111n]);
  });

  test('a value may be a hundred levels deep, and no deeper', () => {
    const nested = (levels: number, wrap: (inner: unknown) => unknown) => {
      let value: unknown = 1;
      for (let level = 0; level < levels; level++) value = wrap(value);
      return value;
    };
    for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ inner })]) {
      expect(literal(nested(100, wrap))).toEqual({ $literal: nested(100, wrap) });
      expect(() => literal(nested(101, wrap))).toThrow(InvalidArgumentError);
    }
  });

  test('what the caller changes after the call changes nothing', async () => {
    const orders = await shelf([order(1, { tags: ['spicy'] })]);
    const tags = ['spicy'];
    const where = equals({ tags });
    tags.push('large');
    expect((await facetPage(orders, { ...page, where })).total).toBe(1);
    const photo = Buffer.from('photo');
    const kept = literal(photo);
    photo.fill(0);
    expect(Buffer.from(kept.$literal as Uint8Array).toString()).toBe('photo');
    const edges: [number, number, ...number[]] = [0, 50, 200];
    const report = bucketReport(orders, { by: 'cents', edges, sum: 'cents' });
    edges.pop();
    expect((await report).buckets.map(({ to, count }) => [to, count])).toEqual([
      [50, 0],
      [200, 1],
    ]);
    const counts: ('status' | 'table')[] = ['status'];
    const paged = facetPage(orders, { ...page, counts });
    counts[0] = 'table';
    expect((await paged).counts).toEqual({ status: [{ value: 'paid', count: 1 }] });
  });

  test('who aborts gets his own reason, and nothing is left on a signal', async () => {
    const orders = await shelf([order(1)]);
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) await facetPage(orders, page, { signal });
    await refreshView(orders, await view(), { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const reason = { why: 'the guest has left' };
    const leaving = new AbortController();
    const gone = outcome(joinRefs(orders, toDish(await dishes()), { signal: leaving.signal }));
    leaving.abort(reason);
    expect((await gone).error).toBe(reason);
    await expect(facetPage(orders, page, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('a no of the server and a lost server are errors of their own', async () => {
    const orders = await shelf([order(1)]);
    const refused = await outcome(facetPage(orders, { ...page, where: { $nonsense: 1 } }));
    expect(refused.error).toBeInstanceOf(PipelineRefusedError);
    expect(refused.error).toHaveProperty('code', expect.any(Number));
    const circle: Document = {};
    circle['of'] = circle;
    expect((await outcome(facetPage(orders, { ...page, where: circle }))).error).toBeInstanceOf(AggregationError);
    for (const code of [146, 4_568, 10_334, 40_099, 4_031_700]) {
      const tooMuch = new MongoServerError({ message: 'too much', code });
      const full = { aggregate: () => ({ toArray: () => Promise.reject(tooMuch) }) };
      await expect(ask(full as never, []), `code ${code}`).rejects.toThrow(LimitExceededError);
    }
    const elsewhere = new MongoClient('mongodb://127.0.0.1:1/', { serverSelectionTimeoutMS: 50 });
    const far = elsewhere.db('x').collection<Order>('orders');
    const lost = await outcome(facetPage(far, page));
    await elsewhere.close();
    expect(lost.error).toBeInstanceOf(ServerUnreachableError);
    expect((await outcome(facetPage(far, page))).error).toBeInstanceOf(AggregationError);
    const net = await mongo.nodes[0].proxy();
    const shaky = new MongoClient(net.url, {
      serverSelectionTimeoutMS: 300,
      retryReads: false,
      directConnection: true,
      monitorCommands: true,
    });
    const through = shaky.db(mongo.database).collection<Order>(orders.collectionName);
    expect((await facetPage(through, page)).total).toBe(1);
    net.partition('down');
    const answer = outcome(facetPage(through, page));
    net.reset();
    expect((await answer).error).toBeInstanceOf(ServerUnreachableError);
    net.heal();
    expect((await facetPage(through, page)).total, 'after the cut').toBe(1);
    const daily = await view();
    const marks = shaky.db(mongo.database).collection<Watermark>(daily.marks.collectionName);
    for (const step of ['delete', 'update', 'find']) {
      const leaving = new AbortController();
      const leave = ({ commandName }: CommandStartedEvent) => {
        if (commandName !== step) return;
        net.partition('down');
        leaving.abort(step);
      };
      shaky.on('commandStarted', leave);
      const { error } = await outcome(refreshView(orders, { ...daily, marks }, { signal: leaving.signal }));
      expect(error, `left at the ${step} of the mark, to which no answer comes`).toBe(step);
      shaky.off('commandStarted', leave);
      net.heal();
    }
    await shaky.close();
    await net[Symbol.asyncDispose]();
  });

  test('a page beyond 16 MB, and a stage beyond its memory, say so', async ({ skip }) => {
    skip(mongo.standIn !== undefined, needsMongod('the stand-in has no limit of 16 MB or 100 MB'));
    const heavy = await shelf(Array.from({ length: 20 }, (_, id) => ({ ...order(id), photo: 'x'.repeat(1_000_000) })));
    await expect(facetPage(heavy, { ...page, size: 20 })).rejects.toThrow(LimitExceededError);
    expect((await facetPage(heavy, { ...page, size: 20, show: ['cents'] })).items, 'without the photos').toHaveLength(
      20,
    );
    const all = ask(heavy, [
      { $set: { copies: { $range: [0, 10] } } },
      { $unwind: '$copies' },
      { $group: { _id: null, photos: { $push: '$photo' } } },
    ]);
    await expect(all, '200 MB in one group').rejects.toThrow(LimitExceededError);
  });

  test('an empty collection is a report of nothing', async () => {
    const none = await shelf<Order>();
    expect(await joinRefs(none, toDish(await dishes()))).toEqual([]);
    expect(await runningTotals(none, { per: 'table', by: 'at', sum: 'cents', days: 1 })).toEqual([]);
    expect(await bucketReport(none, { by: 'cents', edges: EDGES, sum: 'cents' })).toEqual(bucketsOf([], EDGES));
    expect(await refreshView(none, await view())).toEqual({ days: 0, upTo: undefined });
    expect(totalOf([])).toEqual({ count: 0, sum: 0n, unread: 0 });
    expect(centsOf({})).toBe(null);
  });
});
