import { startBrowser, startPostgres } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import axe from 'axe-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp, views } from './build.ts';
import { HOSTILE, type OrderDesk, openDesk } from './desk.ts';
import { type Fault, Front, problem } from './front.ts';
import { Visit } from './visit.ts';

/** A browser beside other suites. Alone each law takes a second. */
const BUSY = { timeout: 30_000 };
const servers = { browser: () => startBrowser(), postgres: () => startPostgres() };
/** Meanwhile. */
const building = buildApp();
building.catch(() => {});

await describeWith('both pages', servers, ({ browser, postgres }) => {
  const bin = new AsyncDisposableStack();
  const visits: Visit[] = [];
  let desk: OrderDesk;
  beforeAll(async () => {
    const [opened, assets] = await Promise.all([openDesk(postgres.url), building]);
    desk = bin.use(opened);
    const customers = { react: 'anna', vue: 'ben' };
    for (const view of views) {
      const front = bin.use(await Front.open(desk.answer, assets, customers[view]));
      visits.push(bin.use(await Visit.begin(browser, front, view, { width: 390, height: 844 })));
    }
  });
  afterAll(() => bin.disposeAsync());

  /** One law in both pages at once, each loaded anew and with a customer of its own. Says which page breaks it. */
  const inBoth = (law: (visit: Visit, orders: () => Promise<number>) => Promise<void>) =>
    Promise.all(
      visits.map(async (visit) => {
        const { front, view } = visit;
        front.reset();
        const before = await desk.orders(front.customer);
        try {
          await visit.load();
          await law(visit, async () => (await desk.orders(front.customer)) - before);
          expect(visit.thrown, 'what the page has thrown').toEqual([]);
        } catch (error) {
          if (error instanceof Error) error.message = `${view}: ${error.message}`;
          throw error;
        }
      }),
    );
  const posts = ({ front }: Visit) => front.asked.filter(({ method }) => method === 'POST').length;

  test('a book is found and ordered by the keyboard alone, and a refusal is read at its field', BUSY, () =>
    inBoth(async (visit, orders) => {
      const { page } = visit;
      await visit.keys('Tab');
      await page.keyboard.type('dune m');
      await visit.status('1 book for').waitFor();
      expect(await page.locator('mark').allTextContents(), 'what is marked').toEqual(['Dune M']);
      await visit.keys('Tab', 'Enter');
      await visit.field('Copies').waitFor();
      await visit.keys('Backspace', '0', 'Tab');
      await page.keyboard.type('Anna, 1 High Street');
      await visit.keys('Enter');
      const wrong = page.locator('[aria-invalid="true"]');
      await wrong.waitFor();
      const described = await wrong.getAttribute('aria-describedby');
      const said = await page.locator(`[id="${described}"]`).textContent();
      expect(said, 'what the field is described by').toMatch(/1/);
      await until(async () => (await visit.focused()) === (await wrong.getAttribute('id')), {
        what: 'the keyboard to be at the wrong field',
      });
      await visit.keys('Backspace', '2', 'Enter');
      await visit.heading('Thank you').waitFor();
      await until(async () => (await visit.focused()) === 'Thank you', { what: 'the keyboard to be at the thanks' });
      expect(await orders(), 'orders in the books').toBe(1);
      await visit.keys('Tab', 'Enter');
      await until(async () => (await visit.focused()) === 'Order', { what: 'the keyboard to be back at the list' });
    }),
  );

  test('a text of a stranger is text: a title, what is searched for, what a refusal says', BUSY, () =>
    inBoth(async (visit) => {
      await visit.button('More books').click();
      await visit.status('28 books').waitFor();
      expect(await visit.button('More books').count(), 'buttons for more, at the end').toBe(0);
      await visit.search.fill('<img src=x onerror=');
      await visit.status('1 book for “<img src=x onerror=”').waitFor();
      expect(await visit.page.locator('.title').allTextContents(), 'titles').toEqual([HOSTILE]);
      await visit.choose(HOSTILE);
      const script = '<script>window.pwned = 1</script>';
      const errors = [
        { in: 'body', pointer: '/note', detail: `${HOSTILE}${script}` },
        { in: 'header', pointer: '', detail: script },
        { in: 'body', pointer: '/__proto__', detail: script },
      ] as const;
      visit.front.fault = () => ({ answer: problem(422, 'no', { errors }) });
      await visit.button('Send the order').click();
      await visit.alert(script).waitFor();
      expect(await visit.alert(script).locator('p').allTextContents()).toEqual([script, script]);
      const found = await visit.page.evaluate(() => [
        document.querySelectorAll('#page :is(img, script, iframe)').length,
        'pwned' in window,
      ]);
      expect(found, 'elements made of it, and whether they ran').toEqual([0, false]);
    }),
  );

  test('what fails is seen and said, and can be tried again', BUSY, () =>
    inBoth(async (visit) => {
      const faults: [string, Fault, string][] = [
        ['du', { cut: 'behind' }, 'The server cannot be reached'],
        [
          'un',
          { answer: { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>' } },
          'The answer is not',
        ],
      ];
      for (const [query, fault, text] of faults) {
        visit.front.fault = () => fault;
        await visit.search.fill(query);
        await visit.alert(text).waitFor();
        expect(await visit.button('More books').count(), 'buttons for more of what was shown before').toBe(0);
        visit.front.fault = () => undefined;
        await visit.button('Try again').click();
        await visit.status('2 books for').waitFor();
        expect(await visit.page.getByRole('alert').count(), `alerts once it is there, after "${text}"`).toBe(0);
        expect(await visit.focused(), 'what has the keyboard, once its button has gone').toBe(
          await visit.search.getAttribute('id'),
        );
      }
    }),
  );

  test('an order that is clicked twice, or whose answer is lost, is in the books once', BUSY, () =>
    inBoth(async (visit, orders) => {
      await visit.choose('Dune');
      await visit.button('Send the order').dblclick();
      await visit.heading('Thank you').waitFor();
      expect([posts(visit), await orders()], 'requests and orders').toEqual([1, 1]);
      await visit.button('Close').click();
      await visit.choose('Emma');
      let lost = 0;
      visit.front.fault = ({ method }) => (method === 'POST' && lost++ < 1 ? { cut: 'behind' } : undefined);
      await visit.button('Send the order').click();
      await visit.alert('cannot be reached').waitFor();
      await visit.button('Try again').click();
      await visit.heading('Thank you').waitFor();
      expect([posts(visit), await orders()], 'requests and orders').toEqual([3, 2]);
    }),
  );

  test('a late answer is not shown, and who leaves the page gives up what is under way', BUSY, () =>
    inBoth(async (visit) => {
      const { front, page } = visit;
      const asked = (query: string) => front.asked.findLast(({ url }) => url.endsWith(`q=${query}`));
      front.fault = ({ url }) => (url.includes('q=dr') ? { silent: 'before' } : undefined);
      await visit.search.fill('dr');
      await until(() => asked('dr'), { what: 'the first question' });
      await visit.search.fill('emma');
      await visit.status('1 book for “emma”').waitFor();
      await until(() => asked('dr')?.left, { what: 'the first question to be given up' });
      await visit.search.fill('dra');
      await until(() => asked('dra'), { what: 'the last question' });
      await page.evaluate(() => document.dispatchEvent(new Event('leave')));
      await until(() => asked('dra')?.left, { what: 'the server to see that the page has gone' });
      expect(await page.locator('#page > *').count(), 'what is left of the page').toBe(0);
    }),
  );

  test(
    'an expired token is renewed once for two requests; that a session is over is said, and what is for all goes on',
    BUSY,
    () =>
      inBoth(async (visit) => {
        const { front } = visit;
        await visit.choose('Dune');
        front.renewals.length = 0;
        front.expire();
        front.fault = ({ method }) => (method === 'GET' ? { waitMs: 50 } : undefined);
        await visit.search.fill('emma');
        await until(() => front.asked.some(({ url }) => url.includes('q=emma')), { what: 'the question' });
        await visit.button('Send the order').click();
        await visit.heading('Thank you').waitFor();
        await visit.status('1 book for “emma”').waitFor();
        expect(front.renewals.length, 'renewals').toBe(1);
        front.revoke();
        await visit.search.fill('dune');
        await visit.alert('signed out').waitFor();
        await visit.button('Try again').click();
        await visit.status('2 books for “dune”').waitFor();
      }),
  );

  test('axe finds nothing serious, in light and in dark, beside a list, a wrong field and an alert', BUSY, () =>
    inBoth(async (visit) => {
      const { page } = visit;
      await visit.search.fill('emma');
      await visit.status('1 book for').waitFor();
      await visit.choose('Emma');
      await visit.field('Copies').fill('0');
      await visit.button('Send the order').click();
      await page.locator('.wrong').waitFor();
      visit.front.fault = () => ({ cut: 'before' });
      await visit.search.fill('dune');
      await visit.alert('cannot be reached').waitFor();
      await page.evaluate(axe.source);
      // The dark page is the same page in other colours.
      for (const [colorScheme, what] of [
        ['light', "{ resultTypes: ['violations'] }"],
        ['dark', "{ resultTypes: ['violations'], runOnly: ['color-contrast'] }"],
      ] as const) {
        await page.emulateMedia({ colorScheme });
        const { violations, passes } = await page.evaluate<axe.AxeResults>(`axe.run(${what})`);
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
        expect(told, colorScheme).toEqual([]);
        expect(passes.length, 'rules that had something to look at').toBeGreaterThan(colorScheme === 'light' ? 10 : 0);
      }
    }),
  );
});
