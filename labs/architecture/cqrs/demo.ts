import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, until } from '@shared/testkit';
import { Pool } from 'pg';
import { PostgresEventStore as Conversation } from './pitfalls/lock-across-the-network.ts';
import { Projector as InPlace } from './pitfalls/rebuild-in-place.ts';
import {
  board,
  CommandBus,
  type EventStore,
  type Item,
  type OrderEvent,
  order,
  PostgresEventStore,
  Projector,
  Queries,
  StaleReadError,
  sales,
} from './src/index.ts';
import { killEverywhere } from './test/crash.ts';
import { listen } from './test/crash-worker.ts';
import { fill, LATEST, OneBook } from './test/one-book.ts';

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const p95 = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)] ?? 0;
const BURGER: readonly Item[] = [
  { name: 'cheeseburger', quantity: 2 },
  { name: 'fries', quantity: 1 },
];
const HISTORY = 3_000;
const SCREENS = 12;

const options = {
  title: 'CQRS 命令查询职责分离',
  subtitle: 'The burger shop: one book for whoever orders, one for the big screen, and a copier between them',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const connect = (max: number, connectionString = pg.url) => {
    const pool = new Pool({ connectionString, max });
    pool.on('error', () => {});
    return bin.adopt(pool, (it) => it.end());
  };
  const [pool, screens] = [connect(10), connect(4)];
  const store = new PostgresEventStore<OrderEvent>(pool, 'shop');
  await store.migrate();
  const bus = new CommandBus(store, order);
  const queries = new Queries(screens, 'shop');
  const screen = new Projector(pool, store, board, { prefix: 'shop', idleMs: 5 });
  await screen.migrate();
  let orders = 0;
  const place = () =>
    bus.send({ id: `c${++orders}`, orderId: `${orders}`, type: 'place', customer: 'Li', items: BURGER });
  const drain = async (projector: { round(): Promise<number> }) => {
    while ((await projector.round()) > 0);
  };
  const size = (atLeast = 0n, timeoutMs = 0) =>
    queries.query(
      board,
      async (db, table) => Number((await db.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.n),
      { atLeast, timeoutMs },
    );
  /** Runs `body` again and again until the returned function is called. */
  const repeat = (body: () => Promise<unknown>, pauseMs: number) => {
    const stop = new AbortController();
    const running = (async () => {
      while (!stop.signal.aborted) {
        await body();
        await delay(pauseMs);
      }
    })();
    return () => {
      stop.abort();
      return running;
    };
  };

  await story.scene('One book: who asks for his burger keeps the clerk waiting', async () => {
    story.say(
      `One book of ${HISTORY} orders, normalised: orders, lines, steps. Two clerks write; ${SCREENS} screens ask every ` +
        '50 ms for the latest open orders, which is a join of the three. One pool of 10 connections for all. The best of three rounds is shown: what else the machine does can only add to it.',
    );
    const book = new OneBook(pool);
    await book.open(HISTORY);
    await fill(pool, 'shop', HISTORY);
    await drain(screen);
    const clerks = async (write: () => Promise<unknown>) => {
      const took: number[] = [];
      const end = performance.now() + 200;
      const clerk = async () => {
        while (performance.now() < end || took.length < 20) {
          const start = performance.now();
          await write();
          took.push(performance.now() - start);
          await delay(3);
        }
      };
      await Promise.all([clerk(), clerk()]);
      return p95(took);
    };
    const crowded = async (write: () => Promise<unknown>, look: () => Promise<unknown>) => {
      const stops = Array.from({ length: SCREENS }, () => repeat(look, 50));
      const result = await clerks(write);
      await Promise.all(stops.map((stop) => stop()));
      return result;
    };
    const look = () => queries.query(board, (db, table) => db.query(LATEST.replace('TABLE', table)));
    const copier = new Projector(pool, store, board, { prefix: 'shop', idleMs: 5 });
    const inOne = () => book.place(BURGER);
    const rounds: number[][] = [];
    // In turns, so that what else the machine does meets them all.
    for (let round = 0; round < 3; round++) {
      const one = [await clerks(inOne), await crowded(inOne, () => book.board())];
      copier.start();
      rounds.push([...one, await clerks(place), await crowded(place, look)]);
      await copier.stop();
    }
    const best = (of: number) => Math.min(...rounds.map((round) => round[of] ?? Number.POSITIVE_INFINITY));
    const one = { alone: best(0), crowd: best(1) };
    const two = { alone: best(2), crowd: best(3) };
    story.verdict(
      'The screens make whoever orders wait, though a reader in Postgres locks out no writer: they take the connections and the processors',
      `p95 of an order: ${ms(one.alone)} alone, ${ms(one.crowd)} with the screens`,
      one.crowd > 1.5 * one.alone,
    );
    story.bars({
      title: 'p95 of placing an order',
      unit: 'ms',
      items: [
        { label: 'one book, nobody asks', value: one.alone },
        { label: `one book, ${SCREENS} screens`, value: one.crowd, tone: 'bad' },
        { label: 'two books, nobody asks', value: two.alone },
        { label: `two books, ${SCREENS} screens`, value: two.crowd, tone: 'good' },
      ],
    });
    story.say(
      'Two books: a command is an event in the log, and the screens read a row an order, made for them, by an index. A command costs more than before: it reads its stream, and the appends go one by one.',
    );
    story.verdict(
      'The same screens on a book of their own',
      `${ms(two.crowd)} with the screens`,
      two.crowd < one.crowd,
    );
  });

  await story.scene('The copier is killed, after every answer of the database', async () => {
    story.say(
      'A process sends two commands and copies them into the count of what was sold: 1 cheeseburger, and 10. It is killed by SIGKILL, and the next one finishes. That is done for each step: after which answer of the database it died.',
    );
    const kill = async (name: string, lab: string) => {
      const { href } = new URL(lab, import.meta.url);
      const deaths = await killEverywhere(pool, name, { kind: 'order', database: pg.url, lab: href });
      const count = ({ name: prefix }: { name: string }) =>
        new Queries(screens, prefix).query(
          sales,
          async (db, table) => (await db.query<{ sold: number }>(`SELECT sold FROM ${table}`)).rows[0]?.sold ?? 0,
        );
      const counts = await Promise.all(deaths.map(count));
      return { deaths: deaths.length - 1, wrong: counts.filter((sold) => sold !== 11) };
    };
    const apart = await kill('apart', './pitfalls/checkpoint-apart.ts');
    story.verdict(
      'Rows first, checkpoint afterwards: killed in between, the next one counts again',
      `${apart.wrong.length} of ${apart.deaths} deaths, ${[...new Set(apart.wrong)].toSorted((a, b) => a - b).join(' or ')} sold instead of 11`,
      apart.wrong.length > 0,
    );
    story.code('src/projector.ts', { from: 'return this.inTransaction(async (tx) => {', to: '});' });
    const together = await kill('together', './src/index.ts');
    story.verdict(
      'Rows and checkpoint in one transaction',
      `${together.wrong.length} of ${together.deaths} deaths`,
      together.wrong.length === 0 && together.deaths > 5,
    );
  });

  await story.scene('The copier takes a break: lag, and reading your own order', async () => {
    const copier = new Projector(pool, store, board, { prefix: 'shop', idleMs: 5 });
    const lag: [number, number][] = [];
    const moments: { at: number; label: string }[] = [];
    const t0 = performance.now();
    const now = () => Math.round(performance.now() - t0);
    const stopClerk = repeat(place, 5);
    const stopMeter = repeat(async () => lag.push([now(), (await copier.lag()).events]), 20);
    await delay(600);
    const behind = await copier.lag();
    const { position } = await place();
    const before = await size();
    const refused = await size(position, 30).catch((error: unknown) => error);
    story.verdict(
      'While he is away the board is old, and whoever asks for his own order is told so',
      `${behind.events} events behind, the oldest ${ms(behind.ms)} old; ${refused instanceof StaleReadError ? refused.name : 'answered'} for the asker`,
      behind.events > 0 && refused instanceof StaleReadError,
    );
    const asked = performance.now();
    moments.push({ at: now(), label: 'back' });
    copier.start();
    const seen = await size(position, 5_000);
    const waited = performance.now() - asked;
    await stopClerk();
    await until(async () => (await copier.lag()).events === 0, { what: 'the lag to end' });
    await delay(60);
    await stopMeter();
    await copier.stop();
    story.lines({
      title: 'How far the board is behind the log',
      x: { label: 'ms' },
      y: { label: 'events' },
      series: [{ label: 'lag', points: lag, tone: 'accent' }],
      moments,
      picture: true,
    });
    story.verdict(
      '`atLeast` waits for exactly as long as it takes: no sleep, no guess',
      `${seen - before} more orders on the board after ${ms(waited)}`,
      seen > before,
    );
    const end = await copier.lag();
    story.verdict('The lag of an idle shop is nothing', `${end.events} events, ${ms(end.ms)}`, end.events === 0);
  });

  await story.scene('A new board, while everybody looks at the old one', async () => {
    const watch = async (projector: { rebuild(): Promise<void> }) => {
      const full = await size();
      const sizes: number[] = [];
      const stop = repeat(async () => sizes.push(await size()), 5);
      const start = performance.now();
      await projector.rebuild();
      const took = performance.now() - start;
      await stop();
      return { full, least: Math.min(...sizes), looks: sizes.length, took };
    };
    const emptied = await watch(new InPlace(pool, store, board, { prefix: 'shop', batch: 250 }));
    story.verdict(
      'Emptied and filled again: the screen loses orders',
      `down to ${emptied.least} of ${emptied.full} orders in ${emptied.looks} looks`,
      emptied.least < emptied.full,
    );
    const events = (await store.backlog(0n)).events;
    const built = await watch(new Projector(pool, store, board, { prefix: 'shop', batch: 250 }));
    story.verdict(
      'Built beside it, caught up, and switched in one transaction',
      `never below ${built.least} of ${built.full} orders in ${built.looks} looks; ${events} events in ${ms(built.took)}`,
      built.least >= built.full,
    );
  });

  await story.scene('Where the time of an append goes', async () => {
    story.say(
      'The log has one lock, so that no reader misses an event. Postgres is 2 ms away now, there and back. An append as a conversation, each answer awaited before the next question:',
    );
    const network = bin.use(await pg.node.proxy());
    const far = connect(10, network.url);
    const steps: { at: number }[] = [];
    listen(far, async () => void steps.push({ at: performance.now() }));
    const by = (append: EventStore<OrderEvent>['append']) => () => {
      const id = `${++orders}`;
      const placed: OrderEvent = { type: 'OrderPlaced', data: { orderId: id, customer: 'Li', items: BURGER } };
      return append({ stream: `order-${id}`, expectedVersion: 0, events: [placed], commandId: `far${id}` });
    };
    const [conversation, oneStep] = [new Conversation(far, 'shop'), new PostgresEventStore<OrderEvent>(far, 'shop')];
    const group = new PostgresEventStore<OrderEvent>(far, 'shop', { groupCommit: true });
    await by((entry) => conversation.append(entry))();
    network.latency(1);
    steps.length = 0;
    const start = performance.now();
    await by((entry) => conversation.append(entry))();
    const took = steps.map(({ at }, n) => ({ ms: at - (steps[n - 1]?.at ?? start) }));
    const locked = took.slice(2).reduce((sum, step) => sum + step.ms, 0);
    const asked = ['BEGIN', 'take the lock', 'insert the event', 'note the command', 'COMMIT'];
    story.table({
      columns: ['', { label: 'ms', align: 'right' }, 'the lock'],
      rows: took.map(({ ms: of }, n) => [asked[n] ?? '', of.toFixed(1), ['', 'asked for'][n] ?? 'held']),
    });
    const work = await by((entry) => store.append(entry));
    const began = performance.now();
    await work();
    story.verdict(
      'Nearly all of it is the way to Postgres and back, and the lock is held meanwhile',
      `held for ${ms(locked)}; the work itself, without the way: ${ms(performance.now() - began)}`,
      locked > 3 * 2,
    );
    story.code('src/postgres-event-store.ts', {
      from: 'PERFORM set_config',
      to: "PERFORM pg_advisory_xact_lock(hashtext('cqrs log')",
    });
    const [talked, stepped, grouped] = await contest(
      {
        'five questions': by((entry) => conversation.append(entry)),
        'one function': by((entry) => oneStep.append(entry)),
        'one function, in groups': by((entry) => group.append(entry)),
      },
      { workers: 32, rounds: 3, turnMs: 200 },
    );
    if (!talked || !stepped || !grouped) throw new Error('three contestants');
    story.bars({
      title: '32 writers, 10 connections: appends per second',
      unit: '/s',
      items: [
        { label: 'five questions', value: talked.perSecond, tone: 'bad' },
        { label: 'one function', value: stepped.perSecond },
        { label: 'one function, in groups', value: grouped.perSecond, tone: 'good' },
      ],
    });
    story.verdict(
      'In one step the lock is held for the work alone',
      `${ratio(stepped, talked).toFixed(1)} ×`,
      ratio(stepped, talked) > 2,
    );
    story.verdict(
      'Who waits anyway goes together: one way, one lock, one commit',
      `${ratio(grouped, stepped).toFixed(1)} × more`,
      ratio(grouped, stepped) > 1.3,
    );
  });
});
