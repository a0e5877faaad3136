// Draws the pictures of the README anew: `pnpm --filter @labs/ops-platform run screenshots`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startPostgres } from '@shared/services';
import { until } from '@shared/testkit';
import * as lab from '../src/index.ts';
import { Chain, end } from './chain.ts';

await using postgres = await startPostgres();
await using browser = await startBrowser();
await using chain = await Chain.open({ lab, postgres: postgres.url, schema: 'office' });
const gone = await chain.process('till-10', { tags: ['till'] });
for (let n = 11; n < 22; n++) await chain.till(`till-${n}`, { tags: ['till'] });
chain.lead({ silentMs: 3_000 });
const prices = (list: string) => [
  { name: 'prices', file: { path: 'prices', content: list } },
  { name: 'selfcheck', needs: ['prices'], command: { argv: ['grep', 'milk', 'prices'] } },
];
await chain.play(prices('milk 1.19\n'), { batch: '100%' });
await chain.ops.putRunbook('mo', { name: 'new-prices', batch: '25%', steps: prices('bread 2.49\n') });
await chain.ended(await chain.ops.start('schedule: nightly', { runbook: 'new-prices', target: 'all' }), 30_000);
const slow = [{ name: 'inventory', command: { argv: ['sh', '-c', 'echo counting; touch begun; sleep 60'] } }];
await chain.ops.putRunbook('mo', { name: 'stocktaking', batch: 4, maxFailedPercent: 50, steps: slow });
const id = await chain.ops.start('mo', { runbook: 'stocktaking', target: 'all' });
await until(async () => (await chain.view(id)).jobs.filter(({ state }) => state === 'running').length === 4, {
  timeoutMs: 20_000,
});
await end(gone.child);
await until(async () => (await chain.view(id)).jobs.some(({ state }) => state === 'unknown'), { timeoutMs: 20_000 });
const token = await chain.ops.addUser('mo', 'mo', 'operator');
const folder = join(import.meta.dirname, '../screenshots');
await mkdir(folder, { recursive: true });
for (const [name, width, height, colorScheme] of [
  ['wide-light', 1000, 900, 'light'],
  ['narrow-dark', 390, 760, 'dark'],
] as const) {
  const page = await browser.page({ width, height, colorScheme });
  await page.goto(chain.url);
  await page.getByLabel('Your token').fill(token);
  await page.getByRole('button', { name: 'Come in' }).click();
  await page.locator('#runs strong').first().waitFor();
  await page.getByRole('button', { name: 'Verify the log' }).click();
  await page.getByText('The log is intact').waitFor();
  if (name === 'wide-light') await page.evaluate('scrollTo(0, 0)');
  else {
    await page.locator('#runs summary').nth(1).click();
    await page.locator('#runs > li').nth(1).locator('dd').first().waitFor();
    await page.locator('#runs > li').nth(1).scrollIntoViewIfNeeded();
    await page.evaluate("document.querySelector('#runs').scrollIntoView()");
  }
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
