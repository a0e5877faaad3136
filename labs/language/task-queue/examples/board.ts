// The shop's window: Bull Board on a queue that lives. `pnpm lab task-queue board --hold`, then open the address.
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import Fastify from 'fastify';
import { Monitor, PermanentError, TaskQueue, task } from '#lab';

const tasks = {
  develop: task(async (film: string, { progress }) => {
    await progress(50);
    return `negatives of ${film}`;
  }),
  print: task((negative: number) => {
    if (negative === 3) throw new PermanentError('negative 3 is black');
    return `photo ${negative}`;
  }),
};

await tell({ title: "The shop's window", dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const connection = { url: redis.nodes[0].url };
  const shop = new TaskQueue(tasks, { connection, prefix: `${redis.namespace}bull`, name: 'photo-shop' });
  const web = Fastify({ forceCloseConnections: true });
  const adapter = new FastifyAdapter();
  createBullBoard({ queues: [new BullMQAdapter(shop.bull)], serverAdapter: adapter });
  await web.register(adapter.registerPlugin());
  const address = await web.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' });
  const open = {
    banner: `Bull Board: ${address}`,
    inspect: [`open ${address}/`],
    [Symbol.asyncDispose]: async () => {
      await web.close();
      await shop.close();
    },
  };
  await story.use(open);

  await story.scene('What the monitor counts, and what the page shows', async () => {
    await using monitor = await new Monitor(shop.bull).ready();
    await shop.worker();
    await shop.delay('develop', 'Kodak 400');
    await shop.group([1, 2, 3].map((negative) => shop.s('print', negative)));
    await shop.delay('print', 4, { countdownMs: 3_600_000 });
    const seen = await until(async () => {
      const snapshot = await monitor.snapshot();
      return snapshot.completed + snapshot.failed === 4 ? snapshot : undefined;
    });
    const page = await (await fetch(`${address}/`)).text();
    const counts = (await (await fetch(`${address}/api/queues`)).text()).match(/"counts":(\{[^}]*\})/)?.[1] ?? 'none';
    story.table({
      columns: ['state', 'tasks'],
      rows: Object.entries(seen.counts).filter(([, tasks]) => tasks > 0),
    });
    story.verdict(
      'The monitor has heard of every end',
      `${seen.completed} completed, ${seen.failed} failed, p50 ${seen.waitMs.p50} ms of waiting`,
      seen.completed === 3 && seen.failed === 1,
    );
    story.verdict(
      'The page is served, and its figures are those of the queue',
      counts,
      page.includes('<html') && counts.includes('"completed":3'),
    );
  });
});
