import { setTimeout as delay } from 'node:timers/promises';
import { startRedis, startZooKeeper } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Locks as Herd } from './pitfalls/herd.ts';
import { Locks, Session } from './src/index.ts';
import { ask } from './test/four-letters.ts';
import { PollingLock } from './test/polling-lock.ts';

await tell({ title: 'A queue beside a herd and a poll', dir: import.meta.dirname }, async (story) => {
  const [zk, redis] = [await story.use(startZooKeeper()), await story.use(startRedis())];
  await using bin = new AsyncDisposableStack();
  const WORKERS = 12;
  const every = Array.from({ length: WORKERS });
  const sessions = await Promise.all(every.map(async () => bin.use(await Session.connect(zk.connectString))));
  const clients = every.map(() => bin.adopt(new Redis(redis.nodes[0].url), (client) => client.disconnect()));
  const path = (name: string) => `${zk.namespace}/${name}`;
  const [queues, herds] = [sessions.map((session) => new Locks(session)), sessions.map((session) => new Herd(session))];
  const polls = clients.map((client) => new PollingLock(client));
  const turn = async (release: Promise<{ release(): Promise<unknown> }> | undefined) => (await release)?.release();

  await story.scene('Nobody waits: lock and release, each its own', async () => {
    const standings = await contest(
      {
        queue: (worker) => turn(queues[worker]?.lock(path(`own-${worker}`))),
        'SET NX PX on one Redis': (worker) => turn(polls[worker]?.lock(`own-${worker}`)),
      },
      { workers: WORKERS },
    );
    story.table(standingsTable(standings));
    const [mine, theirs] = standings;
    if (!mine || !theirs) throw new Error('two contestants');
    story.verdict('the queue costs more', `${(1 / ratio(mine, theirs)).toFixed(1)} ×`, ratio(mine, theirs) < 1);
  });

  for (const waiting of [2, WORKERS]) {
    await story.scene(`${waiting} want one lock: from a release to the next one's lock`, async () => {
      const contestants: [string, (Queue | undefined)[], () => Promise<number>][] = [
        ['queue', queues.map((queue) => () => queue.lock(path('one'))), packets],
        ['herd', herds.map((herd) => () => herd.lock(path('herd'))), packets],
        ['a poll every 10 to 30 ms', polls.map((poll) => () => poll.lock('one')), commands],
      ];
      const rounds = contestants.map((): Round[] => []);
      for (let round = 0; round <= 5; round++) {
        for (const [index, [, locks, requests]] of contestants.entries()) {
          const result = await handOffs(locks.slice(0, waiting), requests);
          // The first round warms up.
          if (round > 0) rounds[index]?.push(result);
        }
      }
      const middle = (name: keyof Round) => rounds.map((each) => median(each.map((round) => round[name])));
      const [gaps, requests, overtaken] = [middle('gapMs'), middle('requests'), middle('overtaken')];
      story.table({
        columns: ['', 'gap, ms', 'requests', 'others served meanwhile, at most'],
        rows: contestants.map(([name], index) => [
          name,
          (gaps[index] ?? 0).toFixed(1),
          (requests[index] ?? 0).toFixed(1),
          (overtaken[index] ?? 0).toFixed(0),
        ]),
      });
      const times = (figures: number[]) => (figures[2] ?? 0) / (figures[0] ?? 0);
      if (waiting === 2) story.verdict('sooner than a poll', `${times(gaps).toFixed(1)} ×`, times(gaps) > 1);
      else {
        const herded = (requests[1] ?? 0) / (requests[0] ?? 1);
        story.verdict('fewer requests than a herd', `${herded.toFixed(1)} ×`, herded > 1);
        story.verdict('who polls is overtaken more often', `${times(overtaken).toFixed(1)} ×`, times(overtaken) > 1);
      }
    });
  }

  async function packets(): Promise<number> {
    return Number(/^zk_packets_received\s+(\d+)/m.exec(await ask(zk.nodes[0], 'mntr'))?.[1]);
  }
  async function commands(): Promise<number> {
    return Number(/total_commands_processed:(\d+)/.exec((await clients[0]?.info('stats')) ?? '')?.[1]);
  }
});

type Queue = () => Promise<{ release(): Promise<unknown> }>;

interface Round {
  /** From a release to the next grant: the median. */
  readonly gapMs: number;
  /** What the server was asked, for each grant. */
  readonly requests: number;
  /** How many were served while one waited, at most. */
  readonly overtaken: number;
}

/** Sixty grants. Who was served asks again when another one has it: a hand-off is from one to another. */
async function handOffs(locks: readonly (Queue | undefined)[], requests: () => Promise<number>): Promise<Round> {
  const gaps: number[] = [];
  let [grants, holder, freedAt, overtaken] = [0, -1, Number.NaN, 0];
  const before = await requests();
  await Promise.all(
    locks.map(async (lock, worker) => {
      while (grants < 60) {
        const asked = grants;
        const held = await lock?.();
        if (holder !== -1 && holder !== worker) gaps.push(performance.now() - freedAt);
        overtaken = Math.max(overtaken, grants - asked);
        grants++;
        holder = worker;
        await delay(3);
        freedAt = performance.now();
        await held?.release();
        while (holder === worker && grants < 60) await delay(1);
      }
    }),
  );
  return { gapMs: median(gaps), requests: ((await requests()) - before) / grants, overtaken };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
