import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  Cards,
  DisconnectedError,
  type Doc,
  InvalidArgumentError,
  intlSegmenter,
  type JsonObject,
  MissingFieldError,
  planOf,
  QueryRefusedError,
  type Segmenter,
  StaleSegmentsError,
  type Statement,
  segment,
  TextSearch,
  UnstorableJsonError,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const BOOKS = 10_000;
const HALF = '\ud83d';

await describeWith('postgres-features', { postgres: () => startPostgres() }, ({ postgres }) => {
  const pool = new Pool({ connectionString: postgres.url, max: 12 });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  let tables = 0;
  const fresh = () => `t${++tables}`;
  const drawer = async (cards: Record<string, JsonObject> = {}) => {
    const table = fresh();
    const made = new Cards(pool, table);
    await made.migrate();
    for (const [id, card] of Object.entries(cards)) await made.add(id, card);
    return { cards: made, table };
  };
  const shelf = async (docs: readonly Doc[] = [], segmenter?: Segmenter) => {
    const table = fresh();
    const search = new TextSearch(pool, table, segmenter);
    await search.migrate();
    await search.put(docs);
    return { search, table };
  };
  const ids = async (cards: Cards, question: Statement) => (await cards.find(question)).map(({ id }) => id).sort();
  const doc = (id: string, title: string, body = 'A book.'): Doc => ({ id, title, body });
  /** Ids of what was found, in their order. */
  const found = async (search: TextSearch, typed: string) => (await search.searchDocs(typed)).hits.map(({ id }) => id);
  const sorted = async (search: TextSearch, typed: string) => (await found(search, typed)).sort();

  /** A table so large that reading all of it is never the better plan; made once. */
  let catalogue: Promise<{ cards: Cards; pages: number }> | undefined;
  const books = () => {
    catalogue ??= (async () => {
      const { cards, table } = await drawer();
      await pool.query(`INSERT INTO ${table} SELECT 'b' || n, jsonb_build_object('isbn', 'i' || n, 'lang', 'zh',
        'tags', jsonb_build_array('t' || n % 997, 'u' || n % 89),
        'editions', jsonb_build_array(jsonb_build_object('year', n % 1201), jsonb_build_object('year', 3000 + n)))
        FROM generate_series(1, ${BOOKS}) AS n`);
      await pool.query(`VACUUM ANALYZE ${table}`);
      const whole = await planOf(pool, { text: `SELECT * FROM ${table}`, values: [] });
      return { cards, pages: whole.buffers };
    })();
    return catalogue;
  };

  // ── JSONB ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a question about contents reads an index, and of the table its hits alone', async () => {
    const { cards, pages } = await books();
    const question = cards.contains({ tags: ['t5'] });
    const hits = await cards.find(question);
    expect(hits.map(({ id }) => id).sort()).toEqual(
      Array.from({ length: 21 }, (_, k) => `b${5 + 997 * k}`)
        .filter((id) => Number(id.slice(1)) <= BOOKS)
        .sort(),
    );
    const plan = await planOf(pool, question);
    expect(plan, JSON.stringify(plan)).toMatchObject({ rows: hits.length, seqScans: [] });
    expect(plan.indexes, JSON.stringify(plan)).toHaveLength(1);
    expect(plan.buffers, `pages touched, of ${pages}`).toBeLessThan(pages / 5);
    expect(await ids(cards, cards.contains({ tags: ['u5', 't5'], lang: 'zh' }))).toContain('b5');
  });

  test('a question by path, and one by a field as text, each read the index that knows them', async () => {
    const { cards, pages } = await books();
    await cards.indexField('isbn');
    for (const [question, expected] of [
      [cards.atPath(['editions', 'year'], 3_077), ['b77']],
      [cards.atPath(['editions', 'year'], 1_200), Array.from({ length: 8 }, (_, k) => `b${1_200 + 1_201 * k}`).sort()],
      [cards.byField('isbn', 'i77'), ['b77']],
    ] as const) {
      expect(await ids(cards, question), question.text).toEqual(expected);
      const plan = await planOf(pool, question);
      expect(plan, `${question.text}: ${JSON.stringify(plan)}`).toMatchObject({ rows: expected.length, seqScans: [] });
      expect(plan.indexes, JSON.stringify(plan)).toHaveLength(1);
      expect(plan.buffers, `pages touched, of ${pages}`).toBeLessThan(pages / 5);
    }
  });

  test('clerks who write different fields of one card at once all find theirs there', async () => {
    const { cards } = await drawer({ b1: { title: 'Dune', shelf: { room: 1 } } });
    const fields = Array.from({ length: 24 }, (_, n) => `f${n}`);
    await Promise.all(
      fields.map((field, n) => cards.set('b1', n % 2 === 0 ? [field] : ['shelf', field], { by: field })),
    );
    const there = (await cards.get('b1')) ?? {};
    const kept = fields.filter((field, n) => field in (n % 2 === 0 ? there : Object(there['shelf'])));
    expect(kept, `of ${fields.length} fields ${kept.length} are there: ${kept}`).toEqual(fields);
    expect(there).toMatchObject({ title: 'Dune', shelf: { room: 1 } });
  });

  test('a field set to null is a null in its card: neither a missing field nor a missing card', async () => {
    const { cards } = await drawer({ none: { discount: null }, absent: {}, some: { discount: 5, title: 'Dune' } });
    const priced = () => ids(cards, cards.contains({ discount: null }));
    expect(await priced(), 'cards that say null').toEqual(['none']);
    await cards.set('some', ['discount'], null);
    expect(await cards.get('some'), 'the rest of the card').toEqual({ discount: null, title: 'Dune' });
    expect(await priced(), 'cards that say null').toEqual(['none', 'some']);
    expect(await ids(cards, cards.atPath(['discount'], null)), 'the same by path').toEqual(['none', 'some']);
    expect(await cards.get('absent')).toEqual({});
    expect(await cards.get('nobody')).toBeUndefined();
  });

  test('integers beyond 2^53 go in and come out to the digit, and are found as such', async () => {
    const card = {
      isbn: 9_007_199_254_740_993n,
      deep: [{ id: -(2n ** 64n) }, 2 ** 53 - 1, 0.1, 1e-7],
      text: '9007199254740993',
      __proto__: null,
    };
    const { cards } = await drawer({ b1: card, b2: { isbn: 9_007_199_254_740_992n } });
    expect(await cards.get('b1')).toEqual({ isbn: card.isbn, deep: card.deep, text: card.text });
    await cards.set('b1', ['next'], 2n ** 53n + 1n);
    expect((await cards.get('b1'))?.['next']).toBe(9_007_199_254_740_993n);
    for (const question of [cards.contains({ isbn: card.isbn }), cards.atPath(['isbn'], card.isbn)]) {
      expect(await ids(cards, question)).toEqual(['b1']);
    }
    const odd = JSON.parse('{"__proto__":{"a":1},"constructor":2}');
    await cards.add('b3', odd);
    expect(JSON.stringify(await cards.get('b3'))).toBe('{"__proto__": {"a": 1}, "constructor": 2}'.replaceAll(' ', ''));
  });

  test('what jsonb can not keep as it is, is refused with its place, before anything is sent', async () => {
    const { cards } = await drawer({ b1: {} });
    const round: Record<string, JsonObject> = {};
    round['self'] = round;
    const bad: [unknown, string][] = [
      [{ a: 'x\0' }, '$.a'],
      [{ a: [1, HALF] }, '$.a[1]'],
      [{ 'k\0': 1 }, '$'],
      [{ [HALF]: 1 }, '$'],
      [{ a: Number.NaN }, '$.a'],
      [{ a: 2 ** 53 }, '$.a'],
      [{ a: -1e21 }, '$.a'],
      [{ a: undefined }, '$.a'],
      [{ a: new Date(0) }, '$.a'],
      [{ a: { b: new Map() } }, '$.a.b'],
      [{ a: () => 1 }, '$.a'],
      [{ a: new Array(1) }, '$.a[0]'],
      [{ a: Object.create(Object.create(Object.create(null))) }, '$.a'],
    ];
    for (const [value, path] of bad) {
      const attempts: (() => unknown)[] = [
        // @ts-expect-error: untyped code can hand in anything
        () => cards.add('b2', value),
        // @ts-expect-error: untyped code can hand in anything
        () => cards.set('b1', ['a'], value),
        // @ts-expect-error: untyped code can hand in anything
        () => cards.contains(value),
      ];
      for (const attempt of attempts) {
        const { error } = await outcome(Promise.resolve().then(attempt));
        expect(error, `${path}: ${String(error)}`).toBeInstanceOf(UnstorableJsonError);
        expect(error).toMatchObject({ path });
      }
    }
    // A card that grows deeper and deeper, a field at a time, could be written and never read again.
    for (const [deep, path] of [
      [() => cards.add('b2', round), '.self'.repeat(100)],
      [() => cards.set('b1', ['a'], round), '.self'.repeat(99)],
      [() => cards.set('b1', new Array(100).fill('a'), {}), ''],
      [() => cards.set('b1', new Array(200).fill('a'), []), ''],
    ] as const) {
      const { error } = await outcome(deep());
      expect(error).toBeInstanceOf(UnstorableJsonError);
      expect(error).toMatchObject({ path: `$${path}` });
    }
    expect([await cards.get('b1'), await cards.get('b2')]).toEqual([{}, undefined]);
  });

  test('an empty part, a list, a foreign name: what is no question is not asked', async () => {
    const { cards } = await drawer({ b1: { tags: ['a'], author: { name: 'Li' } } });
    const bad: (() => unknown)[] = [
      () => cards.contains({}),
      () => cards.contains({ tags: [] }),
      () => cards.contains({ author: {}, tags: ['a'] }),
      // @ts-expect-error: no object
      () => cards.contains(['tags']),
      // @ts-expect-error: no object
      () => cards.contains(null),
      () => cards.atPath([], 1),
      () => cards.atPath(new Array(1), 1),
      () => cards.atPath(['a\0'], 1),
      // @ts-expect-error: no value
      () => cards.atPath(['a'], {}),
      () => cards.byField("isbn' = '' OR 'a", 'a'),
      // @ts-expect-error: no text
      () => cards.byField('isbn', null),
      () => cards.byField('isbn', HALF),
      () => new Cards(pool, 'cards; DROP TABLE cards'),
      () => new Cards(pool, 'Cards'),
      () => new TextSearch(pool, '书'),
      () => new TextSearch(pool, 'a'.repeat(31)),
      () => new TextSearch(pool, 'a', { version: '', words: (run) => [run] }),
    ];
    for (const attempt of bad) expect(attempt, String(attempt)).toThrow(InvalidArgumentError);
    // @ts-expect-error: no card
    for (const attempt of [cards.add('', {}), cards.add(HALF, {}), cards.add('b2', []), cards.get('x'.repeat(201))]) {
      expect((await outcome(Promise.resolve(attempt))).error).toBeInstanceOf(InvalidArgumentError);
    }
  });

  test('no key and no value of a path can say more than itself', async () => {
    const odd = { 'a" ? (1 == 1) || "': 'x', quote: 'he said "no" \\ \u2028\n', $: 1 };
    const { cards } = await drawer({ b1: odd, b2: { a: 'x' } });
    const at = (path: string[], value: string | number) => ids(cards, cards.atPath(path, value));
    for (const [key, value] of Object.entries(odd)) expect(await at([key], value), key).toEqual(['b1']);
    expect(await at(['a" || $ == $ || "'], 'x')).toEqual([]);
    expect(await at(['a'], '" || "x" == "x')).toEqual([]);
  });

  test('a field that nothing could hold is an error, and changes nothing', async () => {
    const { cards } = await drawer({ b1: { shelf: { room: 1 }, tags: ['a'], title: 'Dune' } });
    const before = await cards.get('b1');
    for (const [id, path] of [
      ['b1', ['price', 'cents']],
      ['b1', ['title', 'english']],
      ['b1', ['tags', 'first']],
      ['b1', ['shelf', 'room', 'door']],
      ['nobody', ['price']],
    ] as const) {
      expect((await outcome(cards.set(id, path, 1))).error, `${id} ${path}`).toBeInstanceOf(MissingFieldError);
    }
    expect((await outcome(Promise.resolve().then(() => cards.set('b1', [], 1)))).error).toBeInstanceOf(
      InvalidArgumentError,
    );
    expect(await cards.get('b1')).toEqual(before);
  });

  test('the index of a field is taken for no other: not of a long name, a name in capitals, or the contents', async () => {
    const { cards, table } = await drawer();
    const long = 'f'.repeat(29);
    for (const field of ['content', `${long}1`, `${long}2`, 'publishedAt', 'publishedat']) {
      const card = `jsonb_build_object('${field}', 'v' || n)`;
      await pool.query(`INSERT INTO ${table} SELECT '${field}' || n, ${card} FROM generate_series(1, 400) AS n`);
      await cards.indexField(field);
      await pool.query(`ANALYZE ${table}`);
      const plan = await planOf(pool, cards.byField(field, 'v7'));
      expect(plan, `${field}: ${JSON.stringify(plan)}`).toMatchObject({ seqScans: [], rows: 1 });
    }
  });

  test('a path that the caller uses again is written where it led when he called', async () => {
    const { cards } = await drawer({ b1: { price: 1, shelf: {} } });
    const path = ['price'];
    const written = cards.set('b1', path, 2);
    path.unshift('shelf', 'room');
    await written;
    expect(await cards.get('b1')).toEqual({ price: 2, shelf: {} });
  });

  test('to explain a statement runs it, leaves nothing of it, and runs no second one', async () => {
    const { cards, table } = await drawer({ b1: { n: 1 }, b2: { n: 2 } });
    const remove = { text: `DELETE FROM ${table} WHERE id = $1 RETURNING id`, values: ['b1'] };
    expect(await planOf(pool, remove)).toMatchObject({ rows: 1 });
    const two = { text: `SELECT 1; DELETE FROM ${table}`, values: [] };
    expect((await outcome(planOf(pool, two))).error).toBeInstanceOf(QueryRefusedError);
    expect([await cards.get('b1'), await cards.get('b2')]).toEqual([{ n: 1 }, { n: 2 }]);
    const all = await planOf(pool, { text: `SELECT id FROM ${table} WHERE card->>'n' = '2'`, values: [] });
    expect(all).toMatchObject({
      seqScans: [table],
      indexes: [],
      rows: 1,
      discarded: 1,
    });
    expect(all.buffers).toBeGreaterThan(0);
    expect(all.ms).toBeGreaterThan(0);
  });

  // ── full text ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a word inside a Chinese sentence is found, and an English one in another form', async () => {
    const { search } = await shelf([
      doc('zh', '检索之书', '全文检索支持中文分词'),
      doc('en', 'The searching reader', 'Indexes are read by readers.'),
      doc('mixed', '入门', 'PostgreSQL的全文检索'),
    ]);
    for (const [typed, ids] of [
      ['分词', ['zh']],
      ['支持', ['zh']],
      ['全文', ['mixed', 'zh']],
      ['PostgreSQL', ['mixed']],
      ['read', ['en']],
      ['index', ['en']],
    ] as const) {
      expect(await sorted(search, typed), typed).toEqual(ids);
    }
    expect(segment('全文检索支持中文分词, PostgreSQL的全文检索！')).toBe(
      '全文 检索 支持 中文 分词 , PostgreSQL 的 全文 检索 ！',
    );
  });

  test('a query is cut as the texts are: what is written as one is one, after a minus too', async () => {
    const { search } = await shelf([
      doc('d1', '全文检索支持中文分词'),
      doc('d2', '中文排版'),
      doc('d3', '检索报告的全文'),
      doc('d4', 'PostgreSQL全文检索入门'),
    ]);
    for (const [typed, ids] of [
      ['全文检索', ['d1', 'd4']],
      ['全文 检索', ['d1', 'd3', 'd4']],
      ['全文，检索', ['d1', 'd3', 'd4']],
      ['全文-检索', ['d1', 'd3', 'd4']],
      ['"中文分词"', ['d1']],
      ['"全文检索" -"检索入门"', ['d1']],
      ['全文 -全文检索', ['d3']],
      ['全文 -"全文检索"', ['d3']],
      ['中文排版 or 分词', ['d1', 'd2']],
      ['postgresql全文检索', ['d4']],
      ['ＰｏｓｔｇｒｅＳＱＬ 检索', ['d4']],
      ['-中文 检索', ['d3', 'd4']],
    ] as const) {
      const asked = search.wordsStatement(typed).values[0];
      expect(await sorted(search, typed), `${typed}, asked as ${asked}`).toEqual(ids);
    }
  });

  test('a word in the title outranks the same word a hundred times in the body', async () => {
    const { search } = await shelf([
      doc('a-body', 'A notebook', 'index 索引 '.repeat(100)),
      doc('b-title', 'The index 索引', 'A book.'),
      doc('c-body', 'Another', 'One index and 索引, once.'),
    ]);
    for (const typed of ['index', '索引']) {
      const { hits, by } = await search.searchDocs(typed);
      const ranks = hits.map(({ id, rank }) => `${id} ${rank.toFixed(3)}`).join(', ');
      expect(hits[0]?.id, ranks).toBe('b-title');
      expect(hits.map(({ id }) => id).sort(), ranks).toEqual(['a-body', 'b-title', 'c-body']);
      expect(by).toBe('words');
    }
    expect((await search.searchDocs('index', 1)).hits).toHaveLength(1);
    await search.put(Array.from({ length: 21 }, (_, n) => doc(`d${n}`, 'The index')));
    expect((await search.searchDocs('index')).hits).toHaveLength(20);
  });

  test('a highlight marks what was found, keeps what the text says, and lets none of it become markup', async () => {
    const body = `<script>alert("全文检索")</script> x\x01y\x02 <mark>书</mark> & a<b &amp; 'Searches' <img onerror=检索>`;
    const { search } = await shelf([doc('d1', '<b>全文检索</b> & "search"', body)]);
    const text = (html: string) =>
      html
        .replace(/<\/?mark>/g, '')
        .replace(
          /&(lt|gt|quot|#39|amp);/g,
          (_, name) => ({ lt: '<', gt: '>', quot: '"', '#39': "'" })[String(name)] ?? '&',
        );
    for (const [typed, title, marks] of [
      ['检索', '&lt;b&gt;全文<mark>检索</mark>&lt;/b&gt; &amp; &quot;search&quot;', ['检索', '检索']],
      ['全文检索', '&lt;b&gt;<mark>全文检索</mark>&lt;/b&gt; &amp; &quot;search&quot;', ['全文检索', '检索']],
      ['searching', '&lt;b&gt;全文检索&lt;/b&gt; &amp; &quot;<mark>search</mark>&quot;', ['Searches']],
    ] as const) {
      const [hit] = (await search.searchDocs(typed)).hits;
      expect(hit?.titleHtml, typed).toBe(title);
      const html = hit?.html ?? '';
      expect(
        Array.from(html.matchAll(/<mark>(.*?)<\/mark>/g), ([, marked]) => marked),
        html,
      ).toEqual(marks);
      expect(html.replace(/<\/?mark>/g, ''), html).not.toMatch(/[<>"'\p{Cc}]/u);
      expect(text(html), html).toContain(`</script> x y  <mark>书</mark> & a<b &amp; 'Searches'`);
    }
  });

  test('texts that another segmenter has cut are refused to a query, until they are cut anew', async () => {
    for (const version of ['0 older', 'z newer']) {
      const older: Segmenter = { version, words: (run) => Array.from(run) };
      const { search: then, table } = await shelf([doc('d1', '全文检索'), doc('d2', '检索')], older);
      const now = new TextSearch(pool, table);
      await now.put([doc('d2', '索引')]);
      const { value, error } = await outcome(now.searchDocs('检索'));
      expect(error, `answered ${JSON.stringify(value?.hits.map(({ id }) => id))}`).toBeInstanceOf(StaleSegmentsError);
      expect(error).toMatchObject({ found: version });
      expect(await now.reindex(), 'the other was cut by this one').toBe(1);
      expect(await found(now, '检索')).toEqual(['d1']);
      expect(await now.reindex()).toBe(0);
      expect((await outcome(then.searchDocs('检索'))).error).toBeInstanceOf(StaleSegmentsError);
    }
    expect(intlSegmenter.version, "ICU's major release: a patch of Node locks nobody out").toBe(
      `intl-zh icu${process.versions['icu']?.split('.')[0]}`,
    );
  });

  test('a misspelt word is found by trigrams, and what is too short for them is said', async () => {
    const { search } = await shelf([
      doc('pg', 'The Postgres handbook <1>', 'On & about'),
      doc('redis', 'Redis in practice'),
      doc('zh', '全文检索支持中文分词'),
    ]);
    const typo = await search.searchDocs('postgers');
    expect(typo, 'postgers').toMatchObject({ by: 'trigrams', hits: [{ id: 'pg', html: 'On &amp; about' }] });
    expect(typo.hits[0]?.titleHtml).toBe('The Postgres handbook &lt;1&gt;');
    expect(typo.hits[0]?.rank).toBeGreaterThan(0.5);
    expect(await search.searchDocs('pstgres handbok!')).toMatchObject({ by: 'trigrams', hits: [{ id: 'pg' }] });
    for (const short of ['pg', '检锁', '- -', '', 'r!']) {
      expect(await search.searchDocs(short), short).toEqual({
        hits: [],
        by: 'nothing',
        notAsked: 'under three characters',
      });
    }
    expect(await search.searchDocs('pos'), 'three are enough').toMatchObject({ by: 'trigrams', hits: [{ id: 'pg' }] });
    expect(await search.searchDocs('kubernetes')).toEqual({ hits: [], by: 'nothing' });
    // pg_trgm takes for letters what LC_CTYPE does: the server decides which of the two it must be.
    const { rows } = await pool.query("SELECT cardinality(show_trgm('全文检锁')) AS trigrams");
    const chinese = await search.searchDocs('全文检锁');
    if (rows[0].trigrams > 0) expect(chinese).toMatchObject({ by: 'trigrams', hits: [{ id: 'zh' }] });
    else expect(chinese).toMatchObject({ by: 'nothing', notAsked: expect.stringContaining('LC_CTYPE') });
  });

  test('what is excluded is not found by its letters either', async () => {
    const { search } = await shelf([
      doc('both', 'Kubernetes and Redis'),
      doc('one', 'Kubernetes'),
      doc('redis', 'Redis in practice'),
      doc('zh', 'Kubernetes 全文检索'),
    ]);
    for (const [typed, ids] of [
      ['kubernets -redis', ['one', 'zh']],
      ['kubernets -redis -"全文检索"', ['one']],
      ['kubernets -全文检索', ['both', 'one']],
      ['kubernets -tolstoy', ['both', 'one', 'zh']],
    ] as const) {
      expect(await sorted(search, typed), typed).toEqual(ids);
    }
    expect(await search.searchDocs('-kubernetes -redis')).toMatchObject({ hits: [] });
  });

  test('a text is found by what stands in it: double hyphens, signs beside Chinese, signs that nobody sees', async () => {
    const cases = [
      ['The xn--fiqs8s.com registry', 'xn--fiqs8s.com'],
      ['dash---board', 'dash---board'],
      ['全文’s 检索', '全文'],
      ['\ufeff全\u200b文检索', '全文'],
      ['data\u00adbase', 'database'],
      ['《PostgreSQL实战》', 'PostgreSQL'],
      ['PostgreSQL', '《PostgreSQL》'],
      ['数据库、“index”', 'index'],
      ['《index、全文》', '"index、全文"'],
      ['TCP/IP详解', 'TCP/IP详解'],
      ['Node.js入门', 'Node.js入门'],
      ['3.5元', '3.5元'],
      ['数据库-MySQL', '数据库-MySQL'],
      ['《红楼梦》-index', '《红楼梦》-index'],
      ['O’Reilly', 'Reilly'],
      ['𠀀全文，第3章：１２３', '"第3章 123"'],
    ] as const;
    const { search } = await shelf(cases.map(([title], n) => doc(`d${n}`, title)));
    for (const [n, [title, typed]] of cases.entries()) {
      const { hits, by } = await search.searchDocs(typed);
      const seen = { by, hit: hits.some(({ id }) => id === `d${n}`) };
      expect(seen, JSON.stringify([title, typed])).toEqual({ by: 'words', hit: true });
    }
  });

  test('a segmenter that adds, drops or changes something is refused, and the texts stay as they are', async () => {
    const { search, table } = await shelf([doc('d1', '全文检索')]);
    const bad: ((run: string) => string[])[] = [
      () => [],
      (run) => [run, run],
      (run) => ['<b>', run],
      (run) => Array.from(run).slice(1),
    ];
    for (const [n, words] of bad.entries()) {
      const other = new TextSearch(pool, table, { version: `v${n}`, words });
      const attempts = [() => other.put([doc('d2', '索引')]), () => other.reindex(), () => other.searchDocs('检索')];
      for (const attempt of attempts) {
        const { error } = await outcome<unknown>(attempt());
        expect(error, String(words)).toBeInstanceOf(InvalidArgumentError);
      }
    }
    expect(await found(search, '全文 or 索引')).toEqual(['d1']);
  });

  test('any text is a query: none makes Postgres throw', async () => {
    const { search } = await shelf([doc('d1', 'a b 全文'), doc('d2', 'c')]);
    const signs = [
      '-',
      '--',
      ' ',
      '"',
      'a',
      '全文',
      ' or ',
      '(',
      ')',
      '&',
      '|',
      '!',
      ':*',
      '<->',
      '\\',
      "'",
      '\0',
      HALF,
    ];
    const source = random(SEED);
    const hostile = [
      `${'-'.repeat(999)}a`,
      `${'- '.repeat(400)}全`,
      '-('.repeat(400),
      '"'.repeat(1_000),
      '-a or '.repeat(160),
      '全'.repeat(1_000),
      'a:*&!(b',
      "'; DROP TABLE x --",
      ...Array.from({ length: 120 }, () => Array.from({ length: 40 }, () => source.pick(signs)).join('')),
    ];
    const failed = await Promise.all(
      hostile.map(async (typed) => {
        const { error } = await outcome(search.searchDocs(typed), 10_000);
        return error === undefined ? [] : [`${String(error)}: ${JSON.stringify(typed.slice(0, 60))}`];
      }),
    );
    expect(failed.flat(), `seed ${SEED}`).toEqual([]);
    expect(await found(search, 'b\0')).toEqual(['d1']);
  });

  test('what is no query, no text or no limit is refused', async () => {
    const { search } = await shelf([doc('d1', 'a')]);
    const bad: (() => unknown)[] = [
      () => search.searchDocs('a'.repeat(1_001)),
      // @ts-expect-error: no text
      () => search.searchDocs(undefined),
      () => search.searchDocs('a', 0),
      () => search.searchDocs('a', 1_001),
      () => search.searchDocs('a', Number.NaN),
      () => search.put([doc('d2', 'b'), doc('d3', 'c\0')]),
      () => search.put([doc('d2', 'b'), doc('d3', 'c', HALF)]),
      () => search.put([doc('', 'b')]),
      () => search.put([doc('d'.repeat(201), 'b')]),
    ];
    for (const attempt of bad) {
      const { error } = await outcome(Promise.resolve().then(attempt));
      expect(error, String(attempt)).toBeInstanceOf(InvalidArgumentError);
    }
    const long = await outcome(search.put([doc('d2', 'b'), doc('d3', 'c', 'x'.repeat(200_000))]));
    expect(long.error, 'more than 200,000 bytes').toBeInstanceOf(InvalidArgumentError);
    await search.put([doc('d'.repeat(200), 'c', 'x'.repeat(199_999))]);
    expect(await found(search, 'b'), 'all or none').toEqual([]);
    // What Postgres makes most of: an address is three words, and each of these is another.
    const most = Array.from({ length: 18_000 }, (_, n) => `${n.toString(36)}.io/${n}`).join(' ');
    await search.put([doc('d4', 'b', most.slice(0, 199_000))]);
    expect(await found(search, 'b')).toEqual(['d4']);
  });

  test('a text put again is found by its new words alone, and reads its index', async () => {
    const { search, table } = await shelf([doc('d1', '全文检索')]);
    await search.put([doc('d1', '检索'), doc('d1', '排版', '中文')]);
    expect(await found(search, '检索')).toEqual([]);
    expect(await found(search, '排版')).toEqual(['d1']);
    await search.put(Array.from({ length: 3_000 }, (_, n) => doc(`n${n}`, `No ${n}`, `图书${n % 600} x${n}`)));
    await pool.query(`VACUUM ANALYZE ${table}`);
    const plan = await planOf(pool, search.wordsStatement('x77'));
    expect(plan, JSON.stringify(plan)).toMatchObject({ rows: 1, seqScans: [], indexes: [`${table}_by_words`] });
  });

  // ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('the same schema, made by several at once and again, is one', async () => {
    const table = fresh();
    const drawers = Array.from({ length: 4 }, () => new Cards(pool, `${table}c`));
    const shelves = Array.from({ length: 4 }, () => new TextSearch(pool, table));
    await Promise.all([...drawers, ...shelves].map((it) => it.migrate()));
    await Promise.all(drawers.map((it) => it.indexField('isbn')));
    await shelves[0]?.migrate();
    expect((await pool.query('SELECT FROM pg_indexes WHERE tablename = $1', [`${table}c`])).rowCount).toBe(3);
  });

  test('a refused statement is an error with its sqlstate, and its connection is as new', async () => {
    const own = new Pool({ connectionString: postgres.url, max: 1 });
    onTestFinished(() => own.end());
    const { table } = await drawer({ b1: {} });
    const cards = new Cards(own, table);
    expect((await outcome(cards.add('b1', {}))).error).toMatchObject({ name: 'QueryRefusedError', sqlstate: '23505' });
    const nothing = new TextSearch(own, fresh());
    expect((await outcome(nothing.searchDocs('a'))).error).toMatchObject({ sqlstate: '42P01' });
    expect((await outcome(new Cards(own, fresh()).indexField('isbn'))).error).toMatchObject({ sqlstate: '42P01' });
    // One connection for both: what is written while something is explained isn't rolled back with it.
    const remove = { text: `DELETE FROM ${table}`, values: [] };
    await Promise.all([planOf(own, remove), cards.add('b2', { n: 2 }), nothing.migrate(), cards.add('b3', {})]);
    expect([await cards.get('b2'), await cards.get('b3')]).toEqual([{ n: 2 }, {}]);
    expect(await cards.get('b1')).toEqual({});
    expect([own.totalCount, own.idleCount, own.waitingCount]).toEqual([1, 1, 0]);
  });

  test('a connection that is lost is an error, its pool goes on, and a reindex goes on where it was', async () => {
    const older: Segmenter = { version: 'older', words: (run) => [run] };
    const docs = Array.from({ length: 600 }, (_, n) => doc(`d${String(n).padStart(3, '0')}`, '全文检索'));
    const { table } = await shelf(docs, older);
    const own = new Pool({ connectionString: postgres.url, max: 1, application_name: table });
    own.on('error', () => {});
    onTestFinished(() => own.end());
    const now = new TextSearch(own, table);
    let heard: number | undefined;
    own.once('acquire', (client) => queueMicrotask(() => (heard = client.listenerCount('error'))));
    await planOf(own, { text: 'SELECT 1', values: [] });
    expect(heard, 'who hears of the end of a connection that comes with its beginning').toBe(1);
    const lock = await pool.connect();
    await lock.query(`BEGIN; SELECT FROM ${table} WHERE id = 'd555' FOR UPDATE`);
    const running = outcome(now.reindex(), 5_000);
    const waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
    const pid = await until(async () => (await pool.query(waiting, [table])).rows[0]?.pid, { what: 'it to wait' });
    await pool.query('SELECT pg_terminate_backend($1)', [pid]);
    const { error } = await running;
    // Another writer was faster: his words must not be overwritten by those of the text as it was.
    await lock.query('ROLLBACK');
    lock.release();
    expect(error).toBeInstanceOf(DisconnectedError);
    expect(error).toMatchObject({ done: 'unknown' });
    await new TextSearch(pool, table).put([doc('d555', '排版')]);
    expect(await now.reindex(), 'what is left: 600 less a batch of 500 and one put').toBe(99);
    expect(await found(now, '排版')).toEqual(['d555']);
    expect((await now.searchDocs('检索', 1_000)).hits).toHaveLength(599);
  });

  test('a text written while it is cut anew keeps its new words', async () => {
    const { table } = await shelf([doc('d1', '全文'), doc('d2', '全文')], { version: 'older', words: (run) => [run] });
    const now = new TextSearch(pool, table);
    const lock = await pool.connect();
    await lock.query(`BEGIN; SELECT FROM ${table} WHERE id = 'd1' FOR UPDATE`);
    const running = outcome(now.reindex(), 5_000);
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${table} %FOR UPDATE'`;
    await until(async () => (await pool.query(waiting)).rowCount, { what: 'it to wait' });
    await lock.query(`UPDATE ${table} SET title = '排版', title_words = '排版', segmenter = $1 WHERE id = 'd1'`, [
      intlSegmenter.version,
    ]);
    await lock.query('COMMIT');
    lock.release();
    expect(await running).toMatchObject({ value: 1 });
    expect([await found(now, '排版'), await found(now, '全文')]).toEqual([['d1'], ['d2']]);
  });

  test('many who put the same texts, and cut them anew at the same time, never lock each other out', async () => {
    const source = random(SEED);
    const older: Segmenter = { version: 'older', words: (run) => [run] };
    const docs = (title: string) => Array.from({ length: 80 }, (_, n) => doc(`${n % 2 ? 'b' : 'B'}${n}`, title));
    const { table, search } = await shelf(docs('全文检索'), older);
    const now = new TextSearch(pool, table);
    const writers = Array.from({ length: 40 }, (_, n) => {
      if (n % 5 === 0) return now.reindex();
      return (n % 5 === 1 ? search : now).put(source.shuffle(docs(`检索 w${n}`)));
    });
    const errors = (await Promise.all(writers.map((it) => outcome<unknown>(it, 10_000)))).flatMap(
      ({ error }) => error ?? [],
    );
    expect(errors.map(String), `seed ${SEED}`).toEqual([]);
    await now.reindex();
    expect((await now.searchDocs('检索', 1_000)).hits).toHaveLength(80);
  });

  test('no server, or a closed pool: an error that says that nothing was done', async () => {
    const away = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
    const closed = new Pool({ connectionString: postgres.url });
    await closed.end();
    for (const gone of [away, closed]) {
      const attempts: Promise<unknown>[] = [
        new Cards(gone, 'a').get('b1'),
        new TextSearch(gone, 'a').searchDocs('b'),
        planOf(gone, { text: 'SELECT 1', values: [] }),
      ];
      for (const attempt of attempts) {
        const { error } = await outcome(attempt);
        expect(error).toBeInstanceOf(DisconnectedError);
        expect(error).toMatchObject({ done: 'no' });
      }
    }
    await away.end();
  });
});
