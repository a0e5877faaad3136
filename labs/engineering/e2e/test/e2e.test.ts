import { startBrowser } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import type { BrowserContext, Page } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import {
  AccessibilityError,
  audit,
  Guard,
  InvalidArgumentError,
  Network,
  NoisyPageError,
  SignInError,
  SignIns,
  UnusedFaultError,
} from '#lab';
import { playwrightOf } from './contexts.ts';
import { Site } from './site.ts';

/** A browser beside other suites. Alone each law takes a quarter of a second. */
const BUSY = { timeout: 20_000 };
/** What an outcome may take on a busy machine. */
const PATIENT = 10_000;

await describeWith('in a browser', { browser: () => startBrowser(), site: () => Site.open() }, ({ browser, site }) => {
  const open = async (html: string): Promise<{ page: Page; context: BrowserContext; to: string }> => {
    const page = await browser.page();
    page.setDefaultTimeout(5000);
    onTestFinished(() => page.context().close());
    return { page, context: page.context(), to: site.page(html) };
  };
  const watched = async (html: string, options: { origins?: readonly string[] } = {}) => {
    const it = await open(html);
    const guard = await Guard.watch(it.context, { baseURL: site.url, ...options });
    return { ...it, guard };
  };
  const verdict = async (guard: Guard) => {
    const { error } = await outcome(guard.verify(), PATIENT);
    if (!(error instanceof NoisyPageError)) return error;
    const [first, ...lines] = error.message.split('\n').map((line) => line.trim());
    expect(first, 'the first line says what happened, the noises have theirs below it').not.toMatch(
      /^(console|exception|foreign|crash|announced\b.*):/,
    );
    return lines;
  };

  // ── core: what a test overlooks ──

  test(
    'an uncaught exception, a lost rejection, a console error and a request to a stranger each fail the test',
    BUSY,
    async () => {
      const stranger = await Site.open();
      onTestFinished(() => stranger[Symbol.asyncDispose]());
      const loud = await watched(`<script>
      setTimeout(() => { throw new Error("thrown") });
      Promise.reject(new Error("rejected"));
      console.error("said", 1);
      fetch("${stranger.url}/track").catch(() => {});
    </script>`);
      await loud.page.goto(loud.to);
      await outcome(loud.page.waitForEvent('requestfailed', { timeout: 500 }));
      const said = await verdict(loud.guard);
      for (const line of [
        /^exception: Error: thrown/,
        /^exception: Error: rejected/,
        /^console: said 1/,
        /^foreign: GET http:.*\/track/,
      ])
        expect(said, 'what the guard says').toContainEqual(expect.stringMatching(line));
      expect(said, `each once, and nothing about the blocked request: ${String(said)}`).toHaveLength(4);
      expect(stranger.asked, 'what the stranger was asked').toEqual([]);
      const { page, guard, to } = await watched(
        '<script>console.log("log"); console.warn("warn"); fetch("/own")</script>',
      );
      await page.goto(to);
      expect(await verdict(guard), 'a page that logs, warns and asks its own server').toBeUndefined();
    },
  );

  test('an error in another tab, in a popup or in a frame fails the test as well', BUSY, async () => {
    const { page, context, guard, to } = await watched('<button onclick="window.open(this.value)">Open</button>');
    const [tab, popup, frame] = ['tab', 'popup', 'frame'].map((name) =>
      site.page(`<script>console.error("in a ${name}")</script>`),
    );
    await page.goto(to);
    await (await context.newPage()).goto(`${tab}`);
    const opened = page.waitForEvent('popup');
    await page.evaluate((url) => document.querySelector('button')?.setAttribute('value', url), `${popup}`);
    await page.getByRole('button').click();
    await (await opened).waitForLoadState();
    await page.goto(site.page(`<iframe src="${frame}" title="a frame"></iframe>`));
    const said = await verdict(guard);
    for (const name of ['tab', 'popup', 'frame'])
      expect(said, name).toContainEqual(expect.stringContaining(`in a ${name}`));
  });

  test('an error in the last moment of a test is heard', BUSY, async () => {
    const { page, guard, to } = await watched('');
    await page.goto(to);
    // The page's last word is said while the test is at its last line.
    await page.evaluate(() => void queueMicrotask(() => console.error('at the last moment')));
    page.evaluate(() => console.error('behind it')).catch(() => {});
    expect(await verdict(guard)).toEqual([
      expect.stringMatching(/at the last moment/),
      expect.stringMatching(/behind it/),
    ]);
  });

  test('an error that is announced fails nothing; one that is announced and never comes does', BUSY, async () => {
    const { page, guard, to } = await watched('<script>console.error("sold out"); console.error("broken")</script>');
    await page.goto(to);
    guard.announce('sold out');
    expect(await verdict(guard), 'announced: sold out').toEqual([expect.stringMatching(/^console: broken/)]);
    guard.announce(/BROK/i);
    expect(await verdict(guard), 'announced: both').toBeUndefined();
    guard.announce('never said');
    expect(await verdict(guard)).toEqual(['announced, and never heard: never said']);
  });

  // ── core: one sign-in ──

  let owner: ReturnType<typeof playwrightOf> | undefined;
  const playwright = () => {
    owner ??= playwrightOf(browser);
    return owner;
  };
  const signIns = (over: Partial<ConstructorParameters<typeof SignIns>[0]> = {}) =>
    new SignIns({
      browser: { newContext: async (o) => (await playwright()).newContext(o) },
      baseURL: site.url,
      signIn: async (page) => void (await page.goto('/enter')),
      isGood: async (context) => (await context.request.get('/whoami')).ok(),
      ...over,
    });
  test('a user signs in once for all tests, and anew when his session is over', BUSY, async () => {
    const entry = signIns();
    const before = site.sessions;
    const first = await Promise.all([entry.stateOf('anna'), entry.stateOf('anna'), entry.stateOf('anna')]);
    expect(site.sessions - before, 'sign-ins for three tests at once').toBe(1);
    await entry.stateOf('anna');
    expect(site.sessions - before, 'and a fourth later').toBe(1);
    const [state] = first;
    expect(
      state?.cookies.map(({ name }) => name),
      'the cookies of her state',
    ).toEqual(['user']);
    site.expired = site.sessions;
    const [again] = await Promise.all([entry.stateOf('anna'), entry.stateOf('anna')]);
    expect(site.sessions - before, 'and two at once after the session has expired').toBe(2);
    expect(again?.cookies[0]?.value, 'the new session').toBe(`${site.sessions}`);
    expect(entry.done, 'as it counts itself').toBe(2);
    await entry.stateOf('ben');
    expect(site.sessions - before, 'and somebody else').toBe(3);
  });

  // ── core: a network ──

  /** What `fetch` says in the page: a status, or that it failed. */
  const asks = (page: Page, url: string, method = 'GET') =>
    page.evaluate(
      ([to = '', verb = '']) =>
        fetch(to, { method: verb }).then(
          ({ status }) => status,
          () => 'failed',
        ),
      [url, method],
    );
  const wired = async () => {
    const it = await open('');
    await it.page.goto(it.to);
    return { ...it, network: await Network.open(it.context) };
  };

  test('a fault befalls the requests that it names, as often as it says, and none after heal', BUSY, async () => {
    const { page, network } = await wired();
    const once = network.answer('/books', 503, { times: 1 });
    expect([await asks(page, '/books?q=dune'), await asks(page, '/books?q=dune')], '503 once').toEqual([503, 200]);
    expect(once.hits).toBe(1);
    const posts = network.reset('POST /orders*');
    expect(await asks(page, '/orders/7', 'POST'), 'a POST that is reset').toBe('failed');
    expect([await asks(page, '/orders/7'), await asks(page, '/books')], 'a GET, and another path').toEqual([200, 200]);
    network.answer('/orders*', 500);
    expect(await asks(page, '/orders', 'POST'), 'the newest fault').toBe(500);
    await network.heal();
    expect(await asks(page, '/orders', 'POST'), 'after heal').toBe(200);
    expect(posts.hits).toBe(1);
    const both = network.answer('/both', 503, { times: 1 });
    expect((await Promise.all([asks(page, '/both'), asks(page, '/both')])).sort(), 'two at once').toEqual([200, 503]);
    expect(both.hits).toBe(1);
  });

  test('what is reset never arrives; what is lost has arrived, and its answer hasn’t', BUSY, async () => {
    const { page, network } = await wired();
    network.reset('/reset', { times: 1 });
    network.lose('POST /lost', { times: 1 });
    expect([await asks(page, '/reset'), await asks(page, '/lost', 'POST')], 'to the page both are the same').toEqual([
      'failed',
      'failed',
    ]);
    expect(
      site.asked.filter((each) => /reset|lost/.test(each)),
      'what the server has done',
    ).toEqual(['POST /lost']);
  });

  test('a fault that befell no request fails the test, and is named', BUSY, async () => {
    const { page, network } = await wired();
    network.answer('/books', 503, { times: 1 });
    network.reset('POST /order');
    await asks(page, '/books');
    await asks(page, '/orders', 'POST');
    expect(() => network.verify()).toThrow(UnusedFaultError);
    expect(() => network.verify()).toThrow('befell no request: reset POST /order.');
    await network.heal();
    expect(() => network.verify(), 'after heal as well').toThrow(UnusedFaultError);
  });

  // ── core: for everybody ──

  test('a violation of accessibility is named with its rule and its element', BUSY, async () => {
    const { page, to } = await open('<input id="q"><img src="data:," id="cover"><label>Name <input id="name"></label>');
    await page.goto(to);
    const { error } = await outcome(audit(page), PATIENT);
    expect(error).toBeInstanceOf(AccessibilityError);
    const found = error instanceof AccessibilityError ? error.violations : [];
    expect(found.map(({ rule, at }) => `${rule} ${at}`).sort()).toEqual(['image-alt #cover', 'label #q']);
    for (const { rule, at } of found) expect(`${error}`, 'what the error says').toMatch(new RegExp(`${rule} .*${at}`));
    await page.goto(site.page('<label>Name <input></label>'));
    expect(await outcome(audit(page), PATIENT), 'a page that is right').toMatchObject({ error: undefined });
  });

  // ── hardening ──

  test(
    'what a guard is for comes from its options: its own origins are let through, and nothing else is an address',
    BUSY,
    async () => {
      const friend = await Site.open();
      onTestFinished(() => friend[Symbol.asyncDispose]());
      const { page, guard, to } = await watched(
        `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt=""><script>fetch("${friend.url}/font")</script>`,
        { origins: [`${friend.url}/any/path`] },
      );
      await page.goto(to);
      await until(() => friend.asked.length > 0, { what: 'the friend to be asked' });
      expect(await asks(page, '/to?/own'), 'a redirect to its own server').toBe(200);
      expect(await verdict(guard)).toBeUndefined();
      for (const baseURL of ['', 'shop', 'file:///etc', 'javascript:1'])
        expect((await outcome(Guard.watch(page.context(), { baseURL }))).error, baseURL).toBeInstanceOf(
          InvalidArgumentError,
        );
      expect(() => guard.announce(''), 'an empty text').toThrow(InvalidArgumentError);
      expect(() => guard.announce(/(?:)/), 'an empty pattern').toThrow(InvalidArgumentError);
    },
  );

  test('a guard keeps a hundred noises of 500 characters, and counts the rest', BUSY, async () => {
    const { page, guard, to } = await watched(
      '<script>for (let n = 0; n < 101; n++) console.error(n, "x".repeat(5000))</script>',
    );
    await page.goto(to);
    const said = await verdict(guard);
    expect(guard.noises).toHaveLength(100);
    expect(guard.noises[99]?.text).toHaveLength(500);
    expect(said).toContain('… and 1 more');
  });

  test('a pattern is tried on every noise, whatever flags it has', BUSY, async () => {
    const { page, guard, to } = await watched(
      '<script>for (let n = 0; n < 4; n++) console.error("a.c", n); console.error("abc")</script>',
    );
    await page.goto(to);
    guard.announce(/a\.c/gy);
    expect(await verdict(guard), 'a pattern that remembers its place').toEqual([
      expect.stringMatching(/^console: abc/),
    ]);
    guard.announce('b');
    expect(await verdict(guard)).toBeUndefined();
  });

  test('a page that hangs, and one that has crashed, hold up no verdict', BUSY, async () => {
    const { page, context, guard, to } = await watched('');
    await page.goto(to);
    const other = await context.newPage();
    await other.goto(to);
    let hangs = true;
    const hang = page.evaluate(() => {
      const end = performance.now() + 3000;
      while (performance.now() < end);
    });
    hang
      .catch(() => {})
      .finally(() => {
        hangs = false;
      });
    const crash = other.waitForEvent('crash');
    other.goto('chrome://crash').catch(() => {});
    await crash;
    expect(await verdict(guard)).toEqual([expect.stringMatching(/^crash: the page has crashed/)]);
    expect(hangs, 'whether the page still hangs').toBe(true);
    await page.close();
  });

  test('a slow request waits on its way, and goes on at once when the network heals', BUSY, async () => {
    const { page, network } = await wired();
    const delays = [40, 0];
    const slow = network.slow('/slow', () => delays.shift() ?? 60_000);
    const begun = performance.now();
    expect(await asks(page, '/slow')).toBe(200);
    expect(performance.now() - begun, 'ms').toBeGreaterThanOrEqual(39);
    expect(await asks(page, '/slow')).toBe(200);
    const waits = asks(page, '/slow');
    await until(() => slow.hits === 3, { what: 'the third to be on its way' });
    expect(await asks(page, '/behind-it')).toBe(200);
    const arrived = () => site.asked.filter((each) => each === 'GET /slow').length;
    expect(arrived(), 'slow ones that have arrived before one that set out later').toBe(2);
    await network.heal();
    expect((await outcome(waits, PATIENT)).value).toBe(200);
    expect(arrived()).toBe(3);
    network.slow('/slow', 60_000);
    const left = asks(page, '/slow').catch(() => {});
    await until(async () => network.verify() === undefined, { what: 'the fourth to be on its way' });
    await page.close();
    await left;
    await network[Symbol.asyncDispose]();
  });

  test('offline nothing arrives and the page knows it; back, the same page goes on', BUSY, async () => {
    const { page, network } = await wired();
    await network.offline();
    expect(await asks(page, '/offline')).toBe('failed');
    expect(await page.evaluate(() => navigator.onLine)).toBe(false);
    await network.online();
    expect([await asks(page, '/online'), await page.evaluate(() => navigator.onLine)]).toEqual([200, true]);
    await network.offline();
    await network[Symbol.asyncDispose]();
    expect(await asks(page, '/online'), 'when the test is over').toBe(200);
    expect(site.asked.filter((each) => each.includes('line'))).toEqual(['GET /online', 'GET /online']);
  });

  test('a fault that can befall nothing is refused when it is set', BUSY, async () => {
    const { network } = await wired();
    for (const match of ['', 'books', 'post /books', '/books?q=1', 'GET', '/a b', '/*/x'])
      expect(() => network.reset(match), match).toThrow(InvalidArgumentError);
    for (const times of [0, -1, 1.5, Number.NaN])
      expect(() => network.reset('/books', { times }), `${times} times`).toThrow(InvalidArgumentError);
    for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
      expect(() => network.slow('/books', ms), `${ms} ms`).toThrow(InvalidArgumentError);
    for (const status of [199, 600, 200.5])
      expect(() => network.answer('/books', status), `${status}`).toThrow(InvalidArgumentError);
    expect(() => network.verify(), 'what was refused is no fault').not.toThrow();
    for (const status of [200, 599]) expect(network.answer('/books', status)).toMatchObject({ hits: 0 });
    for (const ms of [0, 2 ** 31 - 1]) network.slow('/books', ms);
  });

  test('a stranger is asked by no WebSocket', BUSY, async () => {
    const stranger = await Site.open();
    onTestFinished(() => stranger[Symbol.asyncDispose]());
    const { page, guard, to } = await watched('');
    await page.goto(to);
    const connect = () =>
      page.evaluate(
        (url) =>
          new Promise((resolve) => {
            Object.assign(new WebSocket(url), { onopen: resolve, onerror: resolve, onclose: resolve });
          }),
        `${stranger.url.replace('http', 'ws')}/socket`,
      );
    await connect();
    const said = await verdict(guard);
    expect(said).toContainEqual(expect.stringMatching(/^foreign: WebSocket ws:.*\/socket/));
    expect(stranger.asked, 'what the stranger was asked').toEqual([]);
    await guard[Symbol.asyncDispose]();
    await connect();
    expect(stranger.asked, 'what he was asked when the guard had gone').toEqual(['GET /socket']);
  });

  test('a lost answer leaves no cookie, and the request has all that the page sends', BUSY, async () => {
    const { page, context, network } = await wired();
    await context.addCookies([{ name: 'user', value: '0', url: site.url }]);
    network.lose('/enter');
    const before = site.sessions;
    expect(await asks(page, '/enter', 'POST')).toBe('failed');
    expect(site.sessions - before, 'sessions that the server has begun').toBe(1);
    expect((await context.cookies()).map(({ value }) => value)).toEqual(['0']);
    expect(site.cookies.at(-1), 'what it was sent').toBe('user=0');
  });

  test('what a function of the test’s throws fails its request, and the test', BUSY, async () => {
    for (const name of ['match', 'delay'] as const) {
      const { page, network } = await wired();
      const error = new Error(`no ${name}`);
      const thrown = () => {
        throw error;
      };
      if (name === 'match') network.reset(thrown);
      else network.slow('/books', thrown);
      expect(await asks(page, '/books'), name).toBe('failed');
      expect(() => network.verify(), name).toThrow(error);
    }
  });

  test('a sign-in that failed is not kept, and one that signs nobody in is an error', BUSY, async () => {
    let tries = 0;
    const entry = signIns({
      signIn: async (page) => {
        if (++tries === 1) throw new Error('the form is gone');
        await page.goto('/enter');
      },
    });
    const both = await Promise.all([outcome(entry.stateOf('anna'), PATIENT), outcome(entry.stateOf('anna'), PATIENT)]);
    for (const { error } of both) expect(`${error}`).toContain('the form is gone');
    expect((await outcome(entry.stateOf('anna'), PATIENT)).value?.cookies).toHaveLength(1);
    const nobody = signIns({ signIn: async () => {} });
    expect((await outcome(nobody.stateOf('anna'), PATIENT)).error).toBeInstanceOf(SignInError);
    expect((await outcome(nobody.stateOf(''))).error, 'a user without a name').toBeInstanceOf(InvalidArgumentError);
  });

  test('each test has a state of its own: what it changes is not the next one’s', BUSY, async () => {
    const entry = signIns();
    const mine = await entry.stateOf('anna');
    mine.cookies.length = 0;
    const next = await entry.stateOf('anna');
    next.cookies.length = 0;
    expect((await entry.stateOf('anna')).cookies).toHaveLength(1);
    expect(entry.done).toBe(1);
  });

  test(
    'an exception says why, covers what it names, and is an error when nothing needs it any more',
    BUSY,
    async () => {
      const { page, to } = await open('<input id="q"><input id="r">');
      await page.goto(to);
      const told = async (...except: { rule: string; at?: string; why: string }[]) => {
        const { error } = await outcome(audit(page, { except }), PATIENT);
        return error instanceof AccessibilityError
          ? error.message
              .split('\n')
              .slice(1)
              .map((line) => line.trim())
          : error;
      };
      const why = 'until the new search';
      expect(await told({ rule: 'label', at: '#q', why }, { rule: 'image-alt', why })).toEqual([
        expect.stringMatching(/^label .*#r$/),
        expect.stringMatching(/nothing needs: image-alt, any element/),
      ]);
      expect(await told({ rule: 'label', why }), 'wherever it is').toBeUndefined();
      expect(await told({ rule: 'label', why: ' ' })).toBeInstanceOf(InvalidArgumentError);
    },
  );

  test('a page without anything to judge passes no audit', BUSY, async () => {
    const { page, to } = await open('<label>Name <input></label>');
    await page.goto(to);
    expect(`${(await outcome(audit(page, { tags: ['no-such-tag'] }), PATIENT)).error}`).toContain('nothing to judge');
  });
});
