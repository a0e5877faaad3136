import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { random, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Desk as ByArrival } from './pitfalls/arrival-time.ts';
import { TopK as EveryKey } from './pitfalls/counts-every-key.ts';
import { Desk as Dropping } from './pitfalls/drops-late.ts';
import { Feed as Queueing } from './pitfalls/queue-per-browser.ts';
import { type Alert, Analyser, analyticsApi, Book, Desk, Feed, Intake, type Live, SCHEMA, TopK } from './src/index.ts';
import { Clerk, INDEPENDENT, type Independent, lineOf, piecesOf } from './test/support.ts';

const options = {
  title: 'Log analytics 实时日志分析',
  subtitle: 'A parcel counter files each parcel by the date on its stamp, not by the day on which it arrives',
  dir: import.meta.dirname,
};
const BEGIN = Date.parse('2025-11-29T12:00:00Z');
const WIDTH = 10_000;
const SHOPS = ['shop-1', 'shop-2', 'shop-3'];
const n = (value: number) => value.toLocaleString('en');
setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');
/** Megabytes of the heap that are in use. */
const heap = () => {
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed / 1e6;
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  const servers = await story.use(startRedis());
  const [node] = servers.nodes;
  await using bin = new AsyncDisposableStack();
  const { int, next, pick } = random(story.seed);
  let counters = 0;
  /** A counter of its own: its tables, its stream. */
  const open = async (o: Partial<ConstructorParameters<typeof Book>[0]> = {}) => {
    const schema = `counter_${++counters}`;
    const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 4, options: `-c search_path=${schema}` }), (it) =>
      it.end(),
    );
    pool.on('error', () => {});
    await pool.query(`CREATE SCHEMA ${schema}`);
    await pool.query(SCHEMA);
    const key = `${servers.namespace}${schema}`;
    const redis = bin.adopt(new Redis(node.url), (it) => it.disconnect());
    return { schema, key, pool, intake: new Intake({ redis, key }), book: new Book({ pool, windowMs: WIDTH, ...o }) };
  };
  const truth = async (pool: Pool, lines: readonly string[]) =>
    (await pool.query<Independent>(INDEPENDENT, [lines, WIDTH])).rows;

  await story.scene('By the day of arrival', async () => {
    const { pool } = await open();
    const parcels = Array.from({ length: 20_000 }, (_, at) => {
      const stamp = BEGIN + at * 3;
      // Most are here at once, some have a long way.
      const arrivedAt = stamp + 20 + Math.floor(next() < 0.2 ? next() ** 2 * 8_000 : next() * 300);
      return { arrivedAt, text: lineOf(stamp, `/item/${int(1, 50)}`) };
    }).sort((a, b) => a.arrivedAt - b.arrivedAt);
    story.say(
      `${n(parcels.length)} lines of a minute, in windows of ten seconds. Four of five arrive within 0.3 s, the others take up to 8 s.`,
    );
    const rows = await truth(
      pool,
      parcels.map(({ text }) => text),
    );
    const misfiled = (it: Desk) => {
      const windows = new Map<string, number>();
      for (const [first, { arrivedAt, text }] of parcels.entries()) {
        it.file({ source: 'shop-1', first, lines: [text], arrivedAt });
      }
      for (const { start, lines } of it.changes().windows) windows.set(String(start), lines);
      const starts = new Set([...windows.keys(), ...rows.map(({ start }) => start)]);
      const off = [...starts].map((start) =>
        Math.abs((windows.get(start) ?? 0) - (rows.find((row) => row.start === start)?.lines ?? 0)),
      );
      return off.reduce((sum, lines) => sum + lines, 0) / 2;
    };
    const o = { windowMs: WIDTH, latenessMs: 8_500 };
    const wrong = misfiled(new ByArrival(o));
    story.verdict(
      'Filed by arrival, windows have lines of others',
      `${n(wrong)} lines, ${((100 * wrong) / parcels.length).toFixed(1)} %`,
      wrong > 0,
    );
    story.code('src/desk.ts', { from: 'const start = this.startOf(line.at);', to: 'else this.count(start, line);' });
    const right = misfiled(new Desk(o));
    story.verdict('Filed by the stamp, each window is what Postgres counts', `${right} lines off`, right === 0);
  });

  await story.scene('A late sack, and a day’s book that is closed', async () => {
    story.say('One shop is cut off for two minutes and sends its 1,500 lines afterwards. The others went on.');
    const file = (it: Desk) => {
      const page = (from: number, seconds: number) =>
        Array.from({ length: seconds * 10 }, (_, at) => lineOf(BEGIN + from * 1_000 + at * 100));
      it.file({ source: 'shop-1', first: 0, lines: page(0, 150), arrivedAt: BEGIN + 150_000 });
      it.file({ source: 'shop-2', first: 0, lines: page(0, 150), arrivedAt: BEGIN + 300_000 });
      return { ...it.counts, aside: it.changes().aside.length };
    };
    const o = { windowMs: WIDTH };
    const dropped = file(new Dropping(o));
    story.verdict(
      'Dropped: gone without a word',
      `${n(3_000 - dropped.counted - dropped.late)} of 3,000 lines`,
      dropped.late === 0,
    );
    const kept = file(new Desk(o));
    story.verdict(
      'Put aside: no closed window has changed, and each line is somewhere',
      `${n(kept.counted)} counted, ${n(kept.aside)} aside`,
      kept.late > 0 && kept.counted + kept.aside === 3_000,
    );
  });

  await story.scene('The clerk is killed', async () => {
    story.say(
      '5,000 lines wait. A process counts them, and is killed (-9) where a kill does harm, if there is such a place.',
    );
    const run = async (impl: string, kills: number) => {
      const { schema, key, intake, book, pool } = await open();
      let sent = 0;
      const send = async (count: number) => {
        const lines = Array.from({ length: count }, () => lineOf(BEGIN + int(0, 4_000)));
        for (const piece of piecesOf(lines, 10)) {
          const said = await intake.take('shop-1', sent, piece);
          if (said !== 'taken') throw new Error(`the intake is ${said}`);
          sent += piece.length;
        }
      };
      const o = { postgres: pg.url, schema, redis: node.url, key, options: { windowMs: WIDTH } };
      const hire = async () => bin.use(await Clerk.hire({ ...o, impl: join(import.meta.dirname, impl) }));
      const count = async (sql: string) => (await pool.query(`${sql} AND application_name = 'clerk'`)).rowCount ?? 0;
      let killed = 0;
      let ahead = 0;
      for (; killed < kills && ahead === 0; killed++) {
        // More than he can count before he is killed.
        await send(5_000 - 10 * (await intake.depth()));
        const before = await intake.depth();
        const clerk = await hire();
        await until(async () => (await intake.depth()) < before, { timeoutMs: 8_000, what: 'it to count' });
        // A look at him, anywhere in his round, until he stands where a kill does harm.
        for (let looks = 0; looks < 40 && ahead === 0; looks++) {
          clerk.signal('SIGCONT');
          await delay(int(0, 8));
          clerk.signal('SIGSTOP');
          const works = () => count("SELECT FROM pg_stat_activity WHERE state = 'active'");
          await until(async () => (await works()) === 0, { timeoutMs: 8_000, what: 'Postgres to be done with him' });
          // What is in the book beyond what is behind its positions has been counted, and will be again.
          const { windows, sources } = await book.view();
          ahead = windows.reduce((sum, it) => sum + it.lines, 0) - (sources[0]?.next ?? 0);
        }
        await clerk.kill();
        const his = () => count('SELECT FROM pg_stat_activity WHERE true');
        await until(async () => (await his()) === 0, { timeoutMs: 8_000, what: 'his connections to end' });
      }
      const last = await hire();
      await until(async () => (await intake.depth()) === 0, { timeoutMs: 8_000, what: 'the rest' });
      await last.kill();
      const { windows } = await book.view();
      return { killed, twice: windows.reduce((sum, it) => sum + it.lines, 0) - sent };
    };
    const apart = await run('pitfalls/positions-apart.ts', 8);
    story.verdict(
      'Windows kept in one transaction, positions in the next',
      `${apart.twice} lines counted twice, at kill ${apart.killed}`,
      apart.twice > 0,
    );
    story.code('src/book.ts', { from: 'await this.writeWindows(tx, changes);', to: 'await this.writePositions' });
    const together = await run('src/index.ts', 3);
    story.verdict(
      'Both in one transaction',
      `${together.twice} lines twice or lost, after ${together.killed} kills`,
      together.twice === 0,
    );
  });

  await story.scene('A scanner comes by', async () => {
    const asked = 200_000;
    story.say(
      `${n(asked)} requests, of which a scanner makes nine of ten, each for a path that nobody asked for before.`,
    );
    const items = (at: number) => (at % 10 === 0 ? `/item/${int(1, 3) * int(1, 3)}` : `/${at.toString(36)}.php`);
    const count = (top: TopK) => {
      const before = heap();
      const real = new Map<string, number>();
      for (let at = 0; at < asked; at++) {
        const path = items(at);
        if (at % 10 === 0) real.set(path, (real.get(path) ?? 0) + 1);
        top.add(path);
      }
      const best = [...real].sort(([, a], [, b]) => b - a).slice(0, 3);
      const held = new Map(top.top(100).map((it) => [it.key, it]));
      const right = best.filter(([key, times]) => {
        const { count = 0, error = 0 } = held.get(key) ?? {};
        return times <= count && times >= count - error;
      });
      return { top, right: right.length, megabytes: heap() - before };
    };
    const map = count(new EveryKey(100));
    const hundred = count(new TopK(100));
    const row = (name: string, { top, megabytes, right }: typeof map) =>
      [name, n(top.held), megabytes.toFixed(1), right] as const;
    story.table({
      columns: ['', 'keys held', 'MB', 'of the 3 heaviest, found'],
      rows: [row('a Map', map), row('Space-Saving', hundred)],
    });
    story.verdict('A Map grows with what strangers ask for', `${n(map.top.held)} keys`, map.top.held > asked / 2);
    story.verdict(
      'A hundred places hold the heavy ones, with a bound for the error of each',
      `${hundred.top.held} keys, ${hundred.right} of 3`,
      hundred.top.held === 100 && hundred.right === 3,
    );
  });

  await story.scene('A browser stops reading', async () => {
    story.say('A browser opens the live page and stands still. 400 views of 50 kB are published meanwhile.');
    const stall = async (feed: Feed<Live>) => {
      const { intake, book } = await open();
      await using api = analyticsApi({ intake, book, onError: () => {}, refreshMs: 2 ** 30, feed });
      const { port } = new URL(await api.app.listen({ host: '127.0.0.1', port: 0 }));
      const view = { ...(await book.view()), waiting: 0, at: 0 };
      const socket = connectTcp(Number(port), '127.0.0.1');
      await using _ = { [Symbol.asyncDispose]: async () => void socket.destroy() };
      socket.write('GET /live HTTP/1.1\r\nhost: x\r\n\r\n');
      await once(socket, 'readable');
      const before = heap();
      for (let at = 1; at <= 400; at++) {
        const text = randomBytes(25_000).toString('hex');
        const aside = [{ source: 'x', position: at, reason: 'late', text }];
        feed.publish({ ...view, aside, counts: { ...view.counts, counted: at } });
        if (at % 10 === 0) await delay(1);
      }
      const megabytes = heap() - before;
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      await until(() => text.includes('"counted":400,'), { timeoutMs: 8_000, what: 'the newest view' });
      const views = text.match(/"counted":/g)?.length ?? 0;
      return { megabytes, views };
    };
    const queue = await stall(new Queueing<Live>());
    const feed = await stall(new Feed<Live>());
    story.table({
      columns: ['', 'MB held for it', 'views it reads before the newest'],
      rows: [
        ['a queue for each browser', queue.megabytes.toFixed(1), queue.views - 1],
        ['the newest view', feed.megabytes.toFixed(1), feed.views - 1],
      ],
    });
    story.verdict(
      'A queue grows for as long as one browser sleeps',
      `${queue.megabytes.toFixed(1)} MB`,
      queue.megabytes > 10,
    );
    story.verdict(
      'One view is held, and whoever wakes up has the newest',
      `${feed.megabytes.toFixed(1)} MB`,
      feed.megabytes < queue.megabytes / 3 && feed.views < queue.views,
    );
  });

  await story.scene('Three shops, at full speed', async () => {
    const rules = [{ name: 'errors', share: 0.1, clear: 0.02, windows: 3, least: 50 }];
    const { intake, book, pool } = await open({ rules });
    const rung: Alert[] = [];
    await using analyser = new Analyser({ intake, book, onError: () => {}, notify: async (it) => void rung.push(it) });
    const all = SHOPS.map(() =>
      Array.from({ length: 25_000 }, (_, at) => {
        const trouble = at > 5_000 && at < 13_000 && next() < 0.3;
        return lineOf(
          BEGIN + at * 4 + int(0, 2_000),
          `/item/${int(1, 900)}`,
          trouble ? 503 : pick([200, 200, 404]),
          int(1, 300),
        );
      }),
    );
    const api = bin.use(analyticsApi({ intake, book, onError: () => {}, refreshMs: 20 }));
    const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
    let busy = 0;
    const send = async (shop: number, first: number, piece: string[]) => {
      while ((await intake.take(SHOPS[shop] ?? '', first, piece)) === 'busy') {
        busy += 1;
        await delay(5);
      }
    };
    const pieces = all.map((lines) => piecesOf(lines, 500));
    await Promise.all(pieces.map(([piece = []], shop) => send(shop, 0, piece)));
    const began = performance.now();
    analyser.start();
    await Promise.all(
      pieces.map(async (list, shop) => {
        for (const [at, piece] of list.entries()) await send(shop, at * 500, piece);
      }),
    );
    await until(async () => (await intake.depth()) === 0, { timeoutMs: 30_000, what: 'all to be counted' });
    const rate = 75_000 / ((performance.now() - began) / 1_000);

    // What is sent, and when a browser has it.
    const seen = new Map<number, number>();
    const gone = new AbortController();
    const reading = (async () => {
      const live = await fetch(`${url}/live`, { signal: gone.signal });
      let rest = '';
      for await (const chunk of live.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) seen.set(Number(/"counted":(\d+)/.exec(line)?.[1]), performance.now());
      }
    })().catch(() => {});
    const waits: number[] = [];
    const more = Array.from({ length: 30 }, (_, at) => lineOf(BEGIN + 100_000 + at));
    for (const [at, line] of more.entries()) {
      const sent = performance.now();
      const body = JSON.stringify({ source: SHOPS[0], first: 25_000 + at, lines: [line] });
      await fetch(`${url}/lines`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      await until(() => seen.has(75_001 + at), { timeoutMs: 8_000, intervalMs: 1, what: 'it to be seen' });
      waits.push((seen.get(75_001 + at) ?? 0) - sent);
    }
    gone.abort();
    await reading;
    const p95 = waits.sort((a, b) => a - b)[Math.ceil(0.95 * waits.length) - 1] ?? 0;
    story.table({
      columns: ['lines a second', 'told to wait', 'post to browser, p95'],
      rows: [[n(Math.round(rate)), `${busy} times`, `${p95.toFixed(0)} ms`]],
    });
    const view = await book.view();
    const rows = await truth(pool, [...all.flat(), ...more]);
    const equal = rows.filter(({ start, lines, errors }) =>
      view.windows.some((it) => String(it.start) === start && it.lines === lines && it.errors === errors),
    ).length;
    story.verdict(
      'Each window has what Postgres counts from the same lines',
      `${equal} of ${rows.length} windows, ${n(view.counts.counted)} lines`,
      equal === rows.length && view.windows.length === rows.length,
    );
    await until(() => rung.length > 1, { timeoutMs: 5_000, what: 'the bell' });
    const words = rung.map(({ change }) => change).join(', ');
    story.verdict('The alert fires once, and is over once', words, words === 'firing, over');
  });
});
