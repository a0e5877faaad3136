import type { Pool } from 'pg';
import { type Ask, ask, migrateBy, type Statement, transact } from './database.ts';
import { InvalidArgumentError, StaleSegmentsError } from './errors.ts';
import { clean, HTML, SIGN, signed } from './plain-text.ts';
import { intlSegmenter, queryText, type Segmenter, segment } from './segment.ts';
import { storableText, tableName } from './text.ts';

/** A text to be found. */
export interface Doc {
  readonly id: string;
  readonly title: string;
  readonly body: string;
}

/** A text that was found. `titleHtml` and `html` are safe in a page: the only tag in them is `<mark>`. */
export interface Hit {
  readonly id: string;
  readonly title: string;
  readonly titleHtml: string;
  /** An excerpt of the body. */
  readonly html: string;
  /** Of this query alone: higher is better. */
  readonly rank: number;
}

export interface Found {
  /** Best first. */
  readonly hits: readonly Hit[];
  /** What has found them: its words, or the trigrams of titles when no words did. */
  readonly by: 'words' | 'trigrams' | 'nothing';
  /** Why trigrams could not be asked, if words found nothing. */
  readonly notAsked?: 'under three characters' | 'no trigrams of these letters under this LC_CTYPE';
}

/** What a search gives back: texts in which the words found stand between signs. */
type Row = Pick<Hit, 'id' | 'title' | 'rank'> & { readonly marked_title: string; readonly marked: string };

/** How alike a word of the title must be, from 0 to 1, for `<%`. Two letters swapped in the middle of "postgres" leave 0.38. */
const ALIKE = 0.35;
const SHORTEST_FOR_TRIGRAMS = 3;
const BATCH = 500;
/** Bytes of a text before it is cut: no segmenter can make more of it than the 1 MB that a tsvector holds. */
const LONGEST_TEXT = 200_000;
/** A word or phrase with a minus before it. */
const EXCLUDED = /(?<!\S)-+("[^"]*"?|\S+)/g;
const READING = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/**
 * Full-text search in English, and in Chinese and Japanese once their texts are cut into words. Postgres stems, ranks
 * and highlights; what is here is what it can't know: where a Chinese word ends.
 *
 * @see https://www.postgresql.org/docs/current/textsearch.html
 */
export class TextSearch {
  protected readonly pool: Pool;
  protected readonly table: string;
  protected readonly segmenter: Segmenter;

  /** @throws InvalidArgumentError unless `table` is 1 to 30 of a-z, 0-9 and _, and the version a text of 1 to 200 bytes */
  constructor(pool: Pool, table: string, segmenter: Segmenter = intlSegmenter) {
    this.pool = pool;
    this.table = tableName(table);
    this.segmenter = segmenter;
    storableText('version of the segmenter', segmenter.version, 200);
  }

  /**
   * Creates the table and its indexes, and the extension pg_trgm (a trusted one: CREATE on the database is enough; a
   * database has it once, in a schema that every search_path must name). Can be repeated, by several at once.
   */
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

  /** The words of a row with their weights, in SQL: A counts ten times as much as D. */
  protected vector(): string {
    return "setweight(to_tsvector('english', title_words), 'A') || setweight(to_tsvector('english', body_words), 'D')";
  }

  /**
   * Writes texts, all or none; one with a known id is replaced, and of two with one id the last is kept.
   *
   * @throws InvalidArgumentError for a text with U+0000 or half a surrogate pair, or of more than 200,000 bytes: one that
   * Postgres refused only when it is cut anew would stand in the way of all others
   */
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

  /** Title and body as they are indexed. */
  protected cut({ title, body }: Omit<Doc, 'id'>): [titleWords: string, bodyWords: string] {
    const words = (text: string) => segment(signed(text), this.segmenter, SIGN.cut);
    return [words(title), words(body)];
  }

  /** What was typed, as `websearch_to_tsquery` is given it. */
  protected asked(typed: string): string {
    return queryText(typed, this.segmenter);
  }

  /**
   * Searches as people type: words, "phrases", -without, or. When no words are found, titles that have a word spelt much
   * like it. Any text of up to 1,000 is a query.
   *
   * @param limit hits at most, 1 to 1,000
   * @throws StaleSegmentsError when a text was cut by another segmenter than the query; InvalidArgumentError;
   * QueryRefusedError; DisconnectedError
   */
  async searchDocs(typed: string, limit = 20): Promise<Found> {
    const question = this.wordsStatement(typed, limit);
    return transact(this.pool, READING, async (query) => {
      await this.assertSameSegmenter(query);
      const rows = await query<Row>(question);
      if (rows.length > 0) return { hits: rows.map((row) => this.hit(row)), by: 'words' };
      return this.byTrigrams(query, typed, limit);
    });
  }

  /**
   * The statement that finds by words: `planOf` can explain it. Ranked first, highlighted after: `ts_headline` parses the
   * text again, so only what is shown is worth it.
   */
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

  /** All rows have one version or there are a first and a last that differ: two looks into the index. */
  protected async assertSameSegmenter(query: Ask): Promise<void> {
    const { version } = this.segmenter;
    const text = `SELECT min(segmenter) AS first, max(segmenter) AS last FROM ${this.table}`;
    const [row] = await query<{ first: string | null; last: string | null }>({ text, values: [] });
    for (const found of [row?.first, row?.last]) {
      if (typeof found === 'string' && found !== version) throw new StaleSegmentsError(found, version);
    }
  }

  protected hit({ id, title, rank, marked_title, marked }: Row): Hit {
    return { id, title, rank, titleHtml: this.html(marked_title), html: this.html(marked) };
  }

  /** HTML of an indexed text in which Postgres has put the signs `open` and `close`: they alone become tags. */
  protected html(marked: string): string {
    const joined = marked.replaceAll(`${SIGN.close}${SIGN.cut}${SIGN.open}`, SIGN.cut);
    return Array.from(joined, (sign) => HTML.get(sign) ?? sign).join('');
  }

  /**
   * Titles with a word that is spelt much like `typed`. A word of two letters has no inner trigram: one wrong letter
   * leaves nothing to go by. And pg_trgm takes for letters what the database's LC_CTYPE does: under "C" ASCII alone.
   */
  protected async byTrigrams(query: Ask, typed: string, limit: number): Promise<Found> {
    const without = Array.from(this.asked(typed).matchAll(EXCLUDED), ([, term]) => term).join(' or ');
    const words =
      clean(typed)
        .replace(EXCLUDED, ' ')
        .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
    const text = words.join(' ');
    const none = { hits: [], by: 'nothing' } as const;
    if (Array.from(words.join('')).length < SHORTEST_FOR_TRIGRAMS)
      return { ...none, notAsked: 'under three characters' };
    const [known] = await query<{ trigrams: number }>({
      text: `SELECT set_config('pg_trgm.word_similarity_threshold', $2, true), cardinality(show_trgm($1)) AS trigrams`,
      values: [text, String(ALIKE)],
    });
    if (known?.trigrams === 0) return { ...none, notAsked: 'no trigrams of these letters under this LC_CTYPE' };
    const rows = await query<Row>({
      text: `SELECT id, title, word_similarity($1, title) AS rank, title_words AS marked_title,
          left(body_words, 200) AS marked
        FROM ${this.table} WHERE $1 <% title AND NOT words @@ websearch_to_tsquery('english', $3)
        ORDER BY rank DESC, id LIMIT $2`,
      values: [text, limit, without],
    });
    return rows.length > 0 ? { hits: rows.map((row) => this.hit(row)), by: 'trigrams' } : none;
  }

  /**
   * Cuts anew what another segmenter has cut, 500 texts a transaction. One that is cut off goes on where it was when it
   * is called again; texts that are written meanwhile are waited for, and not overwritten.
   *
   * @returns how many texts
   */
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
            ORDER BY id LIMIT ${BATCH} FOR UPDATE`,
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
  const bytes = Buffer.byteLength(clean(storableText(`title of ${id}`, title) + storableText(`body of ${id}`, body)));
  if (bytes <= LONGEST_TEXT) return { id, title, body };
  throw new InvalidArgumentError(
    `The text ${id} has ${bytes} bytes, and ${LONGEST_TEXT} are the limit: put its parts.`,
  );
}
