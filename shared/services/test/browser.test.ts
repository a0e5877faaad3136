import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWith } from '@shared/testkit';
import { afterEach, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import { inspectServices, MissingServerError, ProvisionError, startBrowser } from '../src/index.ts';
import { failure, pathOf, Script, temporary, until } from './support.ts';

const SLOW = 60_000;
const folders = async (at = tmpdir()) => (await readdir(at)).filter((name) => name.startsWith('labs-browser-'));

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A site that counts its visitor's visits in a cookie. */
async function site(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const visits = Number(/visits=(\d+)/.exec(request.headers.cookie ?? '')?.[1] ?? 0) + 1;
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'set-cookie': `visits=${visits}` });
    response.end(`<!doctype html><title>Kiosk</title><p>visit ${visits}</p><p id="asks"></p>
      <script>asks.textContent = [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches, navigator.language]</script>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

await describeWith('a browser', { browser: () => startBrowser() }, ({ browser }) => {
  test('shows a page as its reader asks for it: width, colours, language', { timeout: SLOW }, async () => {
    await using kiosk = await site();
    expect(browser.banner).toMatch(/^browser: embedded \d+\.\d+/);
    const asks = async (page: Awaited<ReturnType<typeof browser.page>>) => {
      await page.goto(kiosk.url);
      return page.locator('#asks').textContent();
    };
    expect(await asks(await browser.page())).toBe('1280,false,en-US');
    expect(await asks(await browser.page({ width: 390, colorScheme: 'dark', locale: 'zh-CN' }))).toBe('390,true,zh-CN');
  });

  test('draws text: a picture of words differs from one of none', { timeout: SLOW }, async () => {
    const page = await browser.page({ width: 200, height: 100 });
    const picture = async (words: string) => {
      await page.setContent(`<p style="font-size:40px">${words}</p>`);
      return page.screenshot();
    };
    const [words, others, none] = [await picture('yogurt'), await picture('parcel'), await picture('')];
    expect([words.equals(none), words.equals(others), words.equals(await picture('yogurt'))]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test('each page is a visitor of its own', { timeout: SLOW }, async () => {
    await using kiosk = await site();
    const [first, second] = [await browser.page(), await browser.page()];
    const visit = async (page: typeof first) => {
      await page.goto(kiosk.url);
      return page.locator('p').first().textContent();
    };
    expect([await visit(first), await visit(first), await visit(second)]).toEqual(['visit 1', 'visit 2', 'visit 1']);
  });
});

test('closed it leaves no process and no folder, and closing twice is closing once', { timeout: SLOW }, async () => {
  const before = await folders();
  const browser = await startBrowser();
  await browser.page();
  const [folder = ''] = (await folders()).filter((name) => !before.includes(name));
  expect(folder).not.toBe('');
  await Promise.all([browser[Symbol.asyncDispose](), browser[Symbol.asyncDispose]()]);
  expect(await folders()).not.toContain(folder);
  expect(await processesIn(join(tmpdir(), folder))).toEqual([]);
});

test('a lab that is killed leaves neither', { timeout: SLOW }, async () => {
  await using temp = await temporary();
  const script = new Script('hold-browser.ts', { TMPDIR: temp.path });
  await script.says();
  const [folder = ''] = await folders(temp.path);
  expect((await processesIn(join(temp.path, folder))).length).toBeGreaterThan(0);
  script.child.kill('SIGKILL');
  await until('its folder is gone', async () => (await folders(temp.path)).length === 0, 15_000);
  expect(await processesIn(join(temp.path, folder))).toEqual([]);
});

test('an abort ends the start, and leaves nothing', { timeout: SLOW }, async () => {
  const before = await folders();
  const abort = new AbortController();
  const starting = startBrowser({ signal: abort.signal });
  setTimeout(() => abort.abort(new Error('Ctrl-C')), 30);
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect((await folders()).filter((name) => !before.includes(name))).toEqual([]);
});

test('a machine without one is told how to get one; its report says so, and starts nothing', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', folder.path);
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startBrowser());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toMatch(/chromium/);
  expect(error.message).toContain('unset LABS_PROVISION');
  expect(await inspectServices(['browser'])).toMatchObject([{ available: false, origin: undefined }]);
});

test('an npm that brings another package, or none, is a ProvisionError; nothing of it is kept', async () => {
  await using folder = await temporary();
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  const tools = { tar: undefined, flock: undefined, sh: undefined, cat: undefined, cp: undefined };
  const wrong = '#!/bin/sh\necho "something else" > sparticuz-chromium.tgz\n';
  vi.stubEnv('PATH', await pathOf(join(folder.path, 'a'), { ...tools, npm: wrong }));
  const changed = (await failure(startBrowser())).error;
  expect(changed).toBeInstanceOf(ProvisionError);
  expect(changed).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  const none = '#!/bin/sh\necho "npm error code E404" >&2\nexit 1\n';
  vi.stubEnv('PATH', await pathOf(join(folder.path, 'b'), { ...tools, npm: none }));
  const refused = (await failure(startBrowser())).error;
  expect(refused).toMatchObject({ code: 'PROVISION_FAILED' });
  expect(refused.message).toContain('| npm error code E404');
  expect(await readdir(join(folder.path, 'concept-labs', 'npm'))).toEqual(['lock']);
});
