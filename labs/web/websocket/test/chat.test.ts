import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { startBrowser, startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { type HallOptions, openHall } from './chat.ts';

type Page = Awaited<ReturnType<Awaited<ReturnType<typeof startBrowser>>['page']>>;

const servers = { redis: () => startRedis(), browser: () => startBrowser() };
await describeWith('two town halls, and people in front of them', servers, ({ redis, browser }) => {
  const options = (more: Partial<HallOptions> = {}): HallOptions => ({
    redis: redis.nodes[0].url,
    prefix: `${redis.namespace}${process.pid}:${Math.random()}:`,
    secret: 'seal',
    ...more,
  });
  const open = async (given: HallOptions) => {
    const hall = await openHall(given);
    onTestFinished(() => hall.close());
    return hall;
  };
  /** A process of its own that can be a hall, and be killed. */
  const vacant = () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'hall.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const openAs = async (given: HallOptions) => {
      child.stdin.end(JSON.stringify(given));
      const [url] = await once(child.stdout, 'data');
      return String(url).trim();
    };
    const kill = async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    };
    return { openAs, kill };
  };
  const visit = async (url: string, who: string) => {
    const page = await browser.page({ width: 390, height: 700 });
    onTestFinished(() => page.close());
    const broken: string[] = [];
    page.on('pageerror', (error) => broken.push(String(error)));
    page.on('dialog', (dialog) => {
      broken.push(dialog.message());
      void dialog.dismiss();
    });
    await page.goto(`${url}/?as=${encodeURIComponent(who)}`);
    await page.getByText(`connected as ${who}`).waitFor();
    const say = async (text: string) => {
      await page.getByLabel('Your note').fill(text);
      await page.getByRole('button', { name: 'Pin up' }).click();
    };
    const notes = () => page.locator('#notes li').allInnerTexts();
    const shows = (...wanted: string[]) =>
      until(async () => JSON.stringify(await notes()) === JSON.stringify(wanted), { what: wanted.join(', ') }).catch(
        () => {},
      );
    return { page, say, notes, shows, broken };
  };

  test('two browsers on two halls talk; a hall that is killed comes back, and its page has missed nothing', async () => {
    const given = options();
    const east = await open(given);
    const [west, rebuilt] = [vacant(), vacant()];
    const url = await west.openAs(given);
    const [ada, mei] = await Promise.all([visit(east.url, 'Ada'), visit(url, '小梅')]);
    await ada.say('Market on Friday');
    await mei.shows('Ada\nMarket on Friday');
    await mei.say('我也去');
    const both = ['Ada\nMarket on Friday', '小梅\n我也去'];
    for (const { shows, notes } of [ada, mei]) {
      await shows(...both);
      expect(await notes()).toEqual(both);
    }
    await ada.page.getByText('Here: Ada, 小梅').waitFor();
    await west.kill();
    await ada.say('Bring baskets');
    const again = await rebuilt.openAs({ ...given, port: Number(new URL(url).port) });
    await mei.shows(...both, 'Ada\nBring baskets');
    expect(await mei.notes(), 'after its hall was killed, and started again').toEqual([...both, 'Ada\nBring baskets']);
    expect([again, ada.broken, mei.broken, east.errors]).toEqual([url, [], [], []]);
  });

  test('what others write is text, whatever it looks like; a page of another site gets no socket, whoever visits it', async () => {
    const given = options();
    const thief = createServer((_, response) =>
      response.setHeader('Content-Type', 'text/html').end('<p>Win a cow!</p>'),
    );
    thief.listen(0, '127.0.0.1');
    onTestFinished(() => void thief.close());
    await once(thief, 'listening');
    const evil = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
    const hall = await open(given);
    const careless = await open({ ...given, origins: (own) => [own, evil] });
    const { page, say, shows, notes, broken } = await visit(hall.url, '<b>Bo</b>');
    const hostile = [
      '<img src=x onerror="alert(1)">',
      '<script>alert(2)</script>',
      '"><svg onload=alert(3)>',
      'javascript:alert(4)',
    ];
    for (const [n, text] of hostile.entries()) {
      await say(text);
      await shows(...hostile.slice(0, n + 1).map((each) => `<b>Bo</b>\n${each}`));
    }
    expect(await notes()).toEqual(hostile.map((text) => `<b>Bo</b>\n${text}`));
    expect(await page.locator('#notes :is(img, script, svg, a)').count(), 'elements made of what was written').toBe(0);
    expect(broken, 'alerts and errors').toEqual([]);
    // The cookie is for the host, whatever the port, and SameSite takes two ports for one site.
    const steal = (hallUrl: string) => async (from: Page) => {
      await from.goto(evil);
      return from.evaluate(
        (url) =>
          new Promise<string>((resolve) => {
            const socket = new WebSocket(url);
            socket.onopen = () => socket.send('{"type":"join"}');
            socket.onmessage = ({ data }) => resolve(String(data));
            socket.onclose = () => resolve('no socket');
          }),
        `${hallUrl.replace('http', 'ws')}/board`,
      );
    };
    expect(await steal(hall.url)(page), 'what the other site reads of the board').toBe('no socket');
    expect(await steal(careless.url)(page), 'where its origin is let in: the attack is a real one').toContain(
      'onerror',
    );
  });
});
