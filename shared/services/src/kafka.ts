import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { choose, variableOf } from './choose.ts';
import { COMPOSE_KAFKA_CLUSTER, composeLever, containers, listens } from './compose.ts';
import {
  BadSettingError,
  FaultUnavailableError,
  MissingServerError,
  StartTimeoutError,
  UnreachableUrlError,
} from './errors.ts';
import { FaultyNode, type Lever, voting } from './faults.ts';
import { archiveClasses, installJava, jvmFlags, madeOnce } from './java.ts';
import { deleteTopics, type Metadata, metadata } from './kafka-wire.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { freePort, onFreePorts } from './ports.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { openProxy } from './proxy.ts';
import { entrust } from './reaper.ts';
import { atLeastOne, handle } from './servers.ts';
import type { Service } from './service.ts';
import type { NetworkProxy, Node, Origin, Servers } from './types.ts';

/** A Kafka cluster. */
export interface KafkaServers extends Servers {
  /** Where clients begin: `127.0.0.1:21521` for each broker. */
  readonly bootstrap: readonly string[];
  readonly brokers: readonly [Broker, ...Broker[]];
}

/** One broker, which is a controller too: it votes on who leads the cluster. */
export interface Broker extends Node {
  /** As the cluster's metadata names it, where it says who leads a partition. */
  readonly id: number;
  /**
   * A network in front of this broker, for embedded ones alone. A client that begins at `new URL(proxy.url).host` is
   * given addresses of such networks for all brokers, so that it never goes past them; brokers reach each other directly.
   * There is one for each broker: what one caller sets holds for the others too, until any of them disposes it.
   */
  proxy(): Promise<NetworkProxy>;
}

export interface KafkaOptions {
  /** One broker, or three: then each topic is on all of them, and a write is safe once two have it. Default 1. */
  readonly brokers?: 1 | 3;
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'kafka';
const VERSION = '4.4.0';
const DEFAULT_PORT = 9092;
const ANSWER_MS = 3000;
/** 2 s alone on two cores. */
const START_MS = 90_000;
const HEAP_MB = 256;
const localUrl = (port: number) => `kafka://127.0.0.1:${port}`;

export const kafka: Service = {
  name: NAME,
  variable: 'KAFKA_URL',
  addresses: 'KAFKA_BROKERS',
  several: true,
  cluster: true,
  keepsTo: 'topic prefix',
  schemes: ['kafka:'],
  defaultPort: DEFAULT_PORT,
  containers: containers.kafka,
  containerUrl: localUrl,
  isOurContainer: async (url) =>
    (await metadata(addressOf(url), { timeoutMs: 1000 })).clusterId === COMPOSE_KAFKA_CLUSTER,
  jars: {
    // The second prints what Kafka complains of; without it Kafka is silent.
    artifacts: [`org.apache.kafka:kafka_2.13:${VERSION}`, 'org.slf4j:slf4j-simple:1.7.36'],
    lock: new URL('../jars/kafka.sha256', import.meta.url),
  },
  version: async (program) => {
    const { jreOf } = await import('./jars.ts');
    return `${VERSION}, ${await jreOf(program)}`;
  },
  install: installJava,
};

/**
 * Starts (or finds, see the order of choice) a Kafka.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, UnreachableUrlError, BadSettingError,
 *   or the signal's reason
 */
export async function startKafka(o: KafkaOptions = {}): Promise<KafkaServers> {
  const count: number = o.brokers ?? 1;
  if (count !== 1 && count !== 3) throw new RangeError(`brokers is ${count}: it can be 1 or 3`);
  o.signal?.throwIfAborted();
  const choice = await choose(kafka, count, { signal: o.signal });
  if (choice.origin === 'embedded') {
    return (await borrowed(count)) ?? serversOf(await startRetrying(choice.program, count, o.signal), openNetworks);
  }
  if (choice.origin === 'url') {
    const variable = variableOf(kafka);
    const why = `it is not ours: ${variable} names it. Unset ${variable} for the scenes that need faults.`;
    return adopt('url', choice.urls, count, () => why);
  }
  const urls = choice.containers.map(({ port }) => localUrl(port));
  const levers = await Promise.all(
    choice.containers.map((container) => composeLever(NAME, container, () => answers(localUrl(container.port)))),
  );
  return adopt('compose', urls, count, (index) => levers[index] ?? 'it has no container.');
}

/** Where clients reach one broker: past its network, and behind it. */
interface Addresses {
  readonly client: number;
  /** Where its network reaches it. */
  readonly inner: number;
  /** Its network's address, which it hands out there. */
  readonly network: number;
}

/** One broker to be. */
interface Plan extends Addresses {
  readonly index: number;
  readonly home: string;
  readonly controller: number;
}

/** Brokers that run, without networks in front of them. */
interface Cluster extends AsyncDisposable {
  readonly version: string;
  readonly plan: readonly Plan[];
  readonly levers: readonly Lever[];
}

const startRetrying = (program: Program, count: number, signal: AbortSignal | undefined): Promise<Cluster> =>
  onFreePorts(() => startCluster(program, count, signal));

async function startCluster(program: Program, count: number, signal: AbortSignal | undefined): Promise<Cluster> {
  const { data, archive } = await prepare(program, signal);
  const version = await kafka.version(program);
  const folder = await temporaryFolder(NAME);
  try {
    const plan = await planFor(count, folder.path);
    const cluster = randomId();
    await Promise.all(plan.map((broker) => writeHome(broker, plan, cluster, data)));
    const levers = await startAll({ program, plan, cluster, signal, archive, flags: [] });
    // Read at the next start, if there is one.
    await Promise.all(plan.map((broker) => writeSettings(broker, plan, deadAfterMs)));
    return { version, plan, levers, [Symbol.asyncDispose]: () => folder.settle() };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

async function planFor(count: number, folder: string): Promise<Plan[]> {
  const plan: Plan[] = [];
  for (let index = 0; index < count; index += 1) {
    const [client, controller, inner, network] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    plan.push({ index, home: join(folder, String(index)), client, controller, inner, network });
  }
  return plan;
}

/** A network in front of each broker. */
async function openNetworks(brokers: readonly Addresses[]): Promise<readonly NetworkProxy[]> {
  const open = brokers.map(({ inner, network }) =>
    openProxy({ url: localUrl(inner), host: '127.0.0.1', port: inner }, network),
  );
  const opened = await Promise.allSettled(open);
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed === undefined) return Promise.all(open);
  await Promise.all(opened.map((one) => one.status === 'fulfilled' && one.value[Symbol.asyncDispose]()));
  throw failed.reason;
}

async function serversOf(cluster: Cluster, open: typeof openNetworks): Promise<KafkaServers> {
  const { plan, levers, version } = cluster;
  try {
    const networks = await open(plan);
    const brokers = brokersAt(plan, networks, (index) => levers[index] ?? 'it is not there.');
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version,
      count: plan.length,
      inspect: [`kcat -L -b ${bootstrapOf(brokers).join(',')}`],
      faults: true,
      namespace: newNamespace(),
      close: async () => {
        await closeAll(brokers, networks);
        await cluster[Symbol.asyncDispose]();
      },
    });
    return { ...common, bootstrap: bootstrapOf(brokers), brokers: atLeastOne(brokers) };
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

function brokersAt(
  all: readonly Addresses[],
  networks: readonly NetworkProxy[],
  leverOf: (index: number) => Lever | string,
): readonly BrokerNode[] {
  return all.map(({ client }, index) => {
    const network = networks[index];
    return new BrokerNode({
      index,
      id: index,
      url: localUrl(client),
      lever: leverOf(index),
      ...(network && { network }),
    });
  });
}

const bootstrapOf = (brokers: readonly Broker[]) => brokers.map(({ port }) => `127.0.0.1:${port}`);

async function closeAll(brokers: readonly BrokerNode[], networks: readonly NetworkProxy[]): Promise<void> {
  await Promise.all(brokers.map((broker) => broker.close({ heal: false })));
  await Promise.all(networks.map((network) => network[Symbol.asyncDispose]()));
}

export const kafkaLender: Lender = {
  lend: async ({ nodes = 1 }) => {
    const cluster = await startRetrying(await ownProgram(kafka), nodes, undefined);
    // Whoever borrows opens them: they are faults in his own process.
    return lendable(await serversOf(cluster, async () => []), cluster.plan);
  },
};

/** Topics are deleted for the next borrower, whose names begin with another namespace: groups, and what is unsettled, stay. */
function lendable(servers: KafkaServers, plan: readonly Plan[], namespace = servers.namespace): Lendable {
  const { brokers, inspect } = servers;
  const urls = brokers.map(({ url }) => url);
  const addresses: readonly Addresses[] = plan.map(({ client, inner, network }) => ({ client, inner, network }));
  return {
    servers,
    nodes: brokers,
    urls,
    inspect,
    namespace,
    calls: { addresses: async () => JSON.stringify(addresses) },
    renew: async () => {
      await removeTopics(urls.join(','), namespace);
      return lendable(servers, plan, newNamespace());
    },
  };
}

async function borrowed(count: number): Promise<KafkaServers | undefined> {
  const loan = await borrow(NAME, { nodes: count });
  if (loan === undefined) return undefined;
  const addresses: Addresses[] = JSON.parse(await loan.call('addresses'));
  const networks = await openNetworks(addresses);
  const brokers = brokersAt(addresses, networks, loan.lever);
  const common = loan.handle(NAME, () => closeAll(brokers, networks));
  return { ...common, bootstrap: bootstrapOf(brokers), brokers: atLeastOne(brokers) };
}

/** Starts the brokers at once: the first cannot answer before a majority is there. */
async function startAll(o: {
  program: Program;
  plan: readonly Plan[];
  cluster: string;
  signal: AbortSignal | undefined;
  archive?: string;
  flags: readonly string[];
}): Promise<readonly Lever[]> {
  const { program, plan, cluster, signal, archive } = o;
  const failed = new AbortController();
  const voters = new Set<number>();
  let complete = false;
  const start = async ({ index, home, client, controller }: Plan) => {
    const flags = await jvmFlags({ heapMb: HEAP_MB, folder: home, ...(archive !== undefined && { archive }) });
    return EmbeddedServer.start({
      service: NAME,
      program,
      folder: home,
      args: () => [...flags, ...o.flags, ...LOGGING, 'kafka.Kafka', 'server.properties'],
      port: client,
      signal: AbortSignal.any(signal === undefined ? [failed.signal] : [signal, failed.signal]),
      timeoutMs: START_MS,
      ready: async () => {
        // The first that comes back to a cluster that has lost its majority has nobody to answer for.
        const outvoted = complete && 2 * (voters.size + 1) <= plan.length && (await listens(controller));
        if (outvoted || (await knows(client, cluster, [index]))) return true;
        await sleep(15);
        return false;
      },
    });
  };
  const fail = (error: unknown): never => {
    failed.abort(error);
    throw error;
  };
  const servers: EmbeddedServer[] = [];
  for (const one of await Promise.allSettled(plan.map((broker) => start(broker).catch(fail)))) {
    if (one.status === 'fulfilled') servers.push(one.value);
  }
  failed.signal.throwIfAborted();
  // Each knows of itself; now all of each other, so that the first topic is on all of them.
  const ids = plan.map(({ index }) => index);
  for (const { client } of plan) {
    for (const deadline = performance.now() + START_MS; !(await knows(client, cluster, ids)); await sleep(15)) {
      signal?.throwIfAborted();
      if (performance.now() > deadline) throw new StartTimeoutError(NAME, START_MS, servers[0]?.logTail() ?? '');
    }
  }
  complete = true;
  for (const id of ids) voters.add(id);
  return servers.map((server, index) => voting(server, voters, index));
}

/** Whether the server on that port is a broker of this cluster that answers, and sees those brokers alive. */
async function knows(port: number, cluster: string, ids: readonly number[]): Promise<boolean> {
  const said = await metadata({ host: '127.0.0.1', port }, { timeoutMs: 1000 }).catch(() => undefined);
  return said?.clusterId === cluster && ids.every((id) => said.brokers.some((broker) => broker.id === id));
}

/** Kafka's complaints go to the log that a StartTimeoutError and a ServerDiedError quote. */
const LOGGING = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.showThreadName=false'];

/** What is the same at each start: a data folder as Kafka's own tool formats it, and the archive of its classes. */
interface Prepared {
  readonly data: string;
  readonly archive: string;
}

const preparedIn = (folder: string): Prepared => ({ data: join(folder, 'data'), archive: join(folder, 'classes.jsa') });

async function prepare(program: Program, signal: AbortSignal | undefined): Promise<Prepared> {
  const folder = await madeOnce(NAME, program, signal, async (aside) => {
    await mkdir(aside);
    const made = preparedIn(aside);
    await format(program, made.data, signal);
    await archiveClasses({
      service: NAME,
      archive: made.archive,
      signal,
      start: async (home, flag) => {
        const plan = await planFor(1, home);
        const cluster = randomId();
        for (const broker of plan) await writeHome(broker, plan, cluster, made.data);
        await startAll({ program, plan, cluster, signal, flags: [flag] });
      },
    });
  });
  return preparedIn(folder);
}

/** The tool takes a second, a copy of what it makes nothing; its ids are ours to write. */
async function format(program: Program, data: string, signal: AbortSignal | undefined): Promise<void> {
  const work = await temporaryFolder(NAME);
  try {
    const plan = { index: 0, home: work.path, controller: 1, client: 2, inner: 3, network: 4 };
    const file = join(work.path, 'server.properties');
    await writeFile(file, properties({ ...settingsOf(plan, [plan], neverDeadMs), 'log.dirs': data }));
    const flags = await jvmFlags({ heapMb: 64, folder: work.path });
    const args = [...flags, ...LOGGING, 'kafka.tools.StorageTool', 'format', '-t', randomId(), '-c', file];
    const options = { cwd: work.path, env: { ...process.env, ...program.env }, ...(signal && { signal }) };
    await promisify(execFile)(program.path, args, options);
  } finally {
    await work.settle();
  }
}

async function writeHome(broker: Plan, plan: readonly Plan[], cluster: string, blank: string): Promise<void> {
  const data = join(broker.home, 'data');
  await mkdir(broker.home, { mode: 0o700 });
  await cp(blank, data, { recursive: true });
  const ids = { version: 1, 'cluster.id': cluster, 'node.id': broker.index, 'directory.id': randomId() };
  await writeFile(join(data, 'meta.properties'), properties(ids));
  await writeSettings(broker, plan, plan.length > 1 ? deadAfterMs : neverDeadMs);
}

const writeSettings = (broker: Plan, plan: readonly Plan[], silentMs: number): Promise<void> =>
  writeFile(join(broker.home, 'server.properties'), properties(settingsOf(broker, plan, silentMs)));

/**
 * A dead broker is known as dead within seconds, and one that comes back is let in after as many: the default, 9 s, is
 * longer than a scene.
 */
const deadAfterMs = 2000;
/** One alone has nobody to be dead for. On a busy machine it would lock itself out, and lead nothing for as long. */
const neverDeadMs = 600_000;

function settingsOf(broker: Plan, plan: readonly Plan[], silentMs: number): Record<string, string | number> {
  const { index, client, controller, inner, network } = broker;
  const copies = plan.length;
  const enough = copies > 1 ? 2 : 1;
  return {
    'process.roles': 'broker,controller',
    'node.id': index,
    'controller.quorum.voters': plan.map((one) => `${one.index}@127.0.0.1:${one.controller}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    listeners: `CLIENT://127.0.0.1:${client},NETWORK://127.0.0.1:${inner},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${client},NETWORK://127.0.0.1:${network}`,
    'inter.broker.listener.name': 'CLIENT',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,NETWORK:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(broker.home, 'data'),
    'default.replication.factor': copies,
    'min.insync.replicas': enough,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.min.isr': enough,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.min.isr': enough,
    // A lab's group has nobody else to wait for, and its members time out while somebody watches.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 500,
    'broker.session.timeout.ms': silentMs,
    'broker.heartbeat.interval.ms': copies > 1 ? 250 : 100,
    // Small: a few clients, on two processors that three brokers share.
    'num.network.threads': 1,
    'num.io.threads': 4,
    'log.cleaner.dedupe.buffer.size': 2 << 20,
  };
}

function properties(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

class BrokerNode extends FaultyNode implements Broker {
  readonly id: number;
  readonly #network: NetworkProxy | undefined;

  constructor(o: { index: number; id: number; url: string; lever: Lever | string; network?: NetworkProxy }) {
    super({ service: NAME, index: o.index, url: o.url, defaultPort: DEFAULT_PORT, lever: o.lever });
    this.id = o.id;
    this.#network = o.network;
  }

  override async proxy(): Promise<NetworkProxy> {
    const network = this.#network;
    if (network === undefined) {
      const why = 'it hands out its own address, by which clients would go past the proxy. An embedded broker can.';
      throw new FaultUnavailableError(NAME, 'put a proxy in front of', why);
    }
    // The listener stays: its address is the one that the broker hands out for as long as it runs.
    const dispose = async () => {
      network.heal();
      network.reset();
    };
    return { ...network, [Symbol.asyncDispose]: dispose };
  }
}

/** Brokers that run already and are not ours to end: only topics under our own prefix are deleted, at the end. */
async function adopt(
  origin: Origin,
  urls: readonly string[],
  count: number,
  leverOf: (index: number) => Lever | string,
): Promise<KafkaServers> {
  const said = await hello(urls);
  if (said.brokers.length < count) {
    const variable = variableOf(kafka);
    throw new MissingServerError(
      NAME,
      `this needs ${count} brokers, and the cluster that ${variable} names has ${said.brokers.length}. Name another one, or unset ${variable} to let the lab start its own.`,
      { code: 'TOO_FEW_BROKERS' },
    );
  }
  const bootstrap = urls.map((url) => `${new URL(url).hostname}:${addressOf(url).port}`);
  const namespace = newNamespace();
  const input = [urls.join(','), namespace];
  const undo = entrust({ after: { module: import.meta.url, call: 'removeTopics', input } });
  const brokers = said.brokers.map(({ id, host, port }, index) => {
    const url = `kafka://${host.includes(':') ? `[${host}]` : host}:${port}`;
    return new BrokerNode({ index, id, url, lever: leverOf(index) });
  });
  const common = handle({
    service: NAME,
    origin,
    version: `cluster ${said.clusterId}`,
    count: brokers.length,
    inspect: [`kcat -L -b ${bootstrap.join(',')}`],
    faults: brokers.every(({ index }) => typeof leverOf(index) !== 'string'),
    namespace,
    close: async () => {
      await Promise.all(brokers.map((broker) => broker.close({ heal: true })));
      await undo.settle().catch((error: unknown) => {
        process.stderr.write(`${NAME}: topics under ${namespace} are left at ${bootstrap.join(',')}: ${error}\n`);
      });
    },
  });
  return { ...common, bootstrap, brokers: atLeastOne(brokers) };
}

/** Asks one address after the other. */
async function hello(urls: readonly string[]): Promise<Metadata> {
  let first: { url: string; error: unknown } | undefined;
  for (const url of urls) {
    const { username, password } = new URL(url);
    if (username !== '' || password !== '') {
      const variable = variableOf(kafka);
      throw new BadSettingError(
        NAME,
        `${variable} names a user: a login is not supported. Name a listener without one, or unset ${variable}.`,
      );
    }
    try {
      return await metadata(addressOf(url), { timeoutMs: ANSWER_MS });
    } catch (error) {
      first ??= { url, error };
    }
  }
  const { url = '', error } = first ?? {};
  const why = error instanceof Error ? error.message : String(error);
  throw new UnreachableUrlError(NAME, variableOf(kafka), url, why, { cause: error });
}

/** Deletes the topics under our own prefix, and nothing else. Groups that read them alone go with their offsets. */
export async function removeTopics(urls: string, namespace: string): Promise<void> {
  let problem: unknown;
  for (const at of urls.split(',').map(addressOf)) {
    try {
      const said = await metadata(at, { timeoutMs: ANSWER_MS, topics: true });
      const ours = said.topics.filter((topic) => topic.startsWith(namespace));
      if (ours.length === 0) return;
      const controller = said.brokers.find(({ id }) => id === said.controller) ?? at;
      const left = await deleteTopics(controller, ours, ANSWER_MS);
      if (left.size === 0) return;
      problem = new Error([...left].map(([topic, code]) => `${topic} (error code ${code})`).join(', '));
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

async function answers(url: string): Promise<void> {
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await sleep(50)) {
    const up = await metadata(addressOf(url), { timeoutMs: 1000 }).then(
      ({ brokers }) => brokers.length > 0,
      () => false,
    );
    if (up) return;
  }
  throw new StartTimeoutError(NAME, START_MS, '');
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || DEFAULT_PORT) };
}

/** As Kafka writes its ids: 16 bytes in base64url. One that begins with "-" would be taken for an option. */
function randomId(): string {
  return Buffer.concat([Buffer.from([1]), randomBytes(15)]).toString('base64url');
}

function newNamespace(): string {
  return `labs-${randomBytes(4).toString('hex')}-`;
}
