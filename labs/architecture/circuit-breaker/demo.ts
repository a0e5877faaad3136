import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Registry } from 'prom-client';
import { opossumAdapter } from './examples/opossum.ts';
import { CircuitBreaker as Unlimited } from './pitfalls/unlimited-half-open.ts';
import {
  type BreakerOptions,
  Bulkhead,
  type Call,
  CircuitBreaker,
  compose,
  type Policy,
  promMetrics,
  retry,
  type Transition,
} from './src/index.ts';
import { ask, startPatient, startShop } from './test/shop.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const CONNECTIONS = 8;

interface Visit {
  readonly at: number;
  readonly took: number;
  readonly status: number;
}
const share = (visits: readonly Visit[], of: number) =>
  visits.map(({ took }) => took).toSorted((a, b) => a - b)[Math.floor(visits.length * of)] ?? Number.NaN;
const good = (visits: readonly Visit[]) => visits.filter(({ status }) => status === 200).length;
const during = (visits: readonly Visit[], from: number, to: number) => visits.filter(({ at }) => at >= from && at < to);

const options = {
  title: 'Circuit breaker 熔断器',
  subtitle: 'Singles Day: the payment service is slow, and the fuse box of the shop',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const starting = startRedis();
  const pg = await story.use(startPostgres());
  const redis = await story.use(starting);
  await using bin = new AsyncDisposableStack();
  const cache = bin.adopt(new Redis(redis.nodes[0].url), (it) => it.disconnect());
  const bestSellers = `${redis.namespace}best-sellers`;
  await cache.zadd(bestSellers, 3, 'umbrella', 9, 'kettle', 5, 'lamp', 1, 'doorstop');
  bin.defer(async () => void (await cache.del(bestSellers)));
  const admin = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  await admin.query('CREATE TABLE orders (id serial PRIMARY KEY, state text NOT NULL)');

  /** How much slower the days must be for this machine to serve 100 requests a second with ease: 1 to 5 times. */
  const paceOf = async () => {
    await using closing = new AsyncDisposableStack();
    const pool = closing.adopt(new Pool({ connectionString: pg.url, max: CONNECTIONS }), (it) => it.end());
    const payment = closing.use(await startPatient({ charged: true }, 1));
    const direct: Policy = { run: async (call) => call(new AbortController().signal) };
    const recommend = (call: Call<unknown>) => direct.run(call);
    const parts = { pool, redis: cache, bestSellers, payment, recommendations: payment, recommend, pay: direct };
    const { url } = closing.use(await startShop(parts));
    const ask = async (requests: number) => {
      const from = performance.now();
      for (let asked = 0; asked < requests; asked += CONNECTIONS) {
        await Promise.all(
          Array.from({ length: CONNECTIONS }, () => fetch(`${url}/orders`).then((response) => response.text())),
        );
      }
      return performance.now() - from;
    };
    await ask(80);
    // Three times as many as come in a day, and the shop is at ease.
    return Math.min(5, Math.ceil((await ask(80)) / 250));
  };
  const pace = await paceOf();
  /** The shop's day, in milliseconds: payment is slow from `ill` to `well`. */
  const DAY = { ill: 400 * pace, well: 2_000 * pace, end: 2_700 * pace };
  /** A customer looks at the empty page for this long. */
  const PATIENCE_MS = 700 * pace;

  /** Customers come at their own pace, whether or not those before them were served. */
  const visitors = (url: string, method: string, perSecond: number, until: number) => {
    const start = performance.now();
    const visits: Visit[] = [];
    const visit = async () => {
      const begun = performance.now();
      const ended = await fetch(url, { method, signal: AbortSignal.timeout(PATIENCE_MS) })
        .then((response) => response.arrayBuffer().then(() => response.status))
        .catch(() => 0);
      visits.push({ at: begun - start, took: performance.now() - begun, status: ended });
    };
    const all = async () => {
      const under: Promise<void>[] = [];
      for (let n = 0; (n / perSecond) * 1_000 < until; n++) {
        await delay(Math.max(0, (n / perSecond) * 1_000 - (performance.now() - start)));
        under.push(visit());
      }
      await Promise.all(under);
      return visits;
    };
    return all();
  };

  /** One day of the shop: 40 orders and 60 readers a second, and payment is slow in the middle of it. */
  const day = async (guards: { pay: Policy; ordering?: Policy }) => {
    await using closing = new AsyncDisposableStack();
    const pool = closing.adopt(new Pool({ connectionString: pg.url, max: CONNECTIONS }), (it) => it.end());
    const payment = closing.use(await startPatient({ charged: true }, 20));
    const {
      url,
      load,
      orders: begun,
    } = closing.use(
      await startShop({
        pool,
        redis: cache,
        bestSellers,
        payment,
        recommendations: payment,
        recommend: (call) => call(new AbortController().signal),
        ...guards,
      }),
    );
    const curve: [number, number][] = [];
    const start = performance.now();
    const meter = setInterval(() => curve.push([performance.now() - start, load.underWay]), 50 * pace);
    const orders = visitors(`${url}/orders`, 'POST', 40 / pace, DAY.end);
    const readers = visitors(`${url}/orders`, 'GET', 60 / pace, DAY.end);
    await delay(DAY.ill);
    payment.fallIll(5_000 * pace);
    const before = payment.seen.received;
    await delay(DAY.well - (performance.now() - start));
    const sent = payment.seen.received - before;
    payment.recover();
    const [placed, read] = await Promise.all([orders, readers]);
    clearInterval(meter);
    await until(() => load.underWay === 0, { timeoutMs: 20_000, what: 'the shop to finish' });
    const met = begun.filter(({ at }) => at >= start + DAY.ill && at < start + DAY.well);
    const [asked, reading] = [during(placed, DAY.ill, DAY.well), during(read, DAY.ill, DAY.well)];
    return {
      curve,
      inFlight: load.mostUnderWay,
      sent,
      perOrder: met.reduce((sum, { requests }) => sum + requests, 0) / met.length,
      median: share(asked, 0.5),
      p99Orders: share(asked, 0.99),
      p99Reading: share(reading, 0.99),
      busy: asked.filter(({ status }) => status === 503).length,
      asked: asked.length,
      starved: reading.length - good(reading),
      reading: reading.length,
      recovered: good(during(placed, DAY.well, DAY.end)),
    };
  };
  type Day = Awaited<ReturnType<typeof day>>;
  const figures = (...days: readonly Day[]) => [
    ['median of an order', ...days.map(({ median }) => ms(median))],
    ['p99 of an order', ...days.map(({ p99Orders }) => ms(p99Orders))],
    ['orders told "busy, retry later"', ...days.map(({ busy, asked }) => `${busy} of ${asked}`)],
    ['p99 of a reader', ...days.map(({ p99Reading }) => ms(p99Reading))],
    ['readers who gave up', ...days.map(({ starved, reading }) => `${starved} of ${reading}`)],
    ['under way in the shop, at most', ...days.map(({ inFlight }) => inFlight)],
    ['requests to payment, for each order', ...days.map(({ perOrder }) => perOrder.toFixed(1))],
  ];

  const retries = retry({ attempts: 3, delayMs: 20 });
  const halfASecond: Policy = {
    async run(call, { signal } = {}) {
      const limit = AbortSignal.timeout(500 * pace);
      return call(signal ? AbortSignal.any([signal, limit]) : limit);
    },
  };
  const settings = { timeoutMs: 250 * pace, openMs: 200 * pace, failureRate: 0.5, minCalls: 10 };
  const fuse = (name: string, also: BreakerOptions = {}) =>
    new CircuitBreaker({ name, window: { type: 'time', size: 500 * pace, buckets: 10 }, ...settings, ...also });
  const ordering = () => new Bulkhead({ name: 'ordering', concurrent: 6, queue: 20, queueTimeoutMs: 400 * pace });
  const registry = new Registry();
  const payments = fuse('payment');
  const recommending = fuse('recommendations', { minCalls: 4, openMs: 60_000, timeoutMs: 5_000 });
  promMetrics([payments, recommending], registry);

  let bare: Day | undefined;
  let ours: Day | undefined;
  await story.scene('One slow payment, and the whole house is dark', async () => {
    story.say(
      `An order holds one of ${CONNECTIONS} database connections while it waits for the payment service: ${500 * pace} ms, ` +
        'up to three times, for somebody found that retries help. To read an order takes a connection for a ' +
        `millisecond. After ${DAY.ill} ms payment is slow, not dead: it takes ${5 * pace} s.`,
    );
    bare = await day({ pay: compose(retries, halfASecond) });
    const { starved, reading, perOrder } = bare;
    story.verdict(
      'Readers are left standing',
      `${starved} of ${reading} gave up after ${ms(PATIENCE_MS)}`,
      starved > reading / 5,
    );
    story.verdict(
      'The slow service is asked more often than before',
      `${perOrder.toFixed(1)} requests an order`,
      perOrder > 1.5,
    );
  });

  await story.scene('The same day, with a fuse', async () => {
    story.say(
      `A circuit breaker around payment: half of at least 10 calls within ${500 * pace} ms open it, for ${200 * pace} ms; then one ` +
        'probe. A bulkhead around ordering: 6 of the 8 connections, and not one more.',
    );
    const path: Transition[] = [];
    payments.on('transition', (transition) => path.push(transition));
    ours = await day({ pay: compose(retries, payments), ordering: ordering() });
    const peer = opossumAdapter({ ...settings, windowMs: 500 * pace });
    bin.defer(() => peer.circuit.shutdown());
    const theirs = await day({ pay: compose(retries, peer), ordering: ordering() });
    if (!bare) return;
    story.table({
      columns: ['while payment was slow', 'no fuse', 'lab', 'opossum'],
      rows: figures(bare, ours, theirs),
    });
    story.verdict(
      'Readers are served',
      `${ours.reading - ours.starved} of ${ours.reading} served, p99 ${ms(ours.p99Reading)} instead of ${ms(bare.p99Reading)}`,
      ours.starved <= bare.starved / 10 && ours.p99Reading < bare.p99Reading,
    );
    story.verdict(
      'Payment gets the rest it needs',
      `${ours.sent} requests for ${ours.asked} orders, ${path.filter(({ to }) => to === 'half-open').length} of them probes`,
      ours.sent < ours.asked,
    );
    story.verdict(
      'A probe finds that payment is well',
      `${path.filter(({ to }) => to === 'half-open').length} probes, ${path.at(-1)?.to}; ${ours.recovered} orders paid`,
      path.some(({ to }) => to === 'closed') && ours.recovered > 0,
    );
  });

  await story.scene('Both days in one picture', async () => {
    if (pace > 1) {
      story.say(
        `This machine is slow or busy: a day is ${pace} times as long as elsewhere, and its customers come slower.`,
      );
    }
    story.say('What waits in the shop: everybody, or nobody. A call that meets an open circuit is over at once.');
    story.code('src/breaker.ts', { from: 'const pass = this.admit();', to: 'Promise.reject(refusal);' });
    story.lines({
      title: 'Requests under way in the shop',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'requests' },
      moments: [
        { at: DAY.ill, label: 'payment slow', tone: 'bad' },
        { at: DAY.well, label: 'payment well', tone: 'good' },
      ],
      series: [
        { label: 'no fuse', points: bare?.curve ?? [], tone: 'bad' },
        { label: 'circuit breaker', points: ours?.curve ?? [], tone: 'good' },
      ],
      picture: true,
    });
    const [most, few] = [bare?.inFlight ?? Number.NaN, ours?.inFlight ?? Number.NaN];
    story.verdict('The crowd in the shop', `at most ${most} at once without a fuse, ${few} with one`, few < most);
  });

  await story.scene('Fifty callers, and a service that has just got up', async () => {
    story.say('The circuit has been open for its time. Fifty callers come in the same moment: who is let through?');
    const meet = async (breaker: CircuitBreaker) => {
      await using payment = await startPatient({ charged: true }, 100);
      const fail = () => Promise.reject(new Error('503'));
      for (let n = 0; n < 10; n++) await breaker.run(fail).catch(() => {});
      await until(() => breaker.state === 'half-open');
      const pay = (signal: AbortSignal) => ask(payment.url, signal);
      const ends = await Promise.allSettled(Array.from({ length: 50 }, () => breaker.run(pay)));
      return { received: payment.seen.received, paid: ends.filter(({ status }) => status === 'fulfilled').length };
    };
    const patience = { timeoutMs: 5_000, halfOpen: { permits: 3, probeTimeoutMs: 5_000 } };
    const wide = await meet(new Unlimited({ ...settings, ...patience }));
    const narrow = await meet(fuse('narrow', patience));
    story.verdict('A half-open circuit without permits', `${wide.received} requests at once`, wide.received > 3);
    story.verdict('With 3 permits', `${narrow.received} requests, ${narrow.paid} paid`, narrow.received === 3);
  });

  await story.scene('Plan B: not for you, but for everybody', async () => {
    story.say(
      'The recommendations are broken. The home page asks a circuit breaker with a fallback: the best-sellers, from Redis.',
    );
    await using payment = await startPatient({ charged: true }, 5);
    await using recommendations = await startPatient({ source: 'for you', items: ['teapot'] }, 5);
    const pool = bin.adopt(new Pool({ connectionString: pg.url, max: CONNECTIONS }), (it) => it.end());
    const shop = {
      ...{
        pool,
        redis: cache,
        bestSellers,
        payment,
        recommendations,
        pay: fuse('at rest', { timeoutMs: 5_000 }),
        ordering: ordering(),
      },
      recommend: (call: Call<unknown>, fallback: () => Promise<unknown>) => recommending.run(call, { fallback }),
    };
    await using open = await startShop(shop);
    const shown = new Map<string, number>();
    let paid = 0;
    const customers = async (count: number) => {
      for (let n = 0; n < count; n++) {
        const page = await fetch(`${open.url}/home`).then((response) => response.text());
        shown.set(page, (shown.get(page) ?? 0) + 1);
        paid += Number((await fetch(`${open.url}/orders`, { method: 'POST' })).ok);
      }
    };
    await customers(10);
    recommendations.fallIll(20, 500);
    await customers(40);
    story.table({
      columns: ['what 50 customers saw', { label: 'times', align: 'right' }],
      rows: [...shown].map(([page, times]) => [page, times]),
    });
    const best = [...shown]
      .filter(([page]) => page.includes('best-sellers'))
      .reduce((sum, [, times]) => sum + times, 0);
    const { received } = recommendations.seen;
    story.verdict(
      'Every page has a list, and ordering goes on',
      `${best} best-sellers; ${paid} of 50 orders paid`,
      best === 40 && paid === 50,
    );
    story.verdict('The broken service is left alone', `${received} requests for 50 pages`, received < 50);
    const read = (await registry.metrics()).split('\n').filter((line) => /^circuit\S+ [1-9]/.test(line));
    story.table({
      caption: 'What Prometheus reads: circuit_breaker_… (zeros left out)',
      columns: ['metric', { label: 'value', align: 'right' }],
      rows: read.map((line) => line.replace('circuit_breaker_', '').split(' ')),
    });
  });
});
