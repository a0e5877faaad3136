import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { Redis } from 'ioredis';
import NodeRedlock, { type Settings } from 'redlock';
import { connectNodes, QuorumUnreachableError, Redlock } from './src/index.ts';

await tell({ title: 'Redlock against node-redlock', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis({ nodes: 5 }));
  const urls = redis.nodes.map((node) => node.url);
  const clients: Redis[] = [];
  const ready = async (nodes: Redis[]) => {
    clients.push(...nodes);
    await Promise.all(nodes.map((node) => node.ping()));
    return nodes;
  };
  const ours = (to = urls) => ready(connectNodes(to));
  const plain = (to = urls) => {
    const nodes = to.map((url) => new Redis(url, { retryStrategy: () => 50 }));
    for (const node of nodes) node.on('error', () => {});
    return ready(nodes);
  };
  const peerOf = (nodes: Redis[], settings: Settings) => {
    const peer = new NodeRedlock(nodes, settings);
    peer.on('error', () => {});
    return peer;
  };
  const key = (name: string) => `${redis.namespace}${name}`;

  try {
    // One at a time both wait for the same five answers. The gain is in fewer system calls, where there is more to do.
    for (const { workers, least, worst } of [
      { workers: 1, least: 0.8, worst: 1.5 },
      { workers: 16, least: 1.5, worst: 1 },
    ]) {
      await story.scene(`Nobody waits: acquire and release, ${workers} at once, each its own lock`, async () => {
        const lab = new Redlock(await ours(), { retry: { maxMs: 0 }, nodeTimeoutMs: 500 });
        const peer = peerOf(await plain(), { retryCount: 0 });
        const standings = await contest(
          {
            lab: async (worker) => (await lab.acquire([key(`l${worker}`)], 2_000)).release(),
            'node-redlock': async (worker) => (await peer.acquire([key(`p${worker}`)], 2_000)).release(),
          },
          { workers, rounds: 9 },
        );
        story.table(standingsTable(standings));
        const [mine, theirs] = standings;
        if (!mine || !theirs) throw new Error('two contestants');
        const times = ratio(mine, theirs);
        const slower = mine.p99 / theirs.p99;
        story.verdict(`at least ${least} × as many`, `${times.toFixed(2)} ×`, times >= least);
        story.verdict(`p99 at most ${worst} ×`, `${slower.toFixed(2)} ×`, slower <= worst);
      });
    }

    await story.scene('Fifty wait for one lock', async () => {
      const settings = { retryCount: 1_000, retryDelay: 20, retryJitter: 10 };
      const fifty = Array.from({ length: 50 });
      const retry = { maxMs: 60_000, delayMs: 10, jitterMs: 20 };
      const labs = await Promise.all(fifty.map(async () => new Redlock(await ours(), { retry, nodeTimeoutMs: 200 })));
      const peers = await Promise.all(fifty.map(async () => peerOf(await plain(), settings)));
      let gaveUp = 0;
      const standings = await contest(
        {
          lab: async (worker) => (await labs[worker]?.acquire([key('one')], 2_000))?.release(),
          // It gives up by throwing, in acquire or in release; that is one of the results.
          'node-redlock': async (worker) => {
            try {
              await (await peers[worker]?.acquire([key('two')], 2_000))?.release();
            } catch {
              gaveUp++;
            }
          },
        },
        { workers: 50, turnMs: 1_500 },
      );
      story.table(standingsTable(standings));
      story.say(`node-redlock gave up ${gaveUp} times.`);
      story.say('Both wait 10 to 30 ms between attempts: who is next is a matter of chance, and so are the figures.');
    });

    await story.scene("One node of three dead, a stranger's key on another", async () => {
      const three = urls.slice(0, 3);
      const nodes = { lab: await ours(three), peer: await plain(three) };
      await redis.nodes[0].kill();
      const time = async (name: string, attempt: () => Promise<unknown>) => {
        await nodes.lab[1]?.set(key(name), 'stranger', 'PX', 300);
        const start = performance.now();
        const got = await attempt().then(
          () => true,
          () => false,
        );
        return { got, ms: performance.now() - start };
      };
      const lab = await time('a', () => new Redlock(nodes.lab).acquire([key('a')], 3_000));
      const peer = await time('b', () => peerOf(nodes.peer, {}).acquire([key('b')], 3_000));
      await redis.nodes[0].restart();
      const say = ({ got, ms }: { got: boolean; ms: number }) =>
        `${got ? 'acquired' : 'failed'} after ${ms.toFixed(0)} ms`;
      story.table({
        columns: ['', 'outcome'],
        rows: [
          ['lab', say(lab)],
          ['node-redlock', say(peer)],
        ],
      });
      story.verdict('the lab gets the lock', say(lab), lab.got);
    });

    await story.scene('A majority hangs', async () => {
      const lab = new Redlock(await ours(), { retry: { maxMs: 0 } });
      const peer = peerOf(await plain(), { retryCount: 0 });
      await (await lab.acquire([key('c')], 1_000)).release();
      await (await peer.acquire([key('c')], 1_000)).release();
      await Promise.all(redis.nodes.slice(0, 3).map((node) => node.pause()));
      const time = async (attempt: () => Promise<unknown>) => {
        const start = performance.now();
        const answer = await Promise.race([attempt().catch((error: unknown) => error), delay(3_000, 'no answer')]);
        return { answer, ms: performance.now() - start };
      };
      const mine = await time(() => lab.acquire([key('d')], 1_000));
      const theirs = await time(() => peer.acquire([key('e')], 1_000));
      await Promise.all(redis.nodes.slice(0, 3).map((node) => node.resume()));
      const say = ({ answer, ms }: { answer: unknown; ms: number }) =>
        answer === 'no answer'
          ? 'no answer in 3 s'
          : `${answer instanceof Error ? answer.name : 'a lock'} after ${ms.toFixed(0)} ms`;
      story.table({
        columns: ['', 'outcome'],
        rows: [
          ['lab', say(mine)],
          ['node-redlock', say(theirs)],
        ],
      });
      story.verdict('the lab refuses in bounded time', say(mine), mine.answer instanceof QuorumUnreachableError);
    });
  } finally {
    for (const client of clients) client.disconnect();
  }
});
