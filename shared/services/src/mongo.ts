import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { choose, urlsFromEnvironment, wishedOrigin } from './choose.ts';
import { type Container, composeLever, containers, listens } from './compose.ts';
import { LoginRefusedError, MissingServerError, redact, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { ANSWER_MS, tell, withMongo } from './mongo-client.ts';
import { findMongos, isMongod, mongoProvider, versionOf } from './mongo-program.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { entrust } from './reaper.ts';
import { atLeastOne, handle, within } from './servers.ts';
import { onPath, type Service } from './service.ts';
import type { Node, Origin, Servers } from './types.ts';

/** A MongoDB, with a database of our own in it. */
export interface MongoServers extends Servers {
  /** The URL of our own database, for any client: all nodes of a replica set, the router of a sharded cluster. */
  readonly url: string;
  /** Its name: `namespace`. */
  readonly database: string;
  /** The members of the replica set; of a sharded cluster the router. A node's own URL is a direct connection. */
  readonly nodes: readonly [Node, ...Node[]];
  /** The shards of a sharded cluster, a replica set of one each. */
  readonly shards: readonly Node[];
  /**
   * What answers instead of a mongod: `stand-in (SecantusDB 0.7.0b3), not a mongod`. A law that needs a mongod says so
   * and is skipped: `skip(mongo.standIn !== undefined, needsMongod(…))`.
   */
  readonly standIn: string | undefined;
}

export interface MongoOptions {
  /** Three members, of which two are enough to go on. Default: a set of one, which has transactions and change streams. */
  readonly replicaSet?: 3;
  /** Two shards behind a router, with a config server: processes of our own, of a mongod and a mongos. */
  readonly shards?: 2;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'mongo';
const DEFAULT_PORT = 27017;
const SET = 'labs';
const START_MS = 60_000;
/** For an election, and for a member's first copy. */
const FORM_MS = 60_000;
const COMMON = { service: NAME, defaultPort: DEFAULT_PORT };
const direct = (port: number, database = '') => `mongodb://127.0.0.1:${port}/${database}?directConnection=true`;

export const mongodb: Service = {
  name: NAME,
  variable: 'MONGODB_URL',
  several: false,
  keepsTo: 'database',
  schemes: ['mongodb:', 'mongodb+srv:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.mongo,
  containerUrl: (port) => direct(port),
  isOurContainer: async (url) => {
    // It has no login; its set has our name and our addresses.
    const { setName, hosts } = await within(1000, tell(url, { hello: 1 }), () => silent(url));
    return setName === SET && Array.isArray(hosts) && hosts.includes(`127.0.0.1:${containers.mongo[0]?.port}`);
  },
  find: async () => {
    const path = await onPath('mongod');
    return path === undefined ? undefined : { path };
  },
  provider: mongoProvider,
  version: versionOf,
  install: {
    npm: 'LABS_MONGO=stand-in   (SecantusDB by pip, in a private cache: one node, no mongod; enough for most laws)',
    brew: 'brew install mongodb-community   (after brew tap mongodb/brew)',
  },
};

/**
 * Starts (or finds, see the order of choice) a MongoDB and a database of our own in it.
 * @throws MissingServerError (also where a stand-in is at hand and a real set or cluster was asked for), ServerDiedError,
 *   StartTimeoutError, UnreachableUrlError, LoginRefusedError, BadSettingError, or the signal's reason
 */
export async function startMongo(o: MongoOptions = {}): Promise<MongoServers> {
  const { replicaSet, shards, signal } = o;
  if (replicaSet !== undefined && replicaSet !== 3) throw new RangeError(`replicaSet is ${replicaSet}: it can be 3`);
  if (shards !== undefined && shards !== 2) throw new RangeError(`shards is ${shards}: it can be 2`);
  if (replicaSet !== undefined && shards !== undefined) {
    throw new RangeError('replicaSet and shards are two things: ask for one of them');
  }
  signal?.throwIfAborted();
  if (replicaSet === undefined && shards === undefined) return startOne(signal);
  const embedded = shards !== undefined;
  if (!embedded && wishedOrigin(mongodb) !== 'embedded' && urlsFromEnvironment(mongodb).length > 0) {
    throw new MissingServerError(
      NAME,
      `this needs a replica set whose members can be killed, and ${mongodb.variable} names a server of yours. ` +
        `Unset ${mongodb.variable}, or set LABS_SERVICES=embedded, to let the lab start one itself.`,
    );
  }
  const choice = await choose(mongodb, 3, { signal, embedded });
  if (choice.origin === 'compose') return adoptSet(choice.containers);
  if (choice.origin !== 'embedded') throw new RangeError('a URL is refused before');
  const { program } = choice;
  if (!isMongod(program)) {
    const wish = shards === undefined ? 'a replica set of three' : 'a sharded cluster';
    throw new MissingServerError(NAME, `needs a mongod: ${wish} is more than the ${await versionOf(program)}, can be.`);
  }
  return shards === undefined ? startSet(program, replicaSet ?? 3, signal) : startSharded(program, shards, signal);
}

async function startOne(signal: AbortSignal | undefined): Promise<MongoServers> {
  const choice = await choose(mongodb, 1, { signal });
  if (choice.origin === 'embedded') return (await borrowed()) ?? startSet(choice.program, 1, signal);
  if (choice.origin === 'compose') return adoptSet(containers.mongo);
  const why = `it is not ours: ${mongodb.variable} names it. Unset ${mongodb.variable} for the scenes that need faults.`;
  return adopt('url', choice.urls[0] ?? '', [why]);
}

/** The server stays; each borrower has a database of its own, and the last one's are dropped. */
export const mongoLender: Lender = {
  lend: async () => lendable(await startSet(await ownProgram(mongodb), 1, undefined)),
};

function lendable(servers: MongoServers, database = servers.database): Lendable {
  const [node] = servers.nodes;
  const url = direct(node.port, database);
  const renew = async (): Promise<Lendable> => {
    await withMongo(node.url, async (client) => {
      const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
      const others = databases.filter(({ name }) => !['admin', 'config', 'local'].includes(name));
      for (const { name } of others) await client.db(name).dropDatabase();
    });
    return lendable(servers, newNamespace());
  };
  return { servers, nodes: [node], urls: [url], inspect: [`mongosh '${url}'`], namespace: database, renew };
}

async function borrowed(): Promise<MongoServers | undefined> {
  const loan = await borrow(NAME, {});
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const node = new FaultyNode({ ...COMMON, index: 0, url, lever: loan.lever(0) });
  const common = loan.handle(NAME, () => node.close({ heal: false }));
  return { ...common, url, database: common.namespace, nodes: [node], shards: [], standIn: standInOf(common.banner) };
}

/** A mongod to be: a member of a replica set, or a shard, or a config server, each a set of one at least. */
interface Member {
  readonly set: string;
  readonly role?: '--shardsvr' | '--configsvr';
}

type Started = { readonly node: FaultyNode; readonly server: EmbeddedServer; readonly settle: () => Promise<void> };

async function startMember(
  program: Program,
  { set, role }: Member,
  o: { index: number; alone: boolean; database: string; signal: AbortSignal | undefined },
): Promise<Started> {
  const folder = await temporaryFolder(NAME);
  const data = join(folder.path, 'data');
  try {
    await mkdir(data, { mode: 0o700 });
    let formed = false;
    const server = await EmbeddedServer.start({
      service: NAME,
      program,
      folder: folder.path,
      args: (port) => (isMongod(program) ? mongodArgs(port, data, set, role) : standInArgs(program, port, data)),
      signal: o.signal,
      timeoutMs: START_MS,
      ready: async ({ pid, port }) => {
        if (!(await isOurs(pid, port))) return false;
        if (!o.alone) return true;
        if (!formed && isMongod(program)) await initiate(set, [port], role === '--configsvr');
        formed = true;
        return (await tell(direct(port), { hello: 1 }))['isWritablePrimary'] === true;
      },
    });
    const url = direct(server.port, o.database);
    return { node: new FaultyNode({ ...COMMON, index: o.index, url, lever: server }), server, settle: folder.settle };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

async function startSet(program: Program, count: 1 | 3, signal: AbortSignal | undefined): Promise<MongoServers> {
  const version = await versionOf(program);
  const database = newNamespace();
  const member = (index: number) => startMember(program, { set: SET }, { index, alone: count === 1, database, signal });
  const members = await allOrNone(Array.from({ length: count }, (_, index) => member(index)));
  try {
    const ports = members.map(({ server }) => server.port);
    if (count > 1) {
      await initiate(SET, ports, false);
      await formed(ports, signal);
    }
    const nodes = atLeastOne(members.map(({ node }) => node));
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
    const url = count === 1 ? nodes[0].url : `mongodb://${hosts}/${database}?replicaSet=${SET}`;
    return {
      ...ourHandle({ version, count, url, database, members }),
      url,
      database,
      nodes,
      shards: [],
      ...real(version),
    };
  } catch (error) {
    await endAll(members);
    throw error;
  }
}

async function startSharded(program: Program, count: number, signal: AbortSignal | undefined): Promise<MongoServers> {
  const router = await findMongos(program);
  if (router === undefined) {
    throw new MissingServerError(
      NAME,
      `there is a mongod (${program.path}), but no mongos, which routes to the shards. Put the one of MongoDB's archive beside it or on PATH.`,
    );
  }
  const version = await versionOf(program);
  const database = newNamespace();
  const alone = { alone: true, database: '', signal };
  const members = await allOrNone([
    startMember(program, { set: `${SET}-config`, role: '--configsvr' }, { ...alone, index: 0 }),
    ...Array.from({ length: count }, (_, index) =>
      startMember(program, { set: `${SET}-shard-${index + 1}`, role: '--shardsvr' }, { ...alone, index }),
    ),
  ]);
  const [config, ...shards] = members;
  try {
    const mongos = await startRouter(router, config?.server.port ?? 0, database, signal);
    members.push(mongos);
    for (const [index, { server }] of shards.entries()) {
      await tell(mongos.node.url, { addShard: `${SET}-shard-${index + 1}/127.0.0.1:${server.port}` });
    }
    const { url } = mongos.node;
    const common = ourHandle({ version, count: members.length, url, database, members });
    return { ...common, url, database, nodes: [mongos.node], shards: shards.map(({ node }) => node), ...real(version) };
  } catch (error) {
    await endAll(members);
    throw error;
  }
}

async function startRouter(
  path: string,
  config: number,
  database: string,
  signal: AbortSignal | undefined,
): Promise<Started> {
  const folder = await temporaryFolder(NAME);
  try {
    const server = await EmbeddedServer.start({
      service: NAME,
      program: { path },
      folder: folder.path,
      args: (port) => ['--port', String(port), ...LISTEN, '--configdb', `${SET}-config/127.0.0.1:${config}`],
      signal,
      timeoutMs: START_MS,
      ready: ({ pid, port }) => isOurs(pid, port),
    });
    const url = `mongodb://127.0.0.1:${server.port}/${database}`;
    return { node: new FaultyNode({ ...COMMON, index: 0, url, lever: server }), server, settle: folder.settle };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

function ourHandle(o: {
  version: string;
  count: number;
  url: string;
  database: string;
  members: readonly Started[];
}): Servers {
  return handle({
    service: NAME,
    origin: 'embedded',
    version: o.version,
    count: o.count,
    inspect: [`mongosh '${o.url}'`],
    faults: true,
    namespace: o.database,
    close: () => endAll(o.members),
  });
}

async function endAll(members: readonly Started[]): Promise<void> {
  await Promise.all(members.map(({ node }) => node.close({ heal: false })));
  await Promise.all(members.map(({ settle }) => settle()));
}

/** All of them, or what was started of them is ended. */
async function allOrNone(starting: readonly Promise<Started>[]): Promise<Started[]> {
  const started = await Promise.allSettled(starting);
  const failed = started.find((one) => one.status === 'rejected');
  const members = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (failed === undefined) return members;
  await endAll(members);
  throw failed.reason;
}

const LISTEN = ['--bind_ip', '127.0.0.1', '--nounixsocket'];

function mongodArgs(port: number, data: string, set: string, role: Member['role']): string[] {
  return [
    ...['--port', String(port), ...LISTEN, '--dbpath', data, '--replSet', set, ...(role === undefined ? [] : [role])],
    // The least that is allowed of the first; of the second what a lab's history needs, instead of a part of the disk.
    ...['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '128'],
    // A member waits 15 s for its clients before it stops, in which a lab would see no failover.
    ...['--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=100'],
    ...['--setParameter', 'diagnosticDataCollectionEnabled=false'],
  ];
}

function standInArgs({ path }: Program, port: number, data: string): string[] {
  const module = /secantusd-\w+$/.test(path) ? [] : ['-m', 'secantus'];
  // Without the last it loses what it has acknowledged when it is killed.
  return [...module, '--host', '127.0.0.1', '--port', String(port), '--storage-path', data, '--sync-on-commit'];
}

/** Whether the process that we started answers, not a stranger on its port. */
async function isOurs(pid: number, port: number): Promise<boolean> {
  if (!(await listens(port))) {
    await sleep(15);
    return false;
  }
  return Number((await tell(direct(port), { serverStatus: 1 }))['pid']) === pid;
}

/** @throws what the server says, unless it is that this was done before */
async function initiate(set: string, ports: readonly number[], configsvr: boolean): Promise<void> {
  const config = {
    _id: set,
    ...(configsvr && { configsvr: true }),
    members: ports.map((port, _id) => ({ _id, host: `127.0.0.1:${port}` })),
    // Ten seconds by default, in which a demo would tell nothing.
    settings: { electionTimeoutMillis: 1000, heartbeatIntervalMillis: 200 },
  };
  await tell(direct(ports[0] ?? 0), { replSetInitiate: config }).catch((error: unknown) => {
    const again = error instanceof Error && 'codeName' in error && error.codeName === 'AlreadyInitialized';
    if (!again) throw error;
  });
}

/** Resolves once one member leads and the others follow. */
async function formed(ports: readonly number[], signal: AbortSignal | undefined): Promise<void> {
  const deadline = performance.now() + FORM_MS;
  let seen = '';
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    const status = await tell(direct(ports[0] ?? 0), { replSetGetStatus: 1 }).catch(() => ({ members: [] }));
    const members: unknown = status['members'];
    const states = Array.isArray(members) ? members.map(({ stateStr }) => String(stateStr)).sort() : [];
    seen = states.join();
    if (seen === ['PRIMARY', ...ports.slice(1).map(() => 'SECONDARY')].join()) return;
    await sleep(20);
  }
  throw new StartTimeoutError(NAME, FORM_MS, `its members are ${seen}`);
}

async function adoptSet(members: readonly Container[]): Promise<MongoServers> {
  const levers = await Promise.all(
    members.map((one) => composeLever(NAME, one, () => answers(mongodb.containerUrl(one.port)))),
  );
  const hosts = members.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const ports = members.map(({ port }) => port);
  return adopt('compose', `mongodb://${hosts}/?replicaSet=${SET}`, levers, ports);
}

/** Servers that run already and are not ours to end: only our own database is created, and dropped at the end. */
async function adopt(
  origin: Origin,
  given: string,
  levers: readonly (Lever | string)[],
  ports: readonly number[] = [],
): Promise<MongoServers> {
  const database = newNamespace();
  const version = await within(ANSWER_MS, hello(given), () => silent(given));
  const ours = entrust({ after: { module: import.meta.url, call: 'dropMongoDatabase', input: [given, database] } });
  const url = withDatabase(given, database);
  const nodes = atLeastOne(
    levers.map((lever, index) => {
      const port = ports[index];
      return new FaultyNode({ ...COMMON, index, url: port === undefined ? url : direct(port, database), lever });
    }),
  );
  const common = handle({
    service: NAME,
    origin,
    version,
    count: nodes.length,
    inspect: [`mongosh '${origin === 'compose' ? url : redact(url)}'`],
    faults: levers.every((lever) => typeof lever !== 'string'),
    namespace: database,
    close: async () => {
      for (const node of nodes) await node.close({ heal: true });
      await ours.settle().catch((error: unknown) => {
        process.stderr.write(`mongo: the database ${database} is left at ${redact(given)}: ${error}\n`);
      });
    },
  });
  return { ...common, url, database, nodes, shards: [], ...real(version) };
}

/** Drops the database that we made use of. */
export async function dropMongoDatabase(url: string, name: string): Promise<void> {
  await withMongo(url, (client) => client.db(name).dropDatabase());
}

/** Whose login is in another database than the one of ours says so: `authSource`. */
function withDatabase(given: string, database: string): string {
  const [, head = '', path = '', query = ''] = /^(mongodb(?:\+srv)?:\/\/[^/?]+)(\/[^?]*)?(\?.*)?$/.exec(given) ?? [];
  const login = path.slice(1);
  const source = login === '' || !head.includes('@') || query.includes('authSource=') ? '' : `authSource=${login}`;
  const parts = [query.slice(1), source].filter((part) => part !== '').join('&');
  return `${head}/${database}${parts === '' ? '' : `?${parts}`}`;
}

/** Asks who it is, and whether we may do there what a lab does. */
async function hello(url: string): Promise<string> {
  try {
    const said = await tell(url, { buildInfo: 1 });
    const stands = said['secantusVersion'];
    return stands === undefined ? String(said['version']) : `stand-in (SecantusDB ${stands}), not a mongod`;
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // Unauthorized, AuthenticationFailed.
    if (code === 13 || code === 18) throw new LoginRefusedError(NAME, mongodb.variable, url, words);
    throw new UnreachableUrlError(NAME, mongodb.variable, url, words, { cause: error });
  }
}

async function answers(url: string): Promise<void> {
  for (const deadline = performance.now() + FORM_MS; performance.now() < deadline; await sleep(50)) {
    const up = await within(1000, hello(url), () => silent(url)).then(
      () => true,
      () => false,
    );
    if (up) return;
  }
  throw new StartTimeoutError(NAME, FORM_MS, '');
}

function silent(url: string): Error {
  return new UnreachableUrlError(NAME, mongodb.variable, url, `no answer within ${ANSWER_MS} ms`);
}

function real(version: string): Pick<MongoServers, 'standIn'> {
  return { standIn: standInOf(version) };
}

function standInOf(words: string): string | undefined {
  return /stand-in .*$/.exec(words)?.[0];
}

function newNamespace(): string {
  return `labs_${randomBytes(6).toString('hex')}`;
}
