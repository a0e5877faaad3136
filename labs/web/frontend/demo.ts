import { setTimeout as delay } from 'node:timers/promises';
import { startBrowser, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { createApi, dataOf, renewAt, Search, Session, Submission } from './src/index.ts';
import type { Book } from './src/shop.ts';
import { buildApp, views } from './test/build.ts';
import { HOSTILE, openDesk } from './test/desk.ts';
import { type Fault, Front, problem } from './test/front.ts';
import { compiledAfter } from './test/rename.ts';
import { Visit } from './test/visit.ts';

const options = {
  title: 'Frontend on an API 前端与 API',
  subtitle: 'The customer’s side of a bookshop: one shop, twice, and what a network, a hand and a stranger do to it',
  dir: import.meta.dirname,
};
const ADDRESS = { deliverTo: 'Anna, 1 High Street', note: '' };

/** What one writes by hand when there is a contract that nobody compiles. */
const BY_HAND = `interface Book { isbn: string; title: string; priceCents: number }
export const list = async (): Promise<Book[]> => (await (await fetch('/books')).json()).books;
export const line = (book: Book) => '<li>' + book.title + '</li>';
`;

await tell(options, async (story) => {
  const [pg, browser, assets] = await Promise.all([story.use(startPostgres()), story.use(startBrowser()), buildApp()]);
  await using desk = await openDesk(pg.url);
  await using front = await Front.open(desk.answer, assets);
  const session = new Session({ token: front.token, renew: async () => front.token });
  const api = createApi({ baseUrl: front.url, session });
  const find = async (q: string, signal?: AbortSignal): Promise<readonly Book[]> => {
    const page = await dataOf(api.GET('/books', { params: { query: { q } }, ...(signal && { signal }) }));
    return page.books;
  };

  await story.scene('The server calls it otherwise', async () => {
    story.say(
      'The order desk renames a field, title to name. A client whose types were written by hand, and this one.',
    );
    const rename = { from: 'title', to: 'name' };
    const found = await compiledAfter(rename, { 'by-hand.ts': BY_HAND });
    const byHand = found.filter(({ where }) => where.startsWith('by-hand'));
    const renamed = (await find('')).map(({ title, ...rest }) => ({ ...rest, name: title }));
    const received: readonly { readonly title?: string }[] = JSON.parse(JSON.stringify(renamed));
    const lines = received.map(({ title }) => renderToStaticMarkup(createElement('li', {}, title)));
    const blank = lines.filter((line) => line === '<li></li>').length;
    story.verdict(
      'By hand it compiles, and shows nothing',
      `${byHand.length} errors, ${blank} of ${lines.length} titles blank`,
      byHand.length === 0 && blank === lines.length,
    );
    const rest = found.filter(({ where }) => !where.startsWith('by-hand'));
    story.table({
      columns: ['where tsc stops', 'why'],
      rows: rest.map(({ where, text }) => [where, text.slice(8, 39)]),
    });
    const inViews = rest.filter(({ where }) => /^src\/(react\.tsx|vue\.ts):/.test(where));
    story.verdict(
      'Generated from the contract it does not compile, at the lines that read it',
      `${rest.length} errors, ${inViews.length} of them in the two views`,
      rest.length > 0 && inViews.length === rest.length && rest.every(({ text }) => text.includes("'title'")),
    );
  });

  await story.scene('The answer to another question', async () => {
    story.say(
      'Fifty times somebody types “d”, then “dune m”. Each request takes between 0 and 20 ms. Which comes last?',
    );
    const rounds = async (type: (q: string) => void, shown: () => readonly Book[], answered: () => boolean) => {
      front.fault = () => ({ waitMs: story.random() * 20 });
      let stale = 0;
      for (let n = 0; n < 50; n++) {
        for (const query of ['d', 'dune m']) {
          type(query);
          await delay(2);
        }
        await until(() => answered() && front.open === 0);
        await delay(4);
        if (shown().some(({ title }) => title !== 'Dune Messiah')) stale++;
      }
      front.fault = () => undefined;
      return stale;
    };
    let items: readonly Book[] = [];
    let waiting = 0;
    const show = async (q: string) => {
      waiting++;
      items = await find(q);
      waiting--;
    };
    const naive = await rounds(
      (q) => void show(q),
      () => items,
      () => waiting === 0,
    );
    const search = new Search({
      find: async (q, _, signal) => ({ items: await find(q, signal), next: undefined }),
      restMs: 0,
    });
    const fixed = await rounds(
      (q) => search.type(q),
      () => search.state.get().items,
      () => search.state.get().status === 'found',
    );
    story.table({
      columns: ['the list shows', 'lists of another question, of 50'],
      rows: [
        ['whatever comes', naive],
        ['what Search lets through', fixed],
      ],
    });
    story.verdict('What comes last is not what was asked last', `${naive} of 50 stale`, naive > 0);
    story.verdict('Search shows the answer to the last question', `${fixed} of 50 stale`, fixed === 0);
  });

  await story.scene('Two clicks, and an answer that is lost', async () => {
    story.say(
      'Ten customers click twice on “Send the order”. Ten others have no answer, because the connection breaks behind the server, and try again. The order desk and its Postgres are real.',
    );
    const book = (await find('dune m'))[0];
    if (!book) throw new Error('the book is gone');
    const send = (_: string, key: string) =>
      dataOf(
        api.POST('/orders', {
          params: { header: { 'idempotency-key': key } },
          body: { ...ADDRESS, lines: [{ isbn: book.isbn, quantity: 1 }] },
        }),
      );
    const count = async (customers: (n: number) => Promise<unknown>) => {
      const before = await desk.orders('anna');
      for (let n = 0; n < 10; n++) await customers(n);
      return (await desk.orders('anna')) - before;
    };
    const loseOne = () => {
      let lost = 0;
      front.fault = ({ method }) => (method === 'POST' && lost++ < 1 ? { cut: 'behind' } : undefined);
    };
    const anew = () => send('', crypto.randomUUID()).catch(() => {});
    const form = () => new Submission({ send });
    const clicks = {
      naive: await count(() => Promise.all([anew(), anew()])),
      ours: await count(() => {
        const order = form();
        return Promise.all([order.submit(''), order.submit('')]);
      }),
    };
    const lost = {
      naive: await count(async () => {
        loseOne();
        await anew();
        await anew();
      }),
      ours: await count(async () => {
        loseOne();
        const order = form();
        await order.submit('');
        await order.submit('');
      }),
    };
    story.table({
      columns: ['who sends', 'ten double clicks', 'ten lost answers'],
      rows: [
        ['a request for each click, a key for each request', `${clicks.naive} orders`, `${lost.naive} orders`],
        ['Submission: one flight, one key until it is answered', `${clicks.ours} orders`, `${lost.ours} orders`],
      ],
    });
    story.verdict(
      'Ten customers have twenty books',
      `${clicks.naive}, ${lost.naive}`,
      clicks.naive === 20 && lost.naive === 20,
    );
    story.verdict(
      'Each has the one that he ordered',
      `${clicks.ours}, ${lost.ours}`,
      clicks.ours === 10 && lost.ours === 10,
    );
  });

  await story.scene('The token has expired', async () => {
    story.say(
      'Five requests find their token expired. A cookie renews it, and is good once: a second renewal with it looks like a thief’s, and the session is over.',
    );
    const run = async (kind: typeof Session) => {
      front.reset();
      const jar = new Map<string, string>();
      const fetchWithCookie = async (request: Request) => {
        request.headers.set('cookie', [...jar.values()].join());
        const response = await fetch(request);
        for (const each of response.headers.getSetCookie()) jar.set('refresh', each.split(';')[0] ?? '');
        return response;
      };
      await fetchWithCookie(new Request(`${front.url}/react`));
      const renew = renewAt(`${front.url}/session/renew`, { fetch: fetchWithCookie });
      const client = createApi({ baseUrl: front.url, session: new kind({ token: await renew(), renew }) });
      front.renewals.length = 0;
      front.expire();
      const calls = await Promise.allSettled(Array.from({ length: 5 }, () => dataOf(client.GET('/books'))));
      return { renewals: front.renewals.length, answered: calls.filter(({ status }) => status === 'fulfilled').length };
    };
    class EachRenews extends Session {
      override renewed(): Promise<string> {
        return this.renew();
      }
    }
    const [naive, ours] = [await run(EachRenews), await run(Session)];
    story.table({
      columns: ['', 'renewals', 'of 5 requests answered'],
      rows: [
        ['each renews', naive.renewals, naive.answered],
        ['Session', ours.renewals, ours.answered],
      ],
    });
    story.verdict('Who renews twice is signed out', `${naive.answered} of 5 answered`, naive.answered < 5);
    story.verdict(
      'One renewal serves all',
      `${ours.renewals}, ${ours.answered} of 5`,
      ours.renewals === 1 && ours.answered === 5,
    );
  });

  await story.scene('In a real browser', async () => {
    story.say(
      'A book is called <img src=x onerror="window.pwned=1">. First a page that marks what was found by innerHTML.',
    );
    front.reset();
    await using page = { it: await browser.page(), [Symbol.asyncDispose]: () => page.it.context().close() };
    await page.it.evaluate((title) => {
      document.body.innerHTML = title.replace('img', '<mark>img</mark>').replace(/<\/?mark>/g, '');
    }, HOSTILE);
    const ran = await page.it.waitForFunction('window.pwned === 1', undefined, { timeout: 3000 }).then(
      () => true,
      () => false,
    );
    story.verdict('As HTML a title runs', ran ? 'its script ran' : 'nothing ran', ran);
    const faults: [string, Fault][] = [
      ['429, Retry-After: 2', { answer: problem(429, '', {}, { 'retry-after': '2' }) }],
      ['the connection breaks', { cut: 'behind' }],
      ['half an answer, then silence', { silent: 'behind' }],
      ['a gateway’s page, 502', { answer: { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>' } }],
    ];
    const told = await Promise.all(
      views.map(async (view) => {
        await using own = await Front.open(desk.answer, assets);
        await using visit = await Visit.begin(browser, own, view, { timeoutMs: 1000 });
        await visit.search.fill('<img');
        await visit.status('1 book for').waitFor();
        const inert = await visit.page.evaluate(() => !('pwned' in window) && !document.querySelector('#page img'));
        const title = `${await visit.page.locator('.title').textContent()}`;
        const said: string[] = [];
        for (const [n, [, fault]] of faults.entries()) {
          own.fault = () => fault;
          await visit.search.fill(['du', 'un', 'dun', 'une'][n] ?? '');
          said.push(`${await visit.page.getByRole('alert').locator('p').textContent()}`);
          own.fault = () => undefined;
          await visit.button('Try again').click();
          await visit.status('2 books').waitFor();
        }
        return { view, inert, title, said };
      }),
    );
    for (const { view, inert, title } of told)
      story.verdict(`${view}: it is a title`, title, inert && title === HOSTILE);
    const [{ said } = { said: [] }, other] = told;
    const rows = faults.map(([name], n) => [name, said[n] ?? '']);
    story.table({ columns: ['what befalls the search', 'what both pages say, beside a button to try again'], rows });
    story.verdict(
      'Each failure has words of its own, in both pages, and is over when it is tried again',
      `${new Set(said).size} of ${faults.length}`,
      new Set(said).size === faults.length && String(said) === String(other?.said),
    );
  });
  story.next(['`pnpm --filter @labs/frontend run serve` to use it yourself']);
});
