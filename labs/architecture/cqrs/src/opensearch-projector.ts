// A read model that is searched, in OpenSearch. Nothing else here needs this file or the package
// `@opensearch-project/opensearch`: without OpenSearch leave both out.
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, errors } from '@opensearch-project/opensearch';
import { CqrsError, InvalidArgumentError, PoisonEventError, StaleReadError, StoreError } from './errors.ts';
import type { EventStore, NewEvent, Recorded } from './event-store.ts';
import type { Item, OrderEvent } from './order.ts';
import { checkedWait, checkedWhole } from './text.ts';

/** How documents are made from events: one a stream, from that stream's events and nothing else. */
export interface SearchProjection<E extends NewEvent, D extends object> {
  /** Lower-case letters, digits and hyphens: a part of the index' name. */
  readonly name: string;
  /** Raise it whenever the mapping or `evolve` changes: each version has an index of its own. */
  readonly version: number;
  /** OpenSearch's `properties`: which field is a word, and which a text in which language. */
  readonly properties: Readonly<Record<string, object>>;
  /** The document after an event; undefined is the document before the first. Pure. */
  evolve(document: D | undefined, event: Recorded<E>): D;
}

export interface SearchProjectorOptions {
  /** What the indices' names begin with; the same for `SearchQueries`. Default "shop-". */
  readonly prefix?: string;
  /** Events a round. Default 500. */
  readonly batch?: number;
  /** Milliseconds after which a written document is found at the latest. Default 1,000, as OpenSearch has it. */
  readonly refreshMs?: number;
}

/** No stream's document has this id: theirs begin otherwise. */
const CHECKPOINT = 'checkpoint';
const DOCUMENTS = { bool: { must_not: [{ ids: { values: [CHECKPOINT] } }] } };

/**
 * Copies the log into an index. OpenSearch has no transaction over two documents, so documents and checkpoint can't be
 * committed together, as `Projector` does it. Two rules take its place:
 *
 * - A document has as its version that of its stream (`version_type: external`). What it has had already changes nothing, and
 *   OpenSearch refuses what is older than it: an event may come twice, and copiers may overtake each other.
 * - The checkpoint is moved after the documents are written. A crash between the two repeats a batch, and never loses one.
 *
 * So a document must be replaced as a whole. What adds up (`sales`) can't be counted so: keep it where there are transactions.
 */
export class SearchProjector<E extends NewEvent, D extends object> {
  protected readonly client: Client;
  protected readonly log: Pick<EventStore<E>, 'readAll'>;
  protected readonly projection: SearchProjection<E, D>;
  protected readonly alias: string;
  protected readonly index: string;
  protected readonly batch: number;
  protected readonly refreshMs: number;

  /** @throws InvalidArgumentError */
  constructor(
    client: Client,
    log: Pick<EventStore<E>, 'readAll'>,
    projection: SearchProjection<E, D>,
    { prefix = 'shop-', batch = 500, refreshMs = 1_000 }: SearchProjectorOptions = {},
  ) {
    this.client = client;
    this.log = log;
    this.projection = projection;
    this.alias = indexName(prefix, projection.name);
    this.index = `${this.alias}-${checkedWhole(`the version of ${projection.name}`, projection.version, 0)}`;
    this.batch = checkedWhole('batch', batch, 1);
    this.refreshMs = checkedWhole('refreshMs', refreshMs, 1);
  }

  /** Creates the index of this version if it is missing; the first one is searched at once. */
  async migrate(): Promise<void> {
    const { properties } = this.projection;
    const index = { number_of_shards: 1, refresh_interval: `${this.refreshMs}ms` };
    // What a document has beside these is kept, and not searched: a new field is a new version.
    const body = { settings: { index }, mappings: { dynamic: false as const, properties } };
    await answered(this.client.indices.create({ index: this.index, body })).catch((error: unknown) => {
      if (reasonOf(error) !== 'resource_already_exists_exception') throw error;
    });
    const { body: taken } = await answered(this.client.indices.existsAlias({ name: this.alias }));
    if (!taken) await this.publish();
  }

  /**
   * From now on queries are answered from this version: call it when `round` finds nothing more. One step for who asks. The
   * index before it is left: who had begun to ask is answered from that.
   */
  async publish(): Promise<void> {
    const { alias, index } = this;
    // Else it would show nothing of what was written since its last refresh, and the version before has shown it.
    await answered(this.client.indices.refresh({ index }));
    const added = { index, alias, filter: DOCUMENTS };
    const actions = [{ remove: { index: `${alias}-*`, alias, must_exist: false } }, { add: added }];
    await answered(this.client.indices.updateAliases({ body: { actions } }));
  }

  /**
   * One batch. @returns how many events: 0 when there is none
   *
   * @throws PoisonEventError when a document can't be made, or OpenSearch refuses it: what comes before it is copied, and the
   *   checkpoint stays there
   * @throws StoreError when OpenSearch doesn't answer: call it again
   */
  async round(): Promise<number> {
    const { position } = await checkpointIn(this.client, this.index);
    const read = await this.log.readAll(position, this.batch);
    let events = read.filter((event) => event.position > position);
    events.sort((a, b) => Number(a.position - b.position));
    for (;;) {
      try {
        return await this.copy(events);
      } catch (error) {
        if (!(error instanceof PoisonEventError) || error.before === 0) throw error;
        // A document that is refused may have been spoilt by an earlier event of its stream: then that one is named next.
        events = events.slice(0, error.before);
      }
    }
  }

  protected async copy(events: readonly Recorded<E>[]): Promise<number> {
    const last = events.at(-1);
    if (!last) return 0;
    const documents = await this.held(events);
    const changed = new Map<string, Recorded<E>>();
    for (const [before, event] of events.entries()) {
      const id = idOf(event.stream);
      const { version, document } = documents.get(id) ?? { version: 0, document: undefined };
      if (event.version <= version) continue;
      if (event.version > version + 1)
        throw new CqrsError(
          `${event.stream} is at ${version} in ${this.index}, and ${event.version} comes: is it the same log?`,
        );
      try {
        // As the client will write and read it: else what it fails over would be a server that is away, and the next event
        // of the batch would find what no later batch finds.
        const { serializer } = this.client;
        const next: D = serializer.deserialize(serializer.serialize(this.projection.evolve(document, event)));
        documents.set(id, { version: event.version, document: next });
      } catch (cause) {
        throw this.poison(event, before, cause);
      }
      changed.set(id, event);
    }
    await this.write(documents, changed, events);
    await this.advance(last.position);
    return events.length;
  }

  /** What the index has of the streams in question. By id, which sees what no refresh has shown yet. */
  protected async held(events: readonly Recorded<E>[]) {
    const ids = [...new Set(events.map(({ stream }) => idOf(stream)))];
    const { body } = await answered(this.client.mget({ index: this.index, body: { ids } }));
    const found = new Map<string, { readonly version: number; readonly document: D | undefined }>();
    for (const one of body.docs) {
      if ('found' in one && one.found) found.set(one._id, { version: one._version ?? 0, document: one._source });
      if ('error' in one) throw new StoreError(`OpenSearch can't read ${one._id}`, 'no', one.error);
    }
    return found;
  }

  protected async write(
    documents: ReadonlyMap<string, { readonly version: number; readonly document: D | undefined }>,
    changed: ReadonlyMap<string, Recorded<E>>,
    events: readonly Recorded<E>[],
  ): Promise<void> {
    const body: object[] = [...changed.keys()].flatMap((id) => {
      const { version, document } = documents.get(id) ?? {};
      return [{ index: { _id: id, version, version_type: 'external' } }, document ?? {}];
    });
    if (body.length === 0) return;
    const answer = await answered(this.client.bulk({ index: this.index, body }));
    for (const { index: one } of answer.body.items) {
      // 409: another copier was faster, and has written this version or a later one.
      if (!one?.error || one.status === 409) continue;
      const event = changed.get(one._id ?? '');
      if (!event || one.status === 429 || one.status >= 500)
        throw new StoreError(`OpenSearch can't write now: ${one.error.reason}`, 'no', one.error);
      throw this.poison(event, events.indexOf(event), new Error(one.error.reason ?? one.error.type));
    }
  }

  /** Its version is its position: it can't be set back by who was slower. */
  protected async advance(position: bigint): Promise<void> {
    const at = { index: this.index, id: CHECKPOINT, version: Number(position), version_type: 'external' } as const;
    await answered(this.client.index({ ...at, body: {} })).catch((error: unknown) => {
      if (reasonOf(error) !== 'version_conflict_engine_exception') throw error;
    });
  }

  protected poison(event: Recorded<E>, before: number, cause: unknown): PoisonEventError {
    return new PoisonEventError(this.projection.name, { build: this.projection.version, event, before, cause });
  }
}

export interface SearchOptions {
  /** Answer only from an index that has come this far, and shows it. */
  readonly atLeast?: bigint;
  /** Milliseconds to wait for it. Default 1,000. */
  readonly timeoutMs?: number;
  /** How many documents at most, from 1 to 10,000. Default 10. */
  readonly limit?: number;
}

/** The query side of what is searched. */
export class SearchQueries {
  protected readonly client: Client;
  protected readonly prefix: string;

  constructor(client: Client, prefix = 'shop-') {
    this.client = client;
    this.prefix = prefix;
  }

  /**
   * Asks the index that is live. Without `atLeast` it shows what the last refresh has shown.
   *
   * @param query OpenSearch's query DSL. @returns what fits best first
   * @throws StaleReadError when `atLeast` is not reached in time. @throws StoreError, also for a query that makes no sense
   * @throws InvalidArgumentError for an option that is no such number, and where nothing was migrated
   */
  async search<D extends object>(
    { name }: SearchProjection<never, D>,
    query: object,
    { atLeast = 0n, timeoutMs = 1_000, limit = 10 }: SearchOptions = {},
  ): Promise<readonly D[]> {
    let index = indexName(this.prefix, name);
    checkedWait('timeoutMs', timeoutMs);
    checkedWhole('limit', limit, 1, 10_000);
    if (atLeast > 0n) {
      // From here on that index itself: another one may be published any moment, which has not come as far.
      index = await this.reached(name, index, atLeast, timeoutMs);
      // It is written, and a search would not see it before the next refresh: who waits for his own order pays for one now.
      await answered(this.client.indices.refresh({ index }));
    }
    const { body } = await answered(
      this.client.search({ index, body: { query, post_filter: DOCUMENTS, size: limit } }),
    );
    return body.hits.hits.flatMap(({ _source }) => (_source === undefined ? [] : [_source]));
  }

  /** @returns the index that has come so far */
  protected async reached(name: string, alias: string, atLeast: bigint, timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { position, index } = await checkpointIn(this.client, alias);
      if (position >= atLeast) return index;
      if (performance.now() >= deadline) throw new StaleReadError(name, position, atLeast, timeoutMs);
      await delay(5);
    }
  }
}

export interface OrderDocument {
  readonly customer: string;
  readonly items: string;
  readonly status: string;
}

const summary = (items: readonly Item[]) => items.map(({ name, quantity }) => `${name} ×${quantity}`).join(', ');

/** Orders by what is in them, in whatever form it is written, in English and in Chinese. */
export const orderSearch: SearchProjection<OrderEvent, OrderDocument> = {
  name: 'orders',
  version: 1,
  properties: {
    customer: { type: 'text' },
    items: { type: 'text', analyzer: 'english', fields: { zh: { type: 'text', analyzer: 'cjk' } } },
    status: { type: 'keyword' },
  },
  evolve(document = { customer: '', items: '', status: '' }, event) {
    switch (event.type) {
      case 'OrderPlaced':
        return { customer: event.data.customer, items: summary(event.data.items), status: 'placed' };
      case 'ItemsChanged':
        return { ...document, items: summary(event.data.items) };
      case 'CookingStarted':
        return { ...document, status: 'cooking' };
      case 'OrderReady':
        return { ...document, status: 'ready' };
      case 'OrderCollected':
        return { ...document, status: 'collected' };
      default:
        return document;
    }
  },
};

/** How far an index has come, and which one an alias stands for. */
async function checkpointIn(client: Client, index: string): Promise<{ position: bigint; index: string }> {
  try {
    const { body } = await answered(client.get({ index, id: CHECKPOINT }));
    return { position: BigInt(body._version ?? 0), index: body._index };
  } catch (error) {
    const { cause } = error instanceof StoreError ? error : { cause: undefined };
    if (cause instanceof errors.ResponseError && cause.statusCode === 404) return { position: 0n, index };
    throw error;
  }
}

/** OpenSearch takes 512 bytes as an id; a longer stream is known by its digest. */
function idOf(stream: string): string {
  const id = `of ${stream}`;
  return Buffer.byteLength(id) <= 512 ? id : createHash('sha256').update(stream).digest('hex');
}

function indexName(prefix: string, name: string): string {
  const index = `${prefix}${name}`;
  if (/^[a-z0-9][a-z0-9-]*$/.test(index) && index.length <= 200) return index;
  throw new InvalidArgumentError(
    `The index ${JSON.stringify(index)} is not of lower-case letters, digits and - alone.`,
  );
}

/** The type of the error that OpenSearch answered with. */
function reasonOf(error: unknown): string | undefined {
  const { cause } = error instanceof StoreError ? error : { cause: error };
  const type: unknown = cause instanceof errors.ResponseError ? Object(Object(cause.body).error).type : undefined;
  return typeof type === 'string' ? type : undefined;
}

/** @throws StoreError instead of the client's own errors. @throws InvalidArgumentError where nothing was migrated */
async function answered<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof errors.ResponseError && reasonOf(error) === 'index_not_found_exception')
      throw new InvalidArgumentError(`Migrate the projection: ${error.message}.`, { cause: error });
    if (error instanceof errors.ResponseError && (error.statusCode ?? 500) < 500)
      throw new StoreError(`OpenSearch refused: ${error.message}`, 'no', error);
    throw new StoreError(
      `OpenSearch did not answer: ${error instanceof Error ? error.message : error}`,
      'unknown',
      error,
    );
  }
}
