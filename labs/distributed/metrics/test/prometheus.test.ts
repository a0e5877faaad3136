import { createServer, type Server } from 'node:http';
import { Registry } from '@prometheus-io/client';
import { startPrometheus } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { afterAll, expect, test } from 'vitest';
import {
  boundedLabel,
  cacheMetrics,
  dashboard,
  eventLoopMetrics,
  httpInstruments,
  metricsPage,
  poolMetrics,
  releaseMetrics,
  ruleFile,
  servicePanels,
  sloBuckets,
} from '#lab';
import { badPromql, listening, PrometheusApi } from './prometheus-api.ts';

const LIVE = { window: '1s', sloSeconds: 0.2, jobs: ['cache'], hold: '200ms', interval: '200ms' };

/** What reaches the manager's phone: each alert, by its state. */
const phone: { status: string; labels: Record<string, string>; annotations: Record<string, string> }[] = [];
const rang = (state: string) =>
  phone.find(({ status, labels }) => status === state && labels['alertname'] === 'CacheMisses');
const servers: Server[] = [];
const webhook = createServer(async (request, response) => {
  const body = await Array.fromAsync(request, String);
  phone.push(...JSON.parse(body.join('')).alerts);
  response.end();
});
servers.push(webhook);

/** A target whose page can be exchanged, as a release does. */
class Instance {
  registry = new Registry();
  readonly url: Promise<string>;

  constructor() {
    const server = createServer((request, response) => void metricsPage(this.registry, request, response));
    servers.push(server);
    this.url = listening(server);
  }
}
const [shop, cache, labels] = [new Instance(), new Instance(), new Instance()];
const targets = [
  { job: 'shop', urls: [await shop.url] },
  { job: 'cache', urls: [await cache.url] },
  { job: 'labels', urls: [await labels.url] },
];
const start = async () =>
  startPrometheus({
    targets,
    scrapeIntervalMs: 200,
    alertmanager: { webhook: await listening(webhook) },
  });

// All at once: it begins to scrape 5 s after its start.
await describeWith('metrics, in a Prometheus that scrapes', { prometheus: start }, ({ prometheus }) => {
  const api = new PrometheusApi(prometheus.url);
  afterAll(() => {
    for (const server of servers) server.closeAllConnections();
    for (const server of servers) server.close();
  });

  // ── hardening ──

  test.concurrent('the alert names the release whose cache misses, reaches the phone, and ends with the roll-back', async () => {
    await prometheus.setRules(JSON.stringify(ruleFile(LIVE)));
    const release = (version: string, hits: number) => {
      cache.registry = new Registry();
      releaseMetrics(cache.registry, version);
      const read = cacheMetrics(cache.registry, ['menu']);
      let n = 0;
      return setInterval(() => read('menu', n++ % 100 < hits), 2);
    };
    const good = release('1.4.0', 98);
    const before = await api.untilValue(
      'job_cache_version:cache_requests:hit_ratio{job="cache"}',
      (ratio) => ratio > 0.9,
    );
    clearInterval(good);
    const bad = release('2.0.0', 30);
    const fired = await until(() => rang('firing'), {
      timeoutMs: 15_000,
      what: 'the phone to ring',
    });
    clearInterval(bad);
    expect(fired.labels, `from ${before} on`).toMatchObject({
      alertname: 'CacheMisses',
      job: 'cache',
      version: '2.0.0',
    });
    expect(fired.annotations['summary']).toContain('of version 2.0.0, live for');
    const again = release('1.4.0', 98);
    const resolved = await until(() => rang('resolved'), {
      timeoutMs: 15_000,
      what: 'the phone to say that it is over',
    });
    clearInterval(again);
    expect(resolved.labels).toEqual(fired.labels);
  }, 40_000);

  test.concurrent('hostile labels break nothing, and are no more series than were bounded', async () => {
    const { requests } = httpInstruments(labels.registry, sloBuckets(0.2));
    const bounded = boundedLabel(8);
    const hostile = [
      '"',
      '\\',
      '\n',
      '\\n"} 1\nfake 2',
      'a\0b',
      'tea \ud83d',
      'tea \ud83c',
      '奶茶 🧋',
      '{',
      '}',
      'x=1,',
    ];
    for (const route of hostile) requests.inc({ method: 'GET', status: 200, route: bounded(route) });
    await api.untilValue('count(http_requests_total{job="labels"})', (count) => count === 9);
    const stored = await api.query('http_requests_total{job="labels"}');
    const routes = stored.map(({ labels }) => labels['route']);
    const kept = ['"', '\\', '\n', '\\n"} 1\nfake 2', 'a\ufffdb', 'tea \ufffd', '奶茶 🧋', '{'];
    expect(new Set(routes)).toEqual(new Set([...kept, 'other']));
    expect(await api.query('fake')).toEqual([]);
    expect(await api.untilValue('up{job="labels"}', (up) => up === 1)).toBe(1);
  }, 40_000);

  test.concurrent("each panel's query is PromQL, and finds data in Prometheus", async () => {
    const { registry } = shop;
    const { requests, duration } = httpInstruments(registry, sloBuckets(0.2));
    poolMetrics(registry, { database: () => ({ size: 4, used: 1, waiting: 0 }) });
    eventLoopMetrics(registry);
    releaseMetrics(registry, '1.4.0');
    const read = cacheMetrics(registry, ['menu']);
    const traffic = setInterval(() => {
      requests.inc({ method: 'GET', route: '/menu', status: 200 });
      duration.observe({ method: 'GET', route: '/menu' }, 0.1);
      read('menu', true);
    }, 10);
    const panels = servicePanels({ window: '$__rate_interval', sloSeconds: 0.2 });
    const wall = dashboard({ title: 'Shop', uid: 'shop', panels });
    const asked = [...wall.annotations.list, ...wall.panels.flatMap(({ targets }) => targets)].map(({ expr }) =>
      // As Grafana does.
      expr.replaceAll('$__rate_interval', '1s'),
    );
    expect(asked.length).toBeGreaterThanOrEqual(12);
    await api.untilValue('up{job="shop"}', (up) => up === 1);
    for (const expr of asked) {
      expect(badPromql(expr), `${expr}: where it is no PromQL`).toEqual([]);
      await until(
        async () =>
          (await api.query(expr)).some(({ labels, value }) => labels['job'] === 'shop' && !Number.isNaN(value)),
        { what: `data for ${expr}` },
      );
    }
    clearInterval(traffic);
    expect(badPromql('sum by (job (rate(x[5m]))')).not.toEqual([]);
  }, 40_000);
});
