import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { choose } from './choose.ts';
import { COMPOSE_OPENSEARCH_CLUSTER, composeLever, containers, onceItListens } from './compose.ts';
import { LoginRefusedError, redact, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { archiveClasses, installJava, jvmFlags, madeOnce } from './java.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { entrust } from './reaper.ts';
import { handle, pageOf } from './servers.ts';
import type { Service } from './service.ts';
import type { Node, Origin, Servers } from './types.ts';

/** An OpenSearch of one node. */
export interface OpenSearchServers extends Servers {
  /** For any client, with the user and the password if there are any. */
  readonly url: string;
  readonly node: Node;
}

export interface OpenSearchOptions {
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'opensearch';
/** The last line for Java 17: 3.x needs 21. */
const VERSION = '2.19.6';
/** It insists on a security manager, which Java 24 has no more. */
const MOST_JAVA = 23;
const DEFAULT_PORT = 9200;
const ANSWER_MS = 3000;
/** 2 s alone on two cores. */
const START_MS = 120_000;
const HEAP_MB = 256;
const COMMON = { service: NAME, index: 0, defaultPort: DEFAULT_PORT };
const localUrl = (port: number) => `http://127.0.0.1:${port}`;

export const opensearch: Service = {
  name: NAME,
  variable: 'OPENSEARCH_URL',
  several: false,
  keepsTo: 'index prefix',
  schemes: ['http:', 'https:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.opensearch,
  containerUrl: localUrl,
  // It has no login; its cluster has our name.
  isOurContainer: async (url) => (await hello(url, 1000)).cluster === COMPOSE_OPENSEARCH_CLUSTER,
  jars: {
    artifacts: [
      `org.opensearch:opensearch:${VERSION}`,
      `org.opensearch:opensearch-plugin-classloader:${VERSION}`,
      // Without it there is no port.
      `org.opensearch.plugin:transport-netty4-client:${VERSION}`,
      // The analysers of languages, synonyms and n-grams.
      `org.opensearch.plugin:analysis-common:${VERSION}`,
      'org.apache.logging.log4j:log4j-core:2.25.4',
    ],
    mostJava: MOST_JAVA,
    lock: new URL('../jars/opensearch.sha256', import.meta.url),
  },
  version: async (program) => {
    const { jreOf } = await import('./jars.ts');
    return `${VERSION}, ${await jreOf(program, MOST_JAVA)}`;
  },
  install: installJava,
};

/**
 * Starts (or finds, see the order of choice) an OpenSearch.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, UnreachableUrlError, LoginRefusedError,
 *   BadSettingError, or the signal's reason
 */
export async function startOpenSearch(o: OpenSearchOptions = {}): Promise<OpenSearchServers> {
  const { signal } = o;
  signal?.throwIfAborted();
  const choice = await choose(opensearch, 1, { signal });
  if (choice.origin === 'embedded') return (await borrowed()) ?? startEmbedded(choice.program, signal);
  if (choice.origin === 'url') {
    const { variable } = opensearch;
    const why = `it is not ours: ${variable} names it. Unset ${variable} for the scenes that need faults.`;
    return adopt('url', choice.urls[0] ?? '', why);
  }
  const [container] = choice.containers;
  if (container === undefined) throw new RangeError('one container is chosen');
  const url = localUrl(container.port);
  return adopt('compose', url, await composeLever(NAME, container, () => answers(url)));
}

export const opensearchLender: Lender = {
  lend: async () => lendable(await startEmbedded(await ownProgram(opensearch), undefined)),
  most: 1,
};

/** Whoever borrows next is given another namespace, and finds no index of the last one's. */
function lendable(servers: OpenSearchServers): Lendable {
  const { node, url, inspect } = servers;
  const renew = async () => {
    await removeIndices(url, '');
    return lendable(servers);
  };
  return { servers, nodes: [node], urls: [url], inspect, namespace: newNamespace(), renew };
}

async function borrowed(): Promise<OpenSearchServers | undefined> {
  const loan = await borrow(NAME, {});
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const node = new FaultyNode({ ...COMMON, url, lever: loan.lever(0) });
  return { ...loan.handle(NAME, () => node.close({ heal: false })), url, node };
}

const newNamespace = () => `labs-${randomBytes(4).toString('hex')}-`;

async function startEmbedded(program: Program, signal: AbortSignal | undefined): Promise<OpenSearchServers> {
  const [version, prepared] = await Promise.all([opensearch.version(program), prepare(program, signal)]);
  const folder = await temporaryFolder(NAME);
  try {
    const flags = await jvmFlags({ heapMb: HEAP_MB, folder: folder.path, archive: archiveIn(prepared) });
    const server = await startServer({ program, home: folder.path, modules: modulesIn(prepared), flags, signal });
    const url = localUrl(server.port);
    const node = new FaultyNode({ ...COMMON, url, lever: server });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: 1,
      inspect: [`curl ${url}/_cat/indices?v`],
      faults: true,
      namespace: newNamespace(),
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

async function startServer(o: {
  program: Program;
  home: string;
  modules: string;
  flags: readonly string[];
  signal: AbortSignal | undefined;
}): Promise<EmbeddedServer> {
  const { program, home, flags, signal } = o;
  const cluster = `labs-${randomBytes(6).toString('hex')}`;
  const config = join(home, 'config');
  await mkdir(config);
  await symlink(o.modules, join(home, 'modules'));
  await writeFile(join(config, 'log4j2.properties'), LOGGING);
  const classPath = (await coreJars(program)).join(delimiter);
  return EmbeddedServer.start({
    service: NAME,
    program,
    folder: home,
    args: (port) => [
      ...flags,
      '-Djava.security.manager=allow',
      `-Dopensearch.path.home=${home}`,
      `-Dopensearch.path.conf=${config}`,
      '-Dopensearch.distribution.type=tar',
      '-Dlog4j2.disable.jmx=true',
      // What it would do by native calls is to lock memory, to filter system calls, and to refuse root: here it listens
      // on the loopback alone, as whoever runs the lab. Nor does it unpack a library at each start.
      '-Djna.nosys=true',
      '-Djna.nounpack=true',
      '-cp',
      classPath,
      'org.opensearch.bootstrap.OpenSearch',
      ...Object.entries({ ...SETTINGS, 'cluster.name': cluster, 'http.port': port }).map(
        ([name, value]) => `-E${name}=${value}`,
      ),
    ],
    signal,
    timeoutMs: START_MS,
    ready: ({ port }) =>
      onceItListens(port, async () => {
        // 408 until what was there before a restart can be searched; nobody else's cluster has our name.
        const health = await pageOf(`${localUrl(port)}/_cluster/health?wait_for_status=yellow&timeout=500ms`);
        return health.includes(`"cluster_name":"${cluster}"`);
      }),
  });
}

const SETTINGS = {
  'node.name': 'labs',
  'discovery.type': 'single-node',
  'network.host': '127.0.0.1',
  // Nobody connects to it: there is one node.
  'transport.port': 0,
  'bootstrap.system_call_filter': 'false',
  // A disk that is nearly full is not the lab's business.
  'cluster.routing.allocation.disk.threshold_enabled': 'false',
  'node.processors': 2,
};

const LOGGING = `
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %-5p %c{1.} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
`;

/** Its own parts that it loads from folders, as its distribution lays them out. */
const MODULES = [
  {
    name: 'transport-netty4',
    className: 'org.opensearch.transport.Netty4Plugin',
    jars: /^(netty-|transport-netty4-)/,
    // As the distribution has it: modules/transport-netty4/src/main/plugin-metadata/plugin-security.policy.
    policy: `grant codeBase "\${codebase.netty-common}" {
  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
  permission java.net.SocketPermission "*", "accept,connect";
  permission java.lang.RuntimePermission "*", "setContextClassLoader";
};
grant codeBase "\${codebase.netty-transport}" {
  permission java.util.PropertyPermission "sun.nio.ch.bugLevel", "write";
};
`,
  },
  {
    name: 'analysis-common',
    className: 'org.opensearch.analysis.common.CommonAnalysisPlugin',
    jars: /^analysis-common-/,
    policy: undefined,
  },
] as const;

const jarsOf = (program: Program) => dirname(program.env?.['CLASSPATH'] ?? '');

/** By their own paths, which stay: an archive of classes holds for the class path that it was made with. */
async function coreJars(program: Program): Promise<string[]> {
  const folder = jarsOf(program);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jar')).sort();
  return names.filter((name) => !MODULES.some(({ jars }) => jars.test(name))).map((name) => join(folder, name));
}

const modulesIn = (folder: string) => join(folder, 'modules');
const archiveIn = (folder: string) => join(folder, 'classes.jsa');

/** What is the same at each start: the modules' folders, and the archive of the classes. */
async function prepare(program: Program, signal: AbortSignal | undefined): Promise<string> {
  return madeOnce(NAME, program, signal, async (aside) => {
    for (const module of MODULES) await layOut(program, module, join(modulesIn(aside), module.name));
    await archiveClasses({
      service: NAME,
      archive: archiveIn(aside),
      signal,
      start: async (home, flag) => {
        const flags = [...(await jvmFlags({ heapMb: HEAP_MB, folder: home })), flag];
        await startServer({ program, home, modules: modulesIn(aside), flags, signal });
      },
    });
  });
}

async function layOut(program: Program, module: (typeof MODULES)[number], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const from = jarsOf(program);
  for (const jar of await readdir(from)) if (module.jars.test(jar)) await copyFile(join(from, jar), join(folder, jar));
  const { name, className, policy } = module;
  const descriptor = {
    name,
    description: name,
    version: VERSION,
    classname: className,
    'java.version': '11',
    'opensearch.version': VERSION,
    'extended.plugins': '',
    'has.native.controller': 'false',
  };
  const lines = Object.entries(descriptor).map(([key, value]) => `${key}=${value}\n`);
  await writeFile(join(folder, 'plugin-descriptor.properties'), lines.join(''));
  if (policy !== undefined) await writeFile(join(folder, 'plugin-security.policy'), policy);
}

/** A server that runs already and is not ours to end: only indices under our own prefix are deleted, at the end. */
async function adopt(origin: Origin, url: string, lever: Lever | string): Promise<OpenSearchServers> {
  const { version } = await hello(url, ANSWER_MS);
  const namespace = newNamespace();
  const undo = entrust({ after: { module: import.meta.url, call: 'removeIndices', input: [url, namespace] } });
  const node = new FaultyNode({ ...COMMON, url, lever });
  const common = handle({
    service: NAME,
    origin,
    version,
    count: 1,
    inspect: [`curl ${redact(url)}/_cat/indices/${namespace}*?v`],
    faults: typeof lever !== 'string',
    namespace,
    close: async () => {
      await node.close({ heal: true });
      await undo.settle().catch((error: unknown) => {
        process.stderr.write(`${NAME}: indices under ${namespace} are left at ${redact(url)}: ${error}\n`);
      });
    },
  });
  return { ...common, url, node };
}

/** Deletes the indices whose names begin with `prefix`, and nothing else: each by its own name. */
export async function removeIndices(url: string, prefix: string): Promise<void> {
  const found = await ask(url, `/_cat/indices/${prefix}*?h=index&expand_wildcards=all`);
  if (!found.ok) throw new Error(`it answers ${found.status}`);
  for (const name of (await found.text()).split('\n').filter((line) => line !== '')) {
    const { status } = await ask(url, `/${encodeURIComponent(name)}`, 'DELETE');
    if (status !== 200 && status !== 404) throw new Error(`${name}: ${status}`);
  }
}

async function hello(url: string, timeoutMs: number): Promise<{ version: string; cluster: string }> {
  const unreachable = (why: string, error?: unknown) =>
    new UnreachableUrlError(NAME, opensearch.variable, url, why, { cause: error });
  const response = await ask(url, '/', 'GET', timeoutMs).catch((error: unknown) => {
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    throw unreachable(timedOut ? `no answer within ${timeoutMs} ms` : wordsOf(error), error);
  });
  const text = await response.text().catch(() => '');
  if (response.status === 401 || response.status === 403) {
    throw new LoginRefusedError(NAME, opensearch.variable, url, `it answers ${response.status}`);
  }
  // Elasticsearch 8 and later refuse OpenSearch's clients, and say no distribution.
  const number = /"distribution"\s*:\s*"opensearch"/.test(text) && /"number"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  if (!number) throw unreachable('what answers there is not an OpenSearch');
  return { version: number, cluster: /"cluster_name"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? '' };
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message || ('code' in cause ? String(cause.code) : cause.name);
}

/** `fetch` takes no URL with a password in it. */
async function ask(url: string, path: string, method = 'GET', timeoutMs = ANSWER_MS): Promise<Response> {
  const { username, password, origin, pathname } = new URL(url);
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return fetch(`${origin}${pathname.replace(/\/$/, '')}${path}`, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    ...(username !== '' && { headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}` } }),
  });
}

async function answers(url: string): Promise<void> {
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await sleep(50)) {
    const health = await pageOf(`${url}/_cluster/health?wait_for_status=yellow&timeout=500ms`).catch(() => '');
    if (health !== '') return;
  }
  throw new StartTimeoutError(NAME, START_MS, '');
}
