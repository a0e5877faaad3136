// The board, tried as a visitor tries it: a real browser opens the page and clicks. Needs Debian's chromium, or CHROMIUM.
// `pnpm lab task-queue browser`
import { access } from 'node:fs/promises';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import Fastify from 'fastify';
import { chromium } from 'playwright-core';
import { TaskQueue, task } from '#lab';

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const found = await access(executablePath).then(
  () => true,
  () => false,
);

await tell({ title: 'The board in a browser', dir: import.meta.dirname }, async (story) => {
  const title = 'A failed print is retried by a click';
  if (!found) {
    story.skip(title, `there is no browser at ${executablePath}: apt install chromium, or set CHROMIUM`);
    story.verdict('Nothing was tried', 'no browser', true);
    return;
  }
  const redis = await story.use(startRedis());
  await using bin = new AsyncDisposableStack();
  let paper = false;
  const tasks = {
    print: task(
      (negative: number) => {
        if (!paper) throw new Error('no paper');
        return `photo ${negative}`;
      },
      { retry: { attempts: 1 } },
    ),
  };
  const connection = { url: redis.nodes[0].url };
  const shop = bin.use(new TaskQueue(tasks, { connection, prefix: `${redis.namespace}bull`, name: 'photo-shop' }));
  await shop.worker();
  const ticket = await shop.delay('print', 7, { id: 'negative-7' });
  await until(async () => (await ticket.state()) === 'failed');

  const web = bin.adopt(Fastify({ forceCloseConnections: true }), (it) => it.close());
  const adapter = new FastifyAdapter();
  createBullBoard({ queues: [new BullMQAdapter(shop.bull)], serverAdapter: adapter });
  await web.register(adapter.registerPlugin());
  const address = await web.listen({ port: 0, host: '127.0.0.1' });

  await story.scene(title, async () => {
    const browser = bin.adopt(await chromium.launch({ executablePath, args: ['--no-sandbox'] }), (it) => it.close());
    const page = await browser.newPage();
    await page.goto(`${address}/queue/photo-shop?status=failed`);
    await page.getByText('no paper').first().waitFor();
    const shown = await page.locator('body').textContent();
    story.verdict(
      'The page shows the failed print and why',
      'its text has "negative-7" and "no paper"',
      shown?.includes('negative-7') ?? false,
    );
    if (process.env['SCREENSHOT']) await page.screenshot({ path: process.env['SCREENSHOT'] });
    paper = true;
    await page.getByText('Retry all').click();
    await page.getByRole('button', { name: /confirm|ok|yes/i }).click({ timeout: 5_000 });
    const state = await until(async () => {
      const now = await ticket.state();
      return now === 'completed' ? now : undefined;
    });
    const photo = await ticket.get();
    story.verdict(
      'A click on Retry, with paper in the tray, makes the print',
      `${state}: ${photo}`,
      state === 'completed',
    );
  });
});
