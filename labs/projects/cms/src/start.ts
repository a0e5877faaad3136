import { type Client, createClient } from '@connectrpc/connect';
import { Client as Connection, Pool } from 'pg';
import { SearchService } from './cms/v1/cms_pb.ts';
import { CONTENT_SCHEMA, ContentStore } from './content.ts';
import { checkAmount } from './errors.ts';
import { Gateway, type GatewayOptions } from './gateway.ts';
import { MediaStore } from './media.ts';
import { openNodes } from './nodes.ts';
import { Relay, repeat } from './relay.ts';
import { type Document, type PutResult, SearchIndex, type SearchOptions } from './search.ts';
import { contentRoutes, mediaRoutes, type Routes, searchRoutes, tellErrors, usersRoutes } from './services.ts';
import { traceServed } from './trace.ts';
import { USERS_SCHEMA, UserStore } from './users.ts';
import { RpcServer } from './vendor/grpc/index.ts';

/** What the services are made of; a variant hands in others. */
export interface Parts {
  readonly ContentStore: typeof ContentStore;
  readonly Gateway: typeof Gateway;
  readonly MediaStore: typeof MediaStore;
  readonly Relay: typeof Relay;
  readonly SearchIndex: typeof SearchIndex;
  readonly UserStore: typeof UserStore;
}

export interface ServeOptions {
  /** Default 0: one that is free. */
  readonly port?: number;
  /** Default '127.0.0.1'. */
  readonly host?: string;
  /** Hears of what goes wrong and of what is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
}

interface DatabaseOptions extends ServeOptions {
  /** Of Postgres. */
  readonly database: string;
  /** Milliseconds that Postgres may take for a statement. Default 10,000. @throws InvalidInputError */
  readonly databaseMs?: number;
}

/** One process' part of the magazine. Disposing of it ends it without losing a call. */
export interface Service extends AsyncDisposable {
  readonly url: string;
}

const REFERENCE: Parts = { ContentStore, Gateway, MediaStore, Relay, SearchIndex, UserStore };

/** Texts, and the two rounds: what is due is published, and the index is told. Any number of nodes. */
export async function serveContent(
  o: DatabaseOptions & {
    readonly search: readonly string[];
    /** Milliseconds between two looks at the outbox. Default 200. */
    readonly relayMs?: number;
    /** Milliseconds between two looks at what is due. Default 1,000. */
    readonly dueMs?: number;
  },
  parts: Parts = REFERENCE,
): Promise<Service> {
  await using bin = new AsyncDisposableStack();
  const store = new parts.ContentStore(await openPool(bin, o, CONTENT_SCHEMA));
  const { transport } = bin.use(openNodes(o.search));
  const relay = new parts.Relay({ store, put: putter(createClient(SearchService, transport)) });
  bin.use(repeat(o.relayMs ?? 200, () => relay.round(), o.onError));
  bin.use(repeat(o.dueMs ?? 1_000, async () => (await store.publishDue()).length, o.onError));
  return await serve(bin, contentRoutes(store), o);
}

export async function serveSearch(
  o: ServeOptions & Omit<SearchOptions, 'url'> & { readonly opensearch: string },
  parts: Parts = REFERENCE,
) {
  await using bin = new AsyncDisposableStack();
  const index = bin.use(new parts.SearchIndex({ ...o, url: o.opensearch }));
  return await serve(bin, searchRoutes(index), o);
}

/** @param o.folder where the pictures are: one that all nodes of this service share */
export async function serveMedia(o: ServeOptions & { readonly folder: string }, parts: Parts = REFERENCE) {
  await using bin = new AsyncDisposableStack();
  return await serve(bin, mediaRoutes(new parts.MediaStore(o.folder)), o);
}

export async function serveUsers(o: DatabaseOptions, parts: Parts = REFERENCE) {
  await using bin = new AsyncDisposableStack();
  const store = new parts.UserStore(await openPool(bin, o, USERS_SCHEMA));
  return await serve(bin, usersRoutes(store), o);
}

export type GatewayUrls = Readonly<Record<'content' | 'search' | 'media' | 'users', readonly string[]>>;

export async function serveGateway(
  o: ServeOptions & GatewayUrls & Omit<GatewayOptions, keyof GatewayUrls>,
  parts: Parts = REFERENCE,
): Promise<Service & { readonly gateway: Gateway }> {
  await using bin = new AsyncDisposableStack();
  const open = (urls: readonly string[]) => bin.use(openNodes(urls)).transport;
  const services = { content: open(o.content), search: open(o.search), media: open(o.media), users: open(o.users) };
  const gateway = bin.use(new parts.Gateway({ ...o, ...services }));
  const url = await gateway.listen(o.port, o.host);
  const held = bin.move();
  return { url, gateway, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** The index, as the relay tells it. */
export const putter =
  (client: Client<typeof SearchService>) =>
  async (documents: readonly Document[], make: boolean): Promise<PutResult> =>
    client.put({ documents: [...documents], make }, { timeoutMs: 10_000 });

async function serve(
  bin: AsyncDisposableStack,
  routes: Routes,
  { port = 0, host = '127.0.0.1', onError }: ServeOptions,
): Promise<Service> {
  const interceptors = [traceServed, tellErrors(onError)];
  const server = await RpcServer.serve(routes, { port, host, interceptors });
  bin.defer(() => server.drain({ limitMs: 5_000 }).then(() => {}));
  const held = bin.move();
  return { url: `http://${host}:${server.port}`, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

async function openPool(
  bin: AsyncDisposableStack,
  { database, databaseMs = 10_000, onError }: DatabaseOptions,
  schema: string,
) {
  checkAmount('databaseMs', databaseMs, 1, 3_600_000);
  // `query_timeout`: a connection that has died without a word is given up, and whoever leaves doesn't wait for it.
  const limits = { max: 8, connectionTimeoutMillis: 5_000, query_timeout: databaseMs };
  const pool = bin.adopt(new Pool({ ...limits, connectionString: database }), (it) => it.end());
  // A connection that is lost while nobody uses it: the pool makes another one.
  pool.on('error', onError);
  await prepare(database, schema, onError);
  return pool;
}

/** On a connection of its own, with which its lock and its setting end; an index may take longer than any other statement. */
async function prepare(database: string, schema: string, onError: (error: unknown) => void): Promise<void> {
  const client = new Connection({ connectionString: database, connectionTimeoutMillis: 5_000 });
  client.on('error', onError);
  try {
    await client.connect();
    // Two nodes that start at once would meet in CREATE TABLE.
    await client.query("SET lock_timeout = '5s'");
    await client.query("SELECT pg_advisory_lock(hashtext('cms schema'))");
    // One by one: who holds one table and waits for the next would meet those who work, and Postgres would end one of them.
    for (const statement of schema.split(';')) await client.query(statement);
  } finally {
    await client.end();
  }
}
