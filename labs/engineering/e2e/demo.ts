import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect as playwrightExpect } from '@playwright/test';
import { startBrowser, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { buildApp } from '../../web/frontend/test/build.ts';
import { Front } from '../../web/frontend/test/front.ts';
import { verdictOf as lastAttempt } from './pitfalls/last-attempt-counts.ts';
import {
  AccessibilityError,
  audit,
  entanglements,
  Guard,
  Network,
  type RunInOrder,
  rate,
  readReport,
  SignIns,
  TestDatabase,
} from './src/index.ts';
import { isGood, openShop, signIn } from './test/app.ts';
import { playwrightOf } from './test/contexts.ts';
import { runSpecs } from './test/runner.ts';
import { ShopPage } from './test/shop-page.ts';
import { namesIn } from './test/zip.ts';

const options = {
  title: 'End-to-end tests (Playwright) 端到端测试',
  subtitle: 'Crossing the road: count to five and walk, or look at the light',
  dir: import.meta.dirname,
};
/** On a busy machine too. */
const expect = playwrightExpect.configure({ timeout: 30_000 });
const BOOKS = [
  ['dune m', 'Dune Messiah'],
  ['emm', 'Emma'],
  ['drac', 'Dracula'],
  ['middle', 'Middlemarch'],
] as const;
const percent = (share: number) => `${(100 * share).toFixed(1)}\u00a0%`;
const lines = (error: unknown) =>
  error instanceof Error
    ? error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim())
    : [];

await tell(options, async (story) => {
  const [pg, browser, assets] = await Promise.all([story.use(startPostgres()), story.use(startBrowser()), buildApp()]);
  await using bin = new AsyncDisposableStack();
  const database = bin.use(await TestDatabase.create(pg.url));
  const shop = bin.use(await openShop(database.url, assets));
  await database.snapshot();
  const playwright = await playwrightOf(browser);
  const visit = async (o: Parameters<typeof playwright.newContext>[0]) =>
    bin.adopt(await playwright.newContext(o), (context) => context.close());

  let naive = 0;
  await story.scene('Twenty searches, and a network that takes its time', async () => {
    story.say(
      'Each answer takes between 0 and 800 ms. One script types, sleeps 600 ms and reads what stands at a place in the tree. ' +
        'The other finds things by the names that a reader would say, and looks until the claim is true or its time is over.',
    );
    const tabs = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const front = bin.use(await Front.open(shop.desk.answer, assets));
        const page = new ShopPage(await (await visit({ baseURL: front.url })).newPage());
        await page.open();
        await expect(page.status).toContainText('books');
        front.fault = () => ({ waitMs: story.random() * 800 });
        return page;
      }),
    );
    const twenty = async (look: (page: ShopPage, query: string, title: string) => Promise<boolean>) => {
      let wrong = 0;
      const inTab = async (page: ShopPage) => {
        for (const [query, title] of BOOKS) if (!(await look(page, query, title))) wrong++;
      };
      await Promise.all(tabs.map(inTab));
      return wrong;
    };
    naive = await twenty(async ({ page }, query, title) => {
      await page.fill('main > section > input', query);
      await delay(600);
      return (await page.$eval('ul > li:first-child > .title', (it) => it.textContent).catch(() => '')) === title;
    });
    const firm = await twenty(async ({ page, search, status }, query, title) => {
      await search.fill(query);
      try {
        await expect(status).toHaveText(`1 book for “${query}”`);
        await expect(page.getByRole('button', { name: `Order ${title}`, exact: true })).toBeVisible();
        return true;
      } catch {
        return false;
      }
    });
    story.table({
      columns: ['how the script looks', 'wrong, of 20'],
      rows: [
        ['sleep(600), ul > li:first-child > .title', naive],
        ['getByRole, expect(…).toHaveText', firm],
      ],
    });
    story.verdict('Who counts to five is run over now and then', `${naive} of 20 fail`, naive > 0);
    const { atMost } = rate(firm, 20);
    story.verdict(
      'Who looks at the light is not',
      `${firm} of 20; with 95 % certainty below ${percent(atMost)}`,
      firm === 0,
    );
  });

  await story.scene('Green, three times over', async () => {
    story.say(
      'A retry makes a flaky script green. So does looking away: the page throws, and no assertion is about that.',
    );
    const share = naive / 20;
    await using run = await runSpecs({
      adminUrl: pg.url,
      cdpUrl: browser.url,
      args: ['retried', 'notes', '--grep=again|throws'],
    });
    const told = readReport(run.report);
    story.table({
      caption: 'Playwright’s own runner, with one retry for the first',
      columns: ['test', 'attempts', 'the last one counts', 'all count'],
      rows: told.map(({ name, attempts, verdict }) => [
        name.split(' › ').at(-1) ?? '',
        attempts.join(', '),
        lastAttempt(attempts),
        verdict,
      ]),
    });
    const flaky = told.find(({ verdict }) => verdict === 'flaky');
    story.verdict(
      `With two retries the script that fails ${percent(share)} of the time is green`,
      `${percent(1 - share ** 3)} of the time`,
      share ** 3 < share,
    );
    story.verdict(
      'All attempts count: a pass on a retry is flaky',
      `${flaky?.attempts.join(', ')}`,
      flaky !== undefined,
    );
    const loud = told.find(({ name }) => name.includes('throws'));
    const [why = ''] = `${loud?.error}`.split(':');
    story.verdict('What the page throws fails the test', `${loud?.verdict}: ${why}`, why === 'NoisyPageError');
    const [trace = ''] = await Array.fromAsync(glob('*throws*/trace.zip', { cwd: run.folder }));
    const names = trace === '' ? [] : namesIn(await readFile(join(run.folder, trace)));
    story.verdict('It leaves a trace, and the trace opens', `${names.length} files in trace.zip`, names.length > 3);
    story.code('src/flakes.ts', { from: 'export function verdictOf', to: '}' });
  });

  await story.scene('Who has been here before me', async () => {
    story.say(
      'Four tests, one order desk, one Postgres. They run in five orders; then whoever changes sides is looked into.',
    );
    const order = (isbn: string) =>
      shop.desk.answer({
        method: 'POST',
        url: '/orders',
        headers: {
          authorization: 'Bearer anna',
          'content-type': 'application/json',
          'idempotency-key': crypto.randomUUID(),
        },
        body: JSON.stringify({ lines: [{ isbn, quantity: 1 }], deliverTo: 'Anna, 1 High Street', note: '' }),
      });
    const [dune, emma] = await Promise.all(['Dune', 'Emma'].map((title) => shop.isbn(title)));
    const tests: Readonly<Record<string, () => Promise<boolean>>> = {
      'Dune can be ordered': async () => (await order(dune ?? '')).status === 201,
      'the last Emma is sold': async () => shop.stock('Emma', 0).then(() => true),
      'Emma can be ordered': async () => (await order(emma ?? '')).status === 201,
      'the first order is my only one': async () =>
        (await order(dune ?? '')).status === 201 && (await shop.desk.orders('anna')) === 1,
    };
    const inOneWorld =
      (fresh: () => Promise<void>): RunInOrder =>
      async (names) => {
        await database.reset();
        const failed = new Set<string>();
        for (const name of names) {
          await fresh();
          if (!(await tests[name]?.())) failed.add(name);
        }
        return failed;
      };
    const search = (fresh: () => Promise<void>) =>
      entanglements(Object.keys(tests), inOneWorld(fresh), { random: () => story.random() });
    const shared = await search(async () => {});
    const rows = shared.map(({ test, how, other = '' }) => [test, how, other]);
    story.table({ columns: ['test', 'how', 'because of'], rows });
    story.verdict(
      'In one database tests depend on their order, and each is named with its cause',
      `${shared.length} of 4`,
      shared.length > 0,
    );
    let [resets, took] = [0, 0];
    const own = await search(async () => {
      const begun = performance.now();
      await database.reset();
      took += performance.now() - begun;
      resets++;
    });
    story.verdict(
      'With rows of its own for each, none does',
      `${own.length} of 4; ${resets} resets of ${(took / resets).toFixed(0)} ms`,
      own.length === 0,
    );
  });

  await story.scene('A cable, a lost answer, and a page that nobody can read', async () => {
    story.say(
      'To a page a request that never arrived and an answer that was lost look the same. In the books they don’t.',
    );
    const rows: string[][] = [];
    const entry = new SignIns({ browser: playwright, baseURL: shop.url, signIn, isGood });
    for (const kind of ['reset', 'lose'] as const) {
      await database.reset();
      const context = await visit({ baseURL: shop.url, storageState: await entry.stateOf('anna') });
      await using guard = await Guard.watch(context, { baseURL: shop.url });
      await using network = await Network.open(context);
      network[kind]('POST /orders', { times: 1 });
      guard.announce('ERR_CONNECTION_RESET');
      const page = new ShopPage(await context.newPage());
      await page.open();
      await page.choose('Emma');
      await page.send.click();
      await expect(page.alert).toBeVisible();
      const then = await shop.desk.orders('anna');
      await page.send.click();
      await expect(page.thanks).toBeVisible();
      network.verify();
      await guard.verify();
      rows.push([kind, `${then}`, `${await shop.desk.orders('anna')}`]);
      if (kind === 'reset') continue;
      await audit(page.page);
      await page.page.evaluate(() => document.querySelector('label')?.remove());
      const broken = await audit(page.page).catch((error: unknown) => error);
      const [first = ''] = lines(broken);
      story.table({ columns: ['the first POST', 'in the books then', 'after “Try again”'], rows });
      story.verdict(
        'A lost answer is an order in the books, and sent again it is one still',
        `${rows[1]?.slice(1)}`,
        `${rows}` === 'reset,0,1,lose,1,1',
      );
      story.verdict('One label gone: the rule and the element are named', first, broken instanceof AccessibilityError);
    }
    story.verdict(
      'Both tests are Anna’s, and she signed in once',
      `${shop.door.signIns} sign-in`,
      shop.door.signIns === 1,
    );
  });
  story.next(['`pnpm lab learn e2e` to build it yourself']);
});
