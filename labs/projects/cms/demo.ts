import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startFolder, startOpenSearch, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Pool } from 'pg';
import { ContentStore as BothPublish } from './pitfalls/both-nodes-publish.ts';
import { ContentStore as LastWins } from './pitfalls/last-write-wins.ts';
import { Gateway as NoPlanB } from './pitfalls/no-plan-b.ts';
import * as lab from './src/index.ts';
import { startCollector } from './test/collector.ts';
import { openSite, Process, Writer } from './test/site.ts';

const IMPL = join(import.meta.dirname, 'src/index.ts');
const MO: lab.User = { name: 'mo', role: 'author' };
const LI: lab.User = { name: 'li', role: 'editor' };
const TEXTS = 1_000;
const onError = () => {};
/** A step that a busy machine takes so long for has failed. */
const PATIENCE_MS = 60_000;
const median = (all: readonly number[]) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;

const options = {
  title: 'Microservice CMS 微服务内容管理',
  subtitle: 'The weekly magazine of a supermarket: written, reviewed, in print on Friday at six',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using bin = new AsyncDisposableStack();
  // It takes its time to start, and the first scenes don't need it.
  const starting = startOpenSearch({ signal: story.signal });
  starting.catch(() => {});
  const postgres = await story.use(startPostgres());
  const folder = bin.use(await startFolder('cms'));
  const main = bin.adopt(new Pool({ connectionString: postgres.url, max: 4 }), (it) => it.end());
  main.on('error', onError);
  let places = 0;
  /** Tables of its own. */
  const place = async () => {
    const schema = `demo_${++places}`;
    await main.query(`CREATE SCHEMA ${schema}`);
    const url = new URL(postgres.url);
    url.searchParams.set('options', `-c search_path=${schema}`);
    const pool = bin.adopt(new Pool({ connectionString: url.href, max: 8 }), (it) => it.end());
    pool.on('error', onError);
    await pool.query(lab.CONTENT_SCHEMA + lab.USERS_SCHEMA);
    return { database: url.href, pool, store: new lab.ContentStore(pool) };
  };
  const inReview = async (store: lab.ContentStore, n: number) => {
    const { id } = await store.create(MO, { title: `Kettle ${n}`, slug: `kettle-${n}`, body: '<p>It boils.</p>' });
    return store.act(id, 1, 'submit', MO);
  };
  const publish = async (store: lab.ContentStore, n: number) => {
    const { id, revision } = await inReview(store, n);
    return store.act(id, revision, 'publish', LI);
  };

  await story.scene('Two editors, one text', async () => {
    story.say(
      '20 texts. Of each, two people open the same revision; one writes a paragraph at its head, the other one at its end.',
    );
    const meet = async (Store: typeof lab.ContentStore) => {
      const { pool } = await place();
      const store = new Store(pool);
      let [lost, refused] = [0, 0];
      for (let n = 0; n < 20; n++) {
        const { id } = await store.create(MO, { title: 'Kettles', slug: `k-${n}`, body: '<p>b</p>' });
        const edits = [(body: string) => `<p>a</p>${body}`, (body: string) => `${body}<p>c</p>`];
        const tries = edits.map((edit) => store.edit(id, 1, { body: edit('<p>b</p>') }, MO));
        for (const [which, said] of (await Promise.allSettled(tries)).entries()) {
          if (said.status === 'fulfilled') continue;
          if (!(said.reason instanceof lab.StaleEditError)) throw said.reason;
          refused++;
          // He is shown what is there now, and puts his paragraph to it.
          const { revision, body } = said.reason.current;
          await store.edit(id, revision, { body: edits[which]?.(body) }, MO);
        }
        if ((await store.read(id, MO)).body !== '<p>a</p><p>b</p><p>c</p>') lost++;
      }
      return { lost, refused };
    };
    const naive = await meet(LastWins);
    story.verdict('Whoever saves last has written the text', `${naive.lost} of 20 lost a paragraph`, naive.lost === 20);
    story.code('src/content.ts', { from: 'if (article.revision !== revision)' });
    const sound = await meet(lab.ContentStore);
    story.verdict(
      'The second is refused, sees what has changed, and adds to it',
      `${sound.refused} refused with 409, ${sound.lost} lost`,
      sound.lost === 0 && sound.refused === 20,
    );
  });

  await story.scene('Friday at six, on two nodes', async () => {
    story.say('30 texts are due. Two nodes look at the same time.');
    const strike = async (Store: typeof lab.ContentStore) => {
      const { pool, store } = await place();
      for (let n = 0; n < 30; n++) {
        const { id, revision } = await inReview(store, n);
        await store.act(id, revision, 'schedule', LI, new Date(0));
      }
      const look = () => [1, 2].map(() => new Store(pool).publishDue());
      // The texts are held until both have looked: they wait for them, or have left them to the second look.
      const held = await pool.connect();
      await held.query('BEGIN; SELECT FROM cms_articles FOR UPDATE');
      let left = 0;
      const first = look().map((each) => each.finally(() => left++));
      const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
      await until(async () => ((await main.query(waiting)).rowCount ?? 0) + left === 2, {
        timeoutMs: PATIENCE_MS,
        what: 'two nodes to look',
      });
      await held.query('COMMIT');
      held.release();
      const published = [...(await Promise.all(first)), ...(await Promise.all(look()))].flat();
      return published.length - new Set(published.map(({ id }) => id)).size;
    };
    const naive = await strike(BothPublish);
    story.verdict('Look, then publish: readers are told twice', `${naive} of 30 published twice`, naive > 0);
    const sound = await strike(lab.ContentStore);
    story.code('src/content.ts', { from: 'SELECT id FROM cms_articles WHERE state', to: 'SKIP LOCKED' });
    story.verdict('The row is taken before it is published', `${sound} of 30 published twice`, sound === 0);
  });

  const search = await story.use(starting);

  await story.scene('Saved, then told: a kill in between', async () => {
    story.say(
      `${TEXTS.toLocaleString('en')} texts go to print, 50 at a time: into Postgres, and then into the index. The process is killed (-9) twice, and started again.`,
    );
    const print = async (how: 'second step' | 'outbox') => {
      const { database, pool, store } = await place();
      const name = `${search.namespace}${how === 'outbox' ? 'outbox' : 'dual'}`;
      const inPrint = async () => Number((await pool.query('SELECT count(*) AS n FROM cms_articles')).rows[0]?.n);
      const index = bin.use(new lab.SearchIndex({ url: search.url, index: name, timeoutMs: PATIENCE_MS }));
      await index.prepare();
      const printer = join(import.meta.dirname, 'test/printer.ts');
      for (const stop of [300, 650, Number.POSITIVE_INFINITY]) {
        const args = [printer, database, search.url, name, how, String(TEXTS), String(stop)];
        const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
        await once(child, 'exit');
      }
      const relay = new lab.Relay({ store, put: (documents) => index.put(documents) });
      while ((await relay.round()) > 0);
      const counted = await fetch(`${search.url}/${name}/_count`);
      return (await inPrint()) - Number(Object(await counted.json()).count);
    };
    const naive = await print('second step');
    story.verdict('Texts are in print, and nobody finds them, for good', `${naive} of ${TEXTS}`, naive > 0);
    const sound = await print('outbox');
    story.code('src/content.ts', { from: 'In the transaction of the change', to: 'INSERT INTO cms_outbox' });
    story.verdict('With the note in the same transaction', `${sound} of ${TEXTS} can’t be found`, sound === 0);
  });

  await story.scene('The search is away', async () => {
    story.say(
      'Beside each text stand others like it: the search finds them. Now OpenSearch hangs. 40 pages are asked for, ten at a time.',
    );
    const way = bin.use(await search.node.proxy());
    const open = async (Gateway: typeof lab.Gateway, limits: object) => {
      const { database, store } = await place();
      const stores = { database, opensearch: way.url, index: `${search.namespace}page${places}`, folder: folder.path };
      const site = await openSite({ ...lab, Gateway }, stores, limits);
      const close = { [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]() };
      for (let n = 0; n < 4; n++) await publish(store, n);
      const get = async () => {
        const began = performance.now();
        const answer = await fetch(`${site.url}/a/kettle-1`);
        const text = await answer.text();
        return { status: answer.status, notice: text.includes('The search is away'), ms: performance.now() - began };
      };
      const well = ({ status, notice }: { status: number; notice: boolean }) => status === 200 && !notice;
      const whole = () => until(async () => well(await get()), { timeoutMs: PATIENCE_MS, what: 'a page with all' });
      await whole();
      return { get, whole, ...close };
    };
    // How long the search may take is a multiple of what a page takes here: a busy machine is no search that is away.
    const usual = async () => {
      await using site = await open(lab.Gateway, { requestMs: PATIENCE_MS, searchMs: PATIENCE_MS });
      const all = [];
      for (let n = 0; n < 9; n++) all.push((await site.get()).ms);
      return median(all);
    };
    const searchMs = Math.ceil(Math.max(100, 5 * (await usual())));
    const read = async (Gateway: typeof lab.Gateway, requestMs: number) => {
      await using site = await open(Gateway, { requestMs, searchMs, breaker: { openMs: 200 } });
      way.partition();
      const pages = await Promise.all(
        Array.from({ length: 10 }, async () => {
          const mine = [];
          for (let n = 0; n < 4; n++) mine.push(await site.get());
          return mine;
        }),
      );
      way.heal();
      const healed = performance.now();
      await site.whole();
      const all = pages.flat();
      return {
        errors: all.filter(({ status }) => status >= 500).length,
        ms: median(all.map(({ ms }) => ms)),
        back: performance.now() - healed,
      };
    };
    // The one would wait for ever: its limit ends the scene, and no page. The other one needs none.
    const naive = await read(NoPlanB, 4 * searchMs);
    const sound = await read(lab.Gateway, PATIENCE_MS);
    story.table({
      columns: ['', 'errors of 40', 'median ms', 'whole again after ms'],
      rows: [
        ['the page needs the search', naive.errors, Math.round(naive.ms), Math.round(naive.back)],
        ['a breaker, and the latest texts', sound.errors, Math.round(sound.ms), Math.round(sound.back)],
      ],
    });
    story.verdict(
      'A box in the margin takes the page down',
      `${naive.errors} of 40 pages are errors`,
      naive.errors === 40,
    );
    story.code('src/gateway.ts', { from: 'const fallback = async', to: 'return this.breaker.run' });
    story.verdict(
      'Each page is served, with a notice',
      `${sound.errors} errors, ${sound.ms.toFixed(0)} ms`,
      sound.errors === 0,
    );
  });

  const collector = bin.use(await startCollector());
  const { database, pool, store } = await place();
  const start = async (name: string, given: object) =>
    bin.use(await Process.open(name, given, IMPL, name === 'old' ? undefined : collector.url));
  const found = await start('search', { opensearch: search.url, index: `${search.namespace}all` });
  const node = (release: 'old' | 'content', port = 0) =>
    start(release, { database, search: [found.url], relayMs: 20, port });
  const [first, second, users] = await Promise.all([node('old'), node('old'), start('users', { database })]);
  const urls = { content: [first.url, second.url], search: [found.url], users: [users.url], media: [users.url] };
  const gateway = await start('gateway', { ...urls, requestMs: PATIENCE_MS, searchMs: 2_000, cacheMs: 0 });

  let nodes: Process[] = [first, second];

  await story.scene('A new release, while people read', async () => {
    story.say(
      'Two nodes of the content service, processes of the release before: it has no teasers. Both are replaced by the new one, while four people read.',
    );
    await publish(store, 1);
    const reading = async (replace: () => Promise<unknown>) => {
      let [asked, failed, over] = [0, 0, false];
      const readers = Array.from({ length: 4 }, async () => {
        while (!over) {
          const answer = await fetch(`${gateway.url}/a/kettle-1`);
          await answer.arrayBuffer();
          asked++;
          if (answer.status !== 200) failed++;
        }
      });
      await replace();
      over = true;
      await Promise.all(readers);
      return { asked, failed };
    };
    const swap = async (old: Process, release: 'old' | 'content') => {
      await old.leave();
      return node(release, Number(new URL(old.url).port));
    };
    const atOnce = await reading(async () => {
      nodes = await Promise.all(nodes.map((each) => swap(each, 'old')));
    });
    story.verdict('Both at once', `${atOnce.failed} of ${atOnce.asked} requests failed`, atOnce.failed > 0);
    const rolling = await reading(async () => {
      const newer: Process[] = [];
      for (const each of nodes) newer.push(await swap(each, 'content'));
      nodes = newer;
    });
    story.verdict(
      'One after the other, each to the end of its calls',
      `${rolling.failed} of ${rolling.asked} failed`,
      rolling.failed === 0,
    );
  });

  await story.scene('One publication, one trace', async () => {
    story.say(
      'An editor publishes a text. The answer is there before the index has been told: the row of the outbox has the trace along.',
    );
    // One node is enough: two would both tell the index, which takes it once.
    await nodes[1]?.leave();
    const people = new lab.UserStore(pool);
    await Promise.all([people.set('mo', 'password-of-mo', 'author'), people.set('li', 'password-of-li', 'editor')]);
    const [mo, li] = await Promise.all([
      Writer.login(gateway.url, 'mo', 'password-of-mo'),
      Writer.login(gateway.url, 'li', 'password-of-li'),
    ]);
    const { article } = await mo.create({ title: 'Teapots', teaser: 'Six of them', body: '<p>They pour.</p>' });
    await mo.act(article?.id ?? '', 1, 'submit');
    // A batch goes on with the trace of its oldest note: this one is to be alone.
    await until(async () => (await store.waiting(1)).length === 0, { timeoutMs: PATIENCE_MS, what: 'an empty outbox' });
    const { trace } = await li.act(article?.id ?? '', 2, 'publish');
    const whole = () => collector.tree(trace);
    const complete = () => {
      const services = new Set(whole().map(({ span }) => span.service));
      return services.size === 4 && whole().filter(({ depth }) => depth === 0).length === 1;
    };
    // Each process sends its spans on its own.
    await until(complete, { timeoutMs: PATIENCE_MS, what: 'all spans' });
    const spans = whole();
    const began = spans[0]?.span.startMs ?? 0;
    story.table({
      columns: ['step', 'process', 'from ms', 'took ms'],
      rows: spans.map(({ span, depth }) => [
        `${'· '.repeat(depth)}${span.name.replace('/api/articles/:id/:action', 'publish')}`,
        span.service,
        Math.round(span.startMs - began),
        Math.round(span.endMs - span.startMs),
      ]),
    });
    const processes = [...new Set(spans.map(({ span }) => span.service))];
    story.timeline({
      title: 'From the click to the index',
      unit: 'ms',
      lanes: processes.map((label) => ({
        label,
        spans: spans
          .filter(({ span }) => span.service === label && !span.name.startsWith('call'))
          .map(({ span }) => ({ from: span.startMs - began, to: span.endMs - began, label: span.name })),
      })),
      picture: true,
    });
    const roots = spans.filter(({ depth }) => depth === 0).length;
    story.verdict(
      'The trace goes on where the request ended: through the outbox',
      `${spans.length} spans of ${processes.length} processes, ${roots} root`,
      processes.length === 4 && roots === 1,
    );
  });
});
