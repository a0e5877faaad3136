import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio } from '@shared/testkit';
import { Pool } from 'pg';
import { board, type OrderEvent, PostgresEventStore, Projector, Queries } from './src/index.ts';
import { fill, LATEST, OneBook } from './test/one-book.ts';

const right = (label: string) => ({ label, align: 'right' as const });

await tell({ title: 'CQRS: what the second book costs and buys', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  const pool = new Pool({ connectionString: pg.url, max: 20 });
  pool.on('error', () => {});
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
      const ratios = pairs.map(({ tenth, small }) => small / tenth).toSorted((a, b) => a - b);
      const median = ratios[2] ?? 0;
      story.say(`100,000 events in ${(total / 1000).toFixed(1)} s: ${perSecond(total / 10)} per second.`);
      story.verdict(
        'linear: ten times the events, the same rate',
        `${median.toFixed(2)} × the rate of 10,000, the median of five pairs`,
        median > 0.8,
      );
    });

    await story.scene('The board: a row an order, or a join', async () => {
      const book = new OneBook(pool);
      await book.open(10_000);
      const queries = new Queries(pool, 'small20000');
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
      const times = ratio(read, joined);
      story.verdict('at least ten times the answers', `${times.toFixed(0)} ×`, times >= 10);
      story.verdict('a lower p99', `${(joined.p99 / read.p99).toFixed(0)} × lower`, read.p99 < joined.p99);
    });

    await story.scene('What the order of the log costs', async () => {
      class Unordered<E extends OrderEvent> extends PostgresEventStore<E> {
        protected override async lockLog(): Promise<void> {}
      }
      const ordered = new PostgresEventStore<OrderEvent>(pool, 'ordered');
      await ordered.migrate();
      const unordered = new Unordered<OrderEvent>(pool, 'ordered');
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
  } finally {
    await pool.end();
  }
});
