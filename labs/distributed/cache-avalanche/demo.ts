import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import {
  CircuitOpenError,
  compose,
  connectRedis,
  DatabaseGate,
  DualCache,
  PerpetualCache,
  TtlCache,
  warmUp,
} from './src/index.ts';
import { Refresher } from './test/kitchen.ts';
import { Market, type Outcome, paceOf, SLOT_MS, textbook, YOGHURTS } from './test/market.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;

const options = {
  title: 'Cache avalanche 缓存雪崩',
  subtitle: 'The supermarket: all the yoghurt expires on one day, and everybody runs to the depot',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const redis = await story.use(startRedis({ nodes: 2 }));
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const connect = (url = redis.nodes[0].url) =>
    bin.adopt(connectRedis(url, { timeoutMs: 2_000 }), (connection) => connection.disconnect());
  const client = connect();
  const pace = await paceOf(client);
  /** An hour of the supermarket in milliseconds: 55 to 65 minutes are 825 to 975. */
  const HOUR = 900 * pace;
  const slotMs = SLOT_MS * pace;
  const market = bin.use(new Market(pg.url, pace));
  await market.open();
  let days = 0;
  const prefix = () => `${redis.namespace}day${++days}:`;
  const outcomes: Outcome[] = [];
  const day = async (...[name, read, options]: Parameters<Market['day']>) => {
    const outcome = await market.day(name, read, options);
    outcomes.push(outcome);
    return outcome;
  };
  const of = (name: string) => {
    const found = outcomes.find((outcome) => outcome.name === name);
    if (!found) throw new Error(`${name} was not measured`);
    return found;
  };
  const gate = () => new DatabaseGate({ maxConcurrent: 4, maxWaiting: 16, maxWaitMs: 200 * pace });

  await story.scene('All the yoghurt expires on one day', async () => {
    story.say(
      `${YOGHURTS.length} kinds were put on the shelf this morning, each with the same date; an hour takes ${HOUR} ms here. ` +
        `The depot is Postgres: a query takes ${10 * pace} ms, the pool has 10 connections, and a customer who gets none for ` +
        `${200 * pace} ms goes home with an error. \`GET\`, nothing there, ask the depot, \`SET\` with a TTL:`,
    );
    const nothing = await day('one date', textbook(client, prefix(), HOUR), { expiresIn: HOUR });
    story.verdict(
      'All keys expire at once, and the crowd is in the depot',
      `${nothing.queries} queries for ${YOGHURTS.length} kinds, ${nothing.peak} of them in ${slotMs} ms`,
      nothing.queries >= YOGHURTS.length && nothing.peak > YOGHURTS.length / 3,
    );
    story.verdict(
      'The pool is exhausted: customers wait, and some get nothing',
      `${nothing.failed} errors "timeout exceeded", p99 ${ms(nothing.p99)}`,
      nothing.failed > 0,
    );
    const flight = new TtlCache(client, { prefix: prefix(), ttlMs: HOUR, spread: 0 });
    const one = await day('one date, one flight', (key, load) => flight.getOrLoad(key, load), { expiresIn: HOUR });
    story.verdict(
      'One load for each key: fewer queries, and still all of them at once',
      `${one.queries} queries, ${one.peak} in ${slotMs} ms`,
      one.peak > YOGHURTS.length / 4,
    );
  });

  await story.scene('Staggered dates', async () => {
    if (pace > 1) story.say(`This machine is slow or busy: all times are ${pace} times as long as elsewhere.`);
    story.code('src/jitter.ts', { from: 'return Math.max' });
    const cache = new TtlCache(client, { prefix: prefix(), ttlMs: HOUR });
    const { peak } = await day('staggered', (key, load) => cache.getOrLoad(key, load), { expiresIn: HOUR });
    story.verdict(
      '55 to 65 minutes instead of 60: the same loads, spread out',
      `${peak} in the fullest ${slotMs} ms, ${of('one date').peak} without`,
      peak < of('one date').peak * 0.75,
    );
  });

  await story.scene('Never expires', async () => {
    story.say('No date at all: one process of all loads everything anew, four at a time, before anybody asks.');
    await using cache = new PerpetualCache(client, { prefix: prefix(), refreshMs: HOUR });
    const read: Parameters<Market['day']>[1] = (key, load) => cache.getOrLoad(key, load);
    const keep = () => {
      for (const key of YOGHURTS) cache.keepFresh(key, market.query(key));
    };
    const { failed, p99 } = await day('never expires', read, { expiresIn: HOUR, onceFilled: keep });
    story.verdict('Nobody waits', `p99 ${ms(p99)}, ${failed} errors`, failed === 0 && p99 < of('one date').p99);
    const order = { url: redis.nodes[0].url, prefix: prefix(), key: 'plain', refreshMs: 50, leaseMs: 400 };
    await using first = await Refresher.start({ ...order, name: 'the first' });
    await using heir = new PerpetualCache(connect(), { ...order, staleMs: 150 });
    heir.keepFresh('plain', async () => 'the second');
    const oldest = async () => (await heir.staleness()).get('plain') ?? 0;
    await first.kill();
    const killed = performance.now();
    let [stalest, stale, waited] = [0, 0, 0];
    await until(async () => {
      stalest = Math.max(stalest, await oldest());
      const { value, source } = await heir.getOrLoad('plain', async () => {
        waited++;
        return '';
      });
      if (source === 'stale') stale++;
      return value === 'the second';
    });
    story.verdict(
      'The process that refreshes is killed (kill -9): its last values are served, and another one takes over',
      `after ${ms(performance.now() - killed)}; staleness rose to ${ms(stalest)}, ${stale} reads were stale, ${waited} waited`,
      stalest > 150 && waited === 0,
    );
  });

  await story.scene('Two shelves: A for two hours, B for three', async () => {
    story.code('src/dual-cache.ts', { from: 'const a = await one(this.a)', to: 'return b' });
    const two = { ttlAMs: 2 * HOUR, ttlBMs: 3 * HOUR, spread: 0 };
    const cache = new DualCache(client, { ...two, prefix: prefix() });
    const loads = (outcome: Outcome) => outcome.sources.get('load') ?? 0;
    const dual = await day('two caches', (key, load) => cache.getOrLoad(key, load), { expiresIn: 2 * HOUR });
    story.verdict(
      'A has run out, B answers: no customer waits for the depot',
      `${dual.sources.get('stale') ?? 0} reads from B, ${loads(dual)} waited; p99 ${ms(dual.p99)}`,
      loads(dual) === 0 && dual.failed === 0,
    );
    story.say(
      `The depot is still asked for everything at the date, ${dual.peak} times in ${slotMs} ms, but nobody waits for it.`,
    );
  });

  await story.scene('The gate before the depot', async () => {
    story.code('src/gate.ts', { from: 'if (size >= this.maxWaiting)', to: '}' });
    const cache = compose(new TtlCache(client, { prefix: prefix(), ttlMs: HOUR, spread: 0 }).layer(), gate().layer());
    const gated = await day('gate', (key, load) => cache.read(key, load), { expiresIn: HOUR });
    story.verdict(
      'Four at a time, sixteen in the queue, the rest is told at once',
      `${gated.most} queries at once, ${gated.spared} customers refused, ${gated.failed} errors from the pool`,
      gated.most <= 4 && gated.spared > 0 && gated.failed === 0,
    );
    const door = new DatabaseGate({
      maxConcurrent: 4,
      maxWaitMs: 200 * pace,
      loadTimeoutMs: 60 * pace,
      // Longer than the second fifty need to be refused.
      breaker: { window: 4, openMs: 500 * pace },
    });
    const ask = () => door.run(market.query('plain')).catch((error: unknown) => error);
    const refusals = async () => {
      const from = performance.now();
      const answers = await Promise.all(Array.from({ length: 50 }, ask));
      const refused = answers.filter((answer) => answer instanceof CircuitOpenError).length;
      return { refused, ms: performance.now() - from };
    };
    if (!redis.faults || !pg.node) return story.say('A depot that is not ours is not ours to stop.');
    await pg.node.pause();
    await refusals();
    const open = await refusals();
    await pg.node.resume();
    const served = await until(async () => !((await ask()) instanceof Error), { intervalMs: 20, timeoutMs: 30_000 });
    story.verdict(
      'The depot stands still (SIGSTOP): after four that ran out of time nobody is let in, then one tries, and it is open again',
      `${open.refused} of 50 refused in ${ms(open.ms)}; open again: ${served}`,
      open.refused === 50 && door.stats().circuit === 'closed',
    );
  });

  await story.scene('The shelves are empty: a restart', async () => {
    const cold = (name: string, warm?: (cache: TtlCache) => Promise<unknown>) => {
      const cache = new TtlCache(client, { prefix: prefix(), ttlMs: HOUR * 60 });
      const read: Parameters<Market['day']>[1] = (key, load) => cache.getOrLoad(key, load);
      return day(name, read, { expiresIn: 0, empty: true, ...(warm && { before: () => warm(cache) }) });
    };
    const rush = await cold('restart');
    const warm = await cold('restart, warmed up', (cache) =>
      warmUp(cache, YOGHURTS, (key, signal) => market.query(key)(signal), { maxLoads: 4 }),
    );
    story.verdict(
      'Open the doors after the shelves are filled, four at a time',
      `${rush.peak} queries in ${slotMs} ms and p99 ${ms(rush.p99)} before; ${warm.customers} queries by customers and p99 ${ms(warm.p99)} after`,
      warm.customers === 0 && warm.p99 < rush.p99,
    );
  });

  await story.scene('Two shelves, staggered, behind the gate', async () => {
    const a = new DualCache(client, { prefix: prefix(), ttlAMs: HOUR, ttlBMs: 2 * HOUR });
    const all = compose(a.layer(), gate().layer());
    const best = await day('all together', (key, load) => all.read(key, load), { expiresIn: HOUR });
    story.lines({
      title: `Queries that reach the depot, for each ${slotMs} ms around the date`,
      x: { label: 'after the date', unit: 'ms' },
      y: { label: 'queries' },
      series: [
        { label: 'one date', points: of('one date').slots, tone: 'bad' },
        { label: 'staggered', points: of('staggered').slots, tone: 'warn' },
        { label: 'never expires', points: of('never expires').slots, tone: 'accent' },
        { label: 'all together', points: best.slots, tone: 'good' },
      ],
      picture: true,
    });
  });

  await story.scene('The price list', async () => {
    const best = of('all together');
    story.table({
      caption: `Around the date. Peak: queries in ${slotMs} ms. Staleness: the oldest value that was handed out`,
      columns: [
        'technique',
        ...['queries', 'peak', 'p99 ms', 'no answer', 'staleness ms'].map((label) => ({
          label,
          align: 'right' as const,
        })),
      ],
      rows: outcomes.map((each) => [
        each.name,
        each.queries,
        each.peak,
        each.p99.toFixed(1),
        each.failed + each.spared,
        each.staleness.toFixed(0),
      ]),
    });
    story.verdict(
      'Two caches with staggered dates behind a gate: everybody is served, and the depot has a quiet day',
      `peak ${best.peak} instead of ${of('one date').peak}, p99 ${ms(best.p99)} instead of ${ms(of('one date').p99)}, ${best.failed + best.spared} without an answer`,
      best.peak < of('one date').peak && best.p99 < of('one date').p99 && best.failed + best.spared === 0,
    );
  });
});
