import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { outcome } from '@shared/testkit';
import { Pool } from 'pg';
import { TextSearch as Shown } from './pitfalls/markup-from-the-text.ts';
import { Cards as Whole } from './pitfalls/read-then-write.ts';
import { TextSearch as Flat } from './pitfalls/title-weighs-no-more.ts';
import { TextSearch as Unaware } from './pitfalls/version-forgotten.ts';
import { Cards, planOf, type Segmenter, StaleSegmentsError, type Statement, segment, TextSearch } from './src/index.ts';

const BOOKS = 100_000;
const SENTENCE = '全文检索支持中文分词';
/** Titles of the shop, and a word inside each that somebody remembers. */
const TITLES: readonly (readonly [title: string, word: string])[] = [
  [SENTENCE, '检索'],
  ['数据库系统概念', '系统'],
  ['深入理解计算机系统', '计算机'],
  ['机器学习实战', '学习'],
  ['中国哲学简史', '哲学'],
  ['现代汉语语法研究', '语法'],
  ['南京市长江大桥', '长江'],
  ['研究生命起源', '生命'],
];

const options = {
  title: 'PostgreSQL: JSONB and full text 高级特性',
  subtitle: "The bookshop's catalogue: which drawer holds the card, and where a word ends",
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 10 }), (it) => it.end());
  pool.on('error', () => {});
  const ask = (text: string, ...values: unknown[]) => pool.query(text, values).then(({ rows }) => rows[0] ?? {});
  const fill = async (search: TextSearch) => {
    await search.migrate();
    await search.put(TITLES.map(([title], n) => ({ id: `b${n}`, title, body: 'A book.' })));
    return search;
  };
  /** How many of the words find the book that has them. */
  const remembered = async (search: TextSearch) => {
    const hits = await Promise.all(TITLES.map(([, word]) => search.searchDocs(word).then((found) => found.hits)));
    return hits.filter((found, n) => found.some(({ id }) => id === `b${n}`)).length;
  };

  await story.scene('A clerk who reads every card', async () => {
    story.say(
      `${BOOKS} books, a card of JSON each: \`{"isbn": "i77", "tags": ["t5", …], "editions": [{"year": …}]}\`. ` +
        'The measure is pages of 8 kB that were touched: it is the same on every machine. Milliseconds are of this one.',
    );
    const cards = new Cards(pool, 'books');
    await cards.migrate();
    await pool.query('DROP INDEX books_by_content');
    await pool.query(`INSERT INTO books SELECT 'b' || n, jsonb_build_object('isbn', 'i' || n,
      'tags', jsonb_build_array('t' || n % 9973, 'u' || n % 89), 'editions', jsonb_build_array(jsonb_build_object('year', n)))
      FROM generate_series(1, ${BOOKS}) AS n`);
    await pool.query('VACUUM ANALYZE books');
    const [tagged, dated] = [cards.contains({ tags: ['t5'] }), cards.atPath(['editions', 'year'], 77)];
    const isbn = cards.byField('isbn', 'i77');
    const asFunction = { ...dated, text: dated.text.replace('card @? $1', 'jsonb_path_exists(card, $1)') };
    const bars: { label: string; value: number; note: string; tone: 'good' | 'bad' }[] = [];
    const look = async (label: string, question: Statement) => {
      await planOf(pool, question);
      const plan = await planOf(pool, question);
      const [by] = [...plan.indexes, ...plan.seqScans.map(() => 'Seq Scan')];
      const note = `${by}, ${plan.discarded} discarded, ${plan.ms.toFixed(2)} ms`;
      bars.push({ label, value: plan.buffers, note, tone: plan.seqScans.length > 0 ? 'bad' : 'good' });
      return plan;
    };
    const before = await look('card @> …, no index', tagged);
    await cards.migrate();
    await pool.query('ANALYZE books');
    const after = await look('card @> …, GIN', tagged);
    const path = await look('card @? …, GIN', dated);
    const called = await look('path_exists(…), GIN', asFunction);
    const field = await look("card->>'isbn', GIN", isbn);
    await cards.indexField('isbn');
    await pool.query('ANALYZE books');
    const indexed = await look("card->>'isbn', own index", isbn);
    story.bars({ title: 'Pages touched to answer one question', picture: true, items: bars });
    story.verdict(
      'Without an index each card is read, and with GIN the hits alone',
      `${before.buffers} pages, then ${after.buffers}, for ${after.rows} cards`,
      before.seqScans.length === 1 && after.seqScans.length === 0 && after.buffers * 20 < before.buffers,
    );
    story.verdict(
      'The same index knows the path for the operator @?, not for the function',
      `${path.buffers} and ${called.buffers} pages`,
      path.seqScans.length === 0 && called.seqScans.length === 1,
    );
    story.verdict(
      'A field as text is another question: GIN does nothing for it, an index on the expression does',
      `${field.buffers}, then ${indexed.buffers} pages`,
      field.seqScans.length === 1 && indexed.seqScans.length === 0 && indexed.buffers < 20,
    );
  });

  await story.scene('Two dozen clerks, one card', async () => {
    story.say('24 clerks note a field each on the card of one book, at once: price, shelf, discount, …');
    const fields = Array.from({ length: 24 }, (_, n) => `field${n}`);
    const crowd = async (Kind: typeof Cards, table: string) => {
      const cards = new Kind(pool, table);
      await cards.migrate();
      await cards.add('dune', { title: 'Dune' });
      await Promise.all(fields.map((field) => cards.set('dune', [field], field)));
      return { cards, lost: fields.length - (Object.keys((await cards.get('dune')) ?? {}).length - 1) };
    };
    const whole = await crowd(Whole, 'whole');
    story.verdict('Read, change, write whole: notes are lost', `${whole.lost} of 24`, whole.lost > 0);
    story.code('src/cards.ts', { from: 'SET card = jsonb_set', to: 'RETURNING id' });
    const one = await crowd(Cards, 'fields');
    story.verdict(
      'One UPDATE with jsonb_set, under the row lock, keeps them',
      `${one.lost} of 24 lost`,
      one.lost === 0,
    );
    const wiped = await ask(`SELECT jsonb_set('{"title": "Dune", "discount": 5}', '{discount}', NULL) AS card`);
    await one.cards.set('dune', ['field0'], null);
    const kept = Object.keys((await one.cards.get('dune')) ?? {}).length;
    story.verdict(
      "SQL's NULL wipes the card, JSON's null is a value in it",
      `jsonb_set(…, NULL) is ${JSON.stringify(wiped.card)}; a null set as JSON leaves ${kept} of 25 fields`,
      wiped.card === null && kept === 25,
    );
  });

  await story.scene('Where does a word end?', async () => {
    const found = (text: string) =>
      ask(`SELECT to_tsvector('simple', $1) @@ websearch_to_tsquery('simple', '检索') AS hit`, text);
    const [plain, cut] = [(await found(SENTENCE)).hit, (await found(segment(SENTENCE))).hit];
    const vector = (await ask(`SELECT to_tsvector('simple', $1) AS words`, SENTENCE)).words;
    story.say(
      `To Postgres "${SENTENCE}" is one word: \`${vector}\`. It has spaces to go by, and nothing else. ` +
        `\`Intl.Segmenter('zh')\` has a dictionary: "${segment(SENTENCE)}".`,
    );
    story.verdict(
      '检索 is in the sentence, and is found once the words are cut',
      `${plain}, then ${cut}`,
      !plain && cut,
    );
    const raw: Segmenter = { version: 'none', words: (run) => [run] };
    const before = await remembered(await fill(new TextSearch(pool, 'raw', raw)));
    const search = await fill(new TextSearch(pool, 'shop'));
    const after = await remembered(search);
    story.verdict(
      'A customer remembers one word inside the title',
      `${before} of ${TITLES.length} titles are found; ${after} with their words cut`,
      before === 0 && after === TITLES.length,
    );
    const like = await ask(`SELECT string_agg(title, ', ') AS titles FROM shop WHERE title LIKE '%研究生%'`);
    const students = await search.searchDocs('研究生');
    story.verdict(
      'A word is more than its letters: 研究生, a postgraduate, is no word of 研究生命起源, the origin of life',
      `LIKE finds ${like.titles}; the words find ${students.hits.length}`,
      like.titles === '研究生命起源' && students.hits.length === 0,
    );
  });

  await story.scene('Which comes first, and what may it show?', async () => {
    const shop = async (Kind: typeof TextSearch, table: string) => {
      const made = new Kind(pool, table);
      await made.migrate();
      await made.put([
        { id: 'notebook', title: 'A notebook', body: `${'index '.repeat(100)}` },
        { id: 'handbook', title: 'The index handbook', body: '<img onerror="alert(1)"> On any <b>index</b>, x < y.' },
      ]);
      return (await made.searchDocs('index')).hits;
    };
    const [flat, hits] = [await shop(Flat, 'flat'), await shop(TextSearch, 'weighed')];
    story.say('Two books: "The index handbook", and "A notebook" that says "index" a hundred times in its text.');
    story.verdict(
      'Unweighed, who repeats it comes first; setweight puts titles first',
      `${flat[0]?.id}, then ${hits[0]?.id}`,
      flat[0]?.id === 'notebook' && hits[0]?.id === 'handbook',
    );
    const tags = (html = '') => html.match(/<(?!\/?mark>)/g)?.length ?? 0;
    const html = (them: typeof hits) => them.find(({ id }) => id === 'handbook')?.html ?? '';
    const [shown, safe] = [html(await shop(Shown, 'shown')), html(hits)];
    story.say(`Its text is not to be trusted. Marked and escaped: \`${safe}\``);
    story.verdict(
      'Marks that no text can have, then HTML: none of the text is a tag',
      `${tags(shown)} tags, then ${tags(safe)}`,
      tags(shown) > 0 && tags(safe) === 0 && safe.includes('<mark>index</mark>'),
    );
  });

  await story.scene('Badly written', async () => {
    const search = new TextSearch(pool, 'typos');
    await search.migrate();
    const names = 'Postgres Elasticsearch Kubernetes Dostoevsky Tolstoy Shakespeare Murakami Hemingway'.split(' ');
    await search.put(names.map((name) => ({ id: name, title: `${name}, an introduction`, body: 'A book.' })));
    /** Two letters in the middle change places. */
    const typo = (name: string) => name.replace(/^(..)(.)(.)/, '$1$3$2').toLowerCase();
    const found = await Promise.all(names.map((name) => search.searchDocs(typo(name))));
    const byTrigrams = found.filter(({ by, hits }, n) => by === 'trigrams' && hits[0]?.id === names[n]).length;
    const byWords = found.filter(({ by }) => by === 'words').length;
    const short = await search.searchDocs('pq');
    story.verdict(
      `"${typo('Postgres')}", "${typo('Murakami')}", …: no word, but many of its groups of three letters`,
      `${byWords} of ${names.length} found by words, ${byTrigrams} by trigrams`,
      byWords === 0 && byTrigrams > names.length / 2,
    );
    story.verdict(
      'Below three letters there is nothing to go by, and the answer says so',
      `"pq": ${short.notAsked}`,
      short.notAsked !== undefined,
    );
    const here = await ask(
      "SELECT cardinality(show_trgm('全文检锁')) AS trigrams, datctype FROM pg_database WHERE datname = current_database()",
    );
    story.say(
      `pg_trgm takes for letters what LC_CTYPE does. Under "${here.datctype}", as here, 全文检锁 has ${here.trigrams} trigrams.`,
    );
    const hostile = ["O'Reilly & (", 'c++:', '!', '"', '<->', `${'-'.repeat(33)}a`];
    const thrown = async (attempt: (typed: string) => Promise<unknown>) =>
      (await Promise.all(hostile.map((typed) => outcome(attempt(typed))))).filter(({ error }) => error).length;
    const parsed = (parse: string) => thrown((typed) => ask(`SELECT ${parse}('english', $1)`, typed));
    const [strict, lenient] = [await parsed('to_tsquery'), await parsed('websearch_to_tsquery')];
    const none = await thrown((typed) => search.searchDocs(typed));
    story.verdict(
      'What people type is never an error',
      `to_tsquery throws at ${strict} of ${hostile.length}, websearch_to_tsquery at ${lenient} (33 minus signs), searchDocs at ${none}`,
      strict > lenient && lenient === 1 && none === 0,
    );
  });

  await story.scene('A new dictionary', async () => {
    story.say(
      'The texts were cut by another dictionary: by single signs, say. Now the shop is upgraded, and only queries are cut anew.',
    );
    const older: Segmenter = { version: 'signs 1', words: (run) => Array.from(run) };
    await fill(new TextSearch(pool, 'upgraded', older));
    const silent = await remembered(new Unaware(pool, 'upgraded'));
    const now = new TextSearch(pool, 'upgraded');
    const { error } = await outcome(now.searchDocs('检索'));
    story.verdict(
      'Nobody looks at the version: books are gone, without a word',
      `${silent} of ${TITLES.length} found`,
      silent < TITLES.length,
    );
    story.verdict(
      'The version is kept with each text: the query is refused',
      error instanceof Error ? error.name : 'answered',
      error instanceof StaleSegmentsError,
    );
    const count = await now.reindex();
    const again = await remembered(now);
    story.verdict(
      'Cut anew, they are there again',
      `${count} texts, ${again} of ${TITLES.length} found`,
      again === TITLES.length,
    );
  });
});
