import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { SpanStatusCode, trace } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import * as lab from '#lab';
import { ArticleSchema, ContentService, MediaService, SearchService, UsersService } from '../src/cms/v1/cms_pb.ts';
import { provide } from '../src/vendor/tracing/start.ts';
import { LI, MO, openGateway, ownFolder, TEXT } from './support.ts';

const GIF = Buffer.from('GIF89a000000');

await describeWith('cms: hardening', { postgres: () => startPostgres() }, ({ postgres }) => {
  let made = 0;
  /** A schema of the law's own, and a pool for it. */
  async function place(tables = true) {
    const database = new URL(postgres.url);
    database.searchParams.set('options', `-c search_path=hard_${++made}`);
    const own = new Pool({ connectionString: database.href, max: 8 });
    own.on('error', () => {});
    onTestFinished(() => own.end());
    await own.query(`CREATE SCHEMA hard_${made}; ${tables ? lab.CONTENT_SCHEMA + lab.USERS_SCHEMA : ''}`);
    return { own, database: database.href };
  }
  async function listen(server: Server): Promise<number> {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  }
  const page = async (url: string, init: RequestInit = {}) => {
    const answer = await fetch(url, { redirect: 'manual', ...init });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };
  const article = (n: number, more: object = {}) =>
    create(ArticleSchema, { id: `id-${n}`, slug: `text-${n}`, title: `Text ${n}`, author: 'mo', revision: 1, ...more });
  /** An OpenSearch that says what it is told to; of its index it says that it is there. */
  async function indexBefore(answer: (path: string, body: string) => readonly [status: number, said: object]) {
    const server = createHttpServer(async (request, response) => {
      const body = await textOf(request);
      const [status, said] = answer(`${request.method} ${request.url}`, body);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
    const index = new lab.SearchIndex({ url: `http://127.0.0.1:${await listen(server)}` });
    onTestFinished(async () => {
      await index[Symbol.asyncDispose]();
      server.closeAllConnections();
    });
    return index;
  }
  const asDocument = (id: string): lab.Document => ({
    id,
    revision: 1,
    live: true,
    slug: id,
    title: 'Kettle',
    teaser: '',
    body: '',
  });

  // ── what is taken ──

  test('a limit is what it says: as much is taken, and by one too much is refused', { timeout: 20_000 }, async () => {
    const { own } = await place();
    const store = new lab.ContentStore(own);
    const users = new lab.UserStore(own);
    const media = new lab.MediaStore(await ownFolder());
    const index = await indexBefore(() => [200, { hits: { hits: [] } }]);
    const { id } = await store.create(MO, TEXT);
    let slug = 0;
    const text = (more: object) => () => store.create(MO, { ...TEXT, slug: `text-${++slug}`, ...more });
    const scheduled = await store.create(MO, { ...TEXT, slug: 'scheduled' });
    await store.act(scheduled.id, 1, 'submit', MO);
    const schedule = (at: Date) => async () => {
      const { state, revision } = await store.read(scheduled.id, LI);
      if (state === 'scheduled') await store.act(scheduled.id, revision, 'return', LI);
      const draft = await store.read(scheduled.id, LI);
      if (draft.state === 'draft') await store.act(scheduled.id, draft.revision, 'submit', MO);
      return store.act(scheduled.id, (await store.read(scheduled.id, LI)).revision, 'schedule', LI, at);
    };
    // That it is of another revision is found out later.
    const revision = (it: number) => async () => {
      const { error } = await outcome(store.edit(id, it, { body: '' }, MO));
      if (error instanceof lab.InvalidInputError) throw error;
    };
    const password = (length: number) => () => users.set('mo', 'x'.repeat(length), 'author');
    const login = (name: number, word: number) => async () => {
      const { error } = await outcome(users.login('x'.repeat(name), 'x'.repeat(word)));
      if (!(error instanceof lab.UnauthenticatedError)) throw error;
    };
    const session = (ms: number) => () => new lab.UserStore(own, ms);
    const search = (letters: number, limit: number) => () => index.search('x'.repeat(letters), limit);
    const timeout = (timeoutMs: number) => () =>
      new lab.SearchIndex({ url: 'http://127.0.0.1:9', timeoutMs })[Symbol.asyncDispose]();
    const picture = (bytes: number) => () => media.put(Buffer.concat([GIF, Buffer.alloc(bytes - GIF.length)]));
    const none = createRouterTransport(() => {});
    const gateway = (o: object) => () =>
      new lab.Gateway({ content: none, search: none, media: none, users: none, onError: () => {}, ...o });
    const relay = (o: object) => () =>
      new lab.Relay({ store, put: async () => ({ refusals: [], missing: false }), ...o });
    const every = (ms: number) => () =>
      lab
        .repeat(
          ms,
          async () => 0,
          () => {},
        )
        [Symbol.asyncDispose]();
    const name = (it: string) => () => users.set(it, 'password', 'author');
    const called = (it: string) => () => new lab.SearchIndex({ url: 'http://127.0.0.1:9', index: it });
    const year = (it: string) => schedule(new Date(it));
    const limits: { [what: string]: readonly [taken: () => unknown, refused: () => unknown] } = {
      'the shortest title': [text({ title: 'x' }), text({ title: '' })],
      'the longest title': [text({ title: 'x'.repeat(200) }), text({ title: 'x'.repeat(201) })],
      'a title that is seen': [text({ title: '\u200bx' }), text({ title: '\u200b' })],
      'the longest teaser': [text({ teaser: 'x'.repeat(500) }), text({ teaser: 'x'.repeat(501) })],
      'the shortest teaser': [text({ teaser: '' }), text({ teaser: 5 })],
      'the shortest body': [text({ body: '' }), text({ body: 'half \ud83d' })],
      'the longest body': [text({ body: 'x'.repeat(200_000) }), text({ body: 'x'.repeat(200_001) })],
      'the longest address': [text({ slug: 'x'.repeat(80) }), text({ slug: 'x'.repeat(81) })],
      'the smallest revision': [revision(1), revision(0)],
      'the largest revision': [revision(2 ** 31 - 1), revision(2 ** 31)],
      'the first year': [year('0001-01-01T00:00:00Z'), year('0000-12-31T23:59:59Z')],
      'the last year': [year('9999-12-31T23:59:59Z'), schedule(new Date(Date.UTC(10_000, 0)))],
      'a date': [schedule(new Date(0)), schedule(new Date(Number.NaN))],
      'the shortest list': [() => store.list(1), () => store.list(0)],
      'the longest list': [() => store.list(100), () => store.list(101)],
      'the longest name of a user': [name('x'.repeat(64)), name('x'.repeat(65))],
      'the shortest password': [password(8), password(7)],
      'the longest password': [password(200), password(201)],
      'the shortest name and password of a login': [login(0, 0), () => users.login('mo', '\0')],
      'the longest name of a login': [login(200, 8), login(201, 8)],
      'the longest password of a login': [login(8, 200), login(8, 201)],
      'the shortest session': [session(1), session(0)],
      'the longest session': [session(2 ** 31 - 1), session(2 ** 31)],
      'the most letters of a search': [search(300, 5), search(301, 5)],
      'the fewest hits': [search(1, 1), search(1, 0)],
      'the most hits': [search(1, 50), search(1, 51)],
      'the shortest time of a search': [timeout(1), timeout(0)],
      'the longest time of a search': [timeout(600_000), timeout(600_001)],
      'the name of an index': [called('a-1'), called('A')],
      'the largest picture': [picture(2 ** 20), picture(2 ** 20 + 1)],
      'the shortest request': [gateway({ requestMs: 1 }), gateway({ requestMs: 0 })],
      'the longest request': [gateway({ requestMs: 600_000 }), gateway({ requestMs: 600_001 })],
      'the shortest time of a search in it': [gateway({ searchMs: 1 }), gateway({ searchMs: 0 })],
      'the longest time of a search in it': [gateway({ searchMs: 600_000 }), gateway({ searchMs: 600_001 })],
      'the youngest page': [gateway({ cacheMs: 0 }), gateway({ cacheMs: -1 })],
      'the oldest page': [gateway({ cacheMs: 3_600_000 }), gateway({ cacheMs: 3_600_001 })],
      'the smallest batch': [relay({ batch: 1 }), relay({ batch: 0 })],
      'the largest batch': [relay({ batch: 10_000 }), relay({ batch: 10_001 })],
      'the shortest look': [relay({ lookMs: 0 }), relay({ lookMs: -1 })],
      'the longest look': [relay({ lookMs: 3_600_000 }), relay({ lookMs: 3_600_001 })],
      'the shortest pause': [every(1), every(0)],
      'the longest pause': [every(3_600_000), every(3_600_001)],
    };
    for (const [what, [taken, refused]] of Object.entries(limits)) {
      expect((await outcome((async () => taken())())).error, what).toBeUndefined();
      expect((await outcome((async () => refused())())).error, what).toBeInstanceOf(lab.InvalidInputError);
    }
    expect((await store.list(100, LI)).every(({ title }) => title.length <= 200)).toBe(true);
  });

  test('a search that has been away may take as long as any, when it is asked again', async () => {
    let now = 0;
    const timers = new Map<() => void, number>();
    const clock = {
      mono: () => now,
      after: (ms: number, go: () => void) => {
        timers.set(go, now + ms);
        return () => void timers.delete(go);
      },
    };
    const pass = (ms: number) => {
      now += ms;
      for (const [go, at] of timers) if (at <= now) go();
    };
    const none = createRouterTransport(() => {});
    const services = { content: none, search: none, media: none, users: none };
    const { breaker } = new lab.Gateway({
      ...services,
      searchMs: 60_000,
      breaker: { clock, minCalls: 1 },
      onError: () => {},
    });
    const away = () => Promise.reject(new ConnectError('away', Code.Unavailable));
    await outcome(breaker.run(away, { timeoutMs: 60_000 }));
    pass(1_000);
    const { promise, resolve } = Promise.withResolvers<string>();
    const slow = breaker.run(() => promise, { timeoutMs: 60_000 });
    pass(20_000);
    resolve('as slow as always');
    expect((await outcome(slow)).value, 'of a search that may take a minute').toBe('as slow as always');
    expect(breaker.state).toBe('closed');
  });

  test('what is left out is what the documentation says', () => {
    const none = createRouterTransport(() => {});
    const gateway = new lab.Gateway({ content: none, search: none, media: none, users: none, onError: () => {} });
    expect(gateway['o']).toMatchObject({ requestMs: 2_000, searchMs: 300, cacheMs: 1_000 });
    const store = { waiting: async () => [], told: async () => {}, noteAll: async () => {} };
    const relay = new lab.Relay({ store, put: async () => ({ refusals: [], missing: false }) });
    expect(relay['o']).toMatchObject({ batch: 100, lookMs: 10_000 });
    expect(lab.slugOf('Töpfe & Kessel, 2 Liter!')).toBe('topfe-kessel-2-liter');
    expect(lab.slugOf('水壶')).toBe('');
    expect(lab.slugOf('x'.repeat(81))).toBe('x'.repeat(80));
  });

  test('an error says what was given, and no more of it than fits in a line', async () => {
    const message = (title: unknown) => {
      try {
        lab.checkWords('title', title, 1, 3);
      } catch (error) {
        return String(error);
      }
      return 'taken';
    };
    expect(message('x'.repeat(100))).toContain(`title is ${JSON.stringify('x'.repeat(80))}: give 1 to 3 characters`);
    expect(message(5)).toContain('title is 5: ');
    const { own } = await place();
    const store = new lab.ContentStore(own);
    const { id } = await store.create(MO, TEXT);
    const late = async (revision: number) => String((await outcome(store.edit(id, revision, { body: '' }, MO))).error);
    await store.edit(id, 1, { body: 'x' }, MO);
    expect(await late(1)).toContain('is at revision 2, and 1 was edited: body changed meanwhile');
    await store.edit(id, 2, {}, MO);
    expect(await late(2)).toContain('is at revision 3, and 2 was edited: its state changed meanwhile');
    expect((await outcome(store.act(id, 3, 'edit', MO))).error).toBeInstanceOf(lab.InvalidInputError);
    const whose = async (user: lab.User) => String((await outcome(store.act(id, 3, 'submit', user))).error);
    expect(await whose({ name: 'wu', role: 'author' })).toContain('"wu" may not "submit" this text: its author may');
    await store.act(id, 3, 'submit', MO);
    expect(String((await outcome(store.act(id, 4, 'publish', MO))).error)).toContain('an editor may who has not');
  });

  // ── Postgres ──

  test('a call that Postgres ends half-way says so, and nothing of it is written', { timeout: 20_000 }, async () => {
    const { own } = await place();
    const store = new lab.ContentStore(own);
    const users = new lab.UserStore(own);
    await users.set('mo', 'password-of-mo', 'author');
    await users.login('mo', 'password-of-mo');
    const draft = await store.create(MO, { ...TEXT, slug: 'draft' });
    const due = await store.create(MO, { ...TEXT, slug: 'due' });
    await store.act(due.id, 1, 'submit', MO);
    await store.act(due.id, 2, 'schedule', LI, new Date(0));
    const notes = (await store.waiting(10)).map(({ position }) => position);
    const [first = '', ...others] = notes;
    const calls: [call: () => Promise<unknown>, ...tables: string[]][] = [
      [() => store.create(MO, { ...TEXT, slug: 'new' }), 'articles', 'slugs', 'history', 'outbox'],
      [() => store.edit(draft.id, 1, { slug: 'other' }, MO), 'articles', 'slugs', 'history', 'outbox'],
      [() => store.act(draft.id, 1, 'submit', MO), 'articles', 'history', 'outbox'],
      [() => store.publishDue(), 'articles', 'history', 'outbox'],
      [() => store.told(notes, new Map()), 'outbox'],
      [() => store.noteAll(), 'outbox'],
      [() => users.set('mo', 'another-password', 'editor'), 'users', 'sessions'],
      [() => users.login('mo', 'password-of-mo'), 'sessions'],
    ];
    const tables = ['articles', 'slugs', 'history', 'outbox', 'users', 'sessions'];
    const all = tables.map((table) => `(SELECT json_agg(t ORDER BY t::text) FROM cms_${table} t)`);
    const written = async () => (await own.query({ text: `SELECT ${all}`, rowMode: 'array' })).rows;
    const before = await written();
    const gate = await own.connect();
    onTestFinished(() => gate.release(true));
    /** Ends `call` where it waits for a lock that was taken so. */
    const endAt = async (call: () => Promise<unknown>, lock: string, what: string) => {
      await gate.query(`BEGIN; ${lock}`);
      const asked = outcome(call());
      const end =
        'SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))';
      await until(async () => ((await gate.query(end)).rowCount ?? 0) > 0, { what });
      expect((await asked).error, what).toMatchObject({ code: '57014' });
      await gate.query('ROLLBACK');
    };
    for (const [call, ...locked] of calls) {
      for (const table of locked) {
        await endAt(call, `LOCK TABLE cms_${table} IN SHARE MODE`, `${call}, at cms_${table}`);
      }
      expect(await written(), String(call)).toEqual(before);
    }
    // Some are cleared, and then one is to be set aside.
    const row = `SELECT FROM cms_outbox WHERE position = ${first} FOR UPDATE`;
    await endAt(() => store.told(notes, new Map([[first, 'poison']])), row, 'a note that is set aside');
    expect(others.length).toBeGreaterThan(0);
    expect(await written()).toEqual(before);
  });

  test('a node whose database is away, or makes it wait in vain, does not start', async () => {
    const { own, database } = await place(false);
    const onError = () => {};
    const away = { database: 'postgres://127.0.0.1:1/none', onError };
    expect((await outcome(lab.serveUsers(away))).error).toMatchObject({ code: 'ECONNREFUSED' });
    const gate = await own.connect();
    onTestFinished(() => gate.release(true));
    await gate.query("SELECT pg_advisory_lock(hashtext('cms schema'))");
    const starts = outcome(lab.serveUsers({ database, onError }));
    const end = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'";
    await until(async () => ((await gate.query(end)).rowCount ?? 0) > 0, { what: 'it to wait' });
    expect((await starts).error).toMatchObject({ code: '57014' });
    await gate.query("SELECT pg_advisory_unlock(hashtext('cms schema'))");
    await using _ = await lab.serveUsers({ database, databaseMs: 1_000, onError });
    // It has its tables before anybody can ask.
    expect((await own.query('SELECT FROM cms_users, cms_sessions')).rowCount).toBe(0);
    for (const databaseMs of [0, 3_600_001]) {
      const { error } = await outcome(lab.serveUsers({ database, databaseMs, onError }));
      expect(error).toBeInstanceOf(lab.InvalidInputError);
    }
    for (const databaseMs of [1, 3_600_000]) {
      const { value } = await outcome(lab.serveUsers({ database, databaseMs, onError }));
      await value?.[Symbol.asyncDispose]();
      expect(value, `${databaseMs} ms`).toBeDefined();
    }
  });

  test('a hundred texts that are due are published at a time, the oldest first', async () => {
    const { own } = await place();
    const store = new lab.ContentStore(own);
    await own.query(`INSERT INTO cms_articles (id, author, title, body, state, publish_at)
      SELECT gen_random_uuid(), 'mo', 'Text ' || n, '', 'scheduled', timestamptz 'epoch' + n * interval '1 s'
        FROM generate_series(1, 101) n`);
    await own.query('INSERT INTO cms_slugs SELECT id::text, id, true FROM cms_articles');
    expect(await store.publishDue()).toHaveLength(100);
    expect((await store.publishDue()).map(({ title, state }) => [title, state])).toEqual([['Text 101', 'published']]);
    const { rows } = await own.query('SELECT DISTINCT changed_by FROM cms_history');
    expect(rows).toEqual([{ changed_by: 'the clock' }]);
  });

  // ── the gateway ──

  test('each refusal and failure has its status, and only of failures somebody is told', async () => {
    let code = Code.Unknown;
    let bug: unknown;
    class Buggy extends lab.Gateway {
      protected override latest(...call: Parameters<lab.Gateway['latest']>) {
        if (bug !== undefined) throw bug;
        return super.latest(...call);
      }
    }
    const { url, errors } = await openGateway(
      (router) =>
        router.service(ContentService, {
          list: () => {
            throw new ConnectError('said the service', code);
          },
          find: () => ({}),
        }),
      {},
      { Gateway: Buggy },
    );
    const refusals: readonly (readonly [Code, number])[] = [
      [Code.InvalidArgument, 400],
      [Code.Unauthenticated, 401],
      [Code.PermissionDenied, 403],
      [Code.NotFound, 404],
      [Code.Aborted, 409],
      [Code.AlreadyExists, 409],
      [Code.FailedPrecondition, 409],
      [Code.ResourceExhausted, 413],
    ];
    for (const [given, status] of refusals) {
      code = given;
      const said = await page(url);
      expect([Code[code], said.status, said.text.includes('said the service')]).toEqual([Code[code], status, true]);
    }
    expect(errors).toEqual([]);
    const failures: readonly (readonly [Code, number])[] = [
      [Code.Unavailable, 503],
      [Code.Canceled, 503],
      [Code.DeadlineExceeded, 504],
      [Code.Internal, 500],
    ];
    for (const [given, status] of failures) {
      code = given;
      const said = await page(url);
      expect([Code[code], said.status, said.text.includes('try again later')]).toEqual([Code[code], status, true]);
    }
    expect(errors).toHaveLength(failures.length);
    for (const thrown of [new Error('a bug'), Object.assign(new Error('a bug'), { statusCode: 500 }), 'a bug']) {
      bug = thrown;
      const { status, text } = await page(url);
      expect([status, text.includes('Something went wrong here')]).toEqual([500, true]);
      expect(errors.at(-1)).toBe(bug);
    }
    bug = new lab.NotFoundError('article', 'x');
    expect((await page(url)).status).toBe(404);
    const nowhere = await Promise.all([page(`${url}/nowhere`), page(`${url}/a/nowhere`), page(`${url}/search?q=%00`)]);
    expect(nowhere.map(({ status, text }) => [status, /<h1>Sorry<\/h1><p>([^<]+)/.exec(text)?.[1]])).toEqual([
      [404, 'There is nothing here.'],
      [404, 'There is no such text.'],
      [400, expect.stringContaining('q is')],
    ]);
  });

  test('a page shows what there is of a text, and nothing in the place of what there is not', async () => {
    const publishAt = timestampFromDate(new Date('2026-12-04T05:06:07Z'));
    let texts = [article(1)];
    const asked: number[] = [];
    const { url } = await openGateway((router) =>
      router
        .service(ContentService, {
          list: ({ limit }) => {
            asked.push(limit);
            return { articles: texts.slice(0, limit) };
          },
          find: ({ slug }) => {
            const value = texts.find((each) => each.slug === slug);
            return value ? { found: { case: 'article', value } } : { found: { case: 'moved', value: 'text-1' } };
          },
        })
        .service(SearchService, { search: () => ({ hits: [] }) }),
    );
    const front = async () => (await page(url)).text;
    const links = (html: string) => html.match(/href="\/a\//g)?.length ?? 0;
    expect([links(await front()), (await front()).includes('class="hint"')]).toEqual([1, false]);
    texts = [];
    expect([links(await front()), (await front()).includes('Nothing is published yet')]).toEqual([0, true]);
    texts = Array.from({ length: 25 }, (_, n) => article(n, { teaser: 'Six of them', publishAt }));
    expect([links(await front()), (await front()).includes('<p class="hint">Six of them</p>')]).toEqual([20, true]);
    expect(new Set(asked)).toEqual(new Set([20]));
    const full = (await page(`${url}/a/text-1`)).text;
    expect(full).toContain('<p class="teaser">Six of them</p>');
    expect(full).toContain('By mo, <time datetime="2026-12-04">2026-12-04</time>');
    expect(full).not.toContain('<aside>');
    texts = [article(1, { revision: 2, body: 'x'.repeat(3_000) })];
    const { text, headers, status } = await page(`${url}/a/text-1`);
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect([text.includes('class="teaser"'), text.includes('<time'), text.includes('By mo<')]).toEqual([
      false,
      false,
      true,
    ]);
    const moved = await page(`${url}/a/before`);
    expect([moved.status, moved.headers.get('location'), moved.headers.get('cache-control')]).toEqual([
      301,
      '/a/text-1',
      'no-cache',
    ]);
  });

  test('a search shows what was found; beside a text stand four others, and the latest ones while the search is away', async () => {
    let texts = Array.from({ length: 9 }, (_, n) => article(n));
    let away: 'nothing' | 'the search' | 'both' = 'nothing';
    let found = texts.map(({ slug, title }) => ({ slug, title, teaser: '' }));
    const asked: [string, number, string][] = [];
    const lists: number[] = [];
    const unavailable = () => new ConnectError('away', Code.Unavailable);
    const { url, errors } = await openGateway((router) =>
      router
        .service(ContentService, {
          find: () => ({ found: { case: 'article', value: article(1) } }),
          list: ({ limit }) => {
            if (away === 'both') throw unavailable();
            lists.push(limit);
            return { articles: texts.slice(0, limit) };
          },
        })
        .service(SearchService, {
          search: ({ words, limit, except }) => {
            if (away !== 'nothing') throw unavailable();
            asked.push([words, limit, except]);
            return { hits: found.slice(0, limit) };
          },
        }),
    );
    const parts = async (path: string) => {
      const { status, text } = await page(`${url}${path}`);
      const margin = path.startsWith('/a/') ? (/<aside>.*<\/aside>/s.exec(text)?.[0] ?? '') : text;
      return {
        status,
        head: /<h2>([^<]+)<\/h2>/.exec(margin)?.[1],
        said: /<p class="(?:meta|hint)">([^<]+)<\/p>/.exec(margin)?.[1],
        notice: text.includes('The search is away'),
        texts: [...margin.matchAll(/href="\/a\/text-(\d)"/g)].map(([, n]) => Number(n)),
        list: margin.includes('<ul'),
      };
    };
    const plain = { status: 200, head: undefined, said: undefined, notice: false, texts: [] as number[], list: false };
    const all = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    expect(await parts('/search?q=')).toEqual({ ...plain, said: 'Type some words above.' });
    expect(asked).toEqual([]);
    expect(await parts('/search?q=kettles')).toEqual({ ...plain, said: '9 found', texts: all, list: true });
    expect(await parts('/a/x')).toEqual({ ...plain, head: 'More like this', texts: [0, 1, 2, 3], list: true });
    expect(asked).toEqual([
      ['kettles', 20, ''],
      ['Text 1', 4, 'id-1'],
    ]);
    found = found.slice(0, 1);
    expect((await parts('/a/x')).texts).toEqual([0]);
    found = [];
    expect(await parts('/a/x')).toEqual(plain);
    expect(await parts('/search?q=kettles')).toEqual({ ...plain, said: '0 found' });
    away = 'the search';
    const latest = { ...plain, notice: true, list: true };
    expect(await parts('/search?q=kettles')).toEqual({ ...latest, texts: all });
    expect(await parts('/a/x')).toEqual({ ...latest, head: 'The latest', texts: [0, 2, 3, 4] });
    expect(lists).toEqual([20, 5]);
    texts = [article(1)];
    expect(await parts('/a/x')).toEqual({ ...latest, head: 'The latest', list: false });
    expect(errors).toEqual([]);
    away = 'both';
    expect(await parts('/a/x')).toEqual({ ...latest, head: 'The latest', list: false });
    expect(errors).toHaveLength(1);
  });

  test('what the search refuses is an answer: it is taken away from nobody', async () => {
    const { url, gateway, errors } = await openGateway((router) =>
      router.service(SearchService, {
        search: () => {
          throw new ConnectError('too many words', Code.InvalidArgument);
        },
      }),
    );
    for (let n = 0; n < 6; n++) {
      const { status, text } = await page(`${url}/search?q=kettles`);
      expect([status, text.includes('too many words')]).toEqual([400, true]);
    }
    expect([gateway.breaker.state, errors]).toEqual(['closed', []]);
  });

  test('a page is as old as cacheMs at most, and a picture is kept for ever', async () => {
    let now = 10_000;
    let asked = 0;
    const { url } = await openGateway(
      (router) =>
        router
          .service(ContentService, {
            find: ({ slug }) => {
              asked += 1;
              if (slug === 'none') return {};
              return {
                found: slug === 'old' ? { case: 'moved', value: 'new' } : { case: 'article', value: article(1) },
              };
            },
          })
          .service(SearchService, { search: () => ({ hits: [] }) })
          .service(MediaService, { download: () => ({ bytes: GIF, type: 'image/gif' }) }),
      { cacheMs: 1_000, now: () => now },
    );
    const times = async (path: string, ...at: number[]) => {
      asked = 0;
      const counts: number[] = [];
      for (now of at) {
        await page(`${url}${path}`);
        counts.push(asked);
      }
      return counts;
    };
    expect(await times('/a/new', 10_000, 10_999, 11_000)).toEqual([1, 1, 2]);
    expect(await times('/a/old', 10_000, 10_999, 11_000)).toEqual([1, 1, 2]);
    expect(await times('/a/none', 10_000, 10_001)).toEqual([1, 2]);
    const { headers } = await page(`${url}/media/x.gif`);
    expect(headers.get('cache-control')).toContain('immutable');
    expect((await page(`${url}/a/new`)).headers.get('cache-control')).toBe('no-cache');
  });

  test('whoever writes is asked for his name first, and is told what became of his text', async () => {
    const asked: [string, object][] = [];
    let stale = false;
    const { url } = await openGateway((router) =>
      router
        .service(UsersService, {
          whoIs: ({ token }) => {
            if (token !== 'of-mo') throw new ConnectError('log in', Code.Unauthenticated);
            return MO;
          },
          login: ({ name, password }) => {
            if (password !== 'right') throw new ConnectError('wrong', Code.Unauthenticated);
            return { token: `of-${name}`, user: MO };
          },
        })
        .service(ContentService, {
          list: ({ user, limit }) => {
            asked.push(['list', { user: user?.name, limit }]);
            return { articles: [article(1)] };
          },
          read: ({ id }) => ({ article: article(1, { id, publishAt: timestampFromDate(new Date(0)) }) }),
          create: ({ user, title, slug }) => {
            asked.push(['create', { user: user?.name, title, slug }]);
            return { article: article(1) };
          },
          edit: ({ user, body }) => {
            asked.push(['edit', { user: user?.name, body }]);
            return { article: article(1) };
          },
          act: ({ user, action, publishAt }) => {
            if (stale) throw new ConnectError('too late, and not how', Code.Aborted);
            asked.push(['act', { user: user?.name, action, at: publishAt && Number(publishAt.seconds) }]);
            return { article: article(1) };
          },
        })
        .service(MediaService, {
          upload: ({ bytes }) => {
            asked.push(['upload', { bytes: bytes.length }]);
            return { id: 'x.gif' };
          },
        }),
    );
    const send = async (method: string, path: string, body?: object | Buffer, token = 'of-mo') => {
      const raw = Buffer.isBuffer(body);
      const { status, text } = await page(`${url}/api${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body && { 'content-type': raw ? 'image/gif' : 'application/json' }),
        },
        ...(body && { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
      });
      return [status, JSON.parse(text)];
    };
    const shown = { slug: 'text-1', title: 'Text 1', body: '', author: 'mo', revision: 1 };
    const calls: readonly (readonly [string, string, (object | Buffer)?])[] = [
      ['GET', '/articles'],
      ['POST', '/articles', { title: 'Kettles', body: '' }],
      ['GET', '/articles/id-1'],
      ['POST', '/articles/id-1', { revision: 1, body: 'x' }],
      ['POST', '/articles/id-1/submit', { revision: 1 }],
      ['POST', '/media', GIF],
    ];
    for (const [method, path, body] of calls) {
      expect(await send(method, path, body, 'made-up'), path).toEqual([401, { error: 'log in' }]);
    }
    expect(asked).toEqual([]);
    const said: unknown[] = [];
    for (const [method, path, body] of calls) said.push(await send(method, path, body));
    expect(said).toMatchObject([
      [200, [shown]],
      [201, shown],
      [200, { ...shown, publishAt: '1970-01-01T00:00:00.000Z' }],
      [200, shown],
      [200, shown],
      [201, { id: 'x.gif', url: '/media/x.gif' }],
    ]);
    const later = { revision: 1, publishAt: '2027-01-01T01:00:00+01:00' };
    expect((await send('POST', '/articles/id-1/schedule', later))[0]).toBe(200);
    expect(asked).toEqual([
      ['list', { user: 'mo', limit: 100 }],
      ['create', { user: 'mo', title: 'Kettles', slug: '' }],
      ['edit', { user: 'mo', body: 'x' }],
      ['act', { user: 'mo', action: 'submit', at: undefined }],
      ['upload', { bytes: GIF.length }],
      ['act', { user: 'mo', action: 'schedule', at: Date.UTC(2027, 0) / 1_000 }],
    ]);
    stale = true;
    expect(await send('POST', '/articles/id-1/submit', { revision: 1 })).toEqual([
      409,
      { error: 'too late, and not how' },
    ]);
    expect(await send('POST', '/media', { no: 'picture' })).toEqual([201, { id: 'x.gif', url: '/media/x.gif' }]);
    expect(asked.at(-1)).toEqual(['upload', { bytes: 0 }]);
    expect(await send('POST', '/login', { name: 'mo', password: 'right' })).toEqual([200, { token: 'of-mo', ...MO }]);
    expect((await send('POST', '/login', { name: 'mo', password: 'wrong' }))[0]).toBe(401);
    expect((await send('POST', '/articles/id-1', { revision: 2 ** 31 }))[0]).toBe(400);
  });

  test('a gateway that leaves answers who has begun to ask, and waits for nobody who never ends', async () => {
    const { url, gateway } = await openGateway(() => {}, { requestMs: 100 });
    const port = Number(new URL(url).port);
    const ask = async () => {
      const socket = connect(port, '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      socket.write('GET /desk.js HTTP/1.1\r\nHost: x\r\n');
      return socket;
    };
    const [slow, never] = [await ask(), await ask()];
    const ended = once(never, 'close');
    // Those before have been heard by then.
    expect((await page(`${url}/style.css`)).headers.get('connection')).toBe('keep-alive');
    const left = gateway[Symbol.asyncDispose]();
    await until(async () => (await outcome(fetch(url))).error !== undefined, { what: 'the door to be closed' });
    slow.write('\r\n');
    const answer = await textOf(slow);
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer).toMatch(/^connection: close\r$/im);
    expect((await outcome(left, 8_000)).error).toBeUndefined();
    expect((await outcome(ended)).error).toBeUndefined();
  });

  // ── the index ──

  test('what OpenSearch says of a document decides whether it is in, refused or told again', async () => {
    let items: readonly object[] = [];
    let whole: readonly [status: number, said: object] | undefined;
    let asked = 0;
    const index = await indexBefore((path, body) => {
      if (!path.includes('_bulk')) return [200, {}];
      asked += 1;
      if (whole && body.includes('"bad"')) return whole;
      return [200, { items: whole ? [{ index: { status: 201 } }] : items }];
    });
    const put = async (...ids: string[]) => outcome(index.put(ids.map(asDocument)));
    const item = async (status?: number, type?: string, reason?: string) => {
      items = [status === undefined ? {} : { index: { status, ...(type && { error: { type, reason } }) } }];
      const { value, error } = await put('a');
      return error instanceof lab.UnavailableError ? 'again' : (value?.refusals ?? error);
    };
    expect(await item(200)).toEqual(['']);
    expect(await item(201)).toEqual(['']);
    expect(await item(404)).toEqual(['']);
    expect(await item(409, 'version_conflict_engine_exception', 'newer')).toEqual(['']);
    expect(await item(400, 'mapper_parsing_exception', 'no date')).toEqual(['mapper_parsing_exception: no date']);
    expect(await item(400, 'mapper_parsing_exception', 'x'.repeat(600))).toEqual([
      `mapper_parsing_exception: ${'x'.repeat(474)}`,
    ]);
    expect(await item(400)).toEqual(['400: ']);
    const passing: readonly (readonly [number?, string?])[] = [
      [],
      [300],
      [404, 'index_not_found_exception'],
      [400, 'index_closed_exception'],
      [400, 'validation_exception'],
      [403, 'cluster_block_exception'],
      [410],
      [429, 'rejected_execution_exception'],
      [503],
    ];
    for (const [status, type] of passing) expect([status, await item(status, type)]).toEqual([status, 'again']);
    // What is refused as a whole is told one by one.
    for (const status of [400, 413]) {
      whole = [status, { error: { type: 'too_large', root_cause: [{ type: 'x', reason: 'x'.repeat(600) }] } }];
      const { refusals } = (await put('good', 'bad')).value ?? {};
      expect([status, refusals?.[0], refusals?.[1]?.length]).toEqual([status, '', 500]);
    }
    // And what is no answer is asked for once.
    whole = [503, {}];
    asked = 0;
    expect([(await put('good', 'bad')).error, asked]).toEqual([expect.any(lab.UnavailableError), 1]);
    expect(await index.put([])).toEqual({ refusals: [], missing: false });
    expect(asked).toBe(1);
  });

  test('an index that somebody else makes at the same time is made, and one that cannot be made is an error', async () => {
    let exists = 404;
    let type = 'resource_already_exists_exception';
    const index = await indexBefore((path) => {
      if (path.startsWith('HEAD')) return [exists, {}];
      if (path.startsWith('PUT') && !path.includes('_bulk')) return [400, { error: { type } }];
      const sources = [
        { slug: 'a', title: 'A', teaser: 'of a' },
        { slug: 'b', title: 'B', teaser: 5 },
        { slug: 'c' },
        { title: 'D' },
        null,
        'e',
        undefined,
      ];
      return [200, { hits: { hits: sources.map((_source) => ({ _source })) }, items: [{ index: { status: 201 } }] }];
    });
    expect((await outcome(index.prepare())).error).toBeUndefined();
    expect(await index.put([asDocument('a')], true)).toEqual({ refusals: [''], missing: false });
    expect(await index.put([asDocument('a')])).toEqual({ refusals: [], missing: true });
    type = 'validation_exception';
    expect((await outcome(index.prepare())).error).toBeInstanceOf(lab.UnavailableError);
    expect((await outcome(index.put([asDocument('a')], true))).error).toBeInstanceOf(lab.UnavailableError);
    exists = 200;
    expect((await outcome(index.prepare())).error).toBeUndefined();
    // Of what others have put there it shows what it can.
    expect(await index.search('a', 5)).toEqual([
      { slug: 'a', title: 'A', teaser: 'of a' },
      { slug: 'b', title: 'B', teaser: '' },
    ]);
  });

  // ── the relay ──

  const note = (position: number, letters: number, id = `id-${position}`, of: object = {}): lab.Note => ({
    position: String(position),
    trace: of,
    article: {
      ...TEXT,
      id,
      slug: id,
      body: 'x'.repeat(letters),
      state: 'published',
      revision: 1,
      author: 'mo',
      publishAt: undefined,
    },
  });
  /** A relay, and what it has done. */
  function relayOf(o: Partial<lab.RelayOptions> & { refusals?: string[]; missing?: boolean } = {}) {
    const { refusals = [], missing = false, ...more } = o;
    let waiting: lab.Note[] = [];
    const done: unknown[] = [];
    const relay = new lab.Relay({
      store: {
        waiting: async (limit) => waiting.slice(0, limit),
        told: async (positions, refused) => {
          await Promise.resolve();
          done.push(['told', positions, Object.fromEntries(refused)]);
          waiting = waiting.filter(({ position }) => !positions.includes(position));
        },
        noteAll: async () => {
          // Longer than what follows, for whoever does not wait.
          await setImmediate();
          done.push('noted all');
        },
      },
      put: async (documents, make) => {
        await Promise.resolve();
        done.push(['put', documents.map(({ id }) => id), make]);
        return missing && !make ? { refusals: [], missing } : { refusals, missing: false };
      },
      ...more,
    });
    const round = async (...notes: lab.Note[]) => {
      waiting.push(...notes);
      done.length = 0;
      return [await relay.round(), ...done];
    };
    return { round };
  }

  test('a relay tells as much as one message holds, and asks now and then where there is nothing to tell', async () => {
    const { round } = relayOf();
    expect(await round(), 'the first time').toEqual([0, ['put', [], false], ['told', [], {}]]);
    expect(await round(), 'soon after').toEqual([0]);
    const notes = [note(1, 400_000), note(2, 400_000), note(3, 1), note(4, 900_000), note(5, 1)];
    expect(await round(...notes)).toEqual([2, ['put', ['id-1', 'id-2'], false], ['told', ['1', '2'], {}]]);
    expect(await round()).toEqual([1, ['put', ['id-3'], false], ['told', ['3'], {}]]);
    expect(await round(), 'more than fits, on its own').toEqual([1, ['put', ['id-4'], false], ['told', ['4'], {}]]);
    expect(await round()).toEqual([1, ['put', ['id-5'], false], ['told', ['5'], {}]]);
    expect(await round()).toEqual([0]);
    const refused = relayOf({ refusals: ['poison', ''] });
    expect(await refused.round(note(1, 1, 'a'), note(2, 1, 'b'), note(3, 1, 'a'))).toEqual([
      3,
      ['put', ['a', 'b'], false],
      ['told', ['1', '2', '3'], { 1: 'poison', 3: 'poison' }],
    ]);
    const lost = relayOf({ missing: true });
    expect(await lost.round(note(1, 1, 'a'))).toEqual([
      1,
      ['put', ['a'], false],
      'noted all',
      ['put', ['a'], true],
      ['told', ['1'], {}],
    ]);
    for (const notes of [[], [note(1, 1)]]) {
      const failing = relayOf({ put: async () => Promise.reject(new Error('away')) });
      expect((await outcome(failing.round(...notes))).error).toEqual(new Error('away'));
    }
    const draft = { ...note(1, 1).article, state: 'draft' } as const;
    expect(lab.documentOf(draft)).toMatchObject({ live: false, body: '' });
    expect(lab.documentOf({ ...draft, state: 'published' })).toMatchObject({ live: true, body: 'x' });
  });

  test('a batch goes on with the trace of its oldest note, names those of the others, and says that it failed', async () => {
    const spans: ReadableSpan[] = [];
    const exporter: SpanExporter = {
      export: (some, done) => {
        spans.push(...some);
        done({ code: 0 });
      },
      shutdown: async () => {},
    };
    const tracing = provide({ service: 'relay', exporter });
    onTestFinished(() => tracing.close().then(() => trace.disable()));
    const of = (digit: string) => ({ traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-01` });
    const { round } = relayOf();
    await round(note(1, 1, 'a', of('a')), note(2, 1, 'b', {}), note(3, 1, 'c', of('c')));
    const failing = relayOf({ put: async () => Promise.reject(new RangeError('away')) });
    expect((await outcome(failing.round(note(4, 1, 'd', of('d'))))).error).toBeInstanceOf(RangeError);
    await tracing.flush();
    const relays = spans.map(({ name, attributes, parentSpanContext, links, status }) => {
      const size = attributes['messaging.batch.message_count'];
      return [name, size, parentSpanContext?.traceId, links.map(({ context }) => context.traceId), status.code];
    });
    expect(relays).toEqual([
      ['relay', 3, 'a'.repeat(32), ['c'.repeat(32)], SpanStatusCode.UNSET],
      ['relay', 1, 'd'.repeat(32), [], SpanStatusCode.ERROR],
    ]);
  });

  test('what is repeated pauses when there is nothing to do or it has failed, and ends after what is under way', async () => {
    const count = { busy: 0, idle: 0, failing: 0 };
    const errors: unknown[] = [];
    const go = Promise.withResolvers<void>();
    const order: string[] = [];
    const run = (everyMs: number, work: () => Promise<number>) => {
      const running = lab.repeat(everyMs, work, (error) => errors.push(error));
      onTestFinished(() => running[Symbol.asyncDispose]());
      return running;
    };
    run(60_000, async () => (count.idle++ < 2 ? 1 : 0));
    run(60_000, async () => {
      count.failing += 1;
      throw new Error('away');
    });
    const busy = run(1, async () => {
      if (++count.busy > 20) await go.promise;
      if (count.busy > 20) order.push('what was under way');
      return 0;
    });
    await until(() => count.busy > 20, { what: 'twenty rounds of the third' });
    expect([count.idle, count.failing, errors]).toEqual([3, 1, [new Error('away')]]);
    const ended = busy[Symbol.asyncDispose]().then(() => order.push('the rounds'));
    go.resolve();
    await ended;
    expect([order, count.busy]).toEqual([['what was under way', 'the rounds'], 21]);
  });

  // ── services ──

  test('a picture is kept whole or not at all, and what cannot be read is not what is not there', async () => {
    const root = await ownFolder();
    const media = new lab.MediaStore(join(root, 'deep/er'));
    const id = await media.put(GIF);
    expect([await media.put(GIF), await readdir(join(root, 'deep/er'))]).toEqual([id, [id]]);
    expect(await media.get(id)).toEqual({ bytes: GIF, type: 'image/gif' });
    // Whoever is told its address finds all of it, of the largest ones too.
    for (let n = 0; n < 5; n++) {
      const { bytes } = await media.get(await media.put(Buffer.concat([GIF], 2 ** 20 - n)));
      expect(bytes.length).toBe(2 ** 20 - n);
    }
    const other = id.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    for (const none of [other, 'x', `${id}.png`, '../x.gif']) {
      expect((await outcome(media.get(none))).error, none).toBeInstanceOf(lab.NotFoundError);
    }
    await mkdir(join(root, 'deep/er', other));
    expect((await outcome(media.get(other))).error).toMatchObject({ code: 'EISDIR' });
    // In the place where it is to be is something else.
    const taken = new lab.MediaStore(join(root, 'taken'));
    await mkdir(join(root, 'taken', id, 'full'), { recursive: true });
    expect((await outcome(taken.put(GIF))).error).toMatchObject({ syscall: 'rename' });
    expect(await readdir(join(root, 'taken'))).toEqual([id]);
  });

  test('a service tells a stranger nothing of its own faults, and takes no user without a name or a role', async () => {
    const root = await ownFolder();
    await writeFile(join(root, 'file'), '');
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    await using broken = await lab.serveMedia({ folder: join(root, 'file/x'), onError });
    await using away = await lab.serveSearch({ opensearch: 'http://127.0.0.1:1', onError });
    await using content = await lab.serveContent({
      database: (await place()).database,
      search: ['http://127.0.0.1:1'],
      onError: () => {},
    });
    using nodes = lab.openNodes([broken.url]);
    using searches = lab.openNodes([away.url]);
    using contents = lab.openNodes([content.url]);
    const media = createClient(MediaService, nodes.transport);
    const refusal = async (call: Promise<unknown>) => {
      const { error } = await outcome(call, 5_000);
      return error instanceof ConnectError ? [Code[error.code], error.rawMessage] : error;
    };
    expect(await refusal(media.upload({ bytes: GIF }))).toEqual(['Internal', 'Something went wrong here.']);
    expect(errors).toMatchObject([{ code: 'ENOTDIR' }]);
    expect(await refusal(media.download({ id: 'x' }))).toEqual(['NotFound', 'There is no picture "x".']);
    expect(errors).toHaveLength(1);
    const search = createClient(SearchService, searches.transport);
    expect(await refusal(search.search({ words: 'x', limit: 5 }))).toMatchObject(['Unavailable', /OpenSearch/]);
    expect(errors).toMatchObject([{}, { name: 'UnavailableError' }]);
    const texts = createClient(ContentService, contents.transport);
    for (const user of [
      undefined,
      { name: '', role: 'editor' },
      { name: 'x', role: '' },
      { name: 'x', role: 'admin' },
    ]) {
      expect(await refusal(texts.create({ ...TEXT, ...(user && { user }) }))).toMatchObject([
        'InvalidArgument',
        /^user is/,
      ]);
    }
    for (const role of ['author', 'editor']) {
      const slug = `by-an-${role}`;
      const { article: made } = await texts.create({ ...TEXT, slug, user: { name: 'x', role } });
      expect(made).toMatchObject({ slug, state: 'draft', author: 'x' });
    }
    expect((await texts.create({ ...TEXT, user: MO })).article?.slug).toBe('kettles-compared');
    expect((await texts.find({ slug: 'by-an-author' })).found.case).toBeUndefined();
    expect((await texts.list({ limit: 5, user: LI })).articles).toHaveLength(3);
    expect((await texts.list({ limit: 5 })).articles).toEqual([]);
  });

  test('what may be done twice is asked of another node, and where all are away the call says so', async () => {
    const sockets = new Set<Socket>();
    const resets = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('data', () => socket.resetAndDestroy());
    });
    const lost = `http://127.0.0.1:${await listen(resets)}`;
    await using here = await lab.serveMedia({ folder: await ownFolder(), onError: () => {} });
    using nodes = lab.openNodes([lost, here.url]);
    const media = createClient(MediaService, nodes.transport);
    const { id } = await media.upload({ bytes: GIF });
    expect(sockets.size, 'the first node was asked').toBeGreaterThan(0);
    for (let n = 0; n < 3; n++) expect((await media.download({ id })).type).toBe('image/gif');
    expect((await outcome(media.download({ id: 'x' }))).error).toMatchObject({ code: Code.NotFound });
    using none = lab.openNodes(['http://127.0.0.1:1', 'http://127.0.0.1:2']);
    const { error } = await outcome(createClient(MediaService, none.transport).upload({ bytes: GIF }), 5_000);
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(String(error)).toMatch(/127\.0\.0\.1:1\b/);
  });
});
