// Draws the pictures of the README anew: `pnpm --filter @labs/seckill run screenshots`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startPostgres, startRedis } from '@shared/services';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Gate, OrderBook, reconcile, SCHEMA, Shop, seckillApi } from '../src/index.ts';

await using postgres = await startPostgres();
await using servers = await startRedis();
await using browser = await startBrowser();
const pool = new Pool({ connectionString: postgres.url });
const redis = new Redis(servers.nodes[0].url);
await pool.query(SCHEMA);
const gate = new Gate({ redis, prefix: servers.namespace });
const book = new OrderBook({ pool });
await book.offer('kettle', 100, new Date(0));
await reconcile(gate, book, 'kettle');
const onError = console.error;
const shop = new Shop({ gate, book, skus: ['kettle'], onError, everyMs: 50 });
const api = seckillApi(shop, { onError });
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
const folder = join(import.meta.dirname, '../screenshots');
await mkdir(folder, { recursive: true });
for (let n = 0; n < 63; n++) await gate.buy(`b${n}`, 'kettle', 'r');
while ((await book.state('kettle')).buyers.size < 63) await new Promise((again) => setTimeout(again, 50));
const ids = [...(await book.state('kettle')).buyers.values()];
for (const [n, id] of ids.slice(0, 38).entries()) await book.pay(id, `p${n}`);
for (const [name, width, height, colorScheme] of [
  ['wide-light', 900, 520, 'light'],
  ['narrow-dark', 390, 640, 'dark'],
] as const) {
  const page = await browser.page({ width, height, colorScheme });
  await page.goto(`${url}/?sku=kettle`);
  await page.getByText('of 100 left').waitFor();
  if (name === 'narrow-dark') {
    await page.getByLabel('You are').fill('mo');
    await page.getByRole('button', { name: 'Buy one' }).click();
    await page.getByText('Yours: pay for order').waitFor();
  }
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
await api.close();
await shop[Symbol.asyncDispose]();
redis.disconnect();
await pool.end();
