import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseOwn, wishedOrigin } from './choose.ts';
import { FaultyNode } from './faults.ts';
import { buildByGo, builtByGo, type GoRecipe, goOutlook } from './go.ts';
import { type Api, apiOf } from './kubernetes-api.ts';
import { borrow } from './lease.ts';
import { type Lendable, type Lender, ownProgram } from './lending.ts';
import { freePort, onFreePorts } from './ports.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { handle, pageOf } from './servers.ts';
import { oursAlone, type Service } from './service.ts';
import type { Node, Servers } from './types.ts';

/** A Kubernetes control plane: etcd, API server, controller manager and scheduler, and not one node. */
export interface KubernetesServers extends Servers {
  /** The API server's: `https://127.0.0.1:21521`. */
  readonly url: string;
  /** For any client: its text, with an administrator's token and the API server's certificate. */
  readonly kubeconfig: string;
  /** Whether the cluster is ours alone: in a user's there may be no nodes of ours, and no cluster-wide objects. */
  readonly ours: boolean;
  /** The API server. The others go on, and find it again. */
  readonly node: Node;
}

export interface KubernetesOptions {
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'kubernetes';
const VERSION = '1.34.2';
const DEFAULT_PORT = 6443;
const START_MS = 90_000;
/** Go tidies up a quarter as often: the API server's start is the dearest of all, and a fifth of it was that. */
const ENV = { GOGC: '400' };
const localUrl = (port: number) => `https://127.0.0.1:${port}`;

const STAMP = 'k8s.io/component-base/version';
const recipe: GoRecipe = {
  name: NAME,
  version: VERSION,
  module: new URL('../go/kubernetes/', import.meta.url),
  packages: [
    'k8s.io/kubernetes/cmd/kube-apiserver',
    'k8s.io/kubernetes/cmd/kube-controller-manager',
    'k8s.io/kubernetes/cmd/kube-scheduler',
    // Debian 12's etcd 3.4 is too old: watches fail with "Too large resource version".
    'go.etcd.io/etcd/server/v3',
  ],
  variables: {
    [`${STAMP}.gitVersion`]: `v${VERSION}`,
    [`${STAMP}.gitMajor`]: '1',
    [`${STAMP}.gitMinor`]: '34',
  },
  count: 2450,
  minutes: 10,
};
/** etcd's command is named by its module's folder. */
const programs = {
  etcd: 'server',
  api: 'kube-apiserver',
  manager: 'kube-controller-manager',
  scheduler: 'kube-scheduler',
} as const;

/** Who runs the control plane is known by the API server; the others lie beside it. */
const besides = (folder: string | undefined): Program | undefined =>
  folder === undefined ? undefined : { path: join(folder, programs.api) };

export const kubernetes: Service = {
  name: NAME,
  ...oursAlone('https', DEFAULT_PORT),
  provider: {
    atHand: async () => besides(await builtByGo(recipe)),
    fetch: async (signal) => besides(await buildByGo(recipe, signal)),
    outlook: () => goOutlook(recipe),
  },
  version: async () => VERSION,
  install: {
    apt: 'sudo apt-get install golang   (1.24 or newer: it builds the control plane into a private cache)',
    dnf: 'sudo dnf install golang   (1.24 or newer: it builds the control plane into a private cache)',
    apk: 'apk add go   (1.24 or newer: it builds the control plane into a private cache)',
    pacman: 'sudo pacman -S go   (it builds the control plane into a private cache)',
    brew: 'brew install go   (it builds the control plane into a private cache)',
  },
};

/**
 * Starts a control plane of our own, or, where KUBECONFIG names the user's cluster, makes a namespace there.
 * @throws MissingServerError, ProvisionError, ServerDiedError, StartTimeoutError, UnreachableUrlError, BadSettingError, or the
 *   signal's reason
 */
export async function startKubernetes(o: KubernetesOptions = {}): Promise<KubernetesServers> {
  const { signal } = o;
  signal?.throwIfAborted();
  const theirs = process.env['KUBECONFIG']?.trim() ?? '';
  if (theirs !== '' && wishedOrigin(kubernetes) !== 'embedded') {
    return (await import('./kubernetes-own.ts')).adopt(newNamespace());
  }
  const program = await chooseOwn(kubernetes, 1, { signal });
  return (await borrowed()) ?? startRetrying(program, signal);
}

const startRetrying = (program: Program, signal: AbortSignal | undefined) =>
  onFreePorts(() => startControlPlane(program, signal));

export const kubernetesLender: Lender = {
  lend: async () => {
    const servers = await startRetrying(await ownProgram(kubernetes), undefined);
    return lendable(servers, apiOf(servers.kubeconfig));
  },
  most: 1,
};

/** Whoever borrows next finds no node, no custom resource and no namespace of the last one's. */
function lendable(servers: KubernetesServers, api: Api): Lendable {
  const { node, url, inspect, namespace, kubeconfig } = servers;
  const renew = async () => {
    if (!(await api.clear())) return undefined;
    const next = newNamespace();
    await api.createNamespace(next);
    return lendable({ ...servers, namespace: next }, api);
  };
  const calls = { kubeconfig: async () => kubeconfig };
  return { servers, nodes: [node], urls: [url], inspect, namespace, calls, renew };
}

async function borrowed(): Promise<KubernetesServers | undefined> {
  const loan = await borrow(NAME, {});
  const [url] = loan?.facts.urls ?? [];
  if (loan === undefined || url === undefined) return undefined;
  const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: loan.lever(0) });
  const kubeconfig = await loan.call('kubeconfig');
  return { ...loan.handle(NAME, () => node.close({ heal: false })), url, node, kubeconfig, ours: true };
}

const newNamespace = () => `labs-${randomBytes(4).toString('hex')}`;

async function startControlPlane(program: Program, signal: AbortSignal | undefined): Promise<KubernetesServers> {
  const folder = await temporaryFolder(NAME);
  try {
    const beside = join(program.path, '..');
    const start = (name: keyof typeof programs, port: number, args: string[], ready: () => Promise<boolean>) =>
      EmbeddedServer.start({
        service: NAME,
        program: { ...program, path: join(beside, programs[name]), env: { ...program.env, ...ENV } },
        folder: join(folder.path, name),
        args: () => args,
        port,
        signal,
        timeoutMs: START_MS,
        ready: async () => {
          if (await ready()) return true;
          await sleep(20);
          return false;
        },
      });

    const token = randomBytes(16).toString('hex');
    const [storage, peers, port] = [await freePort(), await freePort(), await freePort()];
    await start('etcd', storage, etcdFlags({ storage, peers, name: token }), () => isEtcd(storage, token));
    const files = await writeFiles(folder.path, token);
    const api = await start('api', port, apiFlags({ ...files, storage, port }), () => answers(port, token, files));
    const kubeconfig = kubeconfigOf(localUrl(port), token, await readFile(files.certificate, 'utf8'));
    await writeFile(files.kubeconfig, kubeconfig, { mode: 0o600 });
    const client = apiOf(kubeconfig);
    const namespace = newNamespace();
    await client.createNamespace(namespace);
    await Promise.all([
      // It makes an account in each new namespace.
      start('manager', await freePort(), managerFlags(files), () => client.has(accountIn(namespace))),
      start('scheduler', await freePort(), schedulerFlags(files), () => client.probeScheduler(namespace)),
    ]);
    const url = localUrl(port);
    const node = new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: api });
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version: VERSION,
      count: 1,
      inspect: [`kubectl --kubeconfig ${files.kubeconfig} --namespace ${namespace} get all`],
      faults: true,
      namespace,
      close: async () => {
        await node.close({ heal: false });
        await folder.settle();
      },
    });
    return { ...common, url, node, kubeconfig, ours: true };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

interface Files {
  readonly certificates: string;
  readonly certificate: string;
  readonly tokens: string;
  readonly accountKey: string;
  readonly kubeconfig: string;
}

async function writeFiles(folder: string, token: string): Promise<Files> {
  const files: Files = {
    certificates: join(folder, 'certificates'),
    certificate: join(folder, 'certificates/apiserver.crt'),
    tokens: join(folder, 'tokens.csv'),
    accountKey: join(folder, 'accounts.pem'),
    kubeconfig: join(folder, 'kubeconfig'),
  };
  await writeFile(files.tokens, `${token},labs,labs,system:masters\n`, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(files.accountKey, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  return files;
}

const flags = (all: Readonly<Record<string, string | number | boolean>>) =>
  Object.entries(all).map(([name, value]) => `--${name}=${value}`);

function etcdFlags({ storage, peers, name }: { storage: number; peers: number; name: string }): string[] {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${storage}`, `http://127.0.0.1:${peers}`];
  return flags({
    name,
    'data-dir': 'data',
    'listen-client-urls': clientUrl,
    'advertise-client-urls': clientUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `${name}=${peerUrl}`,
    // What it writes is handed to the system, so it outlives a kill of the process, though not of the machine.
    'unsafe-no-fsync': true,
    'log-level': 'warn',
  });
}

/** Another's on this port has another name. */
async function isEtcd(port: number, name: string): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/v3/cluster/member/list`, {
    method: 'POST',
    body: '{}',
    signal: AbortSignal.timeout(1000),
  });
  return (await response.text()).includes(name) && (await pageOf(`http://127.0.0.1:${port}/health`)).includes('true');
}

/** Another's on this port does not know our token. */
async function answers(port: number, token: string, { certificate }: Files): Promise<boolean> {
  const api = apiOf(kubeconfigOf(localUrl(port), token, await readFile(certificate, 'utf8')));
  return api.has('/readyz');
}

function apiFlags({ storage, port, ...files }: Files & { storage: number; port: number }): string[] {
  return flags({
    'etcd-servers': `http://127.0.0.1:${storage}`,
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'cert-dir': files.certificates,
    'token-auth-file': files.tokens,
    'authorization-mode': 'RBAC',
    'service-cluster-ip-range': '10.96.0.0/16',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': files.accountKey,
    'service-account-signing-key-file': files.accountKey,
    // Pods need no account: their processes are the labs' own.
    'disable-admission-plugins': 'ServiceAccount',
    // It would refuse an address of the loopback.
    'endpoint-reconciler-type': 'none',
    // A pod leaves a node that is gone after 2 s instead of 5 minutes.
    'default-not-ready-toleration-seconds': 2,
    'default-unreachable-toleration-seconds': 2,
    'max-requests-inflight': 0,
    'max-mutating-requests-inflight': 0,
    'enable-priority-and-fairness': false,
    'shutdown-delay-duration': '0s',
  });
}

/** A client of ours may ask as often as it likes. */
const unhurried = { 'kube-api-qps': 1000, 'kube-api-burst': 2000, 'leader-elect': false };

function managerFlags({ kubeconfig, accountKey }: Files): string[] {
  return flags({
    ...unhurried,
    kubeconfig,
    'secure-port': 0,
    'service-account-private-key-file': accountKey,
    // A node that is silent for 4 s (50 s by default) is not ready, and its pods leave it.
    'node-monitor-period': '500ms',
    'node-monitor-grace-period': '4s',
    'node-startup-grace-period': '4s',
    'horizontal-pod-autoscaler-sync-period': '2s',
  });
}

function schedulerFlags({ kubeconfig }: Files): string[] {
  return flags({ ...unhurried, kubeconfig, 'secure-port': 0 });
}

const accountIn = (namespace: string) => `/api/v1/namespaces/${namespace}/serviceaccounts/default`;

function kubeconfigOf(server: string, token: string, certificate: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'labs',
    clusters: [
      {
        name: 'labs',
        cluster: { server, 'certificate-authority-data': Buffer.from(certificate).toString('base64') },
      },
    ],
    users: [{ name: 'labs', user: { token } }],
    contexts: [{ name: 'labs', context: { cluster: 'labs', user: 'labs' } }],
  });
}
