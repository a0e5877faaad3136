import { startBrowser, startPostgres, startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { Gate, OrderBook, SCHEMA, Shop, seckillApi } from '#lab';

await describeWith(
  'seckill: the page',
  { postgres: () => startPostgres(), redis: () => startRedis(), browser: () => startBrowser() },
  ({ postgres, redis: servers, browser }) => {
    test('the page shows stock and orders as they change, wide and narrow, in light and dark, and buys one', async () => {
      const pool = new Pool({ connectionString: postgres.url });
      const redis = new Redis(servers.nodes[0].url);
      await pool.query(SCHEMA);
      const gate = new Gate({ redis, prefix: servers.namespace });
      const book = new OrderBook({ pool });
      await book.offer('kettle', 10, new Date(0));
      const onError = () => {};
      const shop = new Shop({ gate, book, skus: ['kettle'], onError, everyMs: 20 });
      const api = seckillApi(shop, { onError, refreshMs: 20 });
      onTestFinished(async () => {
        await api.close();
        await shop[Symbol.asyncDispose]();
        redis.disconnect();
        await pool.end();
      });
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const faults: string[] = [];
      let left = 10;
      for (const [width, colorScheme] of [
        [1280, 'light'],
        [360, 'dark'],
      ] as const) {
        const page = await browser.page({ width, height: 700, colorScheme });
        page.on('pageerror', (error) => faults.push(String(error)));
        page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
        await page.goto(`${url}/?sku=kettle`);
        await page.getByText(`of 10 left`).waitFor();
        const stock = () => page.locator('output').textContent();
        expect(await stock()).toBe(String(left));
        await page.getByLabel('You are').fill(`mo-${width}`);
        await page.getByRole('button', { name: 'Buy one' }).click();
        await page.getByRole('status').filter({ hasText: 'Yours: pay for order' }).waitFor();
        left -= 1;
        await until(async () => (await stock()) === String(left), { what: 'the stock to fall' });
        // Whoever presses twice has one all the same.
        await page.getByRole('button', { name: 'Buy one' }).click();
        await page.getByRole('status').filter({ hasText: 'Yours: pay for order' }).waitFor();
        expect((await gate.state('kettle'))?.stock).toBe(left);
        const wider = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
        expect([width, wider]).toEqual([width, false]);
        const colour = await page.evaluate('getComputedStyle(document.documentElement).colorScheme');
        expect(colour).toBe('light dark');
        await page.close();
      }
      expect(faults).toEqual([]);
    });
  },
);
