import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { findPromtool } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import {
  alerts,
  boundedLabel,
  cacheMetrics,
  dashboard,
  eventLoopMetrics,
  httpMetrics,
  InvalidArgumentError,
  metricsPage,
  poolMetrics,
  provisioning,
  queries,
  type RuleFile,
  releaseMetrics,
  ruleFile,
  runsOut,
  servicePanels,
  sloBuckets,
} from '#lab';
import { listening } from './prometheus-api.ts';
import { Promtool, type SeriesInput } from './promtool.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What the handler of the last service threw, as a rejection: a law that waits for its answer need not wait in vain. */
let thrown = Promise.withResolvers<never>();

/** A service on a port of its own, and its address. */
async function serve(handler: Handler): Promise<string> {
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  thrown = failure;
  const server = createServer((...exchange) => void Promise.try(handler, ...exchange).catch(failure.reject));
  onTestFinished(() => void server.close().closeAllConnections());
  return listening(server);
}

/** Sends a request and waits for the end of its answer. */
async function visit(url: string, method = 'GET', agent?: Agent): Promise<number> {
  const sent = request(url, { method, ...(agent && { agent }) }).end();
  sent.on('error', () => {});
  const [response] = await Promise.race([once(sent, 'response'), thrown.promise]);
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

/** Waits until all series of a metric together are `wanted`. */
const reaches = (registry: Registry, name: string, wanted: number) =>
  Promise.race([
    until(async () => total(await series(registry, name)) === wanted, { timeoutMs: 3000, what: `${name}: ${wanted}` }),
    thrown.promise,
  ]);

/** The series of a metric, as Prometheus would read them: `GET /menu 200` → 3. */
async function series(registry: Registry, name: string): Promise<Record<string, number>> {
  const metric = (await registry.getMetricsAsJSON()).find((each) => each.name === name);
  return Object.fromEntries(
    (metric?.values ?? []).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  );
}
const total = (values: Record<string, number>) => Object.values(values).reduce((sum, value) => sum + value, 0);

// Whatever needs no server has none: see prometheus.test.ts.
await describeWith('metrics', { tool: findPromtool }, ({ tool }) => {
  const promtool = new Promtool(tool.path);
  const OPTIONS = { window: '10s', sloSeconds: 0.2 };
  const RULES = { ...OPTIONS, jobs: ['shop'], hold: '3s', interval: '1s' };

  // ── core ──

  test('a request is counted once, when it is over, by its method, route and status', async () => {
    const began = performance.now();
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2 });
    const { promise: ready, resolve: serveIt } = Promise.withResolvers<void>();
    const url = await serve(async (request, response) => {
      // A router knows its route after the request has come.
      let route: string | undefined;
      watch(request, response, () => route);
      if (request.url?.startsWith('/orders/')) route = '/orders/:id';
      if (request.url === '/orders/3') await ready;
      response.writeHead(request.method === 'POST' ? 201 : request.url === '/orders/2' ? 503 : 200).end('tea');
    });
    await visit(`${url}/orders/1`);
    await visit(`${url}/orders/1`, 'POST');
    await visit(`${url}/orders/2`);
    await reaches(registry, 'http_requests_in_flight', 0);
    const last = visit(`${url}/orders/3`);
    last.catch(() => {});
    await reaches(registry, 'http_requests_in_flight', 1);
    const three = { 'GET /orders/:id 200': 1, 'POST /orders/:id 201': 1, 'GET /orders/:id 503': 1 };
    expect(await series(registry, 'http_requests_total'), 'while the fourth waits for its tea').toEqual(three);
    serveIt();
    await last;
    await reaches(registry, 'http_requests_in_flight', 0);
    expect(await series(registry, 'http_requests_total'), 'once it has it').toEqual({
      ...three,
      'GET /orders/:id 200': 2,
    });
    const text = await registry.metrics();
    expect(text, 'the histogram has as many').toContain('_count{method="GET",route="/orders/:id"} 3');
    const seconds = Number(/_sum\{method="GET",route="\/orders\/:id"\} (.*)/.exec(text)?.[1]);
    expect(seconds, 'seconds that the three took').toBeGreaterThan(0);
    expect(seconds, 'seconds that the three took, of all that have passed').toBeLessThan(
      (performance.now() - began) / 1000,
    );
  });

  test('a request whose client leaves is over too: 499, and in flight no more', async () => {
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2 });
    const url = await serve((request, response) => {
      watch(request, response, () => '/queue');
      if (request.url === '/half') response.write('half a tea');
    });
    for (const path of ['/nothing', '/half']) {
      const sent = get(`${url}${path}`);
      sent.on('error', () => {});
      if (path === '/half') await once(sent, 'response');
      else await reaches(registry, 'http_requests_in_flight', 1);
      sent.destroy();
      await until(async () => total(await series(registry, 'http_requests_in_flight')) === 0, {
        timeoutMs: 1500,
        what: `nobody in flight after the client has left ${path}`,
      });
    }
    expect(await series(registry, 'http_requests_total'), 'two who left').toEqual({ 'GET /queue 499': 2 });
    expect(await registry.metrics(), 'and how long they had waited').toContain('_count{method="GET",route="/queue"} 2');
  });

  test('a label keeps its first values, and each other one is other', () => {
    const label = boundedLabel(3);
    const given = ['latte', 'oolong', 'latte', 'matcha', 'cola', 'oolong', 'beer', 'latte', 'cola'];
    const kept = given.map(label);
    const wanted = ['latte', 'oolong', 'latte', 'matcha', 'other', 'oolong', 'other', 'latte', 'other'];
    expect(kept, `${given.join(', ')}, of which three are kept`).toEqual(wanted);
    const many = new Set(Array.from({ length: 10_000 }, (_, n) => label(`drink ${n}`)));
    expect([...many], '10,000 more').toEqual(['other']);
  });

  test('paths that nobody serves are one route, and so are routes beyond the limit', async () => {
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2, maxRoutes: 5 });
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    onTestFinished(() => agent.destroy());
    const url = await serve((request, response) => {
      const [, kind, name] = request.url?.split('/') ?? [];
      watch(request, response, () => (kind === 'made' ? `/made/${name}` : undefined));
      response.writeHead(kind === 'made' ? 200 : 404).end();
    });
    const scanners = Array.from({ length: 200 }, (_, n) => visit(`${url}/wp-admin-${n}.php`, 'GET', agent));
    await Promise.all(scanners);
    await reaches(registry, 'http_requests_total', 200);
    expect(await series(registry, 'http_requests_total'), '200 paths').toEqual({ 'GET unmatched 404': 200 });
    for (let n = 0; n < 20; n++) await visit(`${url}/made/${n}`, 'GET', agent);
    await reaches(registry, 'http_requests_total', 220);
    const routes = Object.keys(await series(registry, 'http_requests_total'));
    expect(
      routes.length,
      `routes, of which 5 are kept, beside unmatched and other: ${routes.join(', ')}`,
    ).toBeLessThanOrEqual(7);
    expect(routes).toContain('GET other 200');
  });

  test('the promise is the edge of a bucket, so that how many kept it is a count', async () => {
    for (const slo of [0.001, 0.2, 0.3, 1, 3600]) {
      const edges = sloBuckets(slo);
      expect(edges, `edges for a promise of ${slo} s`).toContain(slo);
      expect(edges, 'in order, each once').toEqual([...new Set(edges)].sort((a, b) => a - b));
      expect(edges.length, 'each edge is a series for each route').toBeLessThanOrEqual(12);
      expect(edges.filter((edge) => edge > slo).length, 'and some above, to see how late').toBeGreaterThan(1);
      expect(edges.filter((edge) => edge < slo).length, 'and some below').toBeGreaterThan(1);
      const registry = new Registry();
      const histogram = new Histogram({ name: 'seconds', help: 'h', buckets: edges, registers: [registry] });
      for (let n = 1; n <= 100; n++) histogram.observe((slo * n) / 90);
      const within = (await series(registry, 'seconds'))[`${slo}`];
      expect(within, `of 100, ten of them a little late for ${slo} s`).toBe(90);
    }
  });

  test('a restart of one instance takes nothing from the rate', async () => {
    const { requestRate } = queries(OPTIONS);
    const till = (instance: string) => `http_requests_total{job="shop",instance="${instance}",route="/menu"}`;
    // Two tills of 10 a second; the second begins anew at second 15.
    const both = { [till('a')]: '1000+10x30', [till('b')]: '1000+10x14 0+10x15' };
    const samples = await promtool.evaluate(both, 20, requestRate);
    expect(samples, 'requests a second, five seconds after the restart').toEqual([
      [{ labels: { job: 'shop', route: '/menu' }, value: expect.any(Number) }],
    ]);
    const rate = samples[0]?.[0]?.value ?? 0;
    expect(rate, 'requests a second at two tills of 10 a second, one of which was restarted').toBeGreaterThan(17);
    expect(rate, 'requests a second at two tills of 10 a second, one of which was restarted').toBeLessThan(23);
  });

  test('no error is a ratio of 0, and no request is no ratio', async () => {
    const { errorRatio } = queries(OPTIONS);
    const of = (status: number, values: string) => ({
      [`http_requests_total{job="shop",instance="a",route="/menu",status="${status}"}`]: values,
    });
    const well = await promtool.value(of(200, '0+10x30'), 20, errorRatio);
    expect(well, 'of 10 a second, all 200: no series says 5xx').toBe(0);
    const ill = await promtool.value(
      { ...of(200, '0+9x30'), ...of(503, '0+1x30'), ...of(404, '0+10x30') },
      20,
      errorRatio,
    );
    expect(ill ?? Number.NaN, 'of 9 × 200, 10 × 404 and 1 × 503').toBeCloseTo(0.05);
    const closed = await promtool.value(of(200, '7x30'), 20, errorRatio);
    expect(closed, 'of a shop without customers').toBeUndefined();
  });

  test('the slowest hundredth of two instances is found in the sum of their buckets', async () => {
    const ask = queries(OPTIONS);
    const edges = sloBuckets(OPTIONS.sloSeconds);
    // 99 of 100 customers go to till a, which takes up to 25 ms. Till b takes 1.6 to 3.2 s for each of the rest.
    const input: Record<string, string> = {};
    const till = (instance: string, perSecond: number, seconds: number) => {
      for (const le of [...edges.map(String), '+Inf']) {
        const step = Number(le.replace('+Inf', 'Infinity')) >= seconds ? perSecond : 0;
        input[
          `http_request_duration_seconds_bucket{job="shop",instance="${instance}",route="/",method="GET",le="${le}"}`
        ] = `0+${step}x30`;
      }
      input[`http_request_duration_seconds_count{job="shop",instance="${instance}",route="/",method="GET"}`] =
        `0+${perSecond}x30`;
    };
    till('a', 1990, 0.025);
    till('b', 10, 3.2);
    const p99 = await promtool.value(input, 20, ask.quantile(0.99));
    expect(p99 ?? Number.NaN, 'seconds: 10 of 2000 are slow, so that 99 of 100 are not').toBeLessThan(0.026);
    const p999 = await promtool.value(input, 20, ask.quantile(0.999));
    expect(p999 ?? Number.NaN, 'seconds: of the slowest two of 2000').toBeGreaterThan(1.6);
    const late = await promtool.value(input, 20, ask.slowRatio);
    expect(late ?? Number.NaN, 'the share later than promised').toBeCloseTo(0.005, 6);
  });

  test('a stock that will be gone in time is foretold, a refill or slow sales are not taken for it', async () => {
    const expr = runsOut('pearls_kg', '10s', 40);
    const foretold = async (values: string) => (await promtool.value({ pearls_kg: values }, 20, expr)) !== undefined;
    expect(await foretold('5-0.1x30'), '3 kg left, 0.1 kg a second: gone in 30 s, of 40').toBe(true);
    expect(await foretold('5-0.05x30'), '4 kg left, 0.05 kg a second: gone in 80 s, of 40').toBe(false);
    expect(await foretold('5+0.1x30'), 'being refilled, 0.1 kg a second').toBe(false);
    expect(await foretold('5x30'), 'nobody buys any').toBe(false);
    expect(await foretold('0x30'), 'gone already').toBe(true);
  });

  /** The alerts on what they are about, and nothing else. */
  const alarmed = (): RuleFile => {
    const { slowRatio, errorRatio, hitRatio } = queries(RULES);
    const rules = [
      { record: 'job:http_requests:slow_ratio', expr: slowRatio },
      { record: 'job:http_requests:error_ratio', expr: errorRatio },
      { record: 'job_cache_version:cache_requests:hit_ratio', expr: hitRatio },
      ...alerts(RULES),
    ];
    return { groups: [{ name: 'g', rules }] };
  };
  /** An instance and its releases: each version, its hits of 100 reads a second, and for how many seconds it runs. */
  const instance = (name: string, ...releases: [version: string, hits: number, seconds: number][]): SeriesInput => {
    const of = `job="shop",instance="${name}"`;
    const cache = `cache_requests_total{${of},cache="recipes"`;
    const reads = (step: (hits: number) => number) =>
      releases.map(([, hits, seconds]) => `0+${step(hits)}x${seconds - 1}`).join(' ');
    const input: Record<string, string> = {
      [`${cache},result="hit"}`]: reads((hits) => hits),
      [`${cache},result="miss"}`]: reads((hits) => 100 - hits),
    };
    let from = 0;
    for (const [version, , seconds] of releases) {
      const live = (value: number) => `${from > 0 ? `_x${from} ` : ''}${value}x${seconds - 1} stale`;
      input[`app_build_info{${of},version="${version}"}`] = live(1);
      input[`app_release_timestamp_seconds{${of},version="${version}"}`] = live(from);
      from += seconds;
    }
    return input;
  };

  test('the alert on the cause names the version whose cache misses, no other, and ends with the roll-back', async () => {
    const input = {
      ...instance('a', ['1.4.0', 98, 120]),
      ...instance('b', ['1.4.0', 98, 30], ['2.0.0', 30, 40], ['1.4.1', 98, 50]),
    };
    const seconds = Array.from({ length: 120 }, (_, second) => second);
    const fired = await promtool.firing(alarmed(), input, 'CacheMisses', ...seconds);
    const versions = (from: number, to: number) => [
      ...new Set(fired.slice(from, to).flatMap((at) => at.map(({ labels }) => labels['version'] ?? 'nobody'))),
    ];
    expect(versions(0, 33), 'whom it names before 2.0.0 has been out for its `for: 3s`').toEqual([]);
    expect(
      fired[60]?.map(({ labels }) => labels),
      '30 s after 2.0.0 went to one of two instances',
    ).toEqual([expect.objectContaining({ job: 'shop', cache: 'recipes', version: '2.0.0', severity: 'ticket' })]);
    expect(fired[60]?.[0]?.annotations['summary'], 'what it says').toMatch(/\b30%.*\b2\.0\.0\b/);
    expect(versions(30, 120), 'whom it names from the release to the end').toEqual(['2.0.0']);
    expect(versions(85, 120), 'from 15 s after the roll-back to 1.4.1, with a window of 10 s').toEqual([]);
  });

  // ── hardening ──

  test('the alert says for how long the version has been live', async () => {
    const input = { ...instance('a', ['2.0.0', 30, 200]) };
    const rules = ruleFile(RULES);
    const [at] = await promtool.firing(rules, input, 'CacheMisses', 120);
    expect(at?.[0]?.annotations).toEqual({
      summary: 'The cache recipes of shop answers 30% of the reads of version 2.0.0, live for 2m 0s.',
      action: 'Roll back to the version before.',
    });
  });

  test('a job without targets and a target without an answer are alerts, not silence', async () => {
    const up = (values: string) => ({ 'up{job="shop",instance="a"}': values, 'up{job="shop",instance="b"}': '1x30' });
    const rules = alarmed();
    expect(await promtool.firing(rules, {}, 'JobMissing', 10), 'without targets').toMatchObject([
      [{ labels: { job: 'shop', severity: 'page' } }],
    ]);
    expect(await promtool.firing(rules, up('1x30'), 'JobMissing', 10), 'with targets').toEqual([[]]);
    const three = ruleFile({ ...RULES, jobs: ['shop', 'kitchen', 'bank'] });
    const missing = (await promtool.firing(three, up('1x30'), 'JobMissing', 10)).flat();
    expect(missing.map(({ labels }) => labels['job']).sort(), 'one of three has targets').toEqual(['bank', 'kitchen']);
    expect(await promtool.firing(rules, up('0x30'), 'InstanceDown', 2, 10), 'one of two down').toMatchObject([
      [],
      [{ labels: { job: 'shop', instance: 'a' } }],
    ]);
    expect(await promtool.firing(rules, up('1 1 0 1x20'), 'InstanceDown', 5), 'one scrape missed').toEqual([[]]);
  });

  test('slow and failing requests page, and a shop without customers does not', async () => {
    const seconds = 'http_request_duration_seconds';
    const traffic = (late: number, failed: number, stop = '') => ({
      [`${seconds}_bucket{job="shop",instance="a",le="0.2"}`]: `0+${100 - late}x20${stop}`,
      [`${seconds}_count{job="shop",instance="a"}`]: `0+100x20${stop}`,
      'http_requests_total{job="shop",instance="a",status="200"}': `0+${100 - failed}x20${stop}`,
      'http_requests_total{job="shop",instance="a",status="500"}': `0+${failed}x20${stop}`,
    });
    const fires = async (name: string, input: SeriesInput, at: number) =>
      (await promtool.firing(ruleFile(RULES), input, name, at))[0]?.length;
    expect(await fires('RequestsSlow', traffic(6, 0), 20), '6 % late').toBe(1);
    expect(await fires('RequestsSlow', traffic(4, 0), 20), '4 % late').toBe(0);
    expect(await fires('RequestsFail', traffic(0, 2), 20), '2 % failed').toBe(1);
    expect(await fires('RequestsFail', traffic(0, 0), 20), 'none failed').toBe(0);
    const closed = traffic(50, 50, ' _x40');
    for (const name of ['RequestsSlow', 'RequestsFail'])
      expect(await fires(name, closed, 50), `${name}, closed`).toBe(0);
  });

  test('promtool takes the rule file, and the mean is there to be compared', async () => {
    expect(await promtool.check(ruleFile(RULES))).toMatch(/SUCCESS: 9 rules found/);
    const ask = queries({ window: '10s', sloSeconds: 1 });
    const seconds = 'http_request_duration_seconds';
    const input = {
      [`${seconds}_sum{job="shop",instance="a"}`]: '0+5x30',
      [`${seconds}_count{job="shop",instance="a"}`]: '0+10x30',
      [`${seconds}_bucket{job="shop",instance="a",le="1.0"}`]: '0+9x30',
      'pool_used{job="shop",instance="a",pool="database"}': '1x30',
      'pool_size{job="shop",instance="a",pool="database"}': '4x30',
      'pool_used{job="shop",instance="b",pool="database"}': '3x30',
      'pool_size{job="shop",instance="b",pool="database"}': '4x30',
      'event_loop_active_seconds_total{job="shop",instance="a"}': '0+0.5x30',
      'event_loop_active_seconds_total{job="shop",instance="b"}': '0+0.1x30',
    };
    const answers = await promtool.evaluate(input, 20, ask.mean, ask.slowRatio, ask.poolUse, ask.eventLoopUse);
    const values = answers.map(([sample]) => sample?.value.toFixed(3));
    expect(values, "mean, late (of Prometheus 3's le), pool, event loop").toEqual(['0.500', '0.100', '0.750', '0.500']);
  });

  test('what a pool and a loop are at is read when somebody asks', async () => {
    const registry = new Registry();
    let used = 1;
    poolMetrics(registry, { database: () => ({ size: 4, used, waiting: used - 1 }) });
    eventLoopMetrics(registry);
    expect(await series(registry, 'pool_used')).toEqual({ database: 1 });
    used = 3;
    expect(await series(registry, 'pool_used')).toEqual({ database: 3 });
    expect([await series(registry, 'pool_size'), await series(registry, 'pool_waiting')]).toEqual([
      { database: 4 },
      { database: 2 },
    ]);
    const active = async () => total(await series(registry, 'event_loop_active_seconds_total'));
    let last = await active();
    for (let scrape = 0; scrape < 5; scrape++) {
      for (const end = performance.now() + 5; performance.now() < end; );
      await new Promise((resolve) => setImmediate(resolve));
      const now = await active();
      expect(now, 'a counter never falls').toBeGreaterThanOrEqual(last);
      last = now;
    }
    expect(last, 'seconds, and five times 5 ms of work are in them').toBeGreaterThan(0.02);
    expect(last, 'seconds, of all that this process has run').toBeLessThan(process.uptime());
  });

  test('a cache counts from 0, and the release marker is one series', async () => {
    const registry = new Registry();
    const read = cacheMetrics(registry, ['menu', 'stock']);
    const none = { 'menu hit': 0, 'menu miss': 0, 'stock hit': 0, 'stock miss': 0 };
    expect(await series(registry, 'cache_requests_total'), 'before the first read').toEqual(none);
    read('menu', true);
    read('menu', false);
    read('menu', true);
    expect(await series(registry, 'cache_requests_total')).toEqual({ ...none, 'menu hit': 2, 'menu miss': 1 });
    releaseMetrics(registry, '2.0.0', 1_700_000_000);
    expect(await series(registry, 'app_build_info')).toEqual({ '2.0.0': 1 });
    expect(await series(registry, 'app_release_timestamp_seconds')).toEqual({ '2.0.0': 1_700_000_000 });
    const began = new Registry();
    releaseMetrics(began, '2.0.0');
    const age = Date.now() / 1000 - total(await series(began, 'app_release_timestamp_seconds'));
    expect(Math.abs(age - process.uptime()), 'by default it is as old as the process').toBeLessThan(5);
  });

  test('the page says what it is, is 405 for a POST, and 500 when a metric cannot be read', async () => {
    const registry = new Registry();
    const url = await serve((request, response) => void metricsPage(registry, request, response));
    new Counter({ name: 'teas_total', help: 'Teas.', registers: [registry] }).inc(3);
    const page = await fetch(url);
    expect(page.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await page.text()).toContain('teas_total 3');
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    const post = await fetch(url, { method: 'POST' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const broken = () => {
      throw new Error('sensor');
    };
    new Gauge({ name: 'tea_celsius', help: 'Tea.', registers: [registry], collect: broken });
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([500, 'A metric could not be read.\n']);
    // A timeout's answer is begun while the metrics are read; what comes of them then ends nobody's process.
    const outcomes: unknown[] = [];
    const late = await serve(async (request, response) => {
      const page = request.url === '/well' ? new Registry() : registry;
      const read = outcome(metricsPage(page, request, response));
      if (!response.headersSent) response.writeHead(503).end('late');
      outcomes.push((await read).error, (await outcome(metricsPage(page, request, response))).error);
    });
    for (const [path, method] of [
      ['well', 'GET'],
      ['broken', 'GET'],
      ['well', 'POST'],
    ] as const) {
      expect((await fetch(new URL(path, late), { method })).status).toBe(method === 'GET' ? 503 : 405);
    }
    await until(() => outcomes.length === 6, { what: 'all to be settled' });
    expect(outcomes.filter(Boolean)).toEqual([]);
  });

  test('what a caller gets wrong does not break what is measured', async () => {
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2 });
    const url = await serve((request, response) => {
      watch(request, response, () => {
        throw new Error('no router');
      });
      request.method = 'BREW';
      response.end();
    });
    expect(await visit(url)).toBe(200);
    await reaches(registry, 'http_requests_total', 1);
    expect(await series(registry, 'http_requests_total')).toEqual({ 'other unmatched 200': 1 });
  });

  test('a route that is no text, and a client who left before anybody watched, are counted as well', async () => {
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2 });
    const routes: unknown[] = [/^\/tea/, ['/a', '/b'], 7, null];
    const url = await serve(async (request, response) => {
      // @ts-expect-error: what a router in JavaScript may say
      watch(request, response, () => routes.shift());
      response.end();
    });
    for (let n = 0; n < 4; n++) expect(await visit(url)).toBe(200);
    const late = await serve((request, response) => {
      // As after a slow login.
      response.once('close', () => setImmediate(() => watch(request, response, () => '/late')));
      response.destroy();
    });
    await visit(late).catch(() => {});
    await reaches(registry, 'http_requests_total', 5);
    expect(await series(registry, 'http_requests_total')).toEqual({
      'GET ^\\/tea 200': 1,
      'GET unmatched 200': 3,
      'GET /late 499': 1,
    });
    expect(await series(registry, 'http_requests_in_flight')).toEqual({ '': 0 });
  });

  test('a response that breaks in our hands is a 500, and one that is watched twice is one', async () => {
    const registry = new Registry();
    const { watch } = httpMetrics(registry, { sloSeconds: 0.2 });
    const url = await serve((request, response) => {
      // What a router in JavaScript may do; nobody else would catch it.
      const lost = () => Promise.reject(new Error('no router'));
      // @ts-expect-error: a route is no promise
      for (let hook = 0; hook < 2; hook++) watch(request, response, request.url === '/lost' ? lost : () => '/tea');
      if (request.url !== '/broken') return response.end();
      const broken = Readable.from(
        (async function* () {
          yield 'half a tea';
          throw new Error('the database is gone');
        })(),
      );
      return pipeline(broken, response).catch(() => {});
    });
    for (const path of ['/well', '/lost']) await visit(`${url}${path}`);
    await visit(`${url}/broken`).catch(() => {});
    const wanted = { 'GET /tea 200': 1, 'GET /tea 500': 1, 'GET unmatched 200': 1 };
    await reaches(registry, 'http_requests_total', 3);
    expect(await series(registry, 'http_requests_total')).toEqual(wanted);
  });

  test('a label is what Prometheus can keep: no half characters, no U+0000, no names without end', () => {
    const label = boundedLabel(10);
    expect(label('tea \ud83d')).toBe('tea \ufffd');
    expect(label('tea \ud83c')).toBe('tea \ufffd');
    expect(label('a\0b')).toBe('a\ufffdb');
    expect([label(''), label('x'.repeat(129)), label('x'.repeat(128))]).toEqual(['other', 'other', 'x'.repeat(128)]);
    expect(['__proto__', 'toString'].map(label)).toEqual(['__proto__', 'toString']);
  });

  test('a quantile is off by a factor of two at most, from an eighth of the promise to sixteen times of it', () => {
    const edges = sloBuckets(0.25);
    const [first = 0, last = 0] = [edges[0], edges.at(-1)];
    expect([first, last]).toEqual([0.25 / 8, 4]);
    for (const [n, edge] of edges.slice(1).entries()) expect(edge / (edges[n] ?? 0)).toBeLessThanOrEqual(2);
  });

  test('Grafana finds its Prometheus, asked as often as targets are, and its dashboards', () => {
    const files = provisioning({ prometheusUrl: 'http://127.0.0.1:9090', scrapeInterval: '10s', dashboards: '/wall' });
    expect(files['datasources/prometheus.yml'].datasources).toMatchObject([
      // Four of them are $__rate_interval: with the default of 15 s a rate would look back on a minute.
      { type: 'prometheus', url: 'http://127.0.0.1:9090', isDefault: true, jsonData: { timeInterval: '10s' } },
    ]);
    expect(files['dashboards/files.yml'].providers).toMatchObject([{ type: 'file', options: { path: '/wall' } }]);
    expect(Object.values(files).map(({ apiVersion }) => apiVersion)).toEqual([1, 1]);
  });

  test('what no metric can be made from is refused, with the value', async () => {
    const refused: [string, () => unknown][] = [
      ['0', () => boundedLabel(0)],
      ['1.5', () => boundedLabel(1.5)],
      ['0', () => sloBuckets(0)],
      ['NaN', () => sloBuckets(Number.NaN)],
      ['3601', () => httpMetrics(new Registry(), { sloSeconds: 3601 })],
      ['-1', () => httpMetrics(new Registry(), { sloSeconds: 1, maxRoutes: -1 })],
      ['NaN', () => queries({ window: '5m', sloSeconds: Number.NaN })],
      ['Infinity', () => queries({ window: '5m', sloSeconds: Number.POSITIVE_INFINITY })],
      ['-1', () => servicePanels({ window: '5m', sloSeconds: -1 })],
      ['0s', () => queries({ window: '0s', sloSeconds: 1 })],
      ['1s5m', () => queries({ window: '1s5m', sloSeconds: 1 })],
      ['293y', () => queries({ window: '293y', sloSeconds: 1 })],
      ['9'.repeat(400), () => queries({ window: `${'9'.repeat(400)}ms`, sloSeconds: 1 })],
      ['5m5m', () => runsOut('pearls_kg', '5m5m', 60)],
      ...['', 'a\ud800', 'a\0', 'a\u2028', 'a\u0085', 'a\u007f'].map((job): [string, () => unknown] => [
        JSON.stringify(job),
        () => ruleFile({ window: '5m', sloSeconds: 1, jobs: ['shop', job], hold: '5m' }),
      ]),
      ['\\u0000', () => cacheMetrics(new Registry(), ['menu', 'a\0'])],
      ['\\ud800', () => poolMetrics(new Registry(), { '\ud800': () => ({ size: 1, used: 1, waiting: 0 }) })],
      ['five', () => queries({ window: 'five', sloSeconds: 1 })],
      ['95', () => queries({ window: '5m', sloSeconds: 1 }).quantile(95)],
      ['NaN', () => queries({ window: '5m', sloSeconds: 1 }).quantile(Number.NaN)],
      ['5 min', () => ruleFile({ window: '5m', sloSeconds: 1, jobs: ['shop'], hold: '5 min' })],
      ['__rate_interval', () => ruleFile({ window: '$__rate_interval', sloSeconds: 1, jobs: ['shop'], hold: '5m' })],
      ['5m]', () => runsOut('pearls_kg', '5m])', 60)],
      ['-5', () => runsOut('pearls_kg', '5m', -5)],
      ['Infinity', () => runsOut('pearls_kg', '5m', Number.POSITIVE_INFINITY)],
      ['""', () => releaseMetrics(new Registry(), '')],
      ['\\u0000', () => releaseMetrics(new Registry(), '1\0')],
      ['NaN', () => releaseMetrics(new Registry(), '1', Number.NaN)],
      ['soon', () => provisioning({ prometheusUrl: 'http://p', scrapeInterval: 'soon', dashboards: '/d' })],
      ['a b', () => dashboard({ title: 'T', uid: 'a b', panels: [] })],
      ['toString', () => cacheMetrics<string>(new Registry(), ['menu'])('toString', true)],
    ];
    expect(['tea', 'milk'].map(boundedLabel(1)), 'one value is a label').toEqual(['tea', 'other']);
    expect(runsOut('pearls_kg', '5m', 0.5), 'half a second is ahead').toContain('0.5');
    const jobs = ['奶茶 "\\', '{{ $labels.x }}', '__proto__'];
    expect(await promtool.check(ruleFile({ ...RULES, window: '292y1h', hold: '0s', jobs }))).toMatch(
      /SUCCESS: 9 rules/,
    );
    const registry = new Registry();
    expect(() => httpMetrics(registry, { sloSeconds: 1, maxRoutes: 0 })).toThrow(InvalidArgumentError);
    expect(await registry.getMetricsAsJSON(), 'what a refused call has registered').toEqual([]);
    for (const [value, call] of refused) {
      const { error } = await outcome(Promise.resolve().then(call));
      expect(error, `${call}`).toBeInstanceOf(InvalidArgumentError);
      expect(String(error)).toContain(value);
    }
  });

  test('whoever opens the dashboard has its datasource, a place for each panel and a line for each release', () => {
    const colors = [
      { from: 0, color: 'red' },
      { from: 10, color: 'green' },
    ] as const;
    const milk = {
      title: 'Milk',
      kind: 'stat',
      unit: 'short',
      colors,
      queries: [{ expr: 'milk', legend: '' }],
    } as const;
    const wall = dashboard({ title: 'Shop', uid: 'shop', panels: [...servicePanels(OPTIONS), milk] });
    const [variable] = wall.templating.list;
    expect(variable).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
    const sources = [...wall.annotations.list, ...wall.panels, ...wall.panels.flatMap(({ targets }) => targets)];
    for (const { datasource } of sources)
      expect(datasource).toEqual({ type: 'prometheus', uid: `\${${variable?.name}}` });
    expect(new Set(wall.panels.map(({ id }) => id)).size).toBe(wall.panels.length);
    const cells = wall.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size, 'cells, of which none is taken twice').toBe(cells.length);
    expect(cells.length, '9 panels of 8 × 8, three in a row of 24').toBe(9 * 64);
    const rows = wall.panels.map(({ gridPos }) => gridPos.y);
    expect([Math.max(...rows), ...wall.panels.map(({ gridPos }) => gridPos.x + gridPos.w)]).toEqual([
      16,
      ...[8, 16, 24, 8, 16, 24, 8, 16, 24],
    ]);
    expect(wall.panels[1]?.targets.map(({ legendFormat }) => legendFormat)).toEqual(['p50', 'p99', 'mean']);
    expect(wall.panels[1]?.targets[1]?.expr).toBe(queries(OPTIONS).quantile(0.99));
    expect(wall.panels[1]?.targets.map(({ refId }) => refId)).toEqual(['A', 'B', 'C']);
    expect(wall.panels.at(-1)?.fieldConfig.defaults.thresholds?.steps).toEqual([
      { color: 'red', value: null },
      { color: 'green', value: 10 },
    ]);
    expect(wall.annotations.list[0]).toMatchObject({ enable: true, useValueForTime: 'on' });
    expect(JSON.parse(JSON.stringify(wall)), 'and it survives as JSON').toEqual(wall);
  });
});
