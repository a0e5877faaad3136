import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { choose, chooseOwn, urlsFromEnvironment, wishedOrigin } from './choose.ts';
import { COMPOSE_LOGIN, composeLever, containers } from './compose.ts';
import { LoginRefusedError, MissingServerError, redact, StartTimeoutError, UnreachableUrlError } from './errors.ts';
import { FaultyNode, type Lever } from './faults.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { onFreePorts } from './ports.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { entrust } from './reaper.ts';
import {
  ClusterFaultyNode,
  type ClusterNode,
  clusterPorts,
  clusterSettings,
  configOf,
  formCluster,
  idsOf,
  renewCluster,
} from './redis-cluster.ts';
import { ask } from './redis-wire.ts';
import { atLeastOne, handle, within } from './servers.ts';
import { onPath, type Service } from './service.ts';
import type { Node, Origin, Servers } from './types.ts';

/** Independent Redis (or Valkey) servers: no replication, no cluster. */
export interface RedisServers extends Servers {
  readonly nodes: readonly [Node, ...Node[]];
}

export interface RedisOptions {
  /** How many independent servers. Default 1. */
  readonly nodes?: number;
  /** `always`: an append-only file, fsynced at each write, outlives `kill()` and `restart()`. Default `none`. */
  readonly persist?: 'none' | 'always';
  /** Insist on these ports of 127.0.0.1, one a node: only a process of our own will do then. Default: free ones. */
  readonly ports?: readonly number[];
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

/** Six nodes that are one Redis Cluster, all of its slots assigned. */
export interface RedisCluster extends Servers {
  /**
   * At first the first three are primaries, of a third of the slots each, and `nodes[i + 3]` is the replica of `nodes[i]`.
   * MOVED and ASK name a node's own port, so a cluster's client goes past a `proxy()` unless it is told to translate
   * addresses (ioredis: `natMap`, node-redis: `nodeAddressMap`).
   */
  readonly nodes: Six<ClusterNode>;
}

type Six<T> = readonly [T, T, T, T, T, T];

export interface RedisClusterOptions {
  /** Three primaries with a replica each. */
  readonly cluster: 6;
  /** cluster-node-timeout: how long a node is silent before the others suspect it. Default 1000, at least 100. */
  readonly nodeTimeoutMs?: number;
  /**
   * As for independent nodes. With `none`, the default, a killed primary that is restarted before its replica was promoted
   * comes back empty, and the replica then empties itself too.
   */
  readonly persist?: 'none' | 'always';
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'redis';
const DEFAULT_PORT = 6379;
const ANSWER_MS = 3000;
const composeUrl = (port: number) => `redis://127.0.0.1:${port}`;

export const redis: Service = {
  name: NAME,
  variable: 'REDIS_URL',
  several: true,
  keepsTo: 'key prefix',
  schemes: ['redis:', 'rediss:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.redis,
  containerUrl: composeUrl,
  isOurContainer: async (url) => {
    const { hostname, port } = new URL(url);
    const { user, password } = COMPOSE_LOGIN;
    return (await ask(hostname, Number(port), `AUTH ${user} ${password}`, '\r\n', 1000)).startsWith('+OK');
  },
  find: async () => {
    const path = await onPath('redis-server', 'valkey-server');
    return path === undefined ? undefined : { path };
  },
  apt: { packages: ['redis-server'], program: 'usr/bin/redis-server' },
  version: async ({ path, env }) => {
    const { stdout } = await promisify(execFile)(path, ['--version'], { env: { ...process.env, ...env } });
    return `${/^valkey/i.test(stdout) ? 'valkey ' : ''}${/v=(\S+)/.exec(stdout)?.[1] ?? 'unknown'}`;
  },
  install: {
    apt: 'sudo apt install redis-server',
    dnf: 'sudo dnf install valkey',
    apk: 'sudo apk add redis',
    pacman: 'sudo pacman -S valkey',
    brew: 'brew install redis',
  },
};

/**
 * Starts (or finds, see the order of choice) independent Redis servers; with `cluster: 6` starts a cluster of our own.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, TooFewUrlsError, BadSettingError, or the signal's reason
 */
export async function startRedis(o: RedisClusterOptions): Promise<RedisCluster>;
export async function startRedis(o?: RedisOptions): Promise<RedisServers>;
export async function startRedis(o: RedisOptions | RedisClusterOptions): Promise<RedisServers | RedisCluster>;
export async function startRedis(o: RedisOptions | RedisClusterOptions = {}): Promise<RedisServers | RedisCluster> {
  return 'cluster' in o && o.cluster !== undefined ? startCluster(o) : startNodes(o);
}

async function startNodes(o: RedisOptions): Promise<RedisServers> {
  const count = o.nodes ?? o.ports?.length ?? 1;
  if (!Number.isInteger(count) || count < 1 || (o.ports !== undefined && o.ports.length !== count)) {
    throw new RangeError(`nodes is ${o.nodes} and ports are ${o.ports}: give one port a node, and one node at least`);
  }
  o.signal?.throwIfAborted();
  const choice = await choose(redis, count, { signal: o.signal, embedded: o.ports !== undefined });
  if (choice.origin === 'embedded') return (await borrowed(count, o)) ?? startEmbedded(choice.program, count, o);
  if (choice.origin === 'url') {
    const why = `it is not ours: ${redis.variable} names it. Unset ${redis.variable} for the scenes that need faults.`;
    return adopt(
      'url',
      choice.urls,
      choice.urls.map(() => why),
    );
  }
  const urls = choice.containers.map(({ port }) => composeUrl(port));
  const levers = await Promise.all(
    choice.containers.map((container) => composeLever(NAME, container, () => answers(composeUrl(container.port)))),
  );
  return adopt('compose', urls, levers);
}

/** A cluster has no place in REDIS_URL, and what was moved in a user's own could not be put back. */
async function startCluster(o: RedisClusterOptions): Promise<RedisCluster> {
  const { nodeTimeoutMs = 1000, cluster, signal, persist = 'none' } = o;
  if (cluster !== 6) throw new RangeError(`cluster is ${cluster}: it can be 6, three primaries with a replica each`);
  if (!Number.isInteger(nodeTimeoutMs) || nodeTimeoutMs < 100) {
    throw new RangeError(`nodeTimeoutMs is ${nodeTimeoutMs}: give whole milliseconds, 100 at least`);
  }
  signal?.throwIfAborted();
  const wish = wishedOrigin(redis);
  const why =
    wish === 'compose'
      ? 'LABS_SERVICES=compose'
      : wish === undefined && urlsFromEnvironment(redis).length > 0 && redis.variable;
  if (why) {
    throw new MissingServerError(
      NAME,
      `this needs a Redis Cluster of our own, whose nodes may fail and whose slots may move, and not the servers that ${why} names. ` +
        `Unset ${why.replace(/=.*/, '')}, or set LABS_SERVICES=embedded, to let the lab start it itself.`,
    );
  }
  const loan = await borrow(NAME, { persist, cluster, nodeTimeoutMs });
  if (loan !== undefined) {
    const ids = await idsOf(loan.facts.urls.map((url) => Number(new URL(url).port)));
    const nodes = loan.facts.urls.map((url, index) => clusterNode(index, url, ids, loan.lever(index)));
    const close = async () => {
      await Promise.all(nodes.map((node) => node.close({ heal: false })));
    };
    return { ...loan.handle(NAME, close), nodes: six(nodes) };
  }
  const program = await chooseOwn(redis, 6, { signal, embedded: true });
  return startEmbeddedCluster(program, { persist, nodeTimeoutMs, signal });
}

async function startEmbeddedCluster(
  program: Program,
  o: { persist: 'none' | 'always'; nodeTimeoutMs: number; signal: AbortSignal | undefined },
): Promise<RedisCluster> {
  return onFreePorts(async () => {
    const folder = await temporaryFolder(NAME);
    try {
      const ports = await clusterPorts();
      const args = clusterSettings(o.nodeTimeoutMs);
      const { servers, version } = await startAll(program, folder.path, 6, { ...o, ports, args });
      const ids = await formCluster(ports, o.signal);
      const nodes = servers.map((lever, index) => clusterNode(index, composeUrl(lever.port), ids, lever));
      const client = await clientOf(program);
      const common = handle({
        service: NAME,
        origin: 'embedded',
        version: `${version}, one cluster`,
        count: nodes.length,
        inspect: ports.map((port) => `${client} -c -p ${port}`),
        faults: true,
        namespace: newNamespace(),
        close: async () => {
          await Promise.all(nodes.map((node) => node.close({ heal: false })));
          await folder.settle();
        },
      });
      return { ...common, nodes: six(nodes) };
    } catch (error) {
      await folder.settle();
      throw error;
    }
  });
}

function clusterNode(index: number, url: string, ids: readonly string[], lever: Lever): ClusterFaultyNode {
  const id = ids[index] ?? '';
  return new ClusterFaultyNode({ service: NAME, index, url, defaultPort: DEFAULT_PORT, lever, id });
}

/**
 * New nodes for each borrower: five are up within 60 ms, and nobody can tell them from used ones. A cluster takes 2 s, and is
 * made as new.
 */
export const redisLender: Lender = {
  lend: async (wish) => {
    const { persist = 'none', nodeTimeoutMs = 1000 } = wish;
    const program = await ownProgram(redis);
    if (!wish.cluster) return lendable(await startEmbedded(program, wish.nodes ?? 1, wish));
    const servers = await startEmbeddedCluster(program, { persist, nodeTimeoutMs, signal: undefined });
    const ports = servers.nodes.map(({ port }) => port);
    const ids = servers.nodes.map(({ id }) => id);
    const config = await configOf(ports);
    const renew = async (): Promise<Lendable | undefined> =>
      (await renewCluster(ports, ids, config)) ? { ...lendable(servers), namespace: newNamespace(), renew } : undefined;
    return { ...lendable(servers), renew };
  },
};

function lendable(servers: RedisServers | RedisCluster): Lendable {
  const { nodes, inspect, namespace } = servers;
  return { servers, nodes, urls: nodes.map(({ url }) => url), inspect, namespace };
}

async function borrowed(count: number, o: RedisOptions): Promise<RedisServers | undefined> {
  if (o.ports !== undefined) return undefined;
  const loan = await borrow(NAME, { nodes: count, persist: o.persist ?? 'none' });
  if (loan === undefined) return undefined;
  const nodes = loan.facts.urls.map(
    (url, index) => new FaultyNode({ service: NAME, index, url, defaultPort: DEFAULT_PORT, lever: loan.lever(index) }),
  );
  const common = loan.handle(NAME, async () => {
    await Promise.all(nodes.map((node) => node.close({ heal: false })));
  });
  return { ...common, nodes: atLeastOne(nodes) };
}

async function startEmbedded(program: Program, count: number, o: RedisOptions): Promise<RedisServers> {
  const folder = await temporaryFolder(NAME);
  try {
    const { servers, version } = await startAll(program, folder.path, count, o);
    const nodes = servers.map(
      (lever, index) =>
        new FaultyNode({ service: NAME, index, url: composeUrl(lever.port), defaultPort: DEFAULT_PORT, lever }),
    );
    const client = await clientOf(program);
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count,
      inspect: servers.map(({ port }) => `${client} -p ${port}`),
      faults: true,
      namespace: newNamespace(),
      close: async () => {
        await Promise.all(nodes.map((node) => node.close({ heal: false })));
        await folder.settle();
      },
    });
    return { ...common, nodes: atLeastOne(nodes) };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

async function startAll(
  program: Program,
  folder: string,
  count: number,
  o: Pick<RedisOptions, 'persist' | 'ports'> & { signal?: AbortSignal | undefined; args?: readonly string[] },
): Promise<{ servers: EmbeddedServer[]; version: string }> {
  let version = 'unknown';
  const start = (index: number) =>
    EmbeddedServer.start({
      service: NAME,
      program,
      folder: join(folder, String(index)),
      args: (port) => [...settings(port, o.persist ?? 'none'), ...(o.args ?? [])],
      port: o.ports?.[index],
      signal: o.signal,
      ready: async ({ port, folder }) => {
        // CONFIG GET dir tells our server from a stranger that took the port a moment before.
        const reply = await ask('127.0.0.1', port, 'PING\r\nCONFIG GET dir\r\nINFO server', 'tcp_port', 500);
        version = versionIn(reply);
        return reply.startsWith('+PONG') && reply.includes(folder);
      },
    });
  const started = await Promise.allSettled(Array.from({ length: count }, (_, index) => start(index)));
  const servers = started.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
  return { servers, version };
}

function settings(port: number, persist: 'none' | 'always'): string[] {
  const aof = persist === 'always' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no'];
  return ['--port', String(port), '--bind', '127.0.0.1', '--daemonize', 'no', '--save', '', ...aof];
}

/** redis-cli comes beside the server in apt's packages, where PATH does not have it. */
async function clientOf(program: Program): Promise<string> {
  const libraries = program.env?.['LD_LIBRARY_PATH'];
  if (libraries === undefined || (await onPath('redis-cli')) !== undefined) return 'redis-cli';
  return `LD_LIBRARY_PATH=${libraries} ${program.path.replace(/redis-server$/, 'redis-cli')}`;
}

/** Servers that run already and are not ours to end: only our own keys are removed. */
async function adopt(
  origin: Origin,
  urls: readonly string[],
  levers: readonly (Lever | string)[],
): Promise<RedisServers> {
  const versions = await Promise.all(urls.map((url) => within(ANSWER_MS, hello(url), () => silent(url))));
  const namespace = newNamespace();
  const undo = urls.map((url) =>
    entrust({ after: { module: import.meta.url, call: 'removeKeys', input: [url, namespace] } }),
  );
  const nodes = urls.map((url, index) => {
    const lever = levers[index] ?? 'it is not ours.';
    return new FaultyNode({ service: NAME, index, url, defaultPort: DEFAULT_PORT, lever });
  });
  const common = handle({
    service: NAME,
    origin,
    version: [...new Set(versions)].join(', '),
    count: urls.length,
    inspect: nodes.map(({ url, host, port }) =>
      urls.length === 1 && origin === 'url'
        ? `redis-cli -u "$${redis.variable}"`
        : `redis-cli${host === '127.0.0.1' ? '' : ` -h ${host}`} -p ${port}${new URL(url).password === '' ? '' : ' --askpass'}`,
    ),
    faults: levers.every((lever) => typeof lever !== 'string'),
    namespace,
    close: async () => {
      await Promise.all(nodes.map((node) => node.close({ heal: true })));
      for (const [index, each] of undo.entries()) {
        await each.settle().catch((error: unknown) => {
          process.stderr.write(`redis: keys under ${namespace} are left at ${redact(urls[index] ?? '')}: ${error}\n`);
        });
      }
    },
  });
  return { ...common, nodes: atLeastOne(nodes) };
}

/** Deletes the keys under our own prefix, and nothing else. */
export async function removeKeys(url: string, namespace: string): Promise<void> {
  const client = await clientFor(url);
  try {
    for (let cursor = '0'; ; ) {
      const [next, keys] = await client.scan(cursor, 'MATCH', `${namespace}*`, 'COUNT', 1000);
      if (keys.length > 0) await client.del(...keys);
      cursor = next;
      if (cursor === '0') return;
    }
  } finally {
    client.disconnect();
  }
}

/** Logs in and asks for the version. */
async function hello(url: string): Promise<string> {
  let client: Awaited<ReturnType<typeof clientFor>> | undefined;
  try {
    client = await clientFor(url);
    await client.ping();
    // A user of few rights may not ask.
    return versionIn(await client.info('server').catch(() => ''));
  } catch (error) {
    throw explained(url, error);
  } finally {
    client?.disconnect();
  }
}

async function answers(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(20)) {
    const reply = await ask(hostname, Number(port), 'PING', '\r\n', 500).catch(() => '');
    if (reply.startsWith('+PONG')) return;
  }
  throw new StartTimeoutError(NAME, 20_000, '');
}

async function clientFor(url: string) {
  const { Redis } = await import('ioredis');
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: ANSWER_MS - 500,
    commandTimeout: ANSWER_MS - 500,
  });
  let first: unknown;
  client.on('error', (error) => {
    first ??= error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    // ioredis throws "Connection is closed."; the cause came as an event before.
    throw first ?? error;
  }
  return client;
}

function explained(url: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error);
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password|invalid username|without any password/i.test(words)) {
    return new LoginRefusedError(NAME, redis.variable, url, words);
  }
  return new UnreachableUrlError(NAME, redis.variable, url, words || 'it closed the connection', { cause: error });
}

function silent(url: string): Error {
  return new UnreachableUrlError(NAME, redis.variable, url, `no answer within ${ANSWER_MS} ms`);
}

function versionIn(info: string): string {
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  return valkey === undefined ? (/^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown') : `valkey ${valkey}`;
}

function newNamespace(): string {
  return `labs:${randomBytes(4).toString('hex')}:`;
}

function six(nodes: readonly ClusterNode[]): Six<ClusterNode> {
  const [a, b, c, d, e, f] = nodes;
  if (!(a && b && c && d && e && f)) throw new RangeError(`a cluster has six nodes, not ${nodes.length}`);
  return [a, b, c, d, e, f];
}
