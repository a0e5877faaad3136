// Does one job many times at once, each time on tables of its own. Copy n stands still after the database's n-th answer;
// when each stands at its step, the process says so, and is killed (SIGKILL) by whoever started it: see crash.ts.
import { Pool } from 'pg';
import type { Item, Log, OrderEvent } from '#lab';

/**
 * `order`: two orders are collected and counted. `rebuild`: what was sold is counted anew, and another order comes in
 * meanwhile. `lab` is a file, by default the lab that is being graded.
 */
export type Job = { readonly kind: 'order' | 'rebuild'; readonly database: string; readonly lab?: string };
/** `last` is unknown to the first process: it finds out. */
type Die = Job & { readonly first: number; readonly last?: number | undefined };
export type Task = (Die | (Job & { readonly finish: readonly string[] })) & { readonly name: string };
export type Report = { readonly last: number; readonly standing: readonly { copy: number; after: string }[] };
type Answered = (what: string) => Promise<void>;

/** Copies in one process: each has up to two connections, and a server has a hundred. */
const AT_ONCE = 40;
export const copyOf = (name: string, n: number) => `${name}_${n}`;
/** As many as the n-th digit: what was sold tells which order was counted how often. */
const burgers = (n: number): Item[] => [{ name: 'cheeseburger', quantity: 10 ** (n - 1) }];

const connect = (connectionString: string, max: number) =>
  new Pool({ connectionString, max, application_name: `${process.pid}` });

/** @param aside What happens before the job and beside it goes over this. */
async function shop({ kind, lab = '#lab' }: Job, aside: Pool) {
  const { CommandBus, order, PostgresEventStore, Projector, sales }: typeof import('#lab') = await import(lab);
  const orders = async (name: string, numbers: readonly number[], events: (n: number) => OrderEvent[]) => {
    const book = new PostgresEventStore<OrderEvent>(aside, name);
    await book.migrate();
    for (const n of numbers)
      await book.append({ stream: `order-${n}`, expectedVersion: 0, events: events(n), commandId: `before ${n}` });
  };
  const till = (name: string, log: Log<OrderEvent>, pool = aside) =>
    new Projector(pool, log, sales, { prefix: name, batch: 3 });
  const count = async (projector: { round(): Promise<number> }) => {
    while ((await projector.round()) > 0);
  };
  const opened = async (name: string, log: Log<OrderEvent>) => {
    const first = till(name, log);
    await first.migrate();
    await count(first);
  };
  /** The copies of a rebuild share a log, which nobody writes to any more: each hears of the last order when it is time. */
  const news = (book: Log<OrderEvent>) => {
    let heard = false;
    const readAll = async (after: bigint, limit: number) => {
      const events = await book.readAll(after, limit);
      return heard ? events : events.filter(({ stream }) => stream !== 'order-4');
    };
    const hear = () => {
      heard = true;
    };
    return { readAll, backlog: (after: bigint) => book.backlog(after), hear };
  };

  if (kind === 'order')
    return {
      before: async () => {},
      async history(name: string): Promise<void> {
        await orders(name, [1, 2], (n) => [
          { type: 'OrderPlaced', data: { orderId: `${n}`, customer: 'Li', items: burgers(n) } },
          { type: 'CookingStarted', data: { orderId: `${n}` } },
          { type: 'OrderReady', data: { orderId: `${n}` } },
        ]);
        await opened(name, new PostgresEventStore<OrderEvent>(aside, name));
      },
      async work(name: string, pool: Pool): Promise<void> {
        const store = new PostgresEventStore<OrderEvent>(pool, name);
        const bus = new CommandBus(store, order);
        for (const orderId of ['1', '2']) await bus.send({ id: `collect ${orderId}`, orderId, type: 'collect' });
        await count(till(name, store, pool));
      },
    };
  return {
    before: (name: string) =>
      orders(name, [1, 2, 3, 4], (n) => [{ type: 'OrderCollected', data: { orderId: `${n}`, items: burgers(n) } }]),
    history: (name: string, log: string) => opened(name, news(new PostgresEventStore<OrderEvent>(aside, log))),
    async work(name: string, pool: Pool, shared: string): Promise<void> {
      const book = news(new PostgresEventStore<OrderEvent>(pool, shared));
      const readAll = async (after: bigint, limit: number) => {
        const events = await book.readAll(after, limit);
        if (events.length > 0) return events;
        // It has read to the end: now the live one moves on, and the switch has something to catch up with.
        book.hear();
        await count(till(name, new PostgresEventStore<OrderEvent>(aside, shared)));
        return events;
      };
      await till(name, { ...book, readAll }, pool).rebuild();
    },
  };
}

/** Hears of each answer before whoever asked for it does. */
export function listen(pool: Pool, answered: Answered): void {
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    const ask = async (args: readonly unknown[]) => {
      const result = await Reflect.apply(query, undefined, args);
      const [asked] = args;
      const text = typeof asked === 'object' && asked && 'text' in asked ? asked.text : asked;
      await answered(String(text).trim().replace(/\s+/g, ' ').slice(0, 60));
      return result;
    };
    Reflect.set(client, 'query', (...args: unknown[]) => {
      const callback = args.at(-1);
      if (typeof callback !== 'function') return ask(args);
      ask(args.slice(0, -1)).then(
        (result) => callback(undefined, result),
        (error: unknown) => callback(error),
      );
      return undefined;
    });
  });
}

async function standStill(task: Die & { readonly name: string }): Promise<Report> {
  const aside = connect(task.database, 4);
  const { before, history, work } = await shop(task, aside);
  if (task.first === 1) await before(task.name);
  /** @returns how many answers there were, and which was the last */
  const until = async (name: string, n: number) => {
    await history(name, task.name);
    const pool = connect(task.database, 2);
    const stands = Promise.withResolvers<string>();
    let answers = 0;
    listen(pool, async (what) => {
      if (++answers !== n) return;
      stands.resolve(what);
      // Not one instruction more.
      await new Promise(() => {});
    });
    const after = await Promise.race([stands.promise, work(name, pool, task.name).then(() => 'its end')]);
    return { answers, after };
  };
  // One more than there are answers: the last copy comes through.
  const last = task.last ?? (await until(copyOf(task.name, 0), Number.POSITIVE_INFINITY)).answers + 1;
  const copies = Array.from({ length: Math.min(AT_ONCE, last - task.first + 1) }, (_, index) => task.first + index);
  const standing = copies.map(async (copy) => ({ copy, after: (await until(copyOf(task.name, copy), copy)).after }));
  return { last, standing: await Promise.all(standing) };
}

if (import.meta.main) {
  // Whoever started it is gone: nobody would kill it.
  process.on('disconnect', () => process.exit(1));
  const task: Task = JSON.parse(process.argv[2] ?? '');
  if ('finish' in task) {
    const pool = connect(task.database, 8);
    const { work } = await shop(task, pool);
    const left = task.finish.values();
    const lane = async () => {
      for (const name of left) await work(name, pool, task.name);
    };
    await Promise.all([lane(), lane(), lane()]);
    process.exit(0);
  }
  process.send?.(await standStill(task));
}
