import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:http2';
import { createServer, connect as dial } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import * as lab from '#lab';
import {
  type Article as ArticleMessage,
  ContentService,
  MediaService,
  ArticleSchema as NewArticle,
  SearchService,
  UsersService,
} from '../src/cms/v1/cms_pb.ts';
import { startCollector } from './collector.ts';
import { type Article, ArticleSchema as OldArticle, ContentService as OldContent } from './old/cms/v1/cms_pb.ts';
import { serveOld } from './old/node.ts';
import { NOWHERE, openSite, post } from './site.ts';
import { LI, MO, openBench, openGateway, ownFolder, page, staff, TEXT, textIn } from './support.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261_204);
const HOUR = 3_600_000;
const AN: lab.User = { name: 'an', role: 'editor' };
const ACTIONS = ['edit', 'submit', 'return', 'schedule', 'publish', 'unpublish'] as const;

// On a machine that is busy a law takes many times what it takes alone.
vi.setConfig({ testTimeout: 20_000 });

/** Takes connections, and says nothing. */
async function openHung() {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {})));
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { sockets, url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
}

// Whatever needs no search has none: see search.test.ts.
await describeWith('cms', { postgres: () => startPostgres() }, ({ postgres }) => {
  const { pool, open, site } = openBench(postgres);

  // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a text goes from draft by review to print, and nothing else can be done with it', async () => {
    const { store } = await open();
    const source = random(SEED);
    // Said once more, and in another form than in src.
    const life: Readonly<Record<lab.State, readonly string[]>> = {
      draft: ['edit draft', 'submit review'],
      review: ['edit review', 'return draft', 'schedule scheduled', 'publish published'],
      scheduled: ['return draft', 'publish published'],
      published: ['edit published', 'unpublish draft'],
    };
    const walked: string[] = [];
    let article = await textIn(store, 'draft');
    for (let n = 0; n < 80; n++) {
      const action = source.pick(ACTIONS);
      const user = action === 'submit' ? MO : LI;
      const { id, revision, state } = article;
      const said = await outcome(
        action === 'edit'
          ? store.edit(id, revision, { body: `${n}` }, user)
          : store.act(id, revision, action, user, new Date()),
      );
      walked.push(`${state}: ${action} → ${said.value?.state ?? String(said.error)}`);
      const to = life[state].find((each) => each.startsWith(action))?.split(' ')[1];
      if (to === undefined) {
        expect(said.error, walked.slice(-3).join('\n')).toBeInstanceOf(lab.IllegalTransitionError);
        const possible = life[state].map((each) => each.split(' ')[0] ?? '');
        for (const each of possible) expect(String(said.error), 'what could be done instead').toContain(each);
      } else expect(said.value?.state, walked.slice(-3).join('\n')).toBe(to);
      article = said.value ?? article;
    }
    expect(await store.read(article.id, LI)).toEqual(article);
  });

  test('nobody publishes what he has written himself, an editor neither', async () => {
    const { store } = await open();
    const own = await store.create(LI, TEXT);
    const { id } = await store.act(own.id, 1, 'submit', LI);
    for (const action of ['publish', 'schedule', 'return'] as const) {
      for (const user of [LI, MO]) {
        const { error } = await outcome(store.act(id, 2, action, user, new Date()));
        expect(error, `${user.name}: ${action}`).toBeInstanceOf(lab.ForbiddenError);
      }
    }
    expect((await store.act(id, 2, 'publish', AN)).state).toBe('published');
    // What is in print can't be written anew by its author alone either.
    expect((await outcome(store.edit(id, 3, { body: 'x' }, LI))).error).toBeInstanceOf(lab.ForbiddenError);
    const draft = await textIn(store, 'draft');
    const stranger = await outcome(store.edit(draft.id, 1, { body: 'x' }, { name: 'wu', role: 'author' }));
    expect(stranger.error).toBeInstanceOf(lab.ForbiddenError);
  });

  test('an edit of what somebody has changed meanwhile is refused, and says what has changed', async () => {
    const { store } = await open();
    const { id } = await textIn(store, 'draft');
    const first = await store.edit(id, 1, { body: 'the paragraph of li' }, LI);
    const { error } = await outcome(store.edit(id, 1, { body: 'the paragraph of mo', title: 'Kettles' }, MO));
    expect(error, 'mo has seen revision 1, and li has written revision 2').toBeInstanceOf(lab.StaleEditError);
    expect(error).toMatchObject({ changed: ['body'], current: first });
    expect((await store.read(id, MO)).body).toBe('the paragraph of li');
    // Two at once: one of them.
    const both = await Promise.all(['x', 'y'].map((body) => outcome(store.edit(id, 2, { body }, MO))));
    expect(both.filter(({ value }) => value !== undefined)).toHaveLength(1);
    // Approved was what the editor had read.
    const third = await store.act(id, 3, 'submit', MO);
    const blind = await outcome(store.act(id, third.revision - 1, 'publish', LI));
    expect(blind.error, 'published as it stood before its last change').toBeInstanceOf(lab.StaleEditError);
  });

  test('an address that was moved leads to where the text is now in one step, back again too, and a reused one is the new text’s', async () => {
    const { store } = await open();
    let article = await textIn(store, 'published', { slug: 'a' });
    const move = async (slug: string) => {
      article = await store.edit(article.id, article.revision, { slug }, LI);
    };
    const where = async (...slugs: string[]) =>
      Promise.all(
        slugs.map(async (slug) => {
          const found = await store.find(slug);
          if (found === undefined) return `${slug}: nothing`;
          if ('moved' in found) return `${slug}: moved to ${found.moved}`;
          return `${slug}: ${found.article.id === article.id ? 'the text' : 'the new text'}`;
        }),
      );
    await move('b');
    await move('c');
    expect(await where('a', 'b', 'c')).toEqual(['a: moved to c', 'b: moved to c', 'c: the text']);
    expect(await store.find('c')).toEqual({ article });
    await move('a');
    expect(await where('a', 'b', 'c')).toEqual(['a: the text', 'b: moved to a', 'c: moved to a']);
    const other = await textIn(store, 'published', { slug: 'b' });
    expect(await where('a', 'b', 'c')).toEqual(['a: the text', 'b: the new text', 'c: moved to a']);
    const taken = await outcome(store.edit(other.id, other.revision, { slug: 'a' }, LI));
    expect(taken.error, 'the new text asks for the address at which the first one is').toBeInstanceOf(
      lab.SlugTakenError,
    );
    expect(await where('a', 'b')).toEqual(['a: the text', 'b: the new text']);
  });

  test('what is due is published once, whichever of two nodes looks, by the clock of the database', async () => {
    const { store, second, own } = await open();
    const due = await textIn(store, 'scheduled');
    const later = await textIn(store, 'scheduled', {}, new Date(Date.now() + HOUR));
    // The nodes' own clock is a day ahead.
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 24 * HOUR);
    onTestFinished(() => clock.mockRestore());
    const held = await own.connect();
    await held.query('BEGIN');
    await held.query('SELECT FROM cms_articles WHERE id = $1 FOR UPDATE', [due.id]);
    // Both have looked while the row was somebody's: either they wait for it, or they have left it alone.
    let settled = 0;
    const looks = [store, second].map((node) => node.publishDue().finally(() => settled++));
    await until(async () => {
      const { rows } = await pool.query(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
      );
      return rows.length + settled >= 2;
    });
    await held.query('COMMIT');
    held.release();
    const rounds = [...(await Promise.all(looks)), await store.publishDue(), await second.publishDue()];
    const said = rounds.flat().map(({ id, state }) => `${id === due.id ? 'the due one' : 'the later one'}: ${state}`);
    expect(said, 'what four looks have published').toEqual(['the due one: published']);
    expect(await store.read(due.id, LI)).toMatchObject({ state: 'published', revision: due.revision + 1 });
    expect(await store.read(later.id, LI)).toEqual(later);
  });

  test('a text and its note for the index are written together, or neither is', async () => {
    const { store, own } = await open();
    await own.query(`
      CREATE FUNCTION doomed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
      CREATE CONSTRAINT TRIGGER doomed AFTER INSERT ON cms_articles DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (new.title = 'doomed') EXECUTE FUNCTION doomed()`);
    await outcome(store.create(MO, { ...TEXT, title: 'doomed' }));
    expect(await store.waiting(10), 'notes of a text that was never written').toEqual([]);
    const article = await textIn(store, 'published');
    const notes = await store.waiting(10);
    expect(notes, 'a note each that it was written, submitted and published').toHaveLength(3);
    expect(notes.map((note) => note.article)).toEqual([article, article, article]);
    // xmin: the transaction that wrote the row.
    const { rows } = await own.query<{ together: boolean }>(
      'SELECT a.xmin = o.xmin AS together FROM cms_articles a, cms_outbox o ORDER BY position DESC LIMIT 1',
    );
    expect(rows, 'one transaction wrote both').toEqual([{ together: true }]);
  });

  test('a picture is what its bytes say, and nothing else is taken', async () => {
    const folder = await ownFolder();
    const media = new lab.MediaStore(folder);
    const refuse = (error: unknown) => {
      throw error instanceof lab.CmsError ? new ConnectError(error.message, error.code) : error;
    };
    const { url } = await openGateway((router) =>
      router.service(UsersService, { whoIs: () => MO }).service(MediaService, {
        upload: async ({ bytes }) => ({ id: await media.put(bytes).catch(refuse) }),
        download: async ({ id }) => {
          const { bytes, type } = await media.get(id);
          return { bytes: new Uint8Array(bytes), type };
        },
      }),
    );
    const upload = (bytes: Buffer | string, type: string) =>
      fetch(`${url}/api/media`, {
        method: 'POST',
        headers: { 'content-type': type, authorization: 'Bearer of-mo' },
        body: Buffer.from(bytes),
      });
    const pictures: readonly (readonly [string, string])[] = [
      ['\x89PNG\r\n\x1a\n0000', 'image/png'],
      ['\xff\xd8\xff\xe00000', 'image/jpeg'],
      ['GIF89a000000', 'image/gif'],
      ['RIFF\x00\n\x00\x00WEBPVP8 ', 'image/webp'],
    ];
    for (const [bytes, type] of pictures) {
      // Whatever the browser says of it.
      const answer = await upload(Buffer.from(bytes, 'latin1'), 'image/gif');
      expect(answer.status, type).toBe(201);
      const { url: path } = Object(await answer.json());
      const got = await fetch(`${url}${path}`);
      const said = [got.headers.get('content-type'), got.headers.get('x-content-type-options')];
      expect(said, JSON.stringify(bytes)).toEqual([type, 'nosniff']);
      expect(Buffer.from(await got.arrayBuffer()).toString('latin1')).toBe(bytes);
      expect(got.headers.get('content-security-policy')).toContain('sandbox');
    }
    const others = [
      '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
      '<html><!-- GIF89a --><script>alert(1)</script>',
      '<!-- \x89PNG\r\n\x1a\n --><script>',
      'GIF',
      'RIFF0000AVI ',
      '',
    ];
    for (const bytes of others) {
      const answer = await upload(Buffer.from(bytes, 'latin1'), 'image/png');
      expect([bytes, answer.status]).toEqual([bytes, 400]);
    }
    expect(await readdir(folder), 'what was refused is not there').toHaveLength(pictures.length);
  }, 20_000);

  test('what a stranger typed stays text: nothing in it runs, loads or leads to a script', async () => {
    const picture = `/media/${'0'.repeat(64)}.png`;
    const hostile = [
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      '<a href="javascript:alert(1)">a</a>',
      '<a href="&#106;ava&#x0A;script:alert(1)" onclick=alert(1)>b</a>',
      '<svg><a xlink:href="javascript:alert(1)"><text>c</text></a></svg>',
      '<svg/onload=alert(1)>',
      '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>',
      '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
      '<scr<script>ipt>alert(1)</script>',
      '<p style="background:url(https://spy.example/a)">d</p>',
      '<img src="//spy.example/a.png"><img src="https://spy.example/a.png">',
      '<a href="data:text/html,<script>alert(1)</script>">e</a>',
      '<form action="https://spy.example"><input name=password></form>',
      '<a href="//spy.example/f">f</a>',
      '<base href="https://spy.example/"><meta http-equiv=refresh content="0;url=https://spy.example">',
    ];
    const kept = `<h2>Six</h2><p>One <strong>boils</strong>. <a href="https://example.org/k">more</a></p><img src="${picture}" alt="a kettle">`;
    const title = '"><script>alert(1)</script>';
    const body = `${kept}${hostile.join('\n')}`;
    const value = create(NewArticle, { id: 'a', slug: 'six', title, teaser: title, body, author: title, revision: 1 });
    const { url } = await openGateway((router) =>
      router
        .service(ContentService, { find: () => ({ found: { case: 'article', value } }) })
        .service(SearchService, { search: () => ({ hits: [{ slug: 'other', title, teaser: title }] }) }),
    );
    const { status, text, headers } = await page(`${url}/a/six`);
    expect(status, text).toBe(200);
    const article = /<article>(.*)<\/article>/s.exec(text)?.[1] ?? '';
    // As a browser would: what is a tag, and what its attributes are. Their values have no "<" in them.
    const tags = [...article.matchAll(/<([a-z0-9]+)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)\s*\/?>/gi)];
    const opened = article.match(/<[^/]/g) ?? [];
    expect(tags, `each "<" begins a tag that this law can read: ${article}`).toHaveLength(opened.length);
    const names = new Set(tags.map(([, name]) => name));
    for (const bad of ['script', 'svg', 'math', 'iframe', 'style', 'form', 'input', 'base', 'meta'])
      expect(names).not.toContain(bad);
    const attributes = tags.flatMap(([, , all = '']) =>
      [...all.matchAll(/([a-z-]+)="([^"]*)"/gi)].map(([, key, value]) => [key, value]),
    );
    expect(attributes.filter(([key]) => /^(on|style|srcdoc|xlink)/.test(key ?? ''))).toEqual([]);
    const targets = attributes.filter(([key]) => key === 'href' || key === 'src').map(([, value]) => value);
    expect(targets).toEqual(['https://example.org/k', picture]);
    expect(article).toContain('<strong>boils</strong>');
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';(?!.*script-src)/);
    const asked = await page(`${url}/search?q=${encodeURIComponent(title)}`);
    for (const [where, html] of Object.entries({ 'the margin': text, 'what is searched for, and found': asked.text }))
      expect(html, where).not.toContain('<script>alert');
  });

  test('while the search is away each page is served, with a notice, and the search comes back by itself', async () => {
    let search: 'is well' | 'refuses' | 'hangs' = 'is well';
    const texts = [1, 2, 3].map((n) => create(NewArticle, { id: `${n}`, slug: `text-${n}`, title: 'Toasters' }));
    const limits = {
      requestMs: 3_000,
      searchMs: 50,
      breaker: { window: { type: 'count', size: 5 }, openMs: 50 },
    } as const;
    const { url, gateway } = await openGateway(
      (router) =>
        router
          .service(ContentService, {
            find: ({ slug }) => {
              const value = texts.find((each) => each.slug === slug);
              return value === undefined ? {} : { found: { case: 'article', value } };
            },
            list: ({ limit }) => ({ articles: texts.slice(0, limit) }),
          })
          .service(SearchService, {
            search: async ({ except }, { signal }) => {
              if (search === 'refuses') throw new ConnectError('closed today', Code.Unavailable);
              if (search === 'hangs') await once(signal, 'abort');
              return { hits: texts.filter(({ id }) => id !== except).map(({ slug, title }) => ({ slug, title })) };
            },
          }),
      limits,
    );
    const served = async (path: string) => {
      const { status, text } = await page(`${url}${path}`);
      return { status, notice: text.includes('The search is away'), texts: text.match(/href="\/a\//g)?.length };
    };
    const paths = { '/a/text-1': 2, '/search?q=toasters': 3 };
    // On a machine that is busy it may be late, and then the gateway leaves it alone for a moment.
    const well = async () => {
      for (const [path, count] of Object.entries(paths))
        await until(
          async () => {
            const { notice, texts } = await served(path);
            return !notice && texts === count;
          },
          { timeoutMs: 10_000, what: `the search to be back at ${path}` },
        );
    };
    await well();
    // Where it refuses, a page that needs it is an error at once; where it hangs, only when its time is over.
    for (search of ['refuses', 'hangs'] as const) {
      for (let n = 0; n < 6; n++) {
        for (const [path, count] of Object.entries(paths))
          expect(await served(path), `${path}, and the search ${search}`).toEqual({
            status: 200,
            notice: true,
            texts: count,
          });
      }
      const margin = (await page(`${url}/a/text-1`)).text.split('</article>')[1];
      expect(margin, 'others stand beside a text, and not itself').not.toContain('href="/a/text-1"');
      expect(gateway.breaker.state, 'whoever is away is not asked each time').not.toBe('closed');
      search = 'is well';
      await well();
    }
  }, 40_000);

  // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a service starts as a process from its environment, says what is missing, and leaves on SIGTERM', async () => {
    const { stores } = await open();
    // An exercise has none of its own.
    const ours = join(import.meta.dirname, '../src/main.ts');
    const theirs = resolve(dirname(process.env['LAB_IMPL'] ?? ours), 'main.ts');
    const main = existsSync(theirs) ? theirs : ours;
    // It ends with us, too.
    const bound = 'data:text/javascript,process.stdin.on("close",()=>process.exit(9)).resume()';
    const start = (name: string, env: NodeJS.ProcessEnv) => {
      const args = ['--import', bound, main, name];
      const { PATH, NODE_COMPILE_CACHE } = process.env;
      return spawn(process.execPath, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { PATH, NODE_COMPILE_CACHE, ...env },
      });
    };
    await using collector = await startCollector();
    const child = start('media', { FOLDER: stores.folder, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const line = once(createInterface({ input: child.stdout }), 'line');
    const { sockets, url: hung } = await openHung();
    const front = start('gateway', { CONTENT: hung, SEARCH: NOWHERE, MEDIA: NOWHERE, USERS: NOWHERE });
    const frontLine = once(createInterface({ input: front.stdout }), 'line');
    const wrong: readonly (readonly [string, NodeJS.ProcessEnv, string])[] = [
      ['printer', {}, '"printer" is no service: content, search, media, users, gateway.'],
      ['media', {}, 'FOLDER is not set: media needs it.'],
    ];
    await Promise.all(
      wrong.map(async ([name, env, words]) => {
        const refused = start(name, env);
        const [said, [code]] = await Promise.all([new Response(refused.stderr).text(), once(refused, 'exit')]);
        expect([code, said.includes(words)], said).toEqual([1, true]);
      }),
    );
    const [url] = await line;
    expect(Number(new URL(String(url)).port), 'one that is free').toBeGreaterThan(1);
    using nodes = lab.openNodes([String(url)]);
    const media = createClient(MediaService, nodes.transport);
    const { id } = await media.upload({ bytes: Buffer.from('GIF89a......') });
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    expect((await media.download({ id }, { headers: { traceparent } })).type).toBe('image/gif');
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await gone).toEqual([0, null]);
    expect(
      collector.tree('a'.repeat(32)).map(({ span }) => span.name),
      'told before it left',
    ).toEqual(['Download']);
    // Whoever has asked is answered, be it that the text can't be had.
    const frontUrl = String((await frontLine)[0]);
    const asked = outcome(page(frontUrl), 10_000);
    await until(() => sockets.size > 0, { what: 'the content service to be asked' });
    const frontGone = once(front, 'exit');
    front.kill('SIGTERM');
    await until(async () => (await outcome(fetch(`${frontUrl}/style.css`))).error !== undefined, {
      what: 'it to leave',
    });
    for (const socket of sockets) socket.destroy();
    expect([503, 504]).toContain((await asked).value?.status);
    expect(await frontGone).toEqual([0, null]);
  }, 40_000);

  test('a node of the release before and one of this release serve side by side, and an old edit keeps the new field', async () => {
    const { stores, store } = await open();
    const onError = () => {};
    await using house = await openSite(lab, stores);
    using newer = lab.openNodes(house.urls.content);
    // An old gateway has the contract of before.
    const old = createClient(OldContent, newer.transport);
    const draft = await textIn(store, 'draft', { teaser: 'Six of them' });
    const { article } = await old.edit({ user: MO, id: draft.id, revision: 1, body: 'changed' });
    expect(article).toMatchObject({ body: 'changed', title: draft.title } satisfies Partial<Article>);
    expect(await store.read(draft.id, MO)).toMatchObject({ teaser: 'Six of them', body: 'changed' });
    // What it doesn't know it hands on.
    const known = create(NewArticle, { title: 'Kettles', teaser: 'Six of them' });
    const handedOn = toBinary(OldArticle, fromBinary(OldArticle, toBinary(NewArticle, known)));
    expect(fromBinary(NewArticle, handedOn).teaser).toBe('Six of them');
    // An old node on the new tables, asked by the new gateway.
    await using before = await serveOld({ database: stores.database, onError }, lab);
    using both = lab.openNodes([before.url, ...house.urls.content]);
    const mixed = createClient(ContentService, both.transport);
    let revision = 2;
    for (let n = 0; n < 6; n++) {
      const edited = await mixed.edit({ user: MO, id: draft.id, revision, body: `${n}` });
      revision = edited.article?.revision ?? 0;
    }
    expect(await store.read(draft.id, MO)).toMatchObject({ teaser: 'Six of them', body: '5', revision: 8 });
  }, 20_000);

  test('a node that leaves loses no call, and one that is away is passed by', async () => {
    const { stores, store, own } = await open();
    const onError = () => {};
    const serve = (port?: number) =>
      lab.serveContent({ database: stores.database, search: [NOWHERE], onError, ...(port && { port }) }, lab);
    const nodes = await Promise.all([serve(), serve()]);
    onTestFinished(() => Promise.all(nodes.map((node) => node[Symbol.asyncDispose]())).then(() => {}));
    await using house = await openSite(lab, stores, { contentUrls: nodes.map(({ url }) => url), requestMs: 10_000 });
    const { slug } = await textIn(store, 'published');
    const failed: string[] = [];
    let asked = 0;
    let over = false;
    const readers = Array.from({ length: 4 }, async () => {
      while (!over) {
        const { status } = await page(`${house.url}/a/${slug}`);
        asked++;
        if (status !== 200) failed.push(`${asked}: ${status}`);
      }
    });
    const { mo } = await staff(house.url, own);
    const writer = (async () => {
      for (let n = 0; !over; n++) {
        const { status } = await mo.create({ ...TEXT, slug: `written-${n}` });
        if (status !== 201) failed.push(`text ${n}: ${status}`);
      }
    })();
    for (const [n, node] of nodes.entries()) {
      const enough = asked + 20;
      await until(() => asked > enough);
      await node[Symbol.asyncDispose]();
      const away = asked + 20;
      await until(() => asked > away);
      nodes[n] = await serve(Number(new URL(node.url).port));
    }
    over = true;
    await Promise.all([...readers, writer]);
    expect(failed, `of ${asked}`).toEqual([]);
  }, 40_000);

  test('a write whose answer was lost is not sent to another node', async () => {
    let taken = 0;
    const silent = createServer((socket) => {
      taken++;
      socket.on('error', () => {}).on('data', () => socket.resetAndDestroy());
    });
    await new Promise<void>((done) => void silent.listen(0, '127.0.0.1', done));
    onTestFinished(() => void silent.close());
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const { stores, store } = await open();
    await using house = await openSite(lab, stores);
    using nodes = lab.openNodes([`http://127.0.0.1:${port}`, ...house.urls.content]);
    const content = createClient(ContentService, nodes.transport);
    const { error } = await outcome(content.create({ user: MO, ...TEXT }), 8_000);
    expect(String(error)).toMatch(/unavailable/i);
    expect(await store.list(10, LI), 'written once at most').toEqual([]);
    expect(taken).toBeGreaterThan(0);
    // A question may be asked again.
    for (let n = 0; n < 4; n++) expect((await content.list({ limit: 5 })).articles).toEqual([]);
  });

  test('a service that hangs ends a request in its time, and a reader who leaves ends it at once', async () => {
    const { sockets, url: hung } = await openHung();
    const { url, errors } = await site({ requestMs: 300, contentUrls: [hung] });
    const answer = await outcome(page(`${url}/`), 5_000);
    expect(answer.value?.status).toBe(504);
    expect(errors).toHaveLength(1);
    const patient = await site({ requestMs: 60_000, contentUrls: [hung] });
    const reader = new AbortController();
    const asked = outcome(fetch(`${patient.url}/`, { signal: reader.signal }));
    await until(() => sockets.size > 1);
    reader.abort();
    await asked;
    await until(() => patient.errors.length > 0, { what: 'the request to end' });
    expect(String(patient.errors[0])).toContain('has left');
  }, 20_000);

  test('what is unpublished has left the page after cacheMs, however often it is asked for', async () => {
    let now = 0;
    let value: ArticleMessage | undefined = create(NewArticle, { slug: 'kettle', revision: 1 });
    const { url } = await openGateway(
      (router) =>
        router
          .service(ContentService, { find: () => (value ? { found: { case: 'article', value } } : {}) })
          .service(SearchService, { search: () => ({ hits: [] }) }),
      { cacheMs: 1_000, now: () => now },
    );
    const status = async () => (await page(`${url}/a/kettle`)).status;
    expect(await status()).toBe(200);
    value = undefined;
    for (const at of [400, 800, 999]) {
      now = at;
      expect(await status(), `${at} ms later`).toBe(200);
    }
    now = 1_000;
    expect(await status()).toBe(404);
  });

  test('a wrong password, an unknown name and a session that is over are refused alike', async () => {
    const { url, own } = await site();
    const { mo } = await staff(url, own);
    const login = (name: unknown, password: unknown) => post(`${url}/api/login`, Object({ name, password }));
    const refused = await Promise.all([
      login('mo', 'wrong-password'),
      login('nobody', 'wrong-password'),
      login('mo', ''),
    ]);
    const texts = await Promise.all(refused.map((each) => each.text()));
    expect(refused.map(({ status }) => status)).toEqual([401, 401, 401]);
    expect(new Set(texts).size).toBe(1);
    expect((await login(1, {})).status).toBe(400);
    expect((await mo.create(TEXT)).status).toBe(201);
    await own.query('UPDATE cms_sessions SET ends = clock_timestamp()');
    expect((await mo.create(TEXT)).status).toBe(401);
    expect((await post(`${url}/api/articles`, TEXT, 'made-up')).status).toBe(401);
    const { rows } = await own.query(
      "SELECT token FROM cms_sessions WHERE encode(token, 'escape') LIKE '%password%' OR length(token) <> 32",
    );
    expect(rows).toEqual([]);
  });

  test('what no text can be made from is refused before anything is written', async () => {
    const { url, own } = await site();
    const { mo } = await staff(url, own);
    const bad: readonly object[] = [
      { ...TEXT, title: '' },
      { ...TEXT, title: ' \t' },
      { ...TEXT, title: '\u200b\u202e' },
      { ...TEXT, title: 'x'.repeat(201) },
      { ...TEXT, title: 'half \ud83d' },
      { ...TEXT, body: 'nul \0' },
      { ...TEXT, body: 'x'.repeat(200_001) },
      { ...TEXT, slug: '../admin' },
      { ...TEXT, slug: 'a--b' },
      { ...TEXT, slug: 'x'.repeat(81) },
      { ...TEXT, title: 5 },
      { body: '' },
      [],
    ];
    for (const text of bad) expect([text, (await mo.create(text)).status]).toEqual([text, 400]);
    const { article } = await mo.create({ ...TEXT, title: '水壶' });
    expect(article?.slug, 'a title without a Latin letter').toMatch(/^text-[0-9a-f]{8}$/);
    const id = article?.id ?? '';
    expect((await mo.act(id, 1, '__proto__')).status).toBe(400);
    for (const wrong of [0, 1.5, 2 ** 31, 2 ** 32]) expect((await mo.act(id, wrong, 'submit')).status).toBe(400);
    expect((await mo.act(id, 1, 'schedule')).status, 'without a time').toBe(400);
    expect((await mo.act('1', 1, 'submit')).status).toBe(404);
    const years = ['0000-12-31T23:59:59Z', '9999-12-31T23:59:59-01:00'];
    for (const publishAt of years) expect((await mo.act(id, 1, 'schedule', { publishAt })).status).toBe(400);
    expect((await mo.edit(id, 1, { slug: '' })).status).toBe(400);
    for (const path of [
      '/a/%ff',
      '/a/%00',
      '/a/__proto__',
      '/media/..%2f..%2fetc%2fpasswd',
      '/media/x',
      '/search?q=%00',
      '/nowhere',
    ]) {
      const { status, headers } = await page(`${url}${path}`);
      expect([path, status < 500 && status >= 400]).toEqual([path, true]);
      expect([path, headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
    }
    expect((await own.query('SELECT FROM cms_articles')).rowCount).toBe(1);
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new lab.UserStore(own, wrong)).toThrow(lab.InvalidInputError);
      expect(() => new lab.SearchIndex({ url: NOWHERE, timeoutMs: wrong })).toThrow(lab.InvalidInputError);
    }
    expect(() => lab.openNodes([])).toThrow(lab.InvalidInputError);
  }, 20_000);

  test('two texts cannot have one address, two at once neither', async () => {
    const { store, second } = await open();
    const both = await Promise.all(
      [store, second].map((node) => outcome(node.create(MO, { ...TEXT, slug: 'kettle' }))),
    );
    expect(both.filter(({ value }) => value !== undefined)).toHaveLength(1);
    expect(both.filter(({ error }) => error instanceof lab.SlugTakenError)).toHaveLength(1);
    expect(await store.list(10, LI)).toHaveLength(1);
  });

  test('a connection to Postgres that is lost is an answer of 503, and the next request is served', async () => {
    const { url, own, store } = await site();
    const { mo } = await staff(url, own);
    const { id } = await textIn(store, 'draft');
    const calls = {
      'SELECT FROM cms_articles FOR UPDATE': () => mo.edit(id, 1, { body: 'x' }),
      'LOCK TABLE cms_users': () => post(`${url}/api/login`, { name: 'mo', password: 'password-of-mo' }),
    };
    const held = await own.connect();
    onTestFinished(() => held.release(true));
    for (const [lock, call] of Object.entries(calls)) {
      await held.query(`BEGIN; ${lock}`);
      const asked = call();
      const end =
        'SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))';
      await until(async () => ((await held.query(end)).rowCount ?? 0) > 0, { what: `a call to wait for ${lock}` });
      expect((await asked).status, lock).toBe(503);
      await held.query('ROLLBACK');
      expect((await call()).status, lock).toBe(200);
    }
    expect((await page(`${url}/`)).status).toBe(200);
  });

  test('an edit of the longest text that comes too late is shown the text as it is now', async () => {
    const { url, own, store } = await site();
    const { mo } = await staff(url, own);
    const body = '水'.repeat(200_000);
    const { id } = await textIn(store, 'draft', { body });
    await store.edit(id, 1, { title: 'Kettles' }, LI);
    for (const late of [mo.edit(id, 1, { body: 'x' }), mo.act(id, 1, 'submit')]) {
      const { status, refusal } = await late;
      expect([status, refusal?.changed]).toEqual([409, ['title']]);
      expect(refusal?.current?.title).toBe('Kettles');
      expect(refusal?.current?.body === body, 'its body').toBe(true);
    }
  }, 20_000);

  test('whoever may not read a text is not told of it by a change that comes too late', async () => {
    const { store } = await open();
    const { id } = await textIn(store, 'draft');
    await store.edit(id, 1, { body: 'the paragraph of li' }, LI);
    const stranger: lab.User = { name: 'wu', role: 'author' };
    const tries = [1, 2, 3].flatMap((revision) => [
      store.edit(id, revision, { body: 'x' }, stranger),
      store.act(id, revision, 'submit', stranger),
    ]);
    for (const { error } of await Promise.all(tries.map((each) => outcome(each)))) {
      expect(error).toBeInstanceOf(lab.ForbiddenError);
      expect(JSON.stringify(error)).not.toContain('paragraph');
    }
  });

  test('a draft takes no address away from what is in print, before it is in print itself', async () => {
    const { store } = await open();
    const text = await textIn(store, 'published', { slug: 'a' });
    await store.edit(text.id, text.revision, { slug: 'b' }, LI);
    let draft = await textIn(store, 'draft', { slug: 'a' });
    expect(await store.find('a')).toEqual({ moved: 'b' });
    draft = await store.edit(draft.id, 1, { slug: 'c' }, MO);
    expect(await store.find('a')).toEqual({ moved: 'b' });
    draft = await store.edit(draft.id, 2, { slug: 'a' }, MO);
    // A third one, while the second gives it up again.
    draft = await store.edit(draft.id, 3, { slug: 'c' }, MO);
    let third = await textIn(store, 'review', { slug: 'a' });
    expect(await store.find('a')).toEqual({ moved: 'b' });
    expect(await store.find('c')).toBe(undefined);
    third = await store.act(third.id, third.revision, 'publish', LI);
    expect(await store.find('a')).toEqual({ article: third });
    await store.act(third.id, third.revision, 'unpublish', LI);
    expect(await store.find('a'), 'taken back').toEqual({ moved: 'b' });
  });

  test('of two texts that take each other’s address at once, each is answered', async () => {
    const { store, second, own } = await open();
    // Whoever may say so has Postgres look for deadlocks at once, and not after a second.
    own.on('connect', (client) => void client.query("SET deadlock_timeout = '50ms'").catch(() => {}));
    const [a, b] = await Promise.all(['a', 'b'].map((slug) => store.create(MO, { ...TEXT, slug })));
    const held = await own.connect();
    // Each gives up its own address, and then asks for the other's.
    await own.query(`
      CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
      CREATE TRIGGER meet AFTER UPDATE ON cms_slugs FOR EACH ROW EXECUTE FUNCTION meet()`);
    await held.query('BEGIN');
    await held.query(`SELECT pg_advisory_xact_lock(7)`);
    const both = [store.edit(a?.id ?? '', 1, { slug: 'b' }, MO), second.edit(b?.id ?? '', 1, { slug: 'a' }, MO)];
    const said = both.map((each) => outcome(each, 10_000));
    await until(async () => {
      const { rowCount } = await pool.query(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE cms_slugs%'",
      );
      return rowCount === 2;
    });
    await held.query('COMMIT');
    held.release();
    for (const { error } of await Promise.all(said)) expect(error).toBeInstanceOf(lab.CmsError);
    expect((await store.list(10, LI)).map(({ slug }) => slug).sort()).toEqual(['a', 'b']);
  });

  test('a password that is changed while somebody logs in with the old one lets him in no longer', async () => {
    const { own } = await open();
    const users = new lab.UserStore(own);
    await users.set('mo', 'password-of-mo', 'author');
    const waits = () =>
      until(async () => {
        const { rowCount } = await pool.query(
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'cms_(users|sessions)'",
        );
        return rowCount === 1;
      });
    const held = await own.connect();
    // He has compared the old one, and is about to begin his session.
    await held.query('BEGIN');
    await held.query('LOCK TABLE cms_sessions IN EXCLUSIVE MODE');
    const late = outcome(users.login('mo', 'password-of-mo'), 10_000);
    await waits();
    await held.query("UPDATE cms_users SET hash = sha256(hash) WHERE name = 'mo'");
    await held.query('DELETE FROM cms_sessions');
    await held.query('COMMIT');
    expect((await late).error).toBeInstanceOf(lab.UnauthenticatedError);
    // The other way round: his session is written, and not yet to be seen, when the password is changed.
    await held.query('BEGIN');
    await held.query("SELECT FROM cms_users WHERE name = 'mo' FOR SHARE");
    const set = users.set('mo', 'another-password', 'author');
    await waits();
    await held.query("INSERT INTO cms_sessions VALUES (sha256('token'), 'mo', clock_timestamp() + interval '1 hour')");
    await held.query('COMMIT');
    held.release();
    await set;
    expect((await outcome(users.whoIs('token'))).error).toBeInstanceOf(lab.UnauthenticatedError);
  }, 20_000);

  test('a gateway that leaves answers those who have asked, and waits for nobody who has not', async () => {
    const { stores, own, store } = await open();
    await using house = await openSite(lab, stores, { requestMs: 60_000 });
    // As a browser opens them in advance.
    const silent = dial(Number(new URL(house.url).port), '127.0.0.1').on('error', () => {});
    await once(silent, 'connect');
    const { mo } = await staff(house.url, own);
    const { id } = await textIn(store, 'draft');
    const held = await own.connect();
    await held.query('BEGIN');
    await held.query('SELECT FROM cms_articles WHERE id = $1 FOR UPDATE', [id]);
    const asked = outcome(mo.edit(id, 1, { body: 'x' }), 10_000);
    await until(async () => {
      const { rowCount } = await pool.query(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE OF a%'",
      );
      return rowCount === 1;
    });
    const left = house.gateway[Symbol.asyncDispose]();
    const away = async () => (await outcome(fetch(house.url))).error !== undefined;
    await until(away, { what: 'the gateway to take nobody in any more' });
    await held.query('COMMIT');
    held.release();
    expect((await asked).value?.status).toBe(200);
    await left;
  }, 20_000);

  test('a node that hangs is asked last', async () => {
    const { url: hung } = await openHung();
    const { stores } = await open();
    await using house = await openSite(lab, stores);
    using nodes = lab.openNodes([hung, ...house.urls.content]);
    const content = createClient(ContentService, nodes.transport);
    const { error } = await outcome(content.list({ limit: 5 }, { timeoutMs: 300 }), 5_000);
    expect(String(error)).toMatch(/deadline/);
    const statuses = await Promise.all(
      Array.from({ length: 10 }, () => outcome(content.list({ limit: 5 }, { timeoutMs: 10_000 }), 11_000)),
    );
    expect(statuses.filter((each) => each.error !== undefined)).toEqual([]);
  }, 40_000);

  test('a Postgres that has fallen silent holds up no node that is to leave', async () => {
    const { stores, store } = await open();
    await using way = await postgres.node.proxy();
    const silent = new URL(stores.database);
    silent.port = String(way.port);
    const errors: unknown[] = [];
    const node = await lab.serveContent(
      {
        database: silent.href,
        databaseMs: 300,
        search: [NOWHERE],
        dueMs: 20,
        relayMs: 20,
        onError: (error) => errors.push(error),
      },
      lab,
    );
    const { id } = await textIn(store, 'scheduled');
    await until(async () => (await store.read(id, LI)).state === 'published', { what: 'it to be at work' });
    way.partition();
    await until(() => errors.some((error) => error instanceof lab.UnavailableError && /Postgres/.test(error.message)), {
      timeoutMs: 10_000,
      what: 'the silence to be noticed',
    });
    expect((await outcome(Promise.resolve(node[Symbol.asyncDispose]()), 15_000)).error).toBe(undefined);
  }, 30_000);

  test('what waits for an editor is in his list, however much is in print', async () => {
    const { store, own } = await open();
    const waits = await textIn(store, 'review', { title: 'Zwieback' });
    const draft = await textIn(store, 'draft', { title: 'Zest' });
    await own.query(`INSERT INTO cms_articles (id, author, title, body, state, publish_at)
        SELECT gen_random_uuid(), 'mo', 'Apples ' || n, '', 'published', clock_timestamp() FROM generate_series(1, 120) n`);
    await own.query('INSERT INTO cms_slugs SELECT id::text, id, true FROM cms_articles WHERE publish_at IS NOT NULL');
    for (const user of [LI, MO]) {
      const [first, second, ...others] = await store.list(100, user);
      expect([first?.id, second?.id, others.length]).toEqual([waits.id, draft.id, 98]);
    }
  });

  test('a text is cleaned once for each of its revisions', async () => {
    let cleaned = 0;
    class Counting extends lab.Gateway {
      protected override clean(html: string): string {
        cleaned++;
        return super.clean(html);
      }
    }
    let now = 0;
    const { stores, store } = await open();
    const parts = { ...lab, Gateway: Counting };
    await using house = await openSite(parts, stores, { cacheMs: 1_000, now: () => now, searchMs: 5_000 });
    const { slug, id } = await textIn(store, 'published');
    for (let n = 0; n < 3; n++) {
      now += 1_000;
      const readers = Array.from({ length: 5 }, () => page(`${house.url}/a/${slug}`));
      for (const { text } of await Promise.all(readers)) expect(text).toContain('All of them boil.');
    }
    expect(cleaned).toBe(1);
    await store.edit(id, 3, { body: '<p>One leaks.<script>' }, LI);
    now += 1_000;
    expect((await page(`${house.url}/a/${slug}`)).text).toContain('<p>One leaks.</p>');
  }, 20_000);

  test('a node that starts while others write ends nobody, and is ended by nobody', async () => {
    const { stores, own } = await open();
    const held = await own.connect();
    await held.query('BEGIN');
    await held.query('LOCK TABLE cms_slugs IN ROW EXCLUSIVE MODE');
    const onError = () => {};
    const start = outcome(lab.serveContent({ database: stores.database, search: [NOWHERE], onError }, lab), 10_000);
    await until(async () => {
      const { rowCount } = await pool.query(
        "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND mode = 'AccessExclusiveLock'",
      );
      return rowCount === 1;
    });
    const { error } = await outcome(held.query('SELECT FROM cms_articles'), 10_000);
    await held.query('COMMIT');
    held.release();
    const started = await start;
    await started.value?.[Symbol.asyncDispose]();
    expect([error, started.error]).toEqual([undefined, undefined]);
  }, 20_000);

  test('a node that leaves says of no call on its way that nobody has read it', async () => {
    const { stores } = await open();
    const media = await lab.serveMedia({ folder: stores.folder, onError: () => {} }, lab);
    const client = connect(media.url).on('error', () => {});
    await once(client, 'connect');
    // The last stream that it will read: what is beyond it is sent to another node.
    const last = once(client, 'goaway').then(([, stream]: unknown[]) => stream);
    await media[Symbol.asyncDispose]();
    client.destroy();
    expect(await last).toBe(2 ** 31 - 1);
  });
});
