import { startRedis, startZooKeeper } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Locks as Herd } from './pitfalls/herd.ts';
import { Locks, Session } from './src/index.ts';
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

  await story.scene(`${WORKERS} want one lock: hand-offs`, async () => {
    const standings = await contest(
      {
        queue: (worker) => turn(queues[worker]?.lock(path('one'))),
        herd: (worker) => turn(herds[worker]?.lock(path('herd'))),
        'a poll every 10 to 30 ms': (worker) => turn(polls[worker]?.lock('one')),
      },
      { workers: WORKERS, turnMs: 1_000 },
    );
    story.table(standingsTable(standings));
    const [queue, herd, poll] = standings;
    if (!queue || !herd || !poll) throw new Error('three contestants');
    const fair = (standing: typeof queue) => standing.p99 / standing.p50;
    story.verdict('more hand-offs than the herd', `${ratio(queue, herd).toFixed(2)} ×`, ratio(queue, herd) > 1);
    story.verdict('more hand-offs than the poll', `${ratio(queue, poll).toFixed(2)} ×`, ratio(queue, poll) > 1);
    story.verdict(
      'the longest wait, in median ones: in turn beside by chance',
      `${fair(queue).toFixed(1)} beside ${fair(poll).toFixed(1)}`,
      fair(queue) < fair(poll),
    );
  });
});
