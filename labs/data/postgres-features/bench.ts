import { Jieba } from '@node-rs/jieba';
import { dict } from '@node-rs/jieba/dict.js';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, random, ratios, standingsTable } from '@shared/testkit';
import { Pool } from 'pg';
import { Cards, intlSegmenter, planOf, type Segmenter, type Statement, segment, TextSearch } from './src/index.ts';

const DOCS = 20_000;
/** What the texts are made of, and asked for: two signs and three. */
const WORDS = (
  '数据库 计算机 分布式 操作系统 人工智能 互联网 出版社 图书馆 研究生 经济学 ' +
  '检索 分词 中文 历史 文化 音乐 建筑 哲学 语法 城市 科学 技术 教育 管理 设计 艺术 社会 生活 世界 文学'
).split(' ');
const JOINTS = ['的', '与', '和', '在', '是', '了'];

await tell(
  { title: 'JSONB and full text: what the index buys, and what cuts words', dir: import.meta.dirname },
  async (story) => {
    const pg = await story.use(startPostgres());
    const url = new URL(pg.url);
    const admin = new Pool({ connectionString: pg.url, max: 4 });
    const name = `bench_${process.pid}`;
    await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 LC_CTYPE 'C.UTF-8'`);
    url.pathname = `/${name}`;
    const pool = new Pool({ connectionString: url.href, max: 8 });
    for (const it of [admin, pool]) it.on('error', () => {});
    const source = random(story.seed);
    /** A verdict, if the rounds agree on it. */
    const claim = (what: string, rounds: readonly number[], floor: number) => {
      const { text, reaches } = consensus(rounds);
      const holds = reaches(floor);
      if (holds === undefined) story.say(`“${what}”: not claimed, the rounds disagree (${text}).`);
      else story.verdict(what, text, holds);
    };
    const run = ({ text, values }: Statement) => pool.query(text, [...values]);

    try {
      await story.scene('One question to 100,000 cards', async () => {
        const cards = new Cards(pool, 'cards');
        await cards.migrate();
        await pool.query(`INSERT INTO cards SELECT 'b' || n, jsonb_build_object('isbn', 'i' || n, 'tags',
        jsonb_build_array('t' || n % 9973, 'u' || n % 89), 'year', n % 120) FROM generate_series(1, 100000) AS n`);
        await pool.query('CREATE TABLE bare AS SELECT * FROM cards; CREATE TABLE general AS SELECT * FROM cards');
        await pool.query('CREATE INDEX general_gin ON general USING gin (card)');
        await cards.indexField('isbn');
        for (const table of ['cards', 'bare', 'general']) await pool.query(`VACUUM ANALYZE ${table}`);
        const on = (table: string, question: Statement) => ({
          ...question,
          text: question.text.replace('cards', table),
        });
        const tags = cards.contains({ tags: ['t5'] });
        const [none, ops, path] = await contest(
          {
            'no index': () => run(on('bare', tags)),
            'GIN jsonb_ops': () => run(on('general', tags)),
            'GIN jsonb_path_ops': () => run(tags),
          },
          { workers: 1, rounds: 9 },
        );
        if (!none || !ops || !path) throw new Error('three contestants');
        story.table(standingsTable([none, ops, path]));
        // As they are when built at once: one that has grown row by row is larger.
        await pool.query('REINDEX INDEX cards_by_content');
        const size = async (name: string) =>
          Number((await pool.query('SELECT pg_relation_size($1) AS size', [name])).rows[0].size);
        const [large, small, table] = [await size('general_gin'), await size('cards_by_content'), await size('bare')];
        const mb = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
        story.say(`Of a table of ${mb(table)}: jsonb_ops takes ${mb(large)}, jsonb_path_ops ${mb(small)}.`);
        claim('jsonb_path_ops: at least 10 times the answers of no index', ratios(path, none), 10);
        story.say(
          'Few keys and many values: here they are much the same. The more keys a card has, the larger jsonb_ops.',
        );
        const field = cards.byField('isbn', 'i77');
        const [scan, indexed] = await contest(
          { '->> without': () => run(on('bare', field)), '->> with its index': () => run(field) },
          { workers: 1, rounds: 9 },
        );
        if (!scan || !indexed) throw new Error('two contestants');
        story.table(standingsTable([scan, indexed]));
        claim('an index on the expression: at least 10 times', ratios(indexed, scan), 10);
      });

      await story.scene(`Words, LIKE and trigrams over ${DOCS} Chinese texts`, async () => {
        const search = new TextSearch(pool, 'texts');
        await search.migrate();
        const sentence = () =>
          Array.from({ length: 30 }, () => source.pick(WORDS) + (source.next() < 0.4 ? source.pick(JOINTS) : '')).join(
            '',
          );
        // One text in 500 has a rare word: those are asked for. Signs stand round them, so that all three find the same.
        const docs = Array.from({ length: DOCS }, (_, n) => ({
          id: `d${n}`,
          title: `第${n}号`,
          body: sentence() + (n % 500 === 0 ? '，敦煌壁画。' : '') + (n % 500 === 1 ? '，青铜器。' : ''),
        }));
        const start = performance.now();
        for (let at = 0; at < DOCS; at += 1_000) await search.put(docs.slice(at, at + 1_000));
        story.say(`Cut and written: ${(DOCS / ((performance.now() - start) / 1000)).toFixed(0)} texts a second.`);
        await pool.query(
          'CREATE TABLE liked AS SELECT id, body FROM texts; CREATE TABLE grams AS SELECT id, body FROM texts',
        );
        await pool.query('CREATE INDEX grams_by_body ON grams USING gin (body gin_trgm_ops)');
        for (const table of ['texts', 'liked', 'grams']) await pool.query(`VACUUM ANALYZE ${table}`);
        const like = (table: string, word: string) => ({
          text: `SELECT id FROM ${table} WHERE body LIKE $1`,
          values: [`%${word}%`],
        });
        const words = (word: string) => ({
          text: "SELECT id FROM texts WHERE words @@ websearch_to_tsquery('english', $1)",
          values: [`"${segment(word)}"`],
        });
        for (const word of ['敦煌', '青铜器']) {
          const rows = await Promise.all(
            [
              ['words', words(word)],
              ['LIKE', like('liked', word)],
              ['LIKE, trigrams', like('grams', word)],
            ].map(async ([name, statement]) => {
              if (typeof name !== 'string' || typeof statement !== 'object') throw new Error('a name and a statement');
              const plan = await planOf(pool, statement);
              return [name, plan.seqScans[0] ? 'Seq Scan' : (plan.indexes[0] ?? ''), plan.buffers, plan.rows] as const;
            }),
          );
          story.table({ caption: `"${word}", pages touched`, columns: ['', 'read by', 'pages', 'hits'], rows });
          const [fts, plain, grams] = await contest(
            {
              words: () => run(words(word)),
              LIKE: () => run(like('liked', word)),
              'LIKE, trigrams': () => run(like('grams', word)),
            },
            { workers: 1, rounds: 5 },
          );
          if (!fts || !plain || !grams) throw new Error('three contestants');
          story.table(standingsTable([fts, plain, grams]));
          const hits = rows.map((row) => row[3]);
          story.verdict('the same texts', hits.join(', '), new Set(hits).size === 1);
          claim(`"${word}": words at least 5 times the answers of LIKE`, ratios(fts, plain), 5);
        }
        const count = async ({ text, values }: Statement) =>
          Number((await pool.query(`SELECT count(*) FROM (${text}) AS found`, [...values])).rows[0].count);
        const recall = await Promise.all(
          WORDS.map(async (word) => ({
            word,
            words: await count(words(word)),
            like: await count(like('liked', word)),
          })),
        );
        const sum = (of: 'words' | 'like') => recall.reduce((total, row) => total + row[of], 0);
        const worst = recall.toSorted((a, b) => a.words / a.like - b.words / b.like).slice(0, 4);
        story.table({
          caption: 'Words run into each other at random: what is cut otherwise in its sentence is not found',
          columns: ['word', 'by words', 'by LIKE'],
          rows: [
            ...worst.map((row) => [row.word, row.words, row.like]),
            [`all ${WORDS.length}`, sum('words'), sum('like')],
          ],
        });
        const share = sum('words') / sum('like');
        story.verdict('words find most of what LIKE finds', `${(share * 100).toFixed(1)} %`, share > 0.8 && share < 1);
      });

      await story.scene('Who cuts: Intl.Segmenter, or jieba', async () => {
        const jieba = Jieba.withDict(dict);
        const peer: Segmenter = { version: 'jieba', words: (run) => jieba.cut(run, true) };
        const samples: readonly (readonly [text: string, words: string])[] = [
          ['全文检索支持中文分词', '全文 检索 支持 中文 分词'],
          ['研究生命起源', '研究 生命 起源'],
          ['南京市长江大桥', '南京市 长江 大桥'],
          ['数据库系统概念', '数据库 系统 概念'],
          ['分布式系统原理', '分布式 系统 原理'],
          ['机器学习实战', '机器 学习 实战'],
          ['深入理解计算机系统', '深入 理解 计算机 系统'],
          ['他来到了网易杭研大厦', '他 来到 了 网易 杭研 大厦'],
          ['小明硕士毕业于中国科学院', '小明 硕士 毕业 于 中国科学院'],
          ['乒乓球拍卖完了', '乒乓球拍 卖 完 了'],
        ];
        story.table({
          columns: ['by hand', 'Intl.Segmenter', 'jieba'],
          rows: samples.map(([text, by]) => [by, ...[intlSegmenter, peer].map((it) => it.words(text).join(' '))]),
        });
        const same = (it: Segmenter) => samples.filter(([text, by]) => it.words(text).join(' ') === by).length;
        story.say(
          `As by hand: Intl.Segmenter ${same(intlSegmenter)} of ${samples.length}, jieba ${same(peer)}. Ten sentences prove nothing about yours: try them.`,
        );
        const text = samples.map(([it]) => it).join('');
        const [ours, theirs] = await contest(
          { 'Intl.Segmenter': async () => intlSegmenter.words(text), jieba: async () => peer.words(text) },
          { workers: 1, rounds: 9 },
        );
        if (!ours || !theirs) throw new Error('two contestants');
        story.table(standingsTable([ours, theirs]));
        story.say(
          'jieba is a package with its own dictionary of 5 MB; Intl.Segmenter comes with Node and changes with it.',
        );
        claim('Intl.Segmenter cuts at least a tenth as fast as jieba', ratios(ours, theirs), 0.1);
      });
    } finally {
      await pool.end();
      await admin.query(`DROP DATABASE ${name}`);
      await admin.end();
    }
  },
);
