import { once } from 'node:events';
import { connect } from 'node:net';
import { startBrowser } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { between, html, InvalidPlanError, type Point, run, startDashboard, user } from '#lab';
import { startShop } from './start.ts';

const servers = { shop: () => startShop(), browser: () => startBrowser() };

await describeWith('the page', servers, ({ shop, browser }) => {
  const HOSTILE = '</script><img src=x onerror="document.title=\'owned\'"> <!--';
  const measure = (onPoint: (point: Point) => void | Promise<void>, signal = AbortSignal.timeout(500)) =>
    run({
      target: shop.url,
      model: 'closed',
      stages: [
        { seconds: 0, to: 3 },
        { seconds: 60, to: 3 },
      ],
      everyMs: 100,
      maxUtilization: 1,
      onPoint,
      signal,
      user: user({
        wait: between(0.01, 0.02),
        tasks: [[1, async (it) => void (await it.request('/', { name: HOSTILE }))]],
      }),
    });

  test('a page follows the run, shows its verdict in the end, and runs no text as code', async () => {
    await using dashboard = await startDashboard();
    const page = await browser.page();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(dashboard.url);
    const stop = new AbortController();
    const running = measure(dashboard.show, stop.signal);
    const curves = async () => {
      const lines = await page.locator('polyline').all();
      return Promise.all(lines.map(async (line) => (await line.getAttribute('points'))?.includes(' ')));
    };
    await until(async () => (await curves()).filter(Boolean).length === 5, { what: 'five curves', timeoutMs: 15_000 });
    expect(await page.getByRole('status').textContent()).toBe('is running');
    stop.abort();
    const report = await running;
    dashboard.finish(report);
    const rowsOf = async () => (await page.locator('#rows td:first-child').allTextContents()).map((it) => it.trim());
    await page.getByText('passed', { exact: true }).waitFor();
    expect(await page.locator('[data-figure="failed"]').textContent()).toBe('0');
    expect(await rowsOf()).toEqual([HOSTILE, 'all']);
    await page.goto(`${dashboard.url}/report.html`);
    expect(await rowsOf(), 'the report as a file of its own').toEqual([HOSTILE, 'all']);
    expect(await page.locator('polyline').count()).toBe(5);
    for (const line of await page.locator('polyline').all()) {
      const points = (await line.getAttribute('points')) ?? '';
      expect(points.split(' ').length, points).toBeGreaterThan(1);
      expect(points, 'each point a number').not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(await (await fetch(`${dashboard.url}/report.json`)).json()).toEqual(JSON.parse(JSON.stringify(report)));
    expect([errors, await page.title()]).toEqual([[], 'Load test']);
    expect(html(report).match(/<\/script>/g)).toHaveLength(1);
  }, 30_000);

  test('the page is for this machine, holds no reader in memory that does not read, and ends with its owner', async () => {
    const dashboard = await startDashboard();
    const port = Number(new URL(dashboard.url).port);
    const status = async (host: string, path = '/') => {
      const socket = connect(port, '127.0.0.1').end(
        `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
      );
      let text = '';
      for await (const chunk of socket) text += chunk;
      return Number(text.split(' ')[1]);
    };
    const seen = [
      status('localhost'),
      status(`127.0.0.1:${port}`),
      status('evil.example'),
      status('localhost.evil.example'),
    ];
    expect(await Promise.all(seen)).toEqual([200, 200, 421, 421]);
    expect(await status('localhost', '/report.json'), 'there is none yet').toBe(404);
    for (const none of [port, 70_000, -1, Number.NaN])
      await expect(startDashboard({ port: none })).rejects.toThrow(InvalidPlanError);
    const deaf = connect(port, '127.0.0.1');
    onTestFinished(() => void deaf.destroy());
    deaf.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n');
    deaf.pause();
    const gone = once(deaf, 'close');
    const report = await measure(() => {});
    const [point] = report.points;
    if (!point) throw new Error('a run has a point');
    let told = 0;
    const wide = { ...point, name: 'x'.repeat(2 ** 20) };
    await until(() => {
      if (told++ < 40) dashboard.show(wide);
      return told === 40;
    });
    deaf.resume();
    await gone;
    await dashboard[Symbol.asyncDispose]();
    await expect(fetch(dashboard.url)).rejects.toThrow();
  });

  test('what onPoint throws is thrown by the run, when it has ended', async () => {
    let heard = 0;
    const running = measure(() => {
      heard++;
      throw new Error('no room on the page');
    });
    await expect(running).rejects.toThrow('no room on the page');
    expect(heard).toBeGreaterThan(1);
    await expect(measure(() => Promise.reject(new Error('no room on the disk')))).rejects.toThrow(
      'no room on the disk',
    );
  });
});
