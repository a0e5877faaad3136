/** Real servers for demos and tests, and the faults that can befall them. */
import type { Browser, BrowserOptions, PageOptions } from './browser.ts';
import type { BuilderOptions } from './buildah.ts';
import type { ServiceReport } from './doctor.ts';
import type { Builder, BuildOptions, Built, Layer } from './image.ts';
import type { Broker, KafkaOptions, KafkaServers } from './kafka.ts';
import type { KubernetesOptions, KubernetesServers } from './kubernetes.ts';
import type { MongoOptions, MongoServers } from './mongo.ts';
import type { OpenSearchOptions, OpenSearchServers } from './opensearch.ts';
import type { PostgresOptions, PostgresServers, ReplicatedPostgres } from './postgres.ts';
import type { Standby } from './postgres-standby.ts';
import type { AlertingPrometheus, PrometheusOptions, PrometheusServers, Promtool, ScrapeJob } from './prometheus.ts';
import type { RabbitOptions, RabbitServers } from './rabbit.ts';
import type { RedisCluster, RedisClusterOptions, RedisOptions, RedisServers } from './redis.ts';
import type { ClusterNode } from './redis-cluster.ts';
import type { ZipkinOptions, ZipkinServers } from './zipkin.ts';
import type { ZooKeeperOptions, ZooKeeperServers } from './zookeeper.ts';

export { onAnnounce } from './announce.ts';
export {
  BadSettingError,
  ConfigRefusedError,
  FaultUnavailableError,
  LoginRefusedError,
  MissingServerError,
  PortTakenError,
  ProvisionError,
  ServerDiedError,
  ServiceError,
  StartTimeoutError,
  TooFewUrlsError,
  UnreachableUrlError,
} from './errors.ts';
export type { NetworkProxy as Proxy, Node, Origin, Servers } from './types.ts';
export type {
  AlertingPrometheus,
  Broker,
  Browser,
  BrowserOptions,
  Builder,
  BuilderOptions,
  BuildOptions,
  Built,
  ClusterNode,
  KafkaOptions,
  KafkaServers,
  KubernetesOptions,
  KubernetesServers,
  Layer,
  MongoOptions,
  MongoServers,
  OpenSearchOptions,
  OpenSearchServers,
  PageOptions,
  PostgresOptions,
  PostgresServers,
  PrometheusOptions,
  PrometheusServers,
  Promtool,
  RabbitOptions,
  RabbitServers,
  RedisCluster,
  RedisClusterOptions,
  RedisOptions,
  RedisServers,
  ReplicatedPostgres,
  ScrapeJob,
  ServiceReport,
  Standby,
  ZipkinOptions,
  ZipkinServers,
  ZooKeeperOptions,
  ZooKeeperServers,
};

// Each loads its file when called: a demo's first line must not wait for servers that it does not use.

/**
 * Starts (or finds, see the order of choice in the README) independent Redis servers; with `cluster: 6` starts one Redis
 * Cluster of three primaries with a replica each.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, TooFewUrlsError, BadSettingError, or the signal's reason
 */
export async function startRedis(o: RedisClusterOptions): Promise<RedisCluster>;
export async function startRedis(o?: RedisOptions): Promise<RedisServers>;
export async function startRedis(o: RedisOptions | RedisClusterOptions = {}): Promise<RedisServers | RedisCluster> {
  return (await import('./redis.ts')).startRedis(o);
}

/**
 * Starts (or finds) a Postgres, and a database of our own in it; with `standby: 1` also a hot standby of it.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, BadSettingError, or the signal's reason
 */
export async function startPostgres(o: PostgresOptions & { readonly standby: 1 }): Promise<ReplicatedPostgres>;
export async function startPostgres(o?: PostgresOptions): Promise<PostgresServers>;
export async function startPostgres(o: PostgresOptions = {}): Promise<PostgresServers> {
  return (await import('./postgres.ts')).startPostgres(o);
}

/**
 * Starts (or finds) a RabbitMQ; `await rabbit.vhost()` is the URL of a virtual host of one's own in it.
 * @throws MissingServerError, PortTakenError, ServerDiedError, StartTimeoutError, UnreachableUrlError,
 *   LoginRefusedError, BadSettingError, or the signal's reason
 */
export async function startRabbit(o: RabbitOptions = {}): Promise<RabbitServers> {
  return (await import('./rabbit.ts')).startRabbit(o);
}

/**
 * Starts (or finds) a Kafka of one broker, or of three with every topic on all of them.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, UnreachableUrlError, TooFewUrlsError, BadSettingError,
 *   or the signal's reason
 */
export async function startKafka(o: KafkaOptions = {}): Promise<KafkaServers> {
  return (await import('./kafka.ts')).startKafka(o);
}

/**
 * Starts a ZooKeeper of our own: one node, or an ensemble of three that has elected its leader.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startZooKeeper(o: ZooKeeperOptions = {}): Promise<ZooKeeperServers> {
  return (await import('./zookeeper.ts')).startZooKeeper(o);
}

/**
 * Starts (or finds) a MongoDB, and a database of our own in it: a replica set of one, of three, or two shards.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, UnreachableUrlError, LoginRefusedError,
 *   BadSettingError, or the signal's reason
 */
export async function startMongo(o: MongoOptions = {}): Promise<MongoServers> {
  return (await import('./mongo.ts')).startMongo(o);
}

/**
 * Starts (or finds) an OpenSearch of one node; our own indices begin with its `namespace`.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, UnreachableUrlError, LoginRefusedError,
 *   BadSettingError, or the signal's reason
 */
export async function startOpenSearch(o: OpenSearchOptions = {}): Promise<OpenSearchServers> {
  return (await import('./opensearch.ts')).startOpenSearch(o);
}

/**
 * Starts a Kubernetes control plane of our own without nodes, and a namespace in it; where KUBECONFIG names a cluster of the
 * user's, makes a namespace there.
 * @throws MissingServerError, ProvisionError, ServerDiedError, StartTimeoutError, UnreachableUrlError, BadSettingError, or the
 *   signal's reason
 */
export async function startKubernetes(o: KubernetesOptions = {}): Promise<KubernetesServers> {
  return (await import('./kubernetes.ts')).startKubernetes(o);
}

/**
 * Starts a Prometheus of our own that scrapes `targets`, and with `alertmanager` an Alertmanager behind it.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, ConfigRefusedError for rules that
 *   Prometheus does not take, RangeError for targets that are none, or the signal's reason
 */
export async function startPrometheus(
  o: PrometheusOptions & { readonly alertmanager: true | { readonly webhook: string } },
): Promise<AlertingPrometheus>;
export async function startPrometheus(o: PrometheusOptions): Promise<PrometheusServers>;
export async function startPrometheus(o: PrometheusOptions): Promise<PrometheusServers> {
  return (await import('./prometheus.ts')).startPrometheus(o);
}

/**
 * Finds the program that checks and tests rules (`promtool test rules FILE`), of the Prometheus that would be started.
 * @throws MissingServerError, BadSettingError
 */
export async function findPromtool(): Promise<Promtool> {
  return (await import('./prometheus.ts')).findPromtool();
}

/**
 * Starts a Zipkin of our own, which keeps the spans that it is sent in memory.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startZipkin(o: ZipkinOptions = {}): Promise<ZipkinServers> {
  return (await import('./zipkin.ts')).startZipkin(o);
}

/**
 * Starts a Chromium of our own without a window; `await browser.page()` is a Playwright page in it.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, or the signal's reason
 */
export async function startBrowser(o: BrowserOptions = {}): Promise<Browser> {
  return (await import('./browser.ts')).startBrowser(o);
}

/**
 * Starts a builder of images: buildah with a store of its own; `await builder.build({ context })` makes one of a Dockerfile.
 * @throws MissingServerError, or the signal's reason
 */
export async function startBuilder(o: BuilderOptions = {}): Promise<Builder> {
  return (await import('./buildah.ts')).startBuilder(o);
}

/**
 * Makes a folder of our own for programs that a demo or bench runs. When it is disposed, or we die of whatever signal, all
 * that runs in it ends and it is removed.
 * @param name of letters, digits and hyphens
 */
export async function startFolder(name: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const { temporaryFolder } = await import('./process.ts');
  const { path, settle } = await temporaryFolder(name);
  return { path, [Symbol.asyncDispose]: settle };
}

/**
 * What each service would be, from where, and how to get it. Starts and downloads nothing.
 * @param names default: all
 * @throws RangeError for a name that is no service
 */
export async function inspectServices(names?: readonly string[]): Promise<ServiceReport[]> {
  return (await import('./doctor.ts')).inspectServices(names);
}

/**
 * Fetches and builds what is not on this machine yet, one after the other, so that no time limit of a test or a demo pays
 * for it. What cannot be had is no error here: whoever starts it is told.
 * @throws RangeError for a name that is no service, or the signal's reason
 */
export async function fetchServices(names: readonly string[], signal?: AbortSignal): Promise<void> {
  return (await import('./provision.ts')).fetchAll(names, signal);
}
