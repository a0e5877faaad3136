// Granularity, TTL, retry: the three choices of whoever uses a lock, each with its price. `pnpm lab redlock choices`
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import type { Redis } from 'ioredis';
import { connectNodes, type LockOptions, NotAcquiredError, Redlock, type RetryOptions } from '#lab';

await tell({ title: 'Three choices', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis({ nodes: 5 }));
  const urls = redis.nodes.map((node) => node.url);
  const clients: Redis[] = [];
  const customer = async (options: LockOptions = {}) => {
    const nodes = connectNodes(urls);
    clients.push(...nodes);
    await Promise.all(nodes.map((node) => node.ping()));
    return new Redlock(nodes, options);
  };
  const customers = (count: number, options: LockOptions) =>
    Promise.all(Array.from({ length: count }, () => customer(options)));
  const prices: [string, string, string][] = [];
  const key = (name: string) => `${redis.namespace}${name}`;

  /** Visits of all customers in `forMs`, each holding its lock for `stayMs`. */
  const visits = async (queue: Redlock[], forMs: number, stayMs: number, resource: (customer: number) => string) => {
    const start = performance.now();
    const counts = await Promise.all(
      queue.map(async (redlock, index) => {
        let done = 0;
        while (performance.now() - start < forMs) {
          await redlock.using([key(resource(index))], 5_000, () => delay(stayMs));
          done++;
        }
        return done;
      }),
    );
    const count = counts.reduce((sum, each) => sum + each, 0);
    return { count, perSecond: count / ((performance.now() - start) / 1_000) };
  };

  try {
    await story.scene('Granularity: lock the locker, not the supermarket', async () => {
      const queue = await customers(10, { retry: { maxMs: 60_000, delayMs: 5, jitterMs: 15 } });
      const coarse = (await visits(queue, 800, 10, () => 'supermarket')).perSecond;
      const fine = (await visits(queue, 800, 10, (index) => `locker:${index}`)).perSecond;
      story.table({
        columns: ['ten customers, ten lockers', { label: 'visits per second', align: 'right' }],
        rows: [
          ['one lock for the supermarket', coarse.toFixed(0)],
          ['a lock for each locker', fine.toFixed(0)],
        ],
      });
      prices.push(['granularity', 'one lock for the supermarket', `${coarse.toFixed(0)} visits per second`]);
      prices.push(['', 'a lock for each locker', `${fine.toFixed(0)} visits per second`]);
      story.verdict('a lock for each locker serves more', `${(fine / coarse).toFixed(1)} ×`, fine > coarse);
    });

    await story.scene('TTL: too short and it is lost, too long and a dead holder keeps it', async () => {
      const rows: [string, string, string][] = [];
      const lost: number[] = [];
      const waits: number[] = [];
      for (const ttlMs of [50, 200, 800]) {
        const redlock = await customer({ retry: { maxMs: 5_000, delayMs: 5, jitterMs: 5 } });
        const leases = await Promise.all(
          Array.from({ length: 20 }, async (_, visit) => {
            await using lease = await redlock.acquire([key(`ttl:${ttlMs}:${visit}`)], ttlMs);
            await delay(60);
            return lease.remaining() > 0;
          }),
        );
        // This holder dies: nobody extends or releases.
        await redlock.acquire([key(`dead:${ttlMs}`)], ttlMs);
        const died = performance.now();
        await using _next = await redlock.acquire([key(`dead:${ttlMs}`)], ttlMs);
        const wait = performance.now() - died;
        lost.push(leases.filter((kept) => !kept).length);
        waits.push(wait);
        rows.push([`${ttlMs} ms`, `${lost.at(-1)} of 20`, `${wait.toFixed(0)} ms`]);
        const price = `${lost.at(-1)} of 20 lost; ${wait.toFixed(0)} ms if he dies`;
        prices.push([ttlMs === 50 ? 'TTL' : '', `${ttlMs} ms`, price]);
      }
      story.table({ columns: ['TTL', 'lost during 60 ms of work', 'wait after a holder died'], rows });
      story.verdict(
        'the short TTL loses the work, the long one the time',
        `${lost[0]} of 20 lost at 50 ms, ${waits.at(-1)?.toFixed(0)} ms of waiting at 800 ms`,
        lost[0] === 20 && lost.at(-1) === 0 && (waits.at(-1) ?? 0) > (waits[0] ?? 0),
      );
      story.say('`using` extends the lease at half of its TTL, so the TTL need only outlast a pause, not the work.');
    });

    await story.scene("Retry: queue politely, don't kick the door", async () => {
      const set = async () => {
        const infos = await Promise.all(clients.slice(0, 5).map((node) => node.info('commandstats')));
        return infos.reduce((sum, info) => sum + Number(/cmdstat_set:calls=(\d+)/.exec(info)?.[1] ?? 0), 0);
      };
      const manners: [string, RetryOptions][] = [
        ['kick the door', { maxMs: 60_000, delayMs: 0, jitterMs: 0 }],
        ['knock every 20 ms', { maxMs: 60_000, delayMs: 20, jitterMs: 0 }],
        ['queue, 10 to 30 ms', { maxMs: 60_000, delayMs: 10, jitterMs: 20 }],
      ];
      const rows: [string, string, string][] = [];
      const requests: number[] = [];
      for (const [manner, retry] of manners) {
        const queue = await customers(30, { retry, nodeTimeoutMs: 200 });
        const before = await set();
        const { count, perSecond } = await visits(queue, 1_000, 5, () => `door:${manner}`);
        const perVisit = ((await set()) - before) / count;
        requests.push(perVisit);
        rows.push([manner, perSecond.toFixed(0), perVisit.toFixed(0)]);
        prices.push([rows.length === 1 ? 'retry' : '', manner, `${perVisit.toFixed(0)} requests a visit`]);
      }
      story.table({
        columns: ['thirty customers, one locker', 'visits per second', 'requests a visit'].map((label, index) =>
          index === 0 ? label : { label, align: 'right' as const },
        ),
        rows,
      });
      const [kicked = 0, , queued = 0] = requests;
      story.verdict(
        'the polite ask less for each visit',
        `${(kicked / queued).toFixed(1)} × fewer requests`,
        queued < kicked,
      );
    });

    await story.scene('The price list', async () => {
      story.table({ columns: ['choice', 'made as', 'costs or yields'], rows: prices });
    });
  } catch (error) {
    if (error instanceof NotAcquiredError) story.say('The machine was too busy for these waits.');
    throw error;
  } finally {
    for (const client of clients) client.disconnect();
  }
});
