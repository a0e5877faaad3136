import { getPostgreSQLEventStore, postgreSQLProjection } from '@event-driven-io/emmett-postgresql';
import { Client } from '@opensearch-project/opensearch';
import { startOpenSearch, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratio, ratios } from '@shared/testkit';
import { Pool } from 'pg';
import { PostgresEventStore as Conversation } from './pitfalls/lock-across-the-network.ts';
import { board, type OrderEvent, PostgresEventStore, Projector, Queries, type Recorded, type Tx } from './src/index.ts';
import { orderSearch, SearchProjector, SearchQueries } from './src/opensearch-projector.ts';
import { fill, LATEST, OneBook } from './test/one-book.ts';

const right = (label: string) => ({ label, align: 'right' as const });

/** As emmett appends: nobody waits, and a reader by position may miss an event. */
class Unordered extends PostgresEventStore<OrderEvent> {
  protected override appendFunction(): string {
    return super.appendFunction().replace(/PERFORM pg_advisory_xact_lock.*/, '');
  }
}

/** An order from the till to the customer. */
const life = (orderId: string): OrderEvent[] => {
  const items = ['cheeseburger', 'fries'].map((name) => ({ name, quantity: 1 }));
  return [
    { type: 'OrderPlaced', data: { orderId, customer: 'Li', items } },
    { type: 'ItemsChanged', data: { orderId, items } },
    { type: 'CookingStarted', data: { orderId } },
    { type: 'OrderReady', data: { orderId } },
    { type: 'OrderCollected', data: { orderId, items } },
  ];
};

await tell({ title: 'CQRS: what the second book costs and buys', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  const pool = new Pool({ connectionString: pg.url, max: 40 });
  pool.on('error', () => {});

  /** A verdict, if the rounds agree on it: all but the best and the worst on one side of the floor. */
  const claim = (what: string, rounds: readonly number[], floor: number) => {
    const { text, reaches } = consensus(rounds);
    const holds = reaches(floor);
    if (holds === undefined) story.say(`“${what}”: not claimed, the rounds disagree (${text}).`);
    else story.verdict(what, text, holds);
  };

  try {
    await story.scene('A rebuild of 100,000 events, and of 10,000', async () => {
      const rebuild = async (name: string, events: number, read: (after: bigint) => Promise<void> = async () => {}) => {
        const store = new PostgresEventStore<OrderEvent>(pool, name);
        await store.migrate();
        await fill(pool, name, events);
        const readAll = async (after: bigint, limit: number) => {
          await read(after);
          return store.readAll(after, limit);
        };
        const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
        const projector = new Projector(pool, log, board, { prefix: name });
        await projector.migrate();
        const start = performance.now();
        await projector.rebuild();
        return performance.now() - start;
      };
      await rebuild('warm', 2_000);
      // After every second tenth of the large one a small one is rebuilt from end to end: both meet the same machine.
      const pairs: { after: bigint; tenth: number; small: number }[] = [];
      let total = 0;
      let begun = 0;
      await rebuild('large', 100_000, async (after) => {
        if (after % 10_000n !== 0n) return;
        const tenth = performance.now() - begun;
        if (after > 0n) total += tenth;
        if (after > 0n && after % 20_000n === 0n)
          pairs.push({ after, tenth, small: await rebuild(`small${after}`, 10_000) });
        begun = performance.now();
      });
      const perSecond = (took: number) => ((10_000 / took) * 1000).toFixed(0);
      story.table({
        caption: 'Events per second; the small one is rebuilt after that tenth of the large one',
        columns: ['', right('100,000: this tenth'), right('10,000: all of it')],
        rows: pairs.map(({ after, tenth, small }) => [`${after / 10_000n}`, perSecond(tenth), perSecond(small)]),
      });
      story.say(`100,000 events in ${(total / 1000).toFixed(1)} s: ${perSecond(total / 10)} per second.`);
      const rounds = pairs.map(({ tenth, small }) => small / tenth);
      claim('linear: ten times the events, at no less than 0.6 of the rate', rounds, 0.6);
    });

    await story.scene('The board: a row an order, or a join', async () => {
      const book = new OneBook(pool);
      await book.open(10_000);
      const queries = new Queries(pool, 'small20000');
      // Both have been analysed: a table without statistics is sorted, not read by its index.
      await pool.query(`ANALYZE ${await queries.query(board, async (_, table) => table)}`);
      const [joined, read] = await contest(
        {
          'one book, joined': () => book.board(),
          'read model': () => queries.query(board, (db, table) => db.query(LATEST.replace('TABLE', table))),
        },
        { workers: 2 },
      );
      if (!joined || !read) throw new Error('two contestants');
      story.table({
        caption: '10,000 open orders, the latest 20 of them, two screens',
        columns: ['', right('per second'), right('p50 ms'), right('p99 ms')],
        rows: [joined, read].map(({ name, perSecond, p50, p99 }) => [
          name,
          perSecond.toFixed(0),
          p50.toFixed(2),
          p99.toFixed(2),
        ]),
      });
      claim('at least ten times the answers', ratios(read, joined), 10);
      story.verdict('a lower p99', `${(joined.p99 / read.p99).toFixed(0)} × lower`, read.p99 < joined.p99);
    });

    await story.scene('What the order of the log costs', async () => {
      const ordered = new PostgresEventStore<OrderEvent>(pool, 'ordered');
      const unordered = new Unordered(pool, 'unordered');
      for (const store of [ordered, unordered]) await store.migrate();
      let orders = 0;
      const append = (store: PostgresEventStore<OrderEvent>) => {
        const id = `${++orders}`;
        const placed: OrderEvent = { type: 'OrderPlaced', data: { orderId: id, customer: 'Li', items: [] } };
        return store.append({ stream: `order-${id}`, expectedVersion: 0, events: [placed], commandId: id });
      };
      const [locked, free] = await contest(
        { 'under the lock': () => append(ordered), 'without it, losing events to readers': () => append(unordered) },
        { workers: 8 },
      );
      if (!locked || !free) throw new Error('two contestants');
      story.table({
        caption: 'Eight writers, a stream each',
        columns: ['', right('appends per second'), right('p99 ms')],
        rows: [locked, free].map(({ name, perSecond, p99 }) => [name, perSecond.toFixed(0), p99.toFixed(2)]),
      });
      story.say(`The lock costs a factor of ${(1 / ratio(locked, free)).toFixed(1)} here.`);
    });

    // Last: emmett's driver sets how pg reads bigint and jsonb for the whole process, this lab's queries included.
    const ours = new PostgresEventStore<OrderEvent>(pool, 'peer');
    await ours.migrate();
    const emmett = getPostgreSQLEventStore(pg.url, { connectionOptions: { pool } });
    await emmett.schema.migrate();

    await story.scene('Beside emmett: the projector', async () => {
      const orders = 1_000;
      for (let i = 0; i < orders; i++) {
        const [stream, events] = [`order-old${i}`, life(`old${i}`)];
        await ours.append({ stream, expectedVersion: 0, events, commandId: stream });
        await emmett.appendToStream(stream, events, { expectedStreamVersion: 0n });
      }
      let builds = 0;
      /** Both fill a new board, and end when they have read the log to its end. */
      const check = async (table: string) => {
        const { rowCount } = await pool.query(`SELECT FROM ${table} WHERE status = 'collected'`);
        if (rowCount !== orders) throw new Error(`${rowCount} orders of ${orders} in ${table}`);
        await pool.query(`DROP TABLE ${table}`);
      };
      const project = async () => {
        const prefix = `peer${++builds}`;
        const projector = new Projector(pool, ours, board, { prefix, batch: 500 });
        await projector.migrate();
        while ((await projector.round()) > 0);
        await check(await new Queries(pool, prefix).query(board, async (_, table) => table));
      };
      type Handler = { on(tx: Tx, table: string, event: Recorded<OrderEvent>): Promise<unknown> }['on'];
      const on: { readonly [type: string]: Handler | undefined } = board.on;
      const emmettProjects = async () => {
        const table = `emmett${++builds}`;
        const projection = postgreSQLProjection<OrderEvent>({
          name: table,
          canHandle: ['OrderPlaced', 'ItemsChanged', 'CookingStarted', 'OrderReady', 'OrderCollected'],
          init: async ({ context }) => void (await board.create(context.connection.client, table)),
          handle: async (events, { connection }) => {
            for (const event of events) {
              const { globalPosition: position, streamName: stream, streamPosition } = event.metadata;
              const recorded = { ...event, position, stream, version: Number(streamPosition), at: new Date() };
              await on[event.type]?.(connection.client, table, recorded);
            }
          },
        });
        const consumer = emmett.consumer<OrderEvent>({
          stopWhen: { noMessagesLeft: true },
          pulling: { batchSize: 500, pullingFrequencyInMs: 0 },
        });
        consumer.projector({ processorId: table, projection });
        await consumer.start();
        await check(table);
      };
      const [mine, theirs] = await contest({ 'this lab': project, emmett: emmettProjects });
      if (!mine || !theirs) throw new Error('two contestants');
      story.table({
        caption: `${orders * 5} events of ${orders} orders into the board, by the same statements, 500 a transaction`,
        columns: ['', right('events per second')],
        rows: [mine, theirs].map(({ name, perSecond }) => [name, (perSecond * orders * 5).toFixed(0)]),
      });
      claim("at least 0.8 × the rate of emmett's", ratios(mine, theirs), 0.8);
      story.say(
        'Its asynchronous projector, pauses between batches set to 0; the first, 100 ms, is fixed, and counted. It notes its position after each event, this lab after each batch.',
      );
    });

    await story.scene('Beside emmett: appending', async () => {
      let orders = 0;
      const one = (append: (stream: string, version: number, event: OrderEvent) => Promise<unknown>) => async () => {
        const id = `${++orders}`;
        for (const [version, event] of life(id).entries()) await append(`order-${id}`, version, event);
      };
      const by = (store: PostgresEventStore<OrderEvent>) =>
        one((stream, expectedVersion, event) =>
          store.append({ stream, expectedVersion, events: [event], commandId: `${stream} ${expectedVersion}` }),
        );
      const contestants = {
        'statement by statement': by(new Conversation(pool, 'peer')),
        'this lab': by(ours),
        'this lab, group commit': by(new PostgresEventStore(pool, 'peer', { groupCommit: true })),
        emmett: one((stream, version, event) =>
          emmett.appendToStream(stream, [event], { expectedStreamVersion: BigInt(version) }),
        ),
      };
      const crowds = [1, 8, 32];
      const results: Awaited<ReturnType<typeof contest>>[] = [];
      for (const workers of crowds) results.push(await contest(contestants, { workers, rounds: 7 }));
      story.table({
        caption: 'Events per second, one an append, at the version that was expected',
        columns: ['', ...crowds.map((workers) => right(workers === 1 ? 'one writer' : `${workers} writers`))],
        rows: Object.keys(contestants).map((name, i) => [
          name,
          ...results.map((standings) => ((standings[i]?.perSecond ?? 0) * 5).toFixed(0)),
        ]),
      });
      story.say(
        "Emmett's append takes three round trips, waits for nobody and notes no command; a reader by position may miss an event. Here a command is known afterwards, and none is missed.",
      );
      const beside = (crowd: number, name: string) => {
        const standings = results[crowds.indexOf(crowd)] ?? [];
        const [mine, theirs] = [name, 'emmett'].map((who) => standings.find((standing) => standing.name === who));
        if (!mine || !theirs) throw new Error(`no ${name} with ${crowd} writers`);
        return ratios(mine, theirs);
      };
      claim('one writer: at least twice the appends of emmett', beside(1, 'this lab'), 2);
      claim('eight, one after the other: at least 1.4 times', beside(8, 'this lab'), 1.4);
      claim('thirty-two, in groups: at least three times', beside(32, 'this lab, group commit'), 3);
    });

    await story.scene('10,000 orders searched, and how late a search is', async () => {
      const search = await story.use(startOpenSearch());
      const client = new Client({ node: search.url });
      try {
        const store = new PostgresEventStore<OrderEvent>(pool, 'searched');
        await store.migrate();
        await fill(pool, 'searched', 10_000);
        const copier = new SearchProjector(client, store, orderSearch, { prefix: search.namespace });
        await copier.migrate();
        const queries = new SearchQueries(client, search.namespace);
        const start = performance.now();
        let position = 0n;
        while ((await copier.round()) > 0);
        const copied = performance.now() - start;
        const find = async (word: string, atLeast = 0n) => {
          const began = performance.now();
          const hits = await queries.search(orderSearch, { match: { items: word } }, { atLeast });
          return { hits: hits.length, ms: performance.now() - began };
        };
        const [lags, pays]: [number[], number[]] = [[], []];
        for (let n = 0; n < 10; n++) {
          const word = `special${n}`;
          const items = [{ name: word, quantity: 1 }];
          const events = [{ type: 'OrderPlaced', data: { orderId: word, customer: 'Li', items } } as const];
          position = await store.append({ stream: word, expectedVersion: 0, events, commandId: word });
          await copier.round();
          const written = performance.now();
          // Every second one asks to see his own order.
          if (n % 2 === 1) pays.push((await find(word, position)).ms);
          while ((await find(word)).hits === 0);
          if (n % 2 === 0) lags.push(performance.now() - written);
        }
        const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
        const waited = `${median(lags).toFixed(0)} ms in the middle, ${Math.max(...lags).toFixed(0)} at most`;
        story.table({
          columns: ['', right('')],
          rows: [
            ['10,000 events copied, 500 a round', `${copied.toFixed(0)} ms`],
            ['from written to found, refresh_interval 1 s', waited],
            ['for whoever asks for his own order', `${median(pays).toFixed(0)} ms`],
            ['a word in 10,000 orders', `${(await find('cheeseburgers')).ms.toFixed(1)} ms`],
          ],
        });
        story.verdict(
          'Whoever asks for his own order need not wait for the refresh',
          `${median(pays).toFixed(0)} ms against ${median(lags).toFixed(0)} ms`,
          median(pays) < median(lags),
        );
      } finally {
        await client.close();
      }
    });
  } finally {
    await pool.end();
  }
});
