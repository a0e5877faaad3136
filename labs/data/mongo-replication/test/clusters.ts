import { MissingServerError, type MongoOptions, type MongoServers, type Node, startMongo } from '@shared/services';
import { until } from '@shared/testkit';
import { type Document, MongoClient } from 'mongodb';
import { type Account, account, type Entry, type Keyed, writeOutcome } from '../src/index.ts';

// What laws and story do with several real mongods. None of it has run on any yet where this was written.

export const MINUTE = 60_000;

/** A replica set, or a sharded cluster. */
export interface Cluster extends AsyncDisposable {
  readonly url: string;
  readonly database: string;
  readonly nodes: readonly Node[];
  readonly standIn: string | undefined;
}

/** For laws that are all skipped no stand-in need be started. */
const NONE: Cluster = {
  url: 'mongodb://127.0.0.1/',
  database: '',
  nodes: [],
  standIn: 'a stand-in, which is no cluster',
  [Symbol.asyncDispose]: async () => {},
};

/** What was asked for; where that needs a mongod, and a stand-in is wished for, none. */
export async function orStandIn(wish: MongoOptions): Promise<Cluster> {
  try {
    return await startMongo(wish);
  } catch (error) {
    if (error instanceof MissingServerError && process.env['LABS_MONGO'] === 'stand-in') return NONE;
    throw error;
  }
}

/** What was asked for, or why it can't be had here. */
export async function orWhyNot(wish: MongoOptions): Promise<MongoServers | string> {
  try {
    return await startMongo(wish);
  } catch (error) {
    if (error instanceof MissingServerError) return error.message.split('\n')[0] ?? '';
    throw error;
  }
}

/** The members by their roles, once one leads and two follow. */
export function rolesOf(cluster: Cluster): Promise<{ primary: Node; secondaries: Node[] }> {
  const roles = async () => {
    const all = await Promise.all(cluster.nodes.map(async (node) => ({ node, hello: await helloOf(node) })));
    const primary = all.find(({ hello }) => hello['isWritablePrimary'])?.node;
    const secondaries = all.filter(({ hello }) => hello['secondary']).map(({ node }) => node);
    return primary && secondaries.length === 2 ? { primary, secondaries } : undefined;
  };
  return until(roles, { what: 'a primary and two secondaries', timeoutMs: MINUTE, intervalMs: 50 });
}

async function helloOf(node: Node): Promise<Document> {
  const client = new MongoClient(node.url, { serverSelectionTimeoutMS: 500 });
  try {
    return await client.db('admin').command({ hello: 1 });
  } catch {
    return {};
  } finally {
    await client.close();
  }
}

/** The ids that a majority has. */
export async function idsIn(client: MongoClient, name: string): Promise<string[]> {
  const all = client
    .db()
    .collection<Keyed>(name)
    .find({}, { readConcern: { level: 'majority' } });
  return (await all.toArray()).map(({ _id }) => _id);
}

/**
 * A leader takes pages that nobody copies, and dies; the others go on without them; it comes back.
 * @returns the book, and the accounts
 */
export async function rollBack(
  cluster: Cluster,
  client: MongoClient,
  name: string,
): Promise<{ book: Entry[]; told: Account }> {
  const { primary, secondaries } = await rolesOf(cluster);
  const alone = new MongoClient(primary.url, { retryWrites: false });
  const notes = alone.db().collection<Keyed>(name);
  const book: Entry[] = [];
  const write = async (
    _id: string,
    writeConcern: { w: number | 'majority'; journal?: boolean; wtimeoutMS?: number },
  ) => {
    const outcome = await notes.insertOne({ _id }, { writeConcern }).then(() => 'acknowledged' as const, writeOutcome);
    book.push({ id: _id, outcome, at: performance.now() });
  };
  for (let n = 0; n < 20; n++) await write(`majority ${n}`, { w: 'majority' });
  // Killed and not paused: what waits in a paused member's socket would reach it later.
  await Promise.all(secondaries.map((it) => it.kill()));
  for (let n = 0; n < 20; n++) await write(`one ${n}`, { w: 1, journal: true });
  await write('no majority', { w: 'majority', wtimeoutMS: 100 });
  await primary.kill();
  await alone.close();
  await Promise.all(secondaries.map((it) => it.restart()));
  await client
    .db()
    .collection<Keyed>(name)
    .insertOne({ _id: 'after' }, { writeConcern: { w: 'majority' } });
  await primary.restart();
  await rolesOf(cluster);
  return { book, told: account(book, await idsIn(client, name)) };
}

/** Documents of a collection on each of two shards, as the shards say through the router, most first. */
export async function onEachShard(client: MongoClient, name: string): Promise<number[]> {
  const stats = await client
    .db()
    .collection(name)
    .aggregate([{ $collStats: { count: {} } }])
    .toArray();
  const counts = stats.map(({ count }) => Number(count)).sort((a, b) => b - a);
  return [counts[0] ?? 0, counts[1] ?? 0];
}

/** A collection sharded by this key, and these documents in it. */
export async function sharded(
  client: MongoClient,
  name: string,
  key: Document,
  documents: readonly Document[],
): Promise<void> {
  await client.db('admin').command({ shardCollection: `${client.db().databaseName}.${name}`, key });
  await client
    .db()
    .collection(name)
    .insertMany([...documents]);
}
