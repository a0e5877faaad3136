import type { Pool } from 'pg';
import { type Ask, ask, migrateBy, type Statement, transact } from '../src/database.ts';
import { InvalidArgumentError } from '../src/errors.ts';
import type { Card, Doc, Found, Hit, Json, JsonObject, Scalar, Segmenter } from '../src/index.ts';
import { toJson } from '../src/json.ts';
import { clean, SIGN } from '../src/plain-text.ts';
import { intlSegmenter } from '../src/segment.ts';
import { storableText, tableName } from '../src/text.ts';

// What is not the idea is given: connections, transactions, JSON, plans, errors, arguments. The questions and the words
// are yours. `h` in `pnpm lab learn postgres-features` gives a hint. What you need is in src/errors.ts (MissingFieldError,
// StaleSegmentsError) and src/plain-text.ts (RUN, TERM, HTML, signed), each with a comment: add it to the imports above.
// src/cards.ts, src/search.ts and src/segment.ts hold solutions.
export {
  type Card,
  DisconnectedError,
  type Doc,
  FeatureError,
  type Found,
  type Hit,
  InvalidArgumentError,
  intlSegmenter,
  type Json,
  type JsonObject,
  MissingFieldError,
  type Plan,
  planOf,
  QueryRefusedError,
  type Scalar,
  type Segmenter,
  StaleSegmentsError,
  type Statement,
  UnstorableJsonError,
} from '../src/index.ts';

/** Documents in one jsonb column. Questions are statements, so that `find` can run them and `planOf` explain them. */
export class Cards {
  protected readonly pool: Pool;
  protected readonly table: string;

  constructor(pool: Pool, table: string) {
    this.pool = pool;
    this.table = tableName(table);
  }

  /** Creates the table, and the index for `contains` and `atPath`. Which index? */
  migrate(): Promise<void> {
    const { table } = this;
    return migrateBy(this.pool, [`CREATE TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, card jsonb NOT NULL)`]);
  }

  /** Creates the index for `byField(field, …)`: on what? */
  async indexField(field: string): Promise<void> {
    assertField(field);
    todo('indexField');
  }

  /** Given. */
  async add(id: string, card: JsonObject): Promise<void> {
    assertObject(card);
    const values = [storableText('id', id, 200), toJson(card)];
    await ask(this.pool, { text: `INSERT INTO ${this.table} VALUES ($1, $2)`, values });
  }

  /** Given. */
  async get(id: string): Promise<JsonObject | undefined> {
    const text = `SELECT id, card FROM ${this.table} WHERE id = $1`;
    return (await this.find({ text, values: [storableText('id', id, 200)] }))[0]?.card;
  }

  /** Given. */
  find(question: Statement): Promise<Card[]> {
    return ask<{ id: string; card: JsonObject }>(this.pool, question);
  }

  /** Cards that say all that `part` says, and maybe more. */
  contains(part: JsonObject): Statement {
    assertObject(part);
    toJson(part);
    if (!isTelling(part)) throw new InvalidArgumentError('Every card contains an empty part: say which value.');
    return todo('contains');
  }

  /** Cards that have this value at this path; arrays on the way are looked into (jsonpath does). */
  atPath(path: readonly string[], value: Scalar): Statement {
    assertPath(path);
    if (typeof value === 'object' && value !== null) throw new InvalidArgumentError('A path leads to one value.');
    return todo('atPath');
  }

  /** Cards whose top-level field, as text, is `text`. */
  byField(field: string, text: string): Statement {
    assertField(field);
    storableText('text', text);
    return todo('byField');
  }

  /** Writes one field of one card, and leaves the others as they are by then. Throws `MissingFieldError` when it wrote none. */
  async set(id: string, path: readonly string[], value: Json): Promise<void> {
    storableText('id', id, 200);
    assertPath(path);
    toJson(value);
    todo('set');
  }
}

/** "全文检索" becomes "全文 检索": a border where a word begins or ends without a space. */
export function segment(_text: string, _segmenter: Segmenter = intlSegmenter, _border = ' '): string {
  return todo('segment');
}

/** What a search gives back: texts in which the words found stand between signs. */
type Row = Pick<Hit, 'id' | 'title' | 'rank'> & { readonly marked_title: string; readonly marked: string };

/** Full-text search in English and Chinese. Postgres stems, ranks and highlights; you tell it where a Chinese word ends. */
export class TextSearch {
  protected readonly pool: Pool;
  protected readonly table: string;
  protected readonly segmenter: Segmenter;

  constructor(pool: Pool, table: string, segmenter: Segmenter = intlSegmenter) {
    this.pool = pool;
    this.table = tableName(table);
    this.segmenter = segmenter;
    storableText('version of the segmenter', segmenter.version, 200);
  }

  /** Given: the rows keep their texts, the texts cut into words, who cut them, and the words as a vector. */
  migrate(): Promise<void> {
    const { table } = this;
    return migrateBy(this.pool, [
      'CREATE EXTENSION IF NOT EXISTS pg_trgm',
      `CREATE TABLE IF NOT EXISTS ${table} (
        id text PRIMARY KEY, title text NOT NULL, body text NOT NULL, segmenter text NOT NULL,
        title_words text NOT NULL, body_words text NOT NULL,
        words tsvector NOT NULL GENERATED ALWAYS AS (${this.vector()}) STORED)`,
      `CREATE INDEX IF NOT EXISTS ${table}_by_words ON ${table} USING gin (words)`,
      `CREATE INDEX IF NOT EXISTS ${table}_by_trigrams ON ${table} USING gin (title gin_trgm_ops)`,
      `CREATE INDEX IF NOT EXISTS ${table}_by_segmenter ON ${table} (segmenter)`,
    ]);
  }

  /** The words of a row, in SQL. Its flaw: title and body weigh the same. */
  protected vector(): string {
    return "to_tsvector('english', title_words) || to_tsvector('english', body_words)";
  }

  /** Title and body as they are indexed: nothing in them is markup (`signed`), and words are cut by `SIGN.cut`. */
  protected cut({ title, body }: Omit<Doc, 'id'>): [titleWords: string, bodyWords: string] {
    return [clean(title), clean(body)];
  }

  /** What was typed, as `websearch_to_tsquery` is given it: cut as the texts are. */
  protected asked(typed: string): string {
    assertQuery(typed);
    return clean(typed);
  }

  /** Given: words first, trigrams when they find nothing; all of one snapshot. */
  async searchDocs(typed: string, limit = 20): Promise<Found> {
    const question = this.wordsStatement(typed, limit);
    return transact(this.pool, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async (query) => {
      await this.assertSameSegmenter(query);
      const rows = await query<Row>(question);
      if (rows.length > 0) return { hits: rows.map((row) => this.hit(row)), by: 'words' };
      return this.byTrigrams(query, typed, limit);
    });
  }

  /** Given: ranked first, highlighted after, since `ts_headline` parses the text again. */
  wordsStatement(typed: string, limit = 20): Statement {
    if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
      throw new InvalidArgumentError(`The limit is ${limit}: give a whole number from 1 to 1,000.`);
    }
    const query = "websearch_to_tsquery('english', $1)";
    const marks = `StartSel=${SIGN.open}, StopSel=${SIGN.close}`;
    return {
      text: `SELECT id, title, rank, ts_headline('english', title_words, ${query}, $3) AS marked_title,
          ts_headline('english', body_words, ${query}, $4) AS marked
        FROM (SELECT *, ts_rank(words, ${query}) AS rank FROM ${this.table}
          WHERE words @@ ${query} ORDER BY rank DESC, id LIMIT $2) AS best
        ORDER BY rank DESC, id`,
      values: [
        this.asked(typed),
        limit,
        `${marks}, HighlightAll=true`,
        `${marks}, MaxWords=35, MinWords=15, ShortWord=0`,
      ],
    };
  }

  protected hit({ id, title, rank, marked_title, marked }: Row): Hit {
    return { id, title, rank, titleHtml: this.html(marked_title), html: this.html(marked) };
  }

  /** HTML of an indexed text with the signs in it. Its flaw: it is the text as it came. */
  protected html(marked: string): string {
    return marked;
  }

  /** Throws `StaleSegmentsError` when a row was cut by another version than `this.segmenter.version`. */
  protected async assertSameSegmenter(_query: Ask): Promise<void> {}

  /** Titles with a word that is spelt much like `typed`, or why they weren't asked. */
  protected async byTrigrams(query: Ask, typed: string, _limit: number): Promise<Found> {
    const words = clean(typed).match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
    // Given: the threshold of `<%` is set, and the answer says how many trigrams there are of these letters.
    await query<{ trigrams: number }>({
      text: `SELECT set_config('pg_trgm.word_similarity_threshold', '0.35', true), cardinality(show_trgm($1)) AS trigrams`,
      values: [words.join(' ')],
    });
    // A row as `hit` takes it: id, title, rank, title_words AS marked_title, left(body_words, 200) AS marked.
    return { hits: [], by: 'nothing' };
  }

  /** Given: writes texts, all or none. */
  async put(docs: readonly Doc[]): Promise<void> {
    const rows = new Map(docs.map((doc) => [storableText('id', doc.id, 200), this.row(checked(doc))]));
    await ask(this.pool, {
      // By the order of ids, as `reindex` goes: two writers who lock rows crosswise would be a deadlock.
      text: `INSERT INTO ${this.table} (id, title, body, segmenter, title_words, body_words)
        SELECT id, title, body, segmenter, title_words, body_words
        FROM json_populate_recordset(NULL::${this.table}, $1) ORDER BY id
        ON CONFLICT (id) DO UPDATE SET title = excluded.title, body = excluded.body, segmenter = excluded.segmenter,
          title_words = excluded.title_words, body_words = excluded.body_words`,
      values: [JSON.stringify([...rows.values()])],
    });
  }

  /** A row but for its vector, which Postgres makes. */
  protected row({ id, title, body }: Doc): Doc & Record<string, string> {
    const [title_words, body_words] = this.cut({ title, body });
    return { id, title, body, title_words, body_words, segmenter: this.segmenter.version };
  }

  /** Given: cuts anew what another segmenter has cut, 500 texts a transaction. */
  async reindex(): Promise<number> {
    const { table, segmenter } = this;
    let total = 0;
    // By the order of ids, so that two that disagree about the version both come to an end.
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from = after;
      const docs: Doc[] = await transact(this.pool, 'BEGIN ISOLATION LEVEL READ COMMITTED', async (query) => {
        // Having waited for a lock, Postgres looks at the row once more: one written meanwhile has its words already.
        const stale = await query<Doc & Record<string, unknown>>({
          text: `SELECT id, title, body FROM ${table} WHERE id > $1 AND segmenter <> $2
            ORDER BY id LIMIT 500 FOR UPDATE`,
          values: [from, segmenter.version],
        });
        await query({
          text: `UPDATE ${table} SET title_words = cut.title_words, body_words = cut.body_words, segmenter = cut.segmenter
            FROM json_populate_recordset(NULL::${table}, $1) AS cut WHERE ${table}.id = cut.id`,
          values: [JSON.stringify(stale.map((doc) => this.row(doc)))],
        });
        return stale;
      });
      total += docs.length;
      after = docs.at(-1)?.id;
    }
    return total;
  }
}

function checked({ id, title, body }: Doc): Doc {
  const text = clean(storableText(`title of ${id}`, title) + storableText(`body of ${id}`, body));
  if (Buffer.byteLength(text) <= 200_000) return { id, title, body };
  throw new InvalidArgumentError('A text has at most 200,000 bytes: put its parts.');
}

function assertObject(value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new InvalidArgumentError('A card is an object.');
}

function assertPath(path: readonly string[]): void {
  if (!Array.isArray(path) || path.length === 0) throw new InvalidArgumentError('A path has at least one key.');
  for (const key of path) storableText('key', key);
}

function assertField(field: string): void {
  if (typeof field !== 'string' || !/^\w{1,30}$/.test(field))
    throw new InvalidArgumentError('A field is 1 to 30 of \\w.');
}

/** Whether every branch ends in a value. */
function isTelling(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const parts: unknown[] = Object.values(value);
  return parts.length > 0 && parts.every(isTelling);
}

function assertQuery(typed: string): void {
  if (typeof typed === 'string' && typed.length <= 1_000) return;
  throw new InvalidArgumentError('A query is a text of at most 1,000.');
}

function todo(what: string): never {
  throw new Error(`TODO: write ${what}`);
}
