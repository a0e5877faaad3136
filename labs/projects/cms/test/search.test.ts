import { join, resolve } from 'node:path';
import { startOpenSearch, startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import * as lab from '#lab';
import { startCollector } from './collector.ts';
import { NOWHERE, openSite, Process } from './site.ts';
import { LI, MO, openBench, page, staff, TEXT, textIn, tokenOfWu } from './support.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261_204);
const IMPL = resolve(process.env['LAB_IMPL'] ?? join(import.meta.dirname, '../src/index.ts'));

// An OpenSearch that has just begun takes its time.
vi.setConfig({ testTimeout: 40_000 });

await describeWith(
  'cms: the search',
  { postgres: () => startPostgres(), search: () => startOpenSearch() },
  ({ postgres, search }) => {
    const { place, open, site } = openBench(postgres, search);
    const indexAt = async (at: { opensearch: string; index: string }, url = at.opensearch) => {
      const index = new lab.SearchIndex({ url, index: at.index, timeoutMs: 30_000 });
      onTestFinished(() => index[Symbol.asyncDispose]());
      await index.prepare();
      return index;
    };
    const titles = async (index: lab.SearchIndex, words: string) =>
      (await index.search(words, 50)).map(({ title }) => title);
    const asDocument = (revision: number, more: Partial<lab.Document> = {}): lab.Document => ({
      id: 'a',
      revision,
      live: true,
      slug: 'a',
      title: `Revision ${revision}`,
      teaser: '',
      body: 'kettle',
      ...more,
    });

    // ── core ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    test('a document that comes late or again brings no old text back', async () => {
      const index = await indexAt(await place());
      const sent = random(SEED).shuffle([1, 2, 3, 3]);
      for (const revision of sent) {
        const { refusals } = await index.put([asDocument(revision)]);
        expect(refusals, `${revision} of ${sent}`).toEqual(['']);
      }
      await index.put([asDocument(2), asDocument(1)]);
      expect(await titles(index, 'kettle')).toEqual(['Revision 3']);
    });

    test('what was unpublished is found no more, however late an old document comes', async () => {
      const at = await place();
      const index = await indexAt(at);
      await index.put([asDocument(1), asDocument(1, { id: 'b', slug: 'b', title: 'Another' })]);
      // Deletions are forgotten after a minute: here they are at once.
      const settings = `${at.opensearch}/${at.index}/_settings`;
      const body = JSON.stringify({ index: { gc_deletes: '0s' } });
      expect(
        (await fetch(settings, { method: 'PUT', headers: { 'content-type': 'application/json' }, body })).status,
      ).toBe(200);
      await index.put([asDocument(2, { live: false })]);
      expect(await titles(index, 'kettle')).toEqual(['Another']);
      // A deletion that came later than ours: when it is forgotten, so is ours.
      const probe = (method: string, version: number) =>
        fetch(`${at.opensearch}/${at.index}/_doc/probe?version=${version}&version_type=external&refresh=true`, {
          method,
          ...(method === 'PUT' && { headers: { 'content-type': 'application/json' }, body: '{}' }),
        });
      expect([(await probe('PUT', 5)).status, (await probe('DELETE', 6)).status]).toEqual([201, 200]);
      let others = 0;
      const forgotten = async () => {
        await index.put([asDocument(1, { id: `other-${others++}`, body: 'toaster' })]);
        return (await probe('PUT', 5)).status === 201;
      };
      await until(forgotten, { timeoutMs: 10_000, intervalMs: 50, what: 'a deletion to be forgotten' });
      await index.put([asDocument(1)]);
      expect(await titles(index, 'kettle')).toEqual(['Another']);
      await index.put([asDocument(3)]);
      expect(await titles(index, 'kettle'), 'published again').toHaveLength(2);
    });

    // ── hardening ─────────────────────────────────────────────────────────────────────────────────────────────────────

    test('while OpenSearch hangs no page does, and when it is back it is told what was written meanwhile', async () => {
      const way = await search.node.proxy();
      onTestFinished(() => way[Symbol.asyncDispose]());
      const breaker = { window: { type: 'count', size: 5 }, openMs: 200 } as const;
      const { store, url, own } = await site({ searchMs: 300, breaker, opensearch: way.url });
      const { slug } = await textIn(store, 'published', { title: 'Toasters compared' });
      const says = async (path: string, words: string) => {
        const { status, text } = await page(`${url}${path}`);
        return status === 200 && text.includes(words);
      };
      const notice = 'The search is away';
      await until(() => says('/search?q=toasters', '1 found'), { timeoutMs: 15_000, what: 'the text to be found' });
      way.partition();
      const written = await textIn(store, 'published', { title: 'Toasters repaired' });
      for (let n = 0; n < 4; n++) {
        for (const path of [`/a/${slug}`, '/search?q=toasters'])
          expect([path, await says(path, notice), await says(path, written.slug)]).toEqual([path, true, true]);
      }
      way.heal();
      await until(() => says('/search?q=toasters', '2 found'), { timeoutMs: 15_000, what: 'the other one, too' });
      await until(async () => (await own.query('SELECT FROM cms_outbox')).rowCount === 0, {
        timeoutMs: 15_000,
        what: 'the outbox to be told',
      });
    }, 60_000);

    test('what a killed process had published is found all the same', async () => {
      const { own, stores, store } = await open();
      const index = await indexAt(stores);
      const child = await Process.open(
        'content',
        { database: stores.database, search: [NOWHERE], relayMs: 10_000 },
        IMPL,
      );
      onTestFinished(() => child.kill());
      const house = await openSite(lab, stores, { contentUrls: [child.url] });
      onTestFinished(() => house[Symbol.asyncDispose]());
      const { mo, li } = await staff(house.url, own);
      const published: string[] = [];
      for (let n = 0; n < 5; n++) {
        const { article } = await mo.create({ ...TEXT, title: `Kettle ${n}`, slug: `kettle-${n}` });
        await mo.act(article?.id ?? '', 1, 'submit');
        published.push((await li.act(article?.id ?? '', 2, 'publish')).article?.title ?? '');
      }
      await child.kill();
      const relay = new lab.Relay({ store, put: (documents) => index.put(documents) });
      while ((await relay.round()) > 0);
      expect((await titles(index, 'kettle')).sort()).toEqual(published);
    });

    test('a relay that dies between telling and clearing tells it again, and two at once do no harm', async () => {
      const { store, own, stores } = await open();
      const index = await indexAt(stores);
      await textIn(store, 'published', { title: 'Kettle' });
      const put = (documents: readonly lab.Document[]) => index.put(documents);
      const dying = new lab.Relay({
        store: {
          waiting: (limit) => store.waiting(limit),
          noteAll: async () => {},
          told: () => Promise.reject(new Error('killed')),
        },
        put,
      });
      expect((await outcome(dying.round())).error).toMatchObject({ message: 'killed' });
      const relays = [1, 2].map(() => new lab.Relay({ store, put }));
      while ((await Promise.all(relays.map((relay) => relay.round()))).some((count) => count > 0));
      expect(await titles(index, 'kettle')).toEqual(['Kettle']);
      expect((await own.query('SELECT FROM cms_outbox')).rowCount).toBe(0);
    });

    test('a text that the index refuses is set aside with its reason, and holds up no other', async () => {
      // A field that can't be read; and what can't be read at all, so that OpenSearch refuses the whole batch.
      const poisons = [{ live: 'perhaps' }, { id: 'x'.repeat(600) }];
      for (const poison of poisons) {
        const { store, own, stores } = await open();
        const index = await indexAt(stores);
        const bad = await textIn(store, 'draft', { title: 'Poison' });
        await textIn(store, 'published', { title: 'Kettle' });
        const put = (documents: readonly lab.Document[]) =>
          index.put(documents.map((each) => (each.id === bad.id ? { ...each, ...Object(poison) } : each)));
        const { error } = await outcome(new lab.Relay({ store, put }).round(), 10_000);
        if (error !== undefined) throw error;
        expect(await titles(index, 'kettle')).toEqual(['Kettle']);
        const { rows } = await own.query('SELECT article, refused FROM cms_outbox WHERE refused IS NOT NULL');
        expect(rows).toEqual([{ article: bad.id, refused: expect.stringMatching(/live|id/) }]);
        expect(await store.waiting(10)).toEqual([]);
      }
    });

    test('a word is found in its other forms, and Chinese without spaces', async () => {
      const at = await place();
      const index = await indexAt(at);
      await index.put([
        asDocument(1, { title: 'Comparing kettles', body: '' }),
        asDocument(1, { id: 'b', title: '电热水壶测评', body: '' }),
      ]);
      for (const words of ['kettle', 'KETTLES', 'compared'])
        expect(await titles(index, words)).toEqual(['Comparing kettles']);
      expect(await index.search('kettle', 5, 'a'), 'beside this very text').toEqual([]);
      // What nobody searches for is no field: else whoever makes up new ones makes the index larger and larger.
      const known = await (await fetch(`${at.opensearch}/${at.index}`)).json();
      const { mappings, settings } = Object(known)[at.index];
      expect(Object.keys(mappings.properties).sort()).toEqual(['body', 'live', 'teaser', 'title']);
      expect(settings.index.number_of_shards).toBe('1');
      expect(await titles(index, '水壶')).toEqual(['电热水壶测评']);
      expect(await titles(index, '壶水')).toEqual([]);
      // A capital in bold is no word of its own.
      expect(lab.plainText('<ul><li>Six<li><b>K</b>ett<em>l</em>es<br>&amp; more</ul>')).toBe('Six Kettles & more');
      for (const words of ['', '*', '"', 'title:(', '\\']) expect(await titles(index, words)).toEqual([]);
    });

    test('an index that was lost is made again, and filled from the texts', async () => {
      const { store, stores } = await open();
      const index = await indexAt(stores);
      const relay = new lab.Relay({ store, put: (documents, make) => index.put(documents, make) });
      const all = async () => {
        while ((await relay.round()) > 0);
        return (await titles(index, 'kettle')).sort();
      };
      for (const title of ['Kettle 1', 'Kettle 2']) await textIn(store, 'published', { title });
      expect(await all()).toEqual(['Kettle 1', 'Kettle 2']);
      expect((await fetch(`${stores.opensearch}/${stores.index}`, { method: 'DELETE' })).status).toBe(200);
      expect((await outcome(index.search('kettle', 5))).error).toBeInstanceOf(lab.UnavailableError);
      await textIn(store, 'published', { title: 'Kettle 3' });
      expect(await all()).toEqual(['Kettle 1', 'Kettle 2', 'Kettle 3']);
      // Lost once more, and the relay dies when it has made a new one.
      expect((await fetch(`${stores.opensearch}/${stores.index}`, { method: 'DELETE' })).status).toBe(200);
      const put = async (documents: readonly lab.Document[], make: boolean) => {
        if (!make) return index.put(documents, make);
        await index.prepare();
        throw new Error('killed');
      };
      expect((await outcome(new lab.Relay({ store, put }).round())).error).toMatchObject({ message: 'killed' });
      expect(await all()).toEqual(['Kettle 1', 'Kettle 2', 'Kettle 3']);
    });

    test('a publication is one trace, through all services to the index, and a stranger’s number is not taken on', async () => {
      const { pool: own, ...stores } = await place();
      await using collector = await startCollector();
      await using bin = new AsyncDisposableStack();
      const start = async (name: string, options: object) =>
        bin.use(await Process.open(name, options, IMPL, collector.url));
      const found = await start('search', { opensearch: stores.opensearch, index: stores.index });
      const [content, users] = await Promise.all([
        start('content', { database: stores.database, search: [found.url], relayMs: 20 }),
        start('users', { database: stores.database }),
      ]);
      const gateway = await start('gateway', {
        content: [content.url],
        search: [found.url],
        users: [users.url],
        media: [users.url],
        requestMs: 10_000,
      });
      const { mo, li } = await staff(gateway.url, own);
      const { article } = await mo.create(TEXT);
      await mo.act(article?.id ?? '', 1, 'submit');
      // A batch goes on with the trace of its oldest note: this one is to be alone.
      await until(async () => (await own.query('SELECT FROM cms_outbox')).rowCount === 0, {
        timeoutMs: 10_000,
        what: 'the outbox',
      });
      const { trace } = await li.act(article?.id ?? '', 2, 'publish');
      expect(trace).toMatch(/^[0-9a-f]{32}$/);
      const line = () =>
        collector
          .tree(trace)
          .map(({ span, depth }) => `${depth} ${span.service} ${span.name}`)
          // Steps of a store, between which the others stand.
          .filter((each) => !/look for its index|make its index|postgres/.test(each));
      // Each process sends its spans on its own.
      await until(() => line().length >= 9, {
        timeoutMs: 10_000,
        what: 'all spans',
      }).catch(() => {});
      expect(line()).toEqual([
        '0 gateway POST /api/articles/:id/:action',
        '1 gateway call WhoIs',
        '2 users WhoIs',
        '1 gateway call Act',
        '2 content Act',
        // As a step of the change that made the note: it goes on behind the answer.
        '4 content relay',
        '5 content call Put',
        '6 search Put',
        '7 search opensearch take documents',
      ]);
      const stranger = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
      const asked = await fetch(`${gateway.url}/`, { headers: { traceparent: stranger } });
      expect(asked.headers.get('x-trace-id')).not.toBe('a'.repeat(32));
    }, 120_000);

    test('a draft is for its author and for editors', async () => {
      const { url, store, own } = await site();
      const token = await tokenOfWu(own);
      const draft = await textIn(store, 'draft');
      const ask = (path: string) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
      expect((await ask(`/api/articles/${draft.id}`)).status).toBe(404);
      expect(await (await ask('/api/articles')).json()).toEqual([]);
      expect((await page(`${url}/a/${draft.slug}`)).status).toBe(404);
      await until(async () => (await own.query('SELECT FROM cms_outbox')).rowCount === 0);
      expect((await page(`${url}/search?q=kettles`)).text).toContain('0 found');
      expect(await store.list(100, LI)).toEqual([{ ...draft, body: '' }]);
    });

    test('a body that is too long or no JSON is refused, and is told nothing', async () => {
      const { url, errors, own } = await site();
      const before = errors.length;
      const token = await tokenOfWu(own);
      const send = (body: string, type: string) =>
        fetch(`${url}/api/media`, {
          method: 'POST',
          headers: { 'content-type': type, authorization: `Bearer ${token}` },
          body,
        })
          .then(({ status }) => status)
          .catch(() => 'cut off');
      expect([413, 'cut off']).toContain(await send('x'.repeat(2_000_000), 'image/png'));
      expect(await send('{', 'application/json')).toBe(400);
      expect(await send('a=b', 'application/x-www-form-urlencoded')).toBe(415);
      expect(await send('{}', 'application/json')).toBe(400);
      expect((await page(`${url}/`)).status).toBe(200);
      expect(errors.slice(before)).toEqual([]);
    });

    test('twenty of the longest texts are a front page, a list for the desk, and found', async () => {
      const { url, own, store } = await site();
      const body = 'é'.repeat(200_000 - 7);
      for (let n = 0; n < 20; n++) await store.create(MO, { ...TEXT, slug: `long-${n}`, body: `kettle ${body}` });
      await own.query("UPDATE cms_articles SET state = 'published', revision = 2, publish_at = clock_timestamp()");
      await own.query("INSERT INTO cms_outbox (article, trace) SELECT id, '{}' FROM cms_articles");
      const { text, status } = await page(`${url}/`);
      expect([status, text.match(/href="\/a\/long-/g)?.length]).toEqual([200, 20]);
      const token = await tokenOfWu(own);
      expect((await fetch(`${url}/api/articles`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
      const waits = async () => (await own.query('SELECT FROM cms_outbox')).rowCount === 0;
      await until(waits, { timeoutMs: 15_000, what: 'the outbox to be told, in several requests' });
      expect((await page(`${url}/search?q=kettle`)).text).toContain('20 found');
    });

    test('whoever searches for as many words as fit takes the search away from nobody', async () => {
      const { url, gateway, store, errors } = await site();
      await textIn(store, 'published', { title: 'Kettles compared' });
      await until(async () => (await page(`${url}/search?q=kettles`)).text.includes('1 found'), { timeoutMs: 10_000 });
      const before = errors.length;
      const letters = (count: number) =>
        Array.from({ length: count }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('');
      const most = Number(/maxlength="(\d+)"/.exec((await page(`${url}/`)).text)?.[1]);
      const words = [letters(most), '1 '.repeat(most / 2), letters(most + 1), letters(1_000), 'x'.repeat(3_000)];
      const statuses: number[] = [];
      for (const each of [...words, ...words]) {
        statuses.push((await page(`${url}/search?q=${encodeURIComponent(each)}`)).status);
      }
      expect(statuses.slice(5)).toEqual([200, 200, 400, 400, 400]);
      expect([gateway.breaker.state, errors.slice(before).map(String)]).toEqual(['closed', []]);
      expect((await page(`${url}/search?q=kettles`)).text).toContain('1 found');
    });

    test('an index that is closed or write-protected sets no text aside', async () => {
      const { store, own, stores } = await open();
      const index = await indexAt(stores);
      const relay = new lab.Relay({ store, put: (documents, make) => index.put(documents, make) });
      const ask = async (method: string, path: string, body?: object) => {
        const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
        const answer = await fetch(`${stores.opensearch}/${stores.index}/${path}`, { method, ...(body && json) });
        expect([path, answer.status]).toEqual([path, 200]);
      };
      const protect = (block: string, on: boolean) => ask('PUT', '_settings', { [`index.blocks.${block}`]: on });
      const states: readonly (readonly [() => Promise<void>, () => Promise<void>])[] = [
        [() => ask('POST', '_close'), () => ask('POST', '_open')],
        [() => protect('write', true), () => protect('write', false)],
        [() => protect('read_only_allow_delete', true), () => protect('read_only_allow_delete', false)],
      ];
      for (const [begin, end] of states) {
        await textIn(store, 'published', { title: 'Kettle' });
        await begin();
        expect((await outcome(relay.round())).error).toBeInstanceOf(lab.UnavailableError);
        expect((await own.query('SELECT FROM cms_outbox WHERE refused IS NOT NULL')).rowCount).toBe(0);
        await end();
        await until(
          () =>
            relay.round().then(
              (count) => count === 0,
              () => false,
            ),
          { timeoutMs: 10_000 },
        );
      }
      expect(await titles(index, 'kettle')).toHaveLength(states.length);
    });

    test('an index that is lost while nobody writes is made again all the same', async () => {
      const { store, stores } = await open();
      const index = await indexAt(stores);
      const relay = new lab.Relay({ store, put: (documents, make) => index.put(documents, make), lookMs: 0 });
      await textIn(store, 'published', { title: 'Kettle' });
      while ((await relay.round()) > 0);
      expect((await fetch(`${stores.opensearch}/${stores.index}`, { method: 'DELETE' })).status).toBe(200);
      await relay.round();
      while ((await relay.round()) > 0);
      expect(await titles(index, 'kettle')).toEqual(['Kettle']);
    });
  },
);
