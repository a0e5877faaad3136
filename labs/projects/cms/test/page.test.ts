import { startBrowser, startOpenSearch, startPostgres } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import * as lab from '#lab';
import { logIn, openHouse } from './desk.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
  'base64',
);

await describeWith(
  'cms: the pages',
  { postgres: () => startPostgres(), search: () => startOpenSearch(), browser: () => startBrowser() },
  ({ postgres, search, browser }) => {
    test('the desk writes, submits and publishes, shows a conflict, and the magazine is read, wide and narrow, in light and dark', async () => {
      const { store, ...house } = await openHouse(lab, postgres, search);
      onTestFinished(() => house[Symbol.asyncDispose]());
      const faults: string[] = [];
      const open = async (width: number, colorScheme: 'light' | 'dark') => {
        const page = await browser.page({ width, height: 800, colorScheme });
        page.on('pageerror', (error) => faults.push(String(error)));
        page.on('console', (message) => {
          // The refusal that this law asks for.
          if (message.type() === 'error' && !message.text().includes('409')) faults.push(message.text());
        });
        return page;
      };
      const mo = await open(1280, 'light');
      const li = await open(360, 'dark');
      await Promise.all([logIn(mo, house.url, 'mo'), logIn(li, house.url, 'li')]);
      await mo.getByRole('button', { name: 'New text' }).click();
      await mo.getByLabel('Title').fill('<img src=x onerror=alert(1)> Kettles');
      await mo.getByLabel('Address').fill('kettles');
      await mo.getByLabel('Text, in HTML').fill('<p>All of them <em>boil</em>.</p>');
      await mo.getByRole('button', { name: 'Save' }).click();
      await mo.getByText('Saved, revision 1.').waitFor();
      await mo.getByLabel('Picture').setInputFiles({ name: 'kettle.txt', mimeType: 'text/plain', buffer: PNG });
      await mo.getByText('stands at the end of the text').waitFor();
      const [draft] = await store.list(1, { name: 'li', role: 'editor' });
      const current = await store.edit(
        draft?.id ?? '',
        1,
        { body: '<p>Two leak.</p>' },
        { name: 'li', role: 'editor' },
      );
      await mo.getByRole('button', { name: 'Save' }).click();
      await mo.getByText('Changed meanwhile: body').waitFor();
      expect(await mo.locator('#other').textContent()).toContain(current.body);
      await mo.getByRole('button', { name: 'My text replaces it' }).click();
      await mo.getByRole('button', { name: 'Save' }).click();
      await mo.getByText('Saved, revision 3.').waitFor();
      await mo.getByRole('button', { name: 'Submit' }).click();
      await mo.getByText('Done: review.').waitFor();
      await li.reload();
      await logIn(li, house.url, 'li');
      await li.getByRole('button', { name: 'Kettles' }).click();
      await li.getByRole('button', { name: 'Publish' }).click();
      await li.getByText('Done: published.').waitFor();
      for (const page of [mo, li]) {
        const wider = async () => page.evaluate('document.documentElement.scrollWidth > innerWidth');
        expect(await wider(), 'the desk').toBe(false);
        await page.goto(`${house.url}/a/kettles`);
        await page.getByRole('heading', { name: '<img src=x onerror=alert(1)> Kettles' }).waitFor();
        expect(await page.evaluate('document.querySelector("article img").naturalWidth')).toBe(1);
        expect(await wider(), 'the article').toBe(false);
        await page.getByLabel('Search the magazine').fill('boil');
        await until(
          async () => {
            await page.getByRole('button', { name: 'Search' }).click();
            return page.getByText('1 found').isVisible();
          },
          { intervalMs: 100, what: 'the text to be found' },
        );
        const unnamed = await page.evaluate(
          `[...document.querySelectorAll('input, textarea, button')].filter((it) => !it.labels?.length && !it.ariaLabel && !it.textContent).length`,
        );
        expect(unnamed).toBe(0);
        await page.close();
      }
      expect(faults).toEqual([]);
    }, 30_000);

    test('what somebody has typed at the desk is lost by no other button and by no session that ends, and nothing is scheduled without a time', async () => {
      const { store, pool, ...house } = await openHouse(lab, postgres, search);
      onTestFinished(() => house[Symbol.asyncDispose]());
      const article = await store.create(
        { name: 'mo', role: 'author' },
        { title: 'Toasters', body: '<p>One.\r\nTwo.</p>' },
      );
      const page = await browser.page({ width: 1280, height: 800, colorScheme: 'light' });
      await logIn(page, house.url, 'li');
      const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
      const text = page.getByLabel('Text, in HTML');
      await press('Toasters');
      await page.getByText('draft, revision 1').waitFor();
      await text.fill('<p>They toast.</p>');
      for (const name of ['Submit', 'Toasters', 'New text']) {
        await page.locator('#said').evaluate('it => { it.textContent = ""; }');
        await press(name);
        await page.getByText('Save your text first').waitFor();
        expect(await text.inputValue(), name).toBe('<p>They toast.</p>');
      }
      await pool.query('UPDATE cms_sessions SET ends = clock_timestamp()');
      await press('Save');
      await page.getByText('This session is over').waitFor();
      await page.getByLabel('Password').fill('password-of-li');
      await press('Log in');
      await page.getByLabel('Password').waitFor({ state: 'hidden' });
      await press('Save');
      await page.getByText('Saved, revision 2.').waitFor();
      const mo: lab.User = { name: 'mo', role: 'author' };
      expect(await store.read(article.id, mo)).toMatchObject({ body: '<p>They toast.</p>', revision: 2 });
      await press('Submit');
      await page.getByText('Done: review.').waitFor();
      await press('Schedule');
      await page.getByText('For when?').waitFor();
      expect((await store.read(article.id, mo)).state).toBe('review');
      await page.close();
    }, 30_000);
  },
);
