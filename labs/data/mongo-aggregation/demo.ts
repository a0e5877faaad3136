import { startMongo, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { outcome, random } from '@shared/testkit';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { Pool } from 'pg';
import { refreshView as addUp } from './pitfalls/added-twice.ts';
import { joinRefs as joinOneByOne } from './pitfalls/one-query-per-order.ts';
import { runningTotals as lastDocuments } from './pitfalls/seven-documents.ts';
import { refreshView as refreshByDay } from './pitfalls/watermark-by-day.ts';
import {
  ask,
  bucketReport,
  type DayDocument,
  equals,
  facetPage,
  joinRefs,
  LimitExceededError,
  lookupAsOf,
  PipelineRefusedError,
  reachable,
  readView,
  refreshView,
  runningTotals,
  type Watermark,
} from './src/index.ts';
import { at, DISHES, type Dish, daysOf, type Order } from './test/books.ts';
import { copyToPostgres, inSql, inTheApplication, inThePipeline } from './test/question.ts';

const ORDERS = 600;
const euro = (cents: bigint) => `${(Number(cents) / 100).toFixed(2)}`;

const options = {
  title: 'MongoDB aggregation 聚合管道',
  subtitle: "The restaurant's books: one trip to the kitchen, true bands, and a daily book that can be written twice",
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const started = startPostgres();
  started.catch(() => {});
  const mongo = await story.use(startMongo());
  await using bin = new AsyncDisposableStack();
  const client = bin.adopt(new MongoClient(mongo.url, { monitorCommands: true }), (it) => it.close());
  const db = client.db();
  let trips = 0;
  client.on('commandStarted', () => void trips++);
  /** The answer, and how often the server was asked for it. */
  const counted = async <T>(body: () => Promise<T>) => {
    const before = trips;
    const answer = await body();
    return { answer, trips: trips - before };
  };
  const dice = random(7);
  const dishes = db.collection<Dish>('dishes');
  await dishes.insertMany([...DISHES]);
  const orders = db.collection<Order>('orders');
  const books: Order[] = Array.from({ length: ORDERS }, (_, _id) => ({
    _id,
    table: `t${dice.int(1, 3)}`,
    status: dice.pick(['paid', 'paid', 'paid', 'open', 'cancelled']),
    dish: dice.pick(['ramen', 'udon', 'mochi']),
    cents: dice.int(5, 60) * 100,
    at: at(dice.int(0, 29), dice.int(0, 86_399_999)),
    changed: at(30),
  }));
  await orders.insertMany(books);
  const toDish = { from: 'dishes', local: 'dish', foreign: 'code', as: 'found' } as const;

  await story.scene('A walk to the kitchen for each order', async () => {
    story.say(
      'The waiter reads the list of orders, and then walks to the kitchen for each of them: what is dish "udon"?',
    );
    const eighty = { where: { _id: { $lt: 80 } } };
    const few = db.collection<Order>('few');
    await few.insertMany(books.slice(0, 80));
    const walk = await counted(() => joinOneByOne(few, toDish));
    const lookup = await counted(() => joinRefs(orders, { ...toDish, ...eighty }));
    story.bars({
      title: 'Round trips for 80 orders with their dishes',
      picture: true,
      items: [
        { label: 'one query per order', value: walk.trips, tone: 'bad' },
        { label: '$lookup', value: lookup.trips, tone: 'good' },
      ],
    });
    const same = JSON.stringify(walk.answer) === JSON.stringify(lookup.answer);
    story.verdict(
      'One question for all of them, and the same answer',
      `${walk.trips} round trips, then ${lookup.trips}`,
      same && walk.trips === 81 && lookup.trips === 1,
    );
  });

  await story.scene('Whose is the dish that has no code?', async () => {
    story.say(
      'Of two dishes nobody wrote down the code, and of three orders nobody wrote down the dish. $lookup takes missing for null, and null equals null.',
    );
    const gaps = db.collection<Order>('gaps');
    const plain = { table: 't1', cents: 900, at: at(0), changed: at(0) };
    await gaps.insertMany([
      { _id: 1, ...plain },
      { _id: 2, ...plain, dish: null },
      { _id: 3, ...plain },
      { _id: 4, ...plain, dish: ['udon', 'ramen', 'udon', 'gone'] },
    ]);
    const raw = await gaps
      .aggregate([
        { $lookup: { from: 'dishes', localField: 'dish', foreignField: 'code', as: 'found' } },
        { $sort: { _id: 1 } },
      ])
      .toArray();
    const strangers = raw.slice(0, 3).reduce((sum, { found }) => sum + found.length, 0);
    story.code('src/join.ts', { from: 'A `local` that is missing', to: 'const found' });
    const joined = await joinRefs(gaps, toDish);
    const wrong = joined.slice(0, 3).filter(({ found }) => found !== null).length;
    story.verdict(
      'Whoever has no code is nobody’s',
      `${strangers} dishes given to 3 orders of nothing, then ${wrong}`,
      strangers === 6 && wrong === 0,
    );
    const names = (found: unknown) => (Array.isArray(found) ? found.map((dish) => dish?.name ?? '–').join(', ') : '');
    story.verdict(
      'A list comes back as the guest said it: udon, ramen, udon, and one that is gone',
      `$lookup: ${names(raw[3]?.['found'])}; ordered: ${names(joined[3]?.found)}`,
      names(joined[3]?.found) === 'Udon, Ramen, Udon, –',
    );
    const prices = db.collection('prices');
    await prices.insertMany([
      { dish: 'udon', since: at(0), cents: 900 },
      { dish: 'udon', since: at(5), cents: 1_100 },
    ]);
    const one = await ask<Document>(orders, [
      { $match: { dish: 'udon', at: { $lt: at(5) } } },
      { $limit: 1 },
      ...lookupAsOf({ from: 'prices', local: 'dish', foreign: 'dish', at: 'at', since: 'since', as: 'price' }),
    ]);
    story.verdict(
      'The other form, with `let` and a pipeline, finds the price of that day: the rise came later',
      `${one[0]?.['price']?.cents} cents`,
      one[0]?.['price']?.cents === 900,
    );
  });

  await story.scene('Is 10.00 in the band up to 10.00?', async () => {
    const bands = db.collection<Order>('bands');
    const cents = [999, 1_000, 1_001, 2_500, 0, null];
    await bands.insertMany(cents.map((it, _id) => ({ _id, cents: it, at: at(0), changed: at(0) })));
    const stage = { groupBy: '$cents', boundaries: [0, 1_000, 2_500] };
    const refused = await outcome(ask(bands, [{ $bucket: stage }]));
    story.verdict(
      '$bucket without a default: one order outside, and there is no report',
      refused.error instanceof Error ? refused.error.name : 'a report',
      refused.error instanceof PipelineRefusedError,
    );
    const { buckets, outside } = await bucketReport(bands, {
      by: 'cents',
      edges: [0, 1_000, 2_500, 5_000, 9_000],
      sum: 'cents',
    });
    story.table({
      caption: 'Orders of 0.00, 9.99, 10.00, 10.01, 25.00, and one without an amount',
      columns: ['from', 'up to, without', 'orders', 'sum'],
      rows: [
        ...buckets.map(({ from, to, count, sum }) => [euro(BigInt(from)), euro(BigInt(to)), `${count}`, euro(sum)]),
        ['outside', '', `${outside.count}`, euro(outside.sum)],
      ],
    });
    const counts = [...buckets, outside].map(({ count }) => count).join(', ');
    story.verdict(
      'An edge belongs to the band above, an empty band is told, and nobody is lost',
      counts,
      counts === '2, 2, 1, 0, 1',
    );
  });

  await story.scene('A guest whose name is an operator', async () => {
    const body: unknown = JSON.parse('{ "status": { "$ne": null } }');
    story.say(`A page asks for the orders of one status. The guest sends \`${JSON.stringify(body)}\`.`);
    const page = { sort: { by: 'at', order: 'desc' }, page: 1, size: 5, counts: ['status', 'table'] } as const;
    const open = await facetPage(orders, { ...page, where: body as Record<string, unknown> });
    const closed = await facetPage(orders, { ...page, where: equals(body as Record<string, unknown>) });
    story.verdict(
      'As it came it is an operator; behind $eq it is a value that no order has',
      `${open.total} orders, then ${closed.total}`,
      open.total === ORDERS && closed.total === 0,
    );
    const { answer, trips: asked } = await counted(() =>
      facetPage(orders, { ...page, where: equals({ status: 'paid' }) }),
    );
    const sums = answer.counts.table.reduce((sum, { count }) => sum + count, 0);
    story.say(
      `Tables of the paid orders: ${answer.counts.table.map(({ value, count }) => `${value} ${count}`).join(', ')}.`,
    );
    story.verdict(
      '$facet: five items, the total and the counts of one match, in one trip',
      `${answer.items.length} of ${answer.total}, counts add up to ${sums}, ${asked} trip`,
      answer.items.length === 5 && sums === answer.total && asked === 1,
    );
  });

  await story.scene('The last seven days of a quiet table', async () => {
    const quiet = db.collection<Order>('quiet');
    await quiet.insertMany(
      [0, 9, 18, 27].map((day, _id) => ({ _id, table: 't9', cents: 1_000, at: at(day), changed: at(day) })),
    );
    const running = { per: 'table', by: 'at', sum: 'cents', days: 7 } as const;
    const [documents, days] = [
      (await lastDocuments(quiet, running)).at(-1),
      (await runningTotals(quiet, running)).at(-1),
    ];
    story.verdict(
      'One order of 10.00 every nine days: seven documents are a month, seven days are a week',
      `${euro(documents?.recent ?? 0n)}, then ${euro(days?.recent ?? 0n)} (${euro(days?.total ?? 0n)} in all)`,
      documents?.recent === 4_000n && days?.recent === 1_000n && days.total === 4_000n,
    );
    const parts = db.collection<{ _id: string; parts: string[] }>('parts');
    await parts.insertMany([
      { _id: 'ramen', parts: ['broth', 'noodles'] },
      { _id: 'broth', parts: ['bones', 'yesterday’s broth'] },
      { _id: 'yesterday’s broth', parts: ['broth'] },
      { _id: 'noodles', parts: ['flour'] },
      { _id: 'bones', parts: [] },
      { _id: 'flour', parts: [] },
    ]);
    const all = await reachable(parts, { start: 'ramen', via: 'parts', maxDepth: 10 });
    story.verdict(
      'What is in a ramen? $graphLookup ends, though the broth is made of broth',
      all.map(({ key, depth }) => `${key} ${depth}`).join(', '),
      all.length === 5,
    );
  });

  await story.scene('The daily book', async () => {
    story.say(
      'One row a day, kept by $merge. The clerk is called away in the middle, and begins again. Then an order of day 0 is found, and one is cancelled.',
    );
    const daily = (name: string) =>
      ({
        into: db.collection<DayDocument>(name),
        marks: db.collection<Watermark>(`${name} marks`),
        at: 'at',
        changed: 'changed',
        sum: 'cents',
        counts: { $ne: ['$status', 'cancelled'] },
        overlapMs: 0,
      }) as const;
    const wrongDays = async (name: string, now: readonly Order[]) => {
      const [kept, due] = [await readView(db.collection<DayDocument>(name)), daysOf(now)];
      return due.filter(({ day, sum }, i) => kept[i]?.day.getTime() !== day.getTime() || kept[i]?.sum !== sum).length;
    };
    const twice = async (name: string, refresh: typeof refreshView) => {
      await refresh(orders, daily(name));
      await db.collection(`${name} marks`).deleteMany({}); // ended before it could note how far it was
      await refresh(orders, daily(name));
      return wrongDays(name, books);
    };
    const [added, replaced] = [await twice('added', addUp), await twice('replaced', refreshView)];
    story.verdict(
      'What is added is added twice; what is computed anew and replaced is the same',
      `${added} of 30 days wrong, then ${replaced}`,
      added > 25 && replaced === 0,
    );
    await refreshByDay(orders, daily('by day'));
    const late: Order = { _id: ORDERS, status: 'paid', table: 't1', cents: 99_900, at: at(0, 1), changed: at(31) };
    await orders.insertOne(late);
    const gone = books.find(({ status, at: time }) => status === 'paid' && time < at(2) && time > at(1));
    await orders.updateOne({ _id: gone?._id ?? -1 }, { $set: { status: 'cancelled', changed: at(31) } });
    const now = await orders.find().toArray();
    await refreshByDay(orders, daily('by day'));
    const { days } = await refreshView(orders, { ...daily('replaced'), marks: await markAt('replaced') });
    const [missed, found] = [await wrongDays('by day', now), await wrongDays('replaced', now)];
    story.verdict(
      'A watermark of days misses what comes late; a watermark of changes computes the days concerned',
      `${missed} days wrong, then ${found}; ${days} of 30 computed`,
      missed === 2 && found === 0 && days === 2,
    );
  });
  /** The view has read up to just before the late changes. */
  async function markAt(name: string): Promise<Collection<Watermark>> {
    const marks = db.collection<Watermark>(`${name} marks`);
    await marks.updateMany({}, { $set: { upTo: at(30, 1) } });
    return marks;
  }

  const pg = await story.use(started);
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  await story.scene('One question, three kitchens', async () => {
    const now = await orders.find().toArray();
    await copyToPostgres(pool, now, DISHES);
    story.say(
      'What did noodles and sweets take on each day, and so far? In the application, in the pipeline, and in SQL.',
    );
    const ways = {
      application: () => inTheApplication({ orders, dishes }),
      pipeline: () => inThePipeline({ orders, dishes }),
      'Postgres SQL': () => inSql(pool),
    };
    const measured = [];
    for (const [name, way] of Object.entries(ways)) {
      await way();
      const start = performance.now();
      const { answer, trips: asked } = await counted(way);
      measured.push({ name, ...answer, asked: name === 'Postgres SQL' ? 1 : asked, ms: performance.now() - start });
    }
    story.table({
      columns: ['where', 'round trips', 'documents or rows that travelled', 'ms'],
      rows: measured.map(({ name, asked, travelled, ms }) => [name, `${asked}`, `${travelled}`, ms.toFixed(0)]),
    });
    const [app, pipeline, sql] = measured;
    const text = measured.map(({ taken }) => taken.map((it) => Object.values(it).join(' ')).join('\n'));
    story.verdict(
      'Three answers, equal to the cent',
      `${app?.taken.length} rows, ${new Set(text).size} answer`,
      new Set(text).size === 1 && (app?.taken.length ?? 0) > 40,
    );
    story.verdict(
      'Only the answer travels, not the books',
      `${app?.travelled}, then ${pipeline?.travelled} and ${sql?.travelled}`,
      (pipeline?.travelled ?? 0) * 5 < (app?.travelled ?? 0) && pipeline?.travelled === sql?.travelled,
    );
    story.say(`Milliseconds of one small run, ${mongo.standIn ?? 'on a mongod'}: no contest between servers.`);
  });

  await (mongo.standIn === undefined
    ? story.scene('More than a document can hold', async () => {
        const heavy = db.collection<Order & { photo: string }>('heavy');
        await heavy.insertMany(books.slice(0, 20).map((it) => ({ ...it, photo: 'x'.repeat(1_000_000) })));
        const page = { sort: { by: '_id' }, page: 1, size: 20, counts: [] } as const;
        const { error } = await outcome(facetPage(heavy, page), 10_000);
        const small = await facetPage(heavy, { ...page, show: ['cents'] });
        story.verdict(
          '$facet answers one document: 20 MB of photos are refused, the page without them is not',
          `${error instanceof Error ? error.name : 'answered'}, then ${small.items.length} items`,
          error instanceof LimitExceededError && small.items.length === 20,
        );
      })
    : story.skip(
        'More than a document can hold',
        'cannot be shown on a stand-in: it has no limit of 16 MB, nor of 100 MB a stage',
      ));
});
