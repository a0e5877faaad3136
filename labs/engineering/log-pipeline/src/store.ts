import type { Client } from '@opensearch-project/opensearch';
import { assertWhole, InvalidOptionError, reasonOf, StoreError } from './errors.ts';
import type { LogDocument } from './event.ts';
import { type Dsl, type FieldType, PLAIN, parseQuery, toDsl } from './query.ts';

export interface StoreOptions {
  /**
   * Prefix of the daily indices, as `shop-logs`: lower-case letters, digits and single `-` between them. Beside `till` no
   * store may be called `till-2`: a search of the first one would find the second one's lines.
   */
  readonly prefix: string;
  /** Fields of the application that can be asked for. All others are kept, and shown, and can't. */
  readonly fields?: Readonly<Record<string, FieldType>>;
}

export interface SearchOptions {
  readonly from: Date;
  readonly to: Date;
  /** Most hits, 0 to 1,000, the newest first. Default 50. */
  readonly size?: number;
  /** Most columns of the histogram, 1 to 500. Default 60. */
  readonly columns?: number;
}

export interface Bucket {
  readonly from: string;
  readonly total: number;
  readonly levels: Readonly<Record<string, number>>;
}

export interface SearchResult {
  /** How many there are, hits or not. */
  readonly total: number;
  readonly hits: readonly LogDocument[];
  readonly histogram: readonly Bucket[];
  /** Milliseconds that a column of the histogram covers. */
  readonly columnMs: number;
}

/** Bigrams: `standard` takes Chinese apart into single characters. "not" and "no" are words that a log is asked for. */
const ANALYSIS = { analyzer: { lines: { type: 'cjk', stopwords: '_none_' } } };
const DAY_MS = 86_400_000;
const TIMEOUT_MS = 10_000;
const PREFIX = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** The index of the day on which an event happened. @throws InvalidOptionError on a prefix that no index can have */
export function indexOf(prefix: string, timestamp: string): string {
  if (typeof prefix !== 'string' || prefix.length > 100 || !PREFIX.test(prefix)) {
    throw new InvalidOptionError(`prefix is made of a-z, 0-9 and single "-"; it is ${JSON.stringify(prefix)}.`);
  }
  return `${prefix}-${timestamp.slice(0, 10).replaceAll('-', '.')}`;
}

/** The logs in OpenSearch: an index a day, a search and its histogram. */
export class LogStore {
  readonly fields: ReadonlyMap<string, FieldType>;
  protected readonly client: Client;
  protected readonly prefix: string;

  /** @throws InvalidOptionError */
  constructor(client: Client, { prefix, fields = {} }: StoreOptions) {
    indexOf(prefix, '');
    for (const name of Object.keys(fields)) {
      if (!/^[A-Za-z_]\w*$/.test(name) || PLAIN.has(name)) {
        throw new InvalidOptionError(`${JSON.stringify(name)} can't be the name of a field, or is one of every event.`);
      }
    }
    this.client = client;
    this.prefix = prefix;
    this.fields = new Map([...PLAIN, ...Object.entries(fields)]);
  }

  /** Tells the index what is to be indexed. Before the first event, and again after the fields have changed. */
  async prepare(): Promise<void> {
    const own = [...this.fields].filter(([name]) => !PLAIN.has(name));
    const top = [...PLAIN].filter(([name]) => this.fields.has(name));
    // `dynamic: false`: what nobody has declared is kept as it is. Else each new name of a field is one in the cluster's
    // state for ever, and the first value that comes decides the type for all others.
    const mappings = {
      dynamic: false,
      properties: {
        '@timestamp': { type: 'date' },
        offset: { type: 'long' },
        ...Object.fromEntries(top.map(([name, type]) => [name, property(type)])),
        fields: { dynamic: false, properties: Object.fromEntries(own.map(([name, type]) => [name, property(type)])) },
      },
    };
    await this.#ask('prepare its indices', () =>
      this.client.transport.request(
        {
          method: 'PUT',
          path: `/_index_template/${this.prefix}`,
          body: {
            index_patterns: [`${this.prefix}-2*`],
            template: { settings: { number_of_shards: 1, auto_expand_replicas: '0-1', analysis: ANALYSIS }, mappings },
          },
        },
        { requestTimeout: TIMEOUT_MS },
      ),
    );
  }

  /**
   * Drops the days that ended more than `days` (1 to 3,650) days before `now`, each by its own name. A whole index goes
   * at once; deleting its documents one by one would cost more than they did. Gives the names of what was dropped.
   * @throws InvalidOptionError, StoreError
   */
  async retain(days: number, now: Date = new Date()): Promise<string[]> {
    assertWhole('days', days, 1, 3_650);
    return this.#ask('drop old days', async () => {
      const { body } = await this.client.indices.get({ index: `${this.prefix}-2*`, expand_wildcards: 'all' });
      const old = Object.keys(body).filter((name) => this.#isOver(name, now.getTime() - days * DAY_MS));
      for (const index of old) await this.client.indices.delete({ index, ignore_unavailable: true });
      return old.sort();
    });
  }

  /** Whether `index` is a day of ours that ended before `limit`. */
  #isOver(index: string, limit: number): boolean {
    const day = index.startsWith(`${this.prefix}-`) ? index.slice(this.prefix.length + 1) : '';
    return /^\d{4}\.\d\d\.\d\d$/.test(day) && Date.parse(day.replaceAll('.', '-')) + DAY_MS <= limit;
  }

  /**
   * The events of a time that a query (see `parseQuery`) asks for, and how many there were when.
   * @throws QueryError, InvalidOptionError, StoreError
   */
  async search(query: string, { from, to, size = 50, columns = 60 }: SearchOptions): Promise<SearchResult> {
    assertWhole('size', size, 0, 1_000);
    assertWhole('columns', columns, 1, 500);
    const [start, end] = [new Date(from).getTime(), new Date(to).getTime()];
    const span = end - start;
    if (!(span > 0)) throw new InvalidOptionError('A search goes from a time to a later one.');
    const columnMs = Math.max(1, Math.ceil(span / columns));
    const range = { range: { '@timestamp': { gte: start, lt: end, format: 'epoch_millis' } } };
    const body = {
      query: { bool: { filter: [range, this.toDsl(query)] } },
      track_total_hits: true,
      size,
      sort: [{ '@timestamp': 'desc' }, { offset: 'desc' }],
      aggs: {
        columns: {
          date_histogram: {
            field: '@timestamp',
            fixed_interval: `${columnMs}ms`,
            offset: `${start % columnMs}ms`,
          },
          aggs: { levels: { terms: { field: 'level', size: 10 } } },
        },
      },
    };
    const answer = await this.#ask('search', () =>
      this.client.transport.request(
        { method: 'POST', path: `/${this.prefix}-2*/_search`, querystring: { ignore_unavailable: true }, body },
        { requestTimeout: TIMEOUT_MS },
      ),
    );
    return { ...resultOf(answer.body, start, end, columnMs), columnMs };
  }

  protected toDsl(query: string): Dsl {
    return toDsl(parseQuery(query, this.fields), this.fields);
  }

  async #ask<T>(what: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (cause) {
      throw new StoreError(`The store of ${this.prefix} could not ${what}: ${reasonOf(cause)}.`, { cause });
    }
  }
}

function property(type: FieldType) {
  if (type === 'text') return { type, analyzer: 'lines' };
  return type === 'keyword' ? { type, ignore_above: 1_024 } : { type };
}

interface Answer {
  readonly hits: {
    readonly total: { readonly value: number };
    readonly hits: readonly { readonly _source: LogDocument }[];
  };
  readonly aggregations?: { readonly columns: { readonly buckets: readonly Column[] } };
}

interface Column {
  readonly key: number;
  readonly doc_count: number;
  readonly levels: { readonly buckets: readonly { readonly key: string; readonly doc_count: number }[] };
}

function resultOf({ hits, aggregations }: Answer, from: number, to: number, columnMs: number) {
  const found = new Map((aggregations?.columns.buckets ?? []).map((column) => [column.key, column]));
  // A stretch in which nothing happened is a column, too.
  const histogram = Array.from({ length: Math.ceil((to - from) / columnMs) }, (_, n) => {
    const column = found.get(from + n * columnMs);
    return {
      from: new Date(from + n * columnMs).toISOString(),
      total: column?.doc_count ?? 0,
      levels: Object.fromEntries((column?.levels.buckets ?? []).map(({ key, doc_count }) => [key, doc_count])),
    };
  });
  return { total: hits.total.value, hits: hits.hits.map(({ _source }) => _source), histogram };
}
