import type { Client } from '@opensearch-project/opensearch';
import { z } from 'zod';
import { checkAmount, checkWords, InvalidInputError, UnavailableError } from './errors.ts';
import { step } from './trace.ts';

/** A text as the index has it. */
export interface Document {
  readonly id: string;
  readonly revision: number;
  /** False: nobody finds it any more. */
  readonly live: boolean;
  readonly slug: string;
  readonly title: string;
  readonly teaser: string;
  /** Plain text. */
  readonly body: string;
}

export interface Hit {
  readonly slug: string;
  readonly title: string;
  readonly teaser: string;
}

/** One pair of lines of OpenSearch's `_bulk`. */
export interface Operation {
  readonly action: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly source?: Readonly<Record<string, unknown>>;
}

export interface SearchOptions {
  /** Of OpenSearch. */
  readonly url: string;
  /** Name of the index: lower-case letters, digits and "-". Default "cms-articles". */
  readonly index?: string;
  /** Milliseconds for one request. Default 5,000. */
  readonly timeoutMs?: number;
}

/** What a batch came to: for each document why it will never be taken, or ''. */
export interface PutResult {
  readonly refusals: readonly string[];
  /** There is no index: nothing was taken. */
  readonly missing: boolean;
}

/** Words of Latin letters by their stem; Chinese, which has no spaces, by pairs of characters. */
const ANALYSIS = {
  analyzer: {
    words: {
      type: 'custom' as const,
      tokenizer: 'standard',
      filter: ['cjk_width', 'lowercase', 'cjk_bigram', 'porter_stem'],
    },
  },
};
/** Of what is searched for: each may be a word, each word is looked for in three fields, and OpenSearch takes 1,024 of them. */
export const MOST_LETTERS = 300;

const TEXT = { type: 'text', analyzer: 'words' } as const;
const MAPPINGS = {
  dynamic: false,
  properties: { title: TEXT, teaser: TEXT, body: TEXT, live: { type: 'boolean' as const } },
};

/** What readers can search for, in OpenSearch. It may be late, and it may be lost: the texts are elsewhere. */
export class SearchIndex implements AsyncDisposable {
  /** Loaded where it is used: it is hundreds of files, and of the five services one alone asks OpenSearch. */
  protected readonly client: Promise<Client>;
  protected readonly index: string;

  /** @throws InvalidInputError */
  constructor({ url, index = 'cms-articles', timeoutMs = 5_000 }: SearchOptions) {
    checkAmount('timeoutMs', timeoutMs, 1, 600_000);
    if (!/^[a-z0-9][a-z0-9-]{0,99}$/.test(index)) throw new InvalidInputError('index', index, 'a-z, 0-9 and "-"');
    if (!URL.canParse(url)) throw new InvalidInputError('url', url, 'a URL');
    this.client = import('@opensearch-project/opensearch').then(
      ({ Client }) => new Client({ node: url, maxRetries: 0, requestTimeout: timeoutMs }),
    );
    // Each request says it.
    this.client.catch(() => {});
    this.index = index;
  }

  /** Makes the index where it is missing. */
  async prepare(): Promise<void> {
    if (await this.#exists()) return;
    await this.#ask('make its index', (client) => {
      const settings = { number_of_shards: 1, auto_expand_replicas: '0-1' as const, analysis: ANALYSIS };
      return client.indices
        .create({ index: this.index, body: { settings, mappings: MAPPINGS } })
        .catch((error: unknown) => {
          // Somebody else has made it meanwhile.
          if (errorType(error) !== 'resource_already_exists_exception') throw error;
        });
    });
  }

  async #exists(): Promise<boolean> {
    const { body } = await this.#ask('look for its index', (client) => client.indices.exists({ index: this.index }));
    return body;
  }

  /**
   * Takes the documents, in whatever order and however often they come.
   * @param make makes the index where it is missing: once all texts are noted, since it knows none of them
   * @throws UnavailableError: none, or some, are in
   */
  async put(documents: readonly Document[], make = false): Promise<PutResult> {
    // Else the first document would make an index, whose fields are guessed from that document.
    if (make) await this.prepare();
    else if (!(await this.#exists())) return { refusals: [], missing: true };
    return { refusals: documents.length === 0 ? [] : await this.#bulk(documents), missing: false };
  }

  async #bulk(documents: readonly Document[]): Promise<readonly string[]> {
    const lines = documents.map((document) => this.operation(document));
    const body = lines.flatMap(({ action, source }) => (source === undefined ? [action] : [action, source]));
    const said = await this.#ask('take documents', (client) =>
      client.bulk({ index: this.index, refresh: true, body }).catch((error: unknown) => {
        if (isRefusal(error)) return error;
        throw error;
      }),
    );
    if (!(said instanceof Error)) return said.body.items.map((item) => verdictOf(Object.values(item)[0]));
    // One of them can't even be read, and the whole of it was refused: which one?
    if (documents.length === 1) return [said.message.slice(0, 500)];
    const each: string[] = [];
    for (const document of documents) each.push(...(await this.#bulk([document])));
    return each;
  }

  /** The best first. @param words as somebody typed them @param except an article that is left out @throws InvalidInputError, UnavailableError */
  async search(words: string, limit: number, except = ''): Promise<readonly Hit[]> {
    checkWords('words', words, 0, MOST_LETTERS);
    checkAmount('limit', limit, 1, 50);
    const query = {
      bool: {
        must: [{ multi_match: { query: words, fields: ['title^3', 'teaser^2', 'body'] } }],
        filter: [{ term: { live: true } }],
        ...(except !== '' && { must_not: [{ ids: { values: [except] } }] }),
      },
    };
    return this.#ask('search', async (client) => {
      const { body } = await client.search({
        index: this.index,
        body: { query, size: limit, _source: ['slug', 'title', 'teaser'] },
      });
      return body.hits.hits.flatMap(({ _source }) => hitOf(_source) ?? []);
    });
  }

  /**
   * How one document is written. OpenSearch itself compares the revisions: what comes late finds a newer one and is refused.
   * What is unpublished stays, as a tombstone: a deletion is forgotten after a minute (`index.gc_deletes`), and what comes
   * later than that would be new.
   */
  protected operation(document: Document): Operation {
    const { id, revision, live } = document;
    const action = { index: { _id: id, version: revision, version_type: 'external' } };
    return { action, source: live ? { ...document } : { id, revision, live } };
  }

  async #ask<T>(what: string, request: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await step(`opensearch ${what}`, async () => request(await this.client));
    } catch (cause) {
      throw new UnavailableError(`OpenSearch (asked to ${what})`, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.client).close();
  }
}

function errorType(error: unknown): unknown {
  const body: unknown = error instanceof Error && 'body' in error ? error.body : undefined;
  return z.object({ error: z.object({ type: z.string() }) }).safeParse(body).data?.error.type;
}

/** An answer to what was asked: to ask again changes nothing. */
function isRefusal(error: unknown): error is Error {
  if (!(error instanceof Error && error.name === 'ResponseError' && 'statusCode' in error)) return false;
  return error.statusCode === 400 || error.statusCode === 413;
}

interface Verdict {
  readonly status?: number;
  readonly error?: { readonly type?: string; readonly reason?: string | null };
}

/** Why a document will never be taken, or ''. @throws UnavailableError where it may be, later */
function verdictOf({ status = 500, error }: Verdict = {}): string {
  const why = `${error?.type ?? status}: ${error?.reason ?? ''}`.slice(0, 500);
  // Of these the index is the reason, and not the document: it is closed, or can't be made.
  const ofIndex = error?.type === 'index_closed_exception' || error?.type === 'validation_exception';
  if (status === 400 && !ofIndex) return why;
  // 409: this revision, or a newer one, is in. 404: what is to be gone is gone.
  if (status < 300 || status === 409 || (status === 404 && error === undefined)) return '';
  throw new UnavailableError('OpenSearch (asked to take a document)', why);
}

function hitOf(source: unknown): Hit | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  const [slug, title, teaser] = ['slug', 'title', 'teaser'].map((key): unknown => Reflect.get(source, key));
  if (typeof slug !== 'string' || typeof title !== 'string') return undefined;
  return { slug, title, teaser: typeof teaser === 'string' ? teaser : '' };
}
