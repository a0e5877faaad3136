// The board, tried as a visitor tries it: over HTTP, then in a real browser that opens the page and clicks.
// `pnpm lab task-queue browser`
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { startBrowser, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import Fastify from 'fastify';
import { TaskQueue, task } from '#lab';

/** What a page that trusts its data would run. */
const SCRIPT = '<script>document.title = "robbed"</script>';

await tell({ title: 'The board in a browser', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  await using bin = new AsyncDisposableStack();
  let paper = false;
  const tasks = {
    print: task(
      (film: string) => {
        if (!paper) throw new Error(`no paper for ${film}`);
        return `photo of ${film}`;
      },
      { retry: { attempts: 1 } },
    ),
  };
  const connection = { url: redis.nodes[0].url };
  const shop = bin.use(new TaskQueue(tasks, { connection, prefix: `${redis.namespace}bull`, name: 'photo-shop' }));
  await shop.worker();
  const ticket = await shop.delay('print', SCRIPT, { id: 'negative-7' });
  await until(async () => (await ticket.state()) === 'failed');

  const web = bin.adopt(Fastify({ forceCloseConnections: true }), (it) => it.close());
  const adapter = new FastifyAdapter();
  createBullBoard({ queues: [new BullMQAdapter(shop.bull)], serverAdapter: adapter });
  await web.register(adapter.registerPlugin());
  const address = await web.listen({ port: 0, host: '127.0.0.1' });

  await story.scene('What the board answers', async () => {
    const page = await fetch(`${address}/queue/photo-shop?status=failed`);
    const html = await page.text();
    story.verdict(
      'The page is served, and holds nothing that a customer has sent',
      `${page.status} ${page.headers.get('content-type')}, ${html.length} characters`,
      page.status === 200 && html.includes('<html') && !html.includes(SCRIPT) && !html.includes('negative-7'),
    );
    const answer = await fetch(`${address}/api/queues?activeQueue=photo-shop&status=failed`);
    const { queues }: { queues?: { jobs?: { id?: string; failedReason?: string }[] }[] } = JSON.parse(
      await answer.text(),
    );
    const [job] = queues?.[0]?.jobs ?? [];
    const type = answer.headers.get('content-type') ?? 'no type';
    story.verdict(
      'Its API gives the failed print as JSON, the script in it a string among others',
      `${answer.status} ${type}: ${job?.id} failed, "${job?.failedReason}"`,
      answer.status === 200 &&
        type.startsWith('application/json') &&
        job?.id === 'negative-7' &&
        job.failedReason === `no paper for ${SCRIPT}`,
    );
  });

  await story.scene('A failed print is retried by a click', async () => {
    const browser = await story.use(startBrowser());
    const page = await browser.page();
    await page.goto(`${address}/queue/photo-shop?status=failed`);
    const reason = page.getByText('no paper for').first();
    await reason.waitFor();
    const shown = (await page.locator('body').textContent()) ?? '';
    story.verdict(
      'The page shows the failed print and why',
      `it has "negative-7" and "${(await reason.textContent())?.trim()}"`,
      shown.includes('negative-7'),
    );
    const name = await page.title();
    story.verdict(
      'What the customer has sent is text there, and no script',
      `the title is "${name}"`,
      shown.includes(SCRIPT) && name !== 'robbed',
    );
    if (process.env['SCREENSHOT']) await page.screenshot({ path: process.env['SCREENSHOT'] });
    paper = true;
    await page.getByText('Retry all').click();
    await page.getByRole('button', { name: /confirm|ok|yes/i }).click();
    const state = await until(async () => {
      const now = await ticket.state();
      return now === 'completed' ? now : undefined;
    });
    const photo = await ticket.get();
    story.verdict(
      'A click on Retry, with paper in the tray, makes the print',
      `${state}: ${photo}`,
      photo === `photo of ${SCRIPT}`,
    );
  });
});
