import { startBrowser, startPostgres } from '@shared/services';
import { describeWith, patient, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import * as lab from '#lab';
import { Chain } from './chain.ts';

await describeWith(
  'ops-platform: the page',
  { postgres: () => startPostgres(), browser: () => startBrowser() },
  ({ postgres, browser }) => {
    test('the page shows hosts and runs as they change, starts and cancels, wide and narrow, and makes text of what hosts say', {
      timeout: patient(60_000),
    }, async () => {
      const chain = await Chain.open({ lab, postgres: postgres.url, schema: 'page' });
      onTestFinished(() => chain[Symbol.asyncDispose]());
      await chain.till('till-1');
      await chain.host('till-2');
      chain.lead({ silentMs: 60_000 });
      const hostile = '<img src=x onerror="document.title=1">';
      const argv = ['sh', '-c', 'echo "$1"; sleep 60', '-', hostile];
      await chain.ops.putRunbook('mo', { name: 'long', batch: 1, steps: [{ name: 'long', command: { argv } }] });
      const token = await chain.ops.addUser('mo', 'mo', 'operator');
      const faults: string[] = [];
      for (const [width, colorScheme] of [
        [1280, 'light'],
        [360, 'dark'],
      ] as const) {
        const page = await browser.page({ width, height: 800, colorScheme });
        page.setDefaultTimeout(20_000);
        onTestFinished(() => page.close());
        page.on('pageerror', (error) => faults.push(String(error)));
        page.on(
          'console',
          (message) => message.type() === 'error' && !message.text().includes('401') && faults.push(message.text()),
        );
        await page.goto(chain.url);
        await page.getByLabel('Your token').fill('wrong');
        await page.getByRole('button', { name: 'Come in' }).click();
        await page.getByText('This token opens nothing here').waitFor();
        await page.getByLabel('Your token').fill(token);
        await page.keyboard.press('Enter');
        await page.getByLabel('Check only').uncheck();
        await page.getByRole('combobox', { name: 'On' }).selectOption('till-1');
        await page.getByRole('button', { name: 'Start' }).click();
        await page.getByRole('status').filter({ hasText: 'Started: long on till-1' }).waitFor();
        // The new one: those before it are cancelled.
        await page.locator('#runs > li:first-child .head .running').waitFor();
        await page.locator('#runs > li:first-child summary').click();
        await page.locator('#runs > li:first-child pre').filter({ hasText: hostile }).waitFor();
        await page.getByRole('button', { name: 'Cancel long' }).first().click();
        await page.locator('#runs > li:first-child .head .cancelled').waitFor();
        // What was opened stays open, and what can't be cancelled any more has no button for it.
        expect(await page.locator('#runs > li:first-child details').getAttribute('open')).toBe('');
        await until(async () => (await page.getByRole('button', { name: 'Cancel long' }).count()) === 0);
        await page.getByRole('button', { name: 'Verify the log' }).click();
        await page.getByRole('status').filter({ hasText: 'The log is intact' }).waitFor();
        expect([await page.title(), await page.locator('img').count()]).toEqual(['Head office', 0]);
        expect(await page.locator('#hosts li').allTextContents()).toEqual([
          'till-1here✗ failed',
          'till-2never seen… waiting',
        ]);
        expect([width, await page.evaluate('document.documentElement.scrollWidth > innerWidth')]).toEqual([
          width,
          false,
        ]);
      }
      expect(faults).toEqual([]);
    });
  },
);
