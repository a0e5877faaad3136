import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import Fastify from 'fastify';
import { pMemoizeDecorator } from 'p-memoize';
import { type Principal, type RouteRequest, runAs, serve, standard } from '#lab';

const BATCH = 1_000;
const KEPT = { ttlMs: 3_600_000, max: 1_000 };
const { buildRouter, cached, requires, retry, route, timed, timeout } = standard;
const rider: Principal = { name: 'Rui', can: (permission) => permission === 'rider' };

class Menu {
  readonly base = 1;
  plain(cents: number) {
    return this.base + cents;
  }
  @timed(() => {}) timed(cents: number) {
    return this.base + cents;
  }
  @requires('rider') guarded(cents: number) {
    return this.base + cents;
  }
  @cached(KEPT) cached(cents: number) {
    return this.base + cents;
  }
  async plainAsync(dish: string) {
    return dish;
  }
  @retry({ attempts: 3, delayMs: 1 }) async retried(dish: string) {
    return dish;
  }
  @timeout(60_000) async timeLimited(dish: string) {
    return dish;
  }
  @cached(KEPT) async remembered(dish: string) {
    return dish;
  }
}

class Shop {
  @route('GET', '/menu') list() {
    return { dishes: 3 };
  }
  @route('GET', '/menu/:dish') dish({ params }: RouteRequest<'/menu/:dish'>) {
    return { dish: params.dish };
  }
  @route('GET', '/orders/:id/address') @requires('rider') address({ params }: RouteRequest<'/orders/:id/address'>) {
    return { to: params.id };
  }
}

/** The server under test, in a thread of its own: the client's work is not its. */
async function listen(kind: unknown): Promise<string> {
  if (kind === 'lab') return (await serve(buildRouter(new Shop()), { identify: () => rider })).url;
  const app = Fastify();
  app.get('/menu', () => ({ dishes: 3 }));
  app.get<{ Params: { dish: string } }>('/menu/:dish', ({ params }) => ({ dish: params.dish }));
  app.get<{ Params: { id: string } }>('/orders/:id/address', { preHandler: async () => {} }, ({ params }) => ({
    to: params.id,
  }));
  return app.listen({ port: 0, host: '127.0.0.1' });
}

if (!isMainThread) parentPort?.postMessage(await listen(workerData));
else await tell({ title: 'What decorators cost', dir: import.meta.dirname }, main);

async function main(story: Parameters<Parameters<typeof tell>[1]>[0]): Promise<void> {
  const right = (label: string) => ({ label, align: 'right' as const });
  const columns = ['', right('calls per second'), right('spread'), right('times the first')];
  const rows = (standings: readonly Standing[], perTurn: number) => {
    const [first] = standings;
    return standings.map((each) => [
      each.name,
      (each.perSecond * perTurn).toPrecision(3),
      each.spread.map((value) => (value * perTurn).toPrecision(3)).join('–'),
      first ? ratio(each, first).toFixed(2) : '',
    ]);
  };
  const menu = new Menu();

  await story.scene('A call, plain and decorated', async () => {
    let sum = 0;
    const batch = (call: (cents: number) => number) => async () => {
      for (let i = 0; i < BATCH; i++) sum += call(i % 100);
    };
    const standings = await runAs(rider, () =>
      contest(
        {
          plain: batch((cents) => menu.plain(cents)),
          '@timed': batch((cents) => menu.timed(cents)),
          '@requires': batch((cents) => menu.guarded(cents)),
          '@cached, a hit': batch((cents) => menu.cached(cents)),
        },
        { turnMs: 200 },
      ),
    );
    story.table({ columns, rows: rows(standings, BATCH) });
    const slowest = Math.min(...standings.map(({ perSecond }) => perSecond * BATCH));
    story.verdict(
      'Each costs less than 10 µs a call',
      `${(1e6 / slowest).toFixed(2)} µs`,
      1e6 / slowest < 10 && sum > 0,
    );
  });

  await story.scene('An async call, plain and decorated', async () => {
    const batch = (call: (dish: string) => Promise<string>) => async () => {
      for (let i = 0; i < BATCH; i++) await call('rice');
    };
    const standings = await contest(
      {
        plain: batch((dish) => menu.plainAsync(dish)),
        '@retry': batch((dish) => menu.retried(dish)),
        '@timeout': batch((dish) => menu.timeLimited(dish)),
      },
      { turnMs: 300 },
    );
    story.table({ columns, rows: rows(standings, BATCH) });
  });

  await story.scene('A cached hit, against p-memoize', async () => {
    class Peer {
      @pMemoizeDecorator() async dish(dish: string) {
        return dish;
      }
    }
    const peer = new Peer();
    const batch = (call: (dish: string) => Promise<string>) => async () => {
      for (let i = 0; i < BATCH; i++) await call('rice');
    };
    const standings = await contest(
      { '@cached': batch((dish) => menu.remembered(dish)), 'p-memoize': batch((dish) => peer.dish(dish)) },
      { turnMs: 300, rounds: 9 },
    );
    story.table({ columns, rows: rows(standings, BATCH) });
    const [mine, theirs] = standings;
    if (!mine || !theirs) throw new Error('two contestants');
    const times = ratio(mine, theirs);
    story.verdict(
      'At least a third as many as p-memoize, whose cache has no bound and no TTL',
      `${times.toFixed(2)} ×`,
      times >= 0.33,
    );
  });

  await story.scene("Requests, against Fastify's own routing", async () => {
    const workers = ['lab', 'fastify'].map((kind) => new Worker(new URL(import.meta.url), { workerData: kind }));
    const [lab = '', fastify = ''] = await Promise.all(
      workers.map(async (worker) => String((await once(worker, 'message'))[0])),
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const paths = ['/menu', '/menu/rice', '/orders/7/address'];
    let turn = 0;
    const ask = (url: string) => () =>
      new Promise<void>((resolve, reject) => {
        get(`${url}${paths[turn++ % paths.length]}`, { agent }, (response) => {
          if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
          response.resume().once('end', resolve);
        }).once('error', reject);
      });
    const standings = await contest(
      { fastify: ask(fastify), 'decorated routes': ask(lab) },
      { workers: 16, rounds: 9 },
    );
    agent.destroy();
    await Promise.all(workers.map((worker) => worker.terminate()));
    story.table({ columns: ['', right('requests per second'), ...columns.slice(2)], rows: rows(standings, 1) });
    const [theirs, mine] = standings;
    if (!mine || !theirs) throw new Error('two contestants');
    story.verdict(
      'At least half as many as Fastify',
      `${ratio(mine, theirs).toFixed(2)} ×`,
      ratio(mine, theirs) >= 0.5,
    );
  });
}
