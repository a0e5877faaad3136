import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, startBrowser } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import axe from 'axe-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lab, laws } from '../house.ts';
import { staying, type Web, web } from './pages.ts';

type Page = Awaited<ReturnType<Browser['page']>>;

const SLOW = 60_000;

/** What axe finds serious or critical, as `rule: element`. */
async function serious(page: Page): Promise<readonly string[]> {
  const found: unknown = await page.evaluate(`(async () => {
    if (!globalThis.axe) { ${axe.source} }
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ': ' + html.slice(0, 200)));
  })()`);
  return Array.isArray(found) ? found.map(String) : [`axe said ${found}`];
}

/** Pixels that the page is wider than its window. */
const overflow = (page: Page): Promise<unknown> =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');

/** What a page complains of, while it is used. */
function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on('pageerror', (error) => found.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') found.push(message.text());
  });
  return found;
}

await describeWith('the pages', { browser: () => startBrowser() }, ({ browser }) => {
  const place = join(tmpdir(), `page-staying-${process.pid}.json`);
  let pages: Web;
  beforeAll(async () => {
    pages = await web({ 'examples/staying.ts': staying, 'README.md': readme }, { STAYING: place });
  }, SLOW);
  afterAll(() => pages[Symbol.asyncDispose]());

  const told = async (page: Page): Promise<void> => {
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText('Told to its end').waitFor({ timeout: 30_000 });
  };

  test('a story is told as it comes: scenes, source, charts, verdicts; what it says is text', {
    timeout: SLOW,
  }, async () => {
    const page = await browser.page();
    const found = complaints(page);
    await page.goto(`${pages.url}#/once`);
    await told(page);
    await page.getByText('2 of 2 claims hold').waitFor();
    expect(await page.getByRole('heading', { level: 2, name: 'Called <b>thrice</b>' }).count()).toBe(1);
    expect(await page.getByRole('img', { name: /^Runs\. Bars\. plain: 2; once: 1/ }).count()).toBe(1);
    expect(await page.locator('.quoted').textContent()).toContain('export function once');
    expect(await page.getByRole('cell', { name: '<img src=x onerror=hostile=1>' }).count()).toBe(1);
    // Markup of a README is text, too, and its diagram is drawn.
    expect(await page.locator('.readme').textContent()).toContain('<img src=x onerror="hostile=1">');
    await page.locator('.readme .diagram svg').waitFor();
    expect(await page.evaluate('globalThis.hostile')).toBeUndefined();
    await page.getByRole('link', { name: 'src/once.ts:2' }).click();
    await page.locator('.line.marked', { hasText: 'export function once' }).waitFor();
    expect(found).toEqual([]);
  });

  test('every diagram of every lab can be drawn', { timeout: SLOW }, async () => {
    const labs = join(import.meta.dirname, '../../../../labs');
    const files = await Array.fromAsync(glob('*/*/README.md', { cwd: labs }));
    const texts = await Promise.all(files.map((file) => readFile(join(labs, file), 'utf8')));
    const drawn = texts.flatMap((text, at) =>
      [...text.matchAll(/^```mermaid\n(.*?)^```/gms)].map(([, diagram]) => ({ file: files[at], diagram })),
    );
    const page = await browser.page();
    await page.goto(pages.url);
    await page.addScriptTag({ url: 'mermaid.js' });
    const wrong = await page.evaluate(`Promise.all(${JSON.stringify(drawn)}.map(({ file, diagram }) =>
      mermaid.parse(diagram).then(() => [], (error) => [file + ': ' + error.message]))).then((all) => all.flat())`);
    expect(wrong).toEqual([]);
    expect(drawn.length).toBeGreaterThan(30);
  });

  test('slowly, a block at a time, and on at the press of a button', { timeout: SLOW }, async () => {
    const page = await browser.page();
    await page.goto(`${pages.url}#/once`);
    await page.getByLabel('Slower').check();
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText('A function is called').waitFor();
    expect(await page.getByText('It ran once').count()).toBe(0);
    const next = page.getByRole('button', { name: 'Next' });
    await until(async () => {
      if (await next.isEnabled()) await next.click();
      return (await page.getByText('It still ran once').count()) === 1;
    });
  });

  test('a pitfall is a riddle: its flaw is told, and judged by its law, when asked', { timeout: SLOW }, async () => {
    const page = await browser.page();
    await page.goto(`${pages.url}#/once/laws`);
    const riddle = page.getByRole('article', { name: 'runs-each-time' });
    expect(await riddle.textContent()).not.toContain('nothing is remembered');
    await riddle.getByRole('button', { name: 'Show the flaw' }).click();
    await riddle.getByText('nothing is remembered').waitFor();
    expect(await riddle.locator('.diff .plus', { hasText: 'return fn;' }).count()).toBe(1);
    await riddle.getByRole('button', { name: 'Run the law that catches it' }).click();
    await riddle.locator('.judged .evidence').waitFor({ timeout: 30_000 });
    expect(await riddle.locator('.judged').textContent()).toContain(laws.atMostOnce);
  });

  test('everything is reached by the keyboard alone', { timeout: SLOW }, async () => {
    const page = await browser.page();
    await page.goto(pages.url);
    const focused = (): Promise<unknown> => page.evaluate('document.activeElement.textContent.trim()');
    const tabTo = (name: string | RegExp) =>
      until(
        async () => {
          await page.keyboard.press('Tab');
          const text = String(await focused());
          return typeof name === 'string' ? text === name : name.test(text);
        },
        { what: `a focus on ${name}` },
      );
    await page.getByRole('link', { name: 'Once 仅一次' }).waitFor();
    await tabTo('Skip to the content');
    await tabTo('Once 仅一次');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Run', exact: true }).waitFor();
    await tabTo('Run');
    await page.keyboard.press('Enter');
    await page.getByText('2 of 2 claims hold').waitFor({ timeout: 30_000 });
    await page.evaluate('document.activeElement.blur()');
    await tabTo('Build it');
    await page.keyboard.press('Enter');
    await tabTo('Begin, or go on');
    await page.keyboard.press('Enter');
    await page.locator('.terminal').waitFor({ timeout: 30_000 });
    await page.keyboard.press('h');
    await page.locator('.terminal', { hasText: 'What does the second caller get?' }).waitFor();
    // On another tab the keys are nobody's; here each is the session's.
    await page.goto(`${pages.url}#/once/files`);
    await page.locator('.files .line').first().waitFor();
    await page.keyboard.press('q');
    await page.goto(`${pages.url}#/once/build`);
    await page.getByRole('button', { name: 'Leave' }).waitFor();
    await until(async () => {
      await page.keyboard.press('q');
      return page.getByRole('button', { name: 'Begin, or go on' }).isVisible();
    });
  });

  test('narrow and wide, light and dark, nothing that axe finds serious, and nothing cut off', {
    timeout: 120_000,
  }, async () => {
    for (const [width, colorScheme] of [
      [390, 'dark'],
      [1280, 'light'],
    ] as const) {
      const page = await browser.page({ width, height: 800, colorScheme });
      const look = async (what: string) => {
        expect({ what, width, serious: await serious(page), overflow: await overflow(page) }).toEqual({
          what,
          width,
          serious: [],
          overflow: 0,
        });
      };
      await page.goto(pages.url);
      await page.getByRole('link', { name: 'Once 仅一次' }).waitFor();
      await look('map');
      await page.goto(`${pages.url}#/once`);
      await told(page);
      await look('story');
      await page.goto(`${pages.url}#/once/laws`);
      const flaws = page.getByRole('button', { name: 'Show the flaw' });
      await flaws.first().waitFor();
      while ((await flaws.count()) > 0) await flaws.first().click();
      await look('laws');
      await page.goto(`${pages.url}#/once/files/src/once.ts:2`);
      await page.locator('.line.marked').waitFor();
      await look('files');
      await page.goto(`${pages.url}#/once/build`);
      await page.getByRole('button', { name: 'Begin, or go on' }).click();
      await page.locator('.terminal').waitFor({ timeout: 30_000 });
      await look('build');
      await page.close();
    }
  });

  test('two tabs run two stories, and one that is closed in the middle leaves no server', {
    timeout: SLOW,
  }, async () => {
    const [one, two] = [await browser.page(), await browser.page()];
    await writeFile(place, '');
    await one.goto(`${pages.url}#/once`);
    await one.getByLabel('Story').selectOption('staying');
    await one.getByRole('button', { name: 'Run', exact: true }).click();
    await two.goto(`${pages.url}#/once`);
    await told(two);
    const { pid } = await until(async () => JSON.parse(await readFile(place, 'utf8')), { timeoutMs: 30_000 });
    expect(() => process.kill(pid, 0)).not.toThrow();
    await one.close();
    await until(
      () => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      },
      { timeoutMs: 20_000, what: 'the end of the story nobody looks at' },
    );
    await two.getByText('2 of 2 claims hold').waitFor();
  });

  test('its words are Chinese where the browser prefers them, and at the press of a button', {
    timeout: SLOW,
  }, async () => {
    const page = await browser.page({ locale: 'zh-CN' });
    await page.goto(pages.url);
    await page.getByRole('heading', { level: 1, name: '全部实验' }).waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
    await page.getByRole('button', { name: 'English' }).click();
    await page.getByRole('heading', { level: 1, name: 'All labs' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'All labs' }).waitFor();
  });

  test('as files, opened from a folder: a recorded run and caught pitfalls, and nothing asked of any host', {
    timeout: 90_000,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'site-'));
    try {
      const built = await lab(pages.house.root, ['web', '--build', dir], { LABS_SERVICES: 'embedded' });
      expect(built).toMatchObject({ code: 0, out: expect.stringContaining('2 pitfalls judged') });
      const page = await browser.page();
      const found = complaints(page);
      const asked: string[] = [];
      page.on('request', (request) => asked.push(new URL(request.url()).protocol));
      await page.goto(pathToFileURL(join(dir, 'index.html')).href);
      await page.getByRole('link', { name: 'Once 仅一次' }).click();
      await told(page);
      await page.getByText('2 of 2 claims hold').waitFor();
      await page.getByRole('link', { name: 'Laws and pitfalls' }).click();
      const riddle = page.getByRole('article', { name: 'runs-each-time' });
      await riddle.getByRole('button', { name: 'Show the flaw' }).click();
      await riddle.locator('.judged .evidence').waitFor();
      expect([...new Set(asked)].filter((protocol) => protocol !== 'data:')).toEqual(['file:']);
      expect(found).toEqual([]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('a server that dies is said to be gone, in the middle of a story', { timeout: SLOW }, async () => {
    const page = await browser.page();
    await page.goto(`${pages.url}#/once`);
    await page.getByLabel('Story').selectOption('staying');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('heading', { name: 'Stay' }).waitFor({ timeout: 30_000 });
    pages.kill();
    await page.getByText('The server is gone').waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Run again' }).waitFor();
  });
});

const readme = [
  '# Once 仅一次',
  '',
  'After this lab you can say:',
  '',
  '- what a closure *remembers*',
  '',
  '## How it works',
  '',
  '```mermaid',
  'sequenceDiagram',
  '  caller->>once: call',
  '```',
  '',
  '<img src=x onerror="hostile=1">',
  '',
  'See [the code](src/once.ts), `once()`, [a page](https://example.org/) and [this](javascript:hostile=1).',
  '',
  '```ts',
  'const call = once(() => 1);',
  '```',
  '',
].join('\n');
