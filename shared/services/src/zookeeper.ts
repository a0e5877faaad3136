import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseOwn } from './choose.ts';
import { FaultyNode, type Lever, voting } from './faults.ts';
import { installJava, jvmFlags } from './java.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { freePort, onFreePorts } from './ports.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { atLeastOne, handle } from './servers.ts';
import { oursAlone, type Service } from './service.ts';
import type { Node, Servers } from './types.ts';

/** A ZooKeeper, alone or as an ensemble: processes of our own. */
export interface ZooKeeperServers extends Servers {
  /** What clients are given: `127.0.0.1:21521,127.0.0.1:…`, every node of it. */
  readonly connectString: string;
  readonly nodes: readonly [Node, ...Node[]];
  /** The node that leads now, or is alone; undefined while there is none. A leader that was just resumed may err about it. */
  leader(): Promise<Node | undefined>;
}

export interface ZooKeeperOptions {
  /** One alone, or an ensemble of three: then two are enough to go on. Default 1. */
  readonly nodes?: 1 | 3;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'zookeeper';
const VERSION = '3.9.4';
const DEFAULT_PORT = 2181;
const START_MS = 90_000;
const ANSWER_MS = 1000;
const HEAP_MB = 96;
const localUrl = (port: number) => `zookeeper://127.0.0.1:${port}`;

export const zookeeper: Service = {
  name: NAME,
  // None: a server of the user's would have to be cleaned up by a client, which this package has not.
  ...oursAlone('zookeeper', DEFAULT_PORT),
  jars: {
    artifacts: [
      `org.apache.zookeeper:zookeeper:${VERSION}`,
      // Its own list takes these two for given.
      'org.xerial.snappy:snappy-java:1.1.10.5',
      'io.dropwizard.metrics:metrics-core:4.1.12.1',
      // Prints what ZooKeeper complains of; without it ZooKeeper is silent.
      'org.slf4j:slf4j-simple:2.0.13',
    ],
    lock: new URL('../jars/zookeeper.sha256', import.meta.url),
  },
  version: async (program) => {
    const { jreOf } = await import('./jars.ts');
    return `${VERSION}, ${await jreOf(program)}`;
  },
  install: installJava,
};

/**
 * Starts a ZooKeeper of our own, and waits until it has a leader.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startZooKeeper(o: ZooKeeperOptions = {}): Promise<ZooKeeperServers> {
  const count: number = o.nodes ?? 1;
  if (count !== 1 && count !== 3) throw new RangeError(`nodes is ${count}: it can be 1 or 3`);
  o.signal?.throwIfAborted();
  const program = await chooseOwn(zookeeper, count, { signal: o.signal });
  return (await borrowed(count)) ?? startRetrying(program, count, o.signal);
}

const startRetrying = (program: Program, count: number, signal: AbortSignal | undefined): Promise<ZooKeeperServers> =>
  onFreePorts(() => startEnsemble(program, count, signal));

export const zookeeperLender: Lender = {
  lend: async ({ nodes = 1 }) => lendable(await startRetrying(await ownProgram(zookeeper), nodes, undefined)),
};

/**
 * Whoever borrows keeps below its namespace, so the next one is given another: what is left under the old one is in nobody's
 * way, and sessions that were not closed expire.
 */
function lendable(servers: ZooKeeperServers): Lendable {
  const { nodes, inspect } = servers;
  const urls = nodes.map(({ url }) => url);
  return { servers, nodes, urls, inspect, namespace: newNamespace(), renew: async () => lendable(servers) };
}

async function borrowed(count: number): Promise<ZooKeeperServers | undefined> {
  const loan = await borrow(NAME, { nodes: count });
  if (loan === undefined) return undefined;
  const nodes = loan.facts.urls.map(
    (url, index) => new FaultyNode({ service: NAME, index, url, defaultPort: DEFAULT_PORT, lever: loan.lever(index) }),
  );
  const common = loan.handle(NAME, async () => {
    await Promise.all(nodes.map((node) => node.close({ heal: false })));
  });
  return { ...common, ...ensemble(nodes) };
}

/** What clients need of the nodes. */
function ensemble(nodes: readonly Node[]): Pick<ZooKeeperServers, 'connectString' | 'nodes' | 'leader'> {
  return {
    connectString: nodes.map(({ port }) => `127.0.0.1:${port}`).join(','),
    nodes: atLeastOne(nodes),
    leader: async () => {
      const modes = await Promise.all(nodes.map(({ port }) => fourLetters(port, 'srvr').catch(() => '')));
      return nodes.find((_, index) => /^Mode: (leader|standalone)$/m.test(modes[index] ?? ''));
    },
  };
}

const newNamespace = () => `/labs-${randomBytes(4).toString('hex')}`;

/** One node to be. */
interface Plan {
  readonly id: number;
  readonly home: string;
  readonly client: number;
  readonly quorum: number;
  readonly election: number;
}

async function startEnsemble(
  program: Program,
  count: number,
  signal: AbortSignal | undefined,
): Promise<ZooKeeperServers> {
  const version = await zookeeper.version(program);
  const folder = await temporaryFolder(NAME);
  try {
    const plan: Plan[] = [];
    for (let id = 1; id <= count; id += 1) {
      const [client, quorum, election] = [await freePort(), await freePort(), await freePort()];
      plan.push({ id, home: join(folder.path, String(id)), client, quorum, election });
    }
    await Promise.all(plan.map((node) => writeHome(node, plan)));
    const levers = await startAll(program, plan, signal);
    const nodes = plan.map(({ client }, index) => {
      const lever = levers[index] ?? 'it is not there.';
      return new FaultyNode({ service: NAME, index, url: localUrl(client), defaultPort: DEFAULT_PORT, lever });
    });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count,
      inspect: plan.map(({ client }) => `echo srvr | nc 127.0.0.1 ${client}`),
      faults: true,
      namespace: newNamespace(),
      close: async () => {
        await Promise.all(nodes.map((node) => node.close({ heal: false })));
        await folder.settle();
      },
    });
    return { ...common, ...ensemble(nodes) };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

/** Starts the nodes at once: the first cannot serve before a majority is there. */
async function startAll(
  program: Program,
  plan: readonly Plan[],
  signal: AbortSignal | undefined,
): Promise<readonly Lever[]> {
  const failed = new AbortController();
  const voters = new Set<number>();
  let complete = false;
  const start = async ({ id, home, client }: Plan) => {
    const flags = await jvmFlags({ heapMb: HEAP_MB, folder: home });
    return EmbeddedServer.start({
      service: NAME,
      program,
      folder: home,
      args: () => [...flags, ...SETTINGS, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', 'zoo.cfg'],
      port: client,
      signal: AbortSignal.any(signal === undefined ? [failed.signal] : [signal, failed.signal]),
      timeoutMs: START_MS,
      ready: async () => {
        const said = await fourLetters(client, 'conf').catch(() => '');
        // Another on this port has another folder; one that serves nobody yet does not say which it has.
        if (said.includes(`dataDir=${join(home, 'data')}`)) return true;
        const others = [...voters].filter((one) => one !== id).length;
        // The first that comes back to an ensemble without a majority has nobody to follow.
        if (complete && 2 * (others + 1) <= plan.length && said.includes('not currently serving')) return true;
        await sleep(15);
        return false;
      },
    });
  };
  const started = await Promise.allSettled(
    plan.map((node) =>
      start(node).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    ),
  );
  failed.signal.throwIfAborted();
  complete = true;
  return started.map((one, index) => {
    if (one.status === 'rejected') throw one.reason;
    const id = plan[index]?.id ?? 0;
    voters.add(id);
    return voting(one.value, voters, id);
  });
}

const SETTINGS = [
  // Its complaints go to the log that a StartTimeoutError and a ServerDiedError quote.
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showThreadName=false',
  '-Dzookeeper.jmx.log4j.disable=true',
  // What it writes is handed to the system, so it outlives a kill of the process, though not of the machine.
  '-Dzookeeper.forceSync=no',
  // Of a log of 64 MB each, made at once, nobody here writes a hundredth. In kB.
  '-Dzookeeper.preAllocSize=1024',
];

async function writeHome(node: Plan, plan: readonly Plan[]): Promise<void> {
  const data = join(node.home, 'data');
  await mkdir(data, { recursive: true, mode: 0o700 });
  const ensemble = plan.map(({ id, quorum, election }) => [`server.${id}`, `127.0.0.1:${quorum}:${election}`] as const);
  const settings: Record<string, string | number> = {
    // Sessions may be as short as two ticks; their longest is what it is with ZooKeeper's own tick of 2 s.
    tickTime: 200,
    maxSessionTimeout: 40_000,
    // In ticks: how long a follower may take to join, and how long it, or a leader, may be silent.
    initLimit: 50,
    syncLimit: 10,
    dataDir: data,
    clientPort: node.client,
    clientPortAddress: '127.0.0.1',
    'admin.enableServer': 'false',
    '4lw.commands.whitelist': '*',
    ...(plan.length > 1 && Object.fromEntries(ensemble)),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(join(node.home, 'zoo.cfg'), lines.join(''));
  await writeFile(join(data, 'myid'), String(node.id));
}

/** One of ZooKeeper's commands of four letters: it answers, and closes. */
function fourLetters(port: number, command: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: '127.0.0.1', port }, () => socket.write(command));
  let reply = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    reply += chunk;
  });
  const timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  socket.on('error', reject).on('close', () => resolve(reply));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
