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
    await story.scene('A rebuild of 10,000 and of 100,000 events', async () => {
      const rebuild = async (name: string, events: number) => {
        const store = new PostgresEventStore<OrderEvent>(pool, name);
        await store.migrate();
        await fill(pool, name, events);
        const projector = new Projector(pool, store, board, { prefix: name });
        await projector.migrate();
        const start = performance.now();
        await projector.rebuild();
        return events / ((performance.now() - start) / 1000);
      };
      await rebuild('warm', 2_000);
      const small: number[] = [];
      for (const round of [1, 2, 3]) small.push(await rebuild(`small${round}`, 10_000));
      const large = await rebuild('large', 100_000);
      const [, median = 0] = small.toSorted((a, b) => a - b);
      story.table({
        columns: ['events', right('events per second')],
        rows: [
          ['10,000 (median of 3)', median.toFixed(0)],
          ['100,000', large.toFixed(0)],
        ],
      });
      const times = large / median;
      story.verdict('linear: ten times the events, the same rate', `${times.toFixed(2)} ×`, times > 0.7);
    });

    await story.scene('The board: a row an order, or a join', async () => {
      const book = new OneBook(pool);
      await book.open(10_000);
      const queries = new Queries(pool, 'small1');
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
