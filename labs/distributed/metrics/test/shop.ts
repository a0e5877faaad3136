import { Agent, createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import {
  cacheMetrics,
  eventLoopMetrics,
  type HttpMetrics,
  httpMetrics,
  metricsPage,
  type PanelOptions,
  poolMetrics,
  releaseMetrics,
} from '../src/index.ts';
import { listening } from './prometheus-api.ts';

/** Most customers have their tea in a fifth of a second. */
export const SLO_SECONDS = 0.2;

/** A few connections, a queue with an end, and 50 ms for each question. */
class Database {
  readonly size = 3;
  readonly #most = 116;
  #used = 0;
  readonly #queue: (() => void)[] = [];

  state() {
    return { size: this.size, used: this.#used, waiting: this.#queue.length };
  }

  /** @returns whether it was asked: with 116 in the queue nobody is let in. */
  async ask(): Promise<boolean> {
    if (this.#queue.length >= this.#most) return false;
    if (this.#used < this.size) this.#used++;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    await delay(50);
    const next = this.#queue.shift();
    if (next) next();
    else this.#used--;
    return true;
  }
}

/** One release of the milk-tea shop: a process in all but name, with a cache, a pool and counters of its own, all new. */
export class Shop {
  readonly registry = new Registry();
  readonly #http: HttpMetrics;
  readonly #database = new Database();
  readonly #read: (cache: 'recipes', hit: boolean) => void;
  readonly #asked: Histogram;
  readonly #sold: Counter<'topping'>;
  readonly #recipes = new Set<string>();
  readonly #keyOf: (drink: string, customer: string) => string;

  /** @param keyOf Under which key a recipe is kept; the fault of 2.0.0 is here. */
  constructor(version: string, keyOf: (drink: string, customer: string) => string) {
    const registers = [this.registry];
    this.#keyOf = keyOf;
    this.#http = httpMetrics(this.registry, { sloSeconds: SLO_SECONDS });
    this.#read = cacheMetrics(this.registry, ['recipes']);
    releaseMetrics(this.registry, version, Date.now() / 1000);
    eventLoopMetrics(this.registry);
    poolMetrics(this.registry, { database: () => this.#database.state() });
    this.#asked = new Histogram({
      name: 'database_query_seconds',
      help: 'From the question to the answer, the wait for a connection included.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 4],
      registers,
    });
    this.#sold = new Counter({
      name: 'toppings_kg_total',
      help: 'Toppings that went over the counter.',
      labelNames: ['topping'],
      registers,
    });
    for (const topping of ['pearls', 'coconut']) this.#sold.inc({ topping }, 0);
    new Gauge({ name: 'milk_boxes', help: 'Fresh milk in the cold store.', registers }).set(8);
    new Gauge({ name: 'tea_machine_celsius', help: 'How hot the tea is.', registers }).set(75);
    for (const drink of DRINKS) this.#recipes.add(keyOf(drink, REGULAR));
  }

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://shop');
    if (url.pathname === '/metrics') return metricsPage(this.registry, request, response);
    const [, kind, drink = ''] = url.pathname.split('/');
    this.#http.watch(request, response, () => (kind === 'teas' ? '/teas/:drink' : undefined));
    const key = this.#keyOf(drink, url.searchParams.get('customer') ?? '');
    const hit = this.#recipes.has(key);
    this.#read('recipes', hit);
    if (!hit) {
      const asked = performance.now();
      const answered = await this.#database.ask();
      if (!answered) {
        response.writeHead(503).end();
        return;
      }
      this.#asked.observe((performance.now() - asked) / 1000);
      this.#recipes.add(key);
    }
    this.#sold.inc({ topping: drink === 'matcha' ? 'coconut' : 'pearls' }, 0.05);
    response.end('tea');
  };
}

const DRINKS = ['oolong', 'latte', 'matcha'];
const REGULAR = 'regular';

/**
 * Customers, so many a second. 2 of 100 want a drink that nobody has had before; 3 of 10 come with the face that everybody knows.
 * They come whether or not those before them have been served; but where two seconds' worth of them wait, who comes goes on:
 * a machine that cannot carry them would do nothing else any more.
 */
export function customers(url: string, perSecond: number): AsyncDisposable {
  const agent = new Agent({ keepAlive: true });
  const began = performance.now();
  let sent = 0;
  let waiting = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - began) / 1000) * perSecond; sent < due; sent++) {
      if (waiting >= 2 * perSecond) continue;
      waiting++;
      const drink = sent % 50 === 7 ? `special-${sent}` : DRINKS[sent % DRINKS.length];
      const customer = sent % 10 < 3 ? REGULAR : `guest-${sent}`;
      get(`${url}/teas/${drink}?customer=${customer}`, { agent }, (response) => response.resume())
        .on('error', () => {})
        .on('close', () => waiting--);
    }
  }, 10);
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      agent.destroy();
    },
  };
}

/** The dials that only a milk-tea shop has. */
export function shopPanels(window: string): PanelOptions[] {
  return [
    {
      title: 'Cups an hour',
      kind: 'timeseries',
      unit: 'short',
      queries: [{ expr: `3600 * sum by (job) (rate(http_requests_total{status="200"}[${window}]))`, legend: 'cups' }],
    },
    {
      title: 'Coconut and pearls',
      kind: 'barchart',
      unit: 'masskg',
      queries: [{ expr: `sum by (job, topping) (increase(toppings_kg_total[${window}]))`, legend: '{{topping}}' }],
    },
    {
      title: 'Fresh milk',
      kind: 'stat',
      unit: 'short',
      colors: [
        { from: 0, color: 'red' },
        { from: 10, color: 'green' },
      ],
      queries: [{ expr: 'milk_boxes', legend: 'boxes' }],
    },
    { title: 'Tea machine', kind: 'gauge', unit: 'celsius', queries: [{ expr: 'tea_machine_celsius', legend: '°C' }] },
    {
      title: 'The database answers in',
      kind: 'timeseries',
      unit: 's',
      queries: [
        {
          expr: `sum by (job) (rate(database_query_seconds_sum[${window}])) / (sum by (job) (rate(database_query_seconds_count[${window}])) > 0)`,
          legend: 'mean',
        },
      ],
    },
  ];
}

/** A server on a free port, closed with `bin`. */
export async function host(
  bin: AsyncDisposableStack,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ server: Server; url: string }> {
  const server = createServer(handle);
  bin.defer(() => void server.close().closeAllConnections());
  return { server, url: await listening(server) };
}

/** A service of one route, `/queue`, whose metrics are made by `metrics`; what it does with a customer is `serve`. */
export function queueService(
  bin: AsyncDisposableStack,
  metrics: typeof httpMetrics,
  serve: (response: ServerResponse) => void,
): Promise<{ url: string }> {
  const registry = new Registry();
  const { watch } = metrics(registry, { sloSeconds: SLO_SECONDS });
  return host(bin, (request, response) => {
    if (request.url === '/metrics') return void metricsPage(registry, request, response);
    watch(request, response, () => (request.url === '/queue' ? '/queue' : undefined));
    serve(response);
  });
}

/** Resolves when the answer is there. */
export function visit(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, (response) => response.resume().once('end', resolve)).on('error', reject);
  });
}

/** Asks both services for the same thousand paths, which neither has. */
export async function scan(...urls: string[]): Promise<void> {
  for (let n = 0; n < 1000; n += 10) {
    const paths = Array.from({ length: 10 }, (_, i) => `/wp-admin-${n + i}.php`);
    await Promise.all(paths.flatMap((path) => urls.map((url) => visit(`${url}${path}`))));
  }
}

/** What reached the manager's phone: each alert, at which Unix time. */
export interface Call {
  readonly status: string;
  readonly at: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A webhook for Alertmanager, and the calls that it gets, of the alert `name` alone. */
export async function phone(bin: AsyncDisposableStack, name: string): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = [];
  const { url } = await host(bin, async (request, response) => {
    const { alerts } = JSON.parse((await Array.fromAsync(request, String)).join(''));
    for (const alert of alerts) if (alert.labels.alertname === name) calls.push({ ...alert, at: Date.now() / 1000 });
    response.end();
  });
  return { url, calls };
}
