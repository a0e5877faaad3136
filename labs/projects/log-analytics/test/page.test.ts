import { startBrowser, startPostgres, startRedis } from '@shared/services';
import { describeWith } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { Analyser, analyticsApi, Book, Feed, Intake, type Live, SCHEMA } from '#lab';
import { lineOf } from './support.ts';

await describeWith(
  'log-analytics: the page',
  { postgres: () => startPostgres(), redis: () => startRedis(), browser: () => startBrowser() },
  ({ postgres, redis: servers, browser }) => {
    test('the page shows lines as they are counted, wide and narrow, in light and dark, and takes all for text', async () => {
      const pool = new Pool({ connectionString: postgres.url });
      const redis = new Redis(servers.nodes[0].url);
      await pool.query(SCHEMA);
      const onError = () => {};
      const rules = [{ name: 'errors', share: 0.5, clear: 0.1, windows: 1, least: 1 }];
      const book = new Book({ pool, windowMs: 10_000, latenessMs: 0, rules });
      const intake = new Intake({ redis, key: `${servers.namespace}lines` });
      const analyser = new Analyser({ intake, book, onError });
      const api = analyticsApi({ intake, book, onError, refreshMs: 20 });
      onTestFinished(async () => {
        await api.close();
        await analyser[Symbol.asyncDispose]();
        redis.disconnect();
        await pool.end();
      });
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const faults: string[] = [];
      // Past: no line is ahead of its arrival.
      const now = Math.floor(Date.now() / 10_000) * 10_000 - 20_000;
      const script = "<img src=x onerror=console.error('script')>";
      let sent = 0;
      const send = async (...lines: string[]) => {
        await intake.take('shop-1', sent, lines);
        sent += lines.length;
        await analyser.step();
      };
      for (const [width, colorScheme] of [
        [1280, 'light'],
        [360, 'dark'],
      ] as const) {
        const page = await browser.page({ width, height: 800, colorScheme });
        page.on('pageerror', (error) => faults.push(String(error)));
        page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
        await page.goto(url);
        await page.getByText('live').first().waitFor();
        await send(lineOf(now + sent, `/${script.replaceAll(' ', '')}`), lineOf(now + sent, '/<b>x', 500), script);
        await page.locator('#counted', { hasText: String((sent / 3) * 2) }).waitFor();
        await page.getByRole('table', { name: 'Put aside last' }).getByText('onerror').first().waitFor();
        await page.getByRole('table', { name: 'Most asked for' }).getByText('/<b>x').waitFor();
        const picture = page.getByRole('img');
        expect(await picture.getAttribute('aria-label')).toContain(`${(sent / 3) * 2} lines`);
        const wider = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
        expect([width, wider]).toEqual([width, false]);
        await page.close();
      }
      const page = await browser.page({ width: 800, height: 800 });
      await page.goto(url);
      await page.getByText('No alert.').waitFor();
      await send(lineOf(now + 11_000));
      await page.getByRole('alert').filter({ hasText: 'errors since' }).waitFor();
      await page.close();
      expect(faults).toEqual([]);
    });

    test('a page without news says since when, and an old view that comes again is no news', async () => {
      const pool = new Pool({ connectionString: postgres.url });
      const redis = new Redis(servers.nodes[0].url);
      await pool.query(SCHEMA);
      const book = new Book({ pool });
      const feed = new Feed<Live>();
      const intake = new Intake({ redis, key: `${servers.namespace}none` });
      const api = analyticsApi({ intake, book, onError: () => {}, refreshMs: 2 ** 30, feed });
      onTestFinished(async () => {
        await api.close();
        redis.disconnect();
        await pool.end();
      });
      const page = await browser.page({ width: 800, height: 800 });
      await page.clock.install();
      await page.goto(await api.app.listen({ host: '127.0.0.1', port: 0 }));
      const state = page.getByRole('status');
      await state.filter({ hasText: 'live, windows' }).waitFor();
      const { counts, ...view } = await book.view();
      const publish = async (taken: number, counted: number) => {
        feed.publish({ ...view, counts: { ...counts, counted }, waiting: 0, at: taken });
        await page.locator('#counted', { hasText: String(counted) }).waitFor();
      };
      await publish(1, 111);
      // None of its lines says when it is: that is not "0.0 s behind".
      feed.publish({ ...view, counts, sources: [{ source: 'odd', next: 10, missing: 4 }], waiting: 0, at: 1 });
      await page.getByRole('row', { name: 'odd 6 4 –' }).waitFor();
      await page.clock.fastForward(7_000);
      await state.filter({ hasText: 'no news since' }).waitFor();
      await publish(1, 222);
      expect(await state.textContent()).toContain('no news since');
      await publish(2, 333);
      expect(await state.textContent()).toContain('live');
      await page.close();
    });
  },
);
