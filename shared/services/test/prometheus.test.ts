import { execFile } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describeWith } from '@shared/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  ConfigRefusedError,
  FaultUnavailableError,
  inspectServices,
  MissingServerError,
  type ScrapeJob,
  startPrometheus,
} from '../src/index.ts';
import { failure, listens, Script, temporary, until } from './support.ts';

// Prometheus looks for targets every 5 s; beside other work the machine takes a multiple of that.
const SLOW = 60_000;
const SCRAPED_MS = 30_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A shop that counts its orders, and a pager that notes what it is told. */
async function startShop() {
  const calls: string[] = [];
  let orders = 0;
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
      response.end(`# TYPE orders_total counter\norders_total{path=${JSON.stringify(request.url)}} ${orders}\n`);
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const { status, alerts } = JSON.parse(body);
    for (const alert of alerts) calls.push(`${status} ${alert.labels.alertname}`);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    calls,
    sells: (count: number) => {
      orders = count;
    },
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

interface Answer {
  readonly data: {
    readonly result: readonly { readonly metric: { readonly path?: string }; readonly value: [number, string] }[];
  };
}

/** The values of an instant query, by the label `path` of what is scraped. */
async function query(url: string, expression: string): Promise<Record<string, string>> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { data }: Answer = JSON.parse(await response.text());
  return Object.fromEntries(data.result.map(({ metric, value }) => [metric.path ?? '', value[1]]));
}

const RULES = `
groups:
  - name: shop
    rules:
      - record: shop:orders
        expr: sum(orders_total)
      - alert: ManyOrders
        expr: orders_total > 10
        for: 250ms
`;

/** Both, closed together. */
async function startMonitored() {
  const shop = await startShop();
  try {
    const prometheus = await startPrometheus({
      targets: [{ job: 'shop', urls: [shop.url, `${shop.url}/more`] }],
      rules: RULES,
      alertmanager: { webhook: `${shop.url}/pager` },
    });
    const close = async () => {
      await prometheus[Symbol.asyncDispose]();
      await shop[Symbol.asyncDispose]();
    };
    return { shop, prometheus, [Symbol.asyncDispose]: close };
  } catch (error) {
    await shop[Symbol.asyncDispose]();
    throw error;
  }
}

await describeWith('a Prometheus with an Alertmanager', { monitored: startMonitored }, ({ monitored }) => {
  const { shop, prometheus } = monitored;
  const { url, node, alertmanager } = prometheus;

  test('scrapes its targets, records, and pages when an alert fires and is resolved', { timeout: SLOW }, async () => {
    expect(prometheus.banner).toMatch(/^prometheus: embedded \d+\.\d+\.\d+, alertmanager \d+\.\d+\.\d+$/);
    expect([url, prometheus.alertmanagerUrl]).toEqual([node.url, alertmanager.url]);
    await until('both are scraped', async () => Object.keys(await query(url, 'orders_total')).length === 2, SCRAPED_MS);
    expect(await query(url, 'orders_total')).toEqual({ '/metrics': '0', '/more': '0' });
    shop.sells(11);
    await until('the pager rings', () => shop.calls.includes('firing ManyOrders'), SCRAPED_MS);
    expect(await query(url, 'shop:orders')).toEqual({ '': '22' });
    const alerts = await fetch(`${alertmanager.url}/api/v2/alerts`);
    expect(await alerts.text()).toContain(`"generatorURL":"${url}/graph`);
    shop.sells(0);
    await until('it is resolved', () => shop.calls.includes('resolved ManyOrders'), SCRAPED_MS);
  });

  test('an Alertmanager that was away is told what still fires', { timeout: SLOW }, async () => {
    await alertmanager.kill();
    expect([alertmanager.state, await listens(alertmanager.port)]).toEqual(['down', false]);
    shop.calls.length = 0;
    shop.sells(11);
    await until('it fires', async () => '/more' in (await query(url, 'ALERTS{alertstate="firing"}')), SCRAPED_MS);
    await alertmanager.restart();
    await until('the pager rings', () => shop.calls.includes('firing ManyOrders'), SCRAPED_MS);
  });

  test('rules that it does not take are refused in its words, and those before stay', { timeout: SLOW }, async () => {
    const { error } = await failure(prometheus.setRules('groups: [{name: g, rules: [{alert: A, expr: "sum("}]}]'));
    expect(error).toBeInstanceOf(ConfigRefusedError);
    expect(error.message).toContain('unclosed left parenthesis');
    const rules = async () => (await fetch(`${url}/api/v1/rules`)).text();
    expect(await rules()).toContain('shop:orders');
    await prometheus.setRules('groups: [{name: g, rules: [{record: shop:double, expr: sum(orders_total) * 2}]}]');
    expect(await rules()).not.toContain('shop:orders');
    await until('it records', async () => '' in (await query(url, 'shop:double')), SCRAPED_MS);
    await prometheus.setRules('');
    expect(await rules()).not.toContain('shop:double');
  });

  test('killed and restarted it has its data; then it scrapes others', { timeout: SLOW }, async () => {
    await node.kill();
    expect([node.state, await listens(node.port)]).toEqual(['down', false]);
    expect((await failure(prometheus.setTargets([]))).error).toBeInstanceOf(FaultUnavailableError);
    await node.restart();
    const before = await query(url, 'last_over_time(orders_total[10m])');
    expect(before).toEqual({ '/metrics': '11', '/more': '11' });
    await prometheus.setTargets([{ job: 'other', urls: [`${shop.url}/other`] }]);
    await until('the other is scraped', async () => '/other' in (await query(url, 'orders_total')), SCRAPED_MS);
  });

  test('paused it does not answer; a network can be put in front of it', { timeout: SLOW }, async () => {
    const net = await node.proxy();
    expect(await query(net.url, 'vector(1)')).toEqual({ '': '1' });
    await node.pause();
    const asked = fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(300) });
    expect((await failure(asked)).error.name).toBe('TimeoutError');
    await node.resume();
    expect((await fetch(`${url}/-/ready`)).status).toBe(200);
  });

  test('its page is whole', { timeout: SLOW }, async () => {
    const page = await fetch(`${url}/graph`);
    const parts = [...(await page.text()).matchAll(/(?:src|href)="(\/[^"]*static[^"]*)"/g)].map(([, path]) => path);
    expect(parts.length).toBeGreaterThan(0);
    const answers = await Promise.all(parts.map(async (path) => [path, (await fetch(`${url}${path}`)).status]));
    expect(answers).toEqual(parts.map((path) => [path, 200]));
  });

  test.skipIf(prometheus.promtool === undefined)('promtool checks rules (skipped where it is missing)', async () => {
    await using folder = await temporary();
    await writeFile(join(folder.path, 'rules.yml'), RULES);
    const { stdout } = await promisify(execFile)(prometheus.promtool ?? '', [
      'check',
      'rules',
      join(folder.path, 'rules.yml'),
    ]);
    expect(stdout).toContain('2 rules found');
  });

  test('rules that are none are refused at the start, and nothing is left', { timeout: SLOW }, async () => {
    await using folder = await temporary();
    vi.stubEnv('TMPDIR', folder.path);
    const { error } = await failure(startPrometheus({ targets: [], rules: 'nonsense: 1' }));
    expect(error).toMatchObject({ code: 'CONFIG_REFUSED', message: expect.stringContaining('nonsense') });
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('after kill -9 of the parent no process and no folder is left, a paused node included', {
    timeout: SLOW,
  }, async () => {
    await using folder = await temporary();
    const script = new Script('hold-prometheus.ts', { TMPDIR: folder.path });
    await until('it says its ports', () => script.output.includes('\n'), SCRAPED_MS);
    expect((await processesIn(folder.path)).length).toBe(2);
    script.child.kill('SIGKILL');
    await script.ended();
    const left = async () => (await readdir(folder.path)).length + (await processesIn(folder.path)).length;
    await until('nothing is left', async () => (await left()) === 0);
  });

  test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
    await using folder = await temporary();
    vi.stubEnv('TMPDIR', folder.path);
    const abort = new AbortController();
    const starting = startPrometheus({ targets: [], alertmanager: true, signal: abort.signal });
    await until('it has begun', async () => (await processesIn(folder.path)).length > 0, SCRAPED_MS);
    abort.abort(new Error('Ctrl-C'));
    expect((await failure(starting)).error.message).toBe('Ctrl-C');
    expect(await readdir(folder.path)).toEqual([]);
  });
});

describe('what cannot be scraped is a RangeError before anything is started', () => {
  const url = 'http://127.0.0.1:3000';
  test.each<[string, readonly ScrapeJob[], string]>([
    ['a job without a name', [{ job: '', urls: [url] }], 'a job is ""'],
    ['half a character', [{ job: '\ud800', urls: [url] }], 'ud800'],
    [
      'a job twice',
      [
        { job: 'shop', urls: [] },
        { job: 'shop', urls: [] },
      ],
      'there twice',
    ],
    ['an address', [{ job: 'shop', urls: ['127.0.0.1:3000'] }], 'must be a URL'],
    ['a login', [{ job: 'shop', urls: ['http://me:secret@127.0.0.1:3000/metrics'] }], 'leave out its login'],
    ['a query', [{ job: 'shop', urls: [`${url}/metrics?all`] }], 'query'],
  ])('%s', async (_, targets, words) => {
    const { error } = await failure(startPrometheus({ targets }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toContain(words);
    expect(error.message).not.toContain('secret');
  });

  test.each([0, 0.5, Number.NaN])('an interval of %s ms', async (scrapeIntervalMs) => {
    expect((await failure(startPrometheus({ targets: [], scrapeIntervalMs }))).error).toBeInstanceOf(RangeError);
  });

  test('a webhook that is no URL', async () => {
    const starting = startPrometheus({ targets: [], alertmanager: { webhook: 'pager' } });
    expect((await failure(starting)).error).toBeInstanceOf(RangeError);
  });
});

test('a machine without one is told how to get one; its report says so, and starts nothing', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startPrometheus({ targets: [] }));
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error).toMatchObject({ service: 'prometheus', exitCode: 3 });
  expect(error.message).toContain('unset LABS_PROVISION');
  const reports = await inspectServices(['prometheus', 'alertmanager']);
  expect(reports).toMatchObject([{ available: false }, { available: false }]);
  expect(reports.flatMap(({ ways }) => ways).join()).not.toMatch(/export|docker/);
  expect(await readdir(folder.path)).toEqual([]);
});

test('only ours will do: LABS_SERVICES=compose is refused', async () => {
  vi.stubEnv('LABS_SERVICES', 'compose');
  const { error } = await failure(startPrometheus({ targets: [] }));
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toContain('Unset LABS_SERVICES');
});
