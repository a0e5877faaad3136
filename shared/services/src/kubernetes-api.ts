import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** The few calls to a cluster of ours that the others' clients are not needed for. */
export interface Api {
  /** Whether something is there, and may be seen. */
  has(path: string): Promise<boolean>;
  createNamespace(name: string): Promise<void>;
  /** Whether the scheduler has looked at a pod of `namespace`: it says that there is no node for it. */
  probeScheduler(namespace: string): Promise<boolean>;
  /**
   * Removes nodes, custom resources and namespaces, and whatever is in them; resolves once nothing of it can get in the next
   * one's way. @returns false where something stayed
   */
  clear(): Promise<boolean>;
}

interface Listed {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly finalizers?: readonly string[] };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly plural: string };
    readonly versions?: readonly { readonly name: string; readonly served: boolean }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly reason?: string }[] };
}

const CLEAR_MS = 15_000;
const ANSWER_MS = 5000;
const PROBE = 'labs-probe';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const FORCED = { gracePeriodSeconds: 0, propagationPolicy: 'Background' };

/** @param kubeconfig ours: JSON, with a token and a certificate */
export function apiOf(kubeconfig: string): Api {
  const { clusters, users } = JSON.parse(kubeconfig);
  const { server, 'certificate-authority-data': certificate } = clusters[0].cluster;
  const client = new Client(server, users[0].user.token, Buffer.from(certificate, 'base64').toString());
  return {
    has: async (path) => (await client.call('GET', path)).status === 200,
    createNamespace: async (name) => {
      await client.must('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    },
    probeScheduler: (namespace) => probe(client, `/api/v1/namespaces/${namespace}/pods`),
    clear: () => clear(client),
  };
}

async function probe(client: Client, pods: string): Promise<boolean> {
  const path = `${pods}/${PROBE}`;
  const { status, text } = await client.call('GET', path);
  if (status === 404) {
    const spec = { containers: [{ name: PROBE, image: PROBE }] };
    await client.must('POST', pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name: PROBE }, spec });
    return false;
  }
  const pod: Listed = JSON.parse(text);
  if (pod.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') !== true) return false;
  await client.must('DELETE', path, FORCED);
  return true;
}

async function clear(client: Client): Promise<boolean> {
  // The first takes a tenth of a second, in which the API server asks its store whether it has missed something.
  await Promise.all([
    client.must('DELETE', '/api/v1/nodes', FORCED),
    client.must('DELETE', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', FORCED),
    clearKinds(client),
    clearNamespaces(client),
  ]);
  for (const deadline = performance.now() + CLEAR_MS; performance.now() < deadline; await sleep(50)) {
    const left = await Promise.all(['/api/v1/nodes', '/api/v1/pods', CRDS].map((path) => client.list(path)));
    if (left.flat().length === 0) return true;
    for (const crd of left[2] ?? []) await releaseAll(client, crd);
  }
  return false;
}

async function clearKinds(client: Client): Promise<void> {
  for (const crd of await client.list(CRDS)) {
    // First: what holds one of its objects when it goes is looked at again only after 5 s.
    await releaseAll(client, crd);
    await client.must('DELETE', `${CRDS}/${crd.metadata.name}`, {});
  }
}

async function clearNamespaces(client: Client): Promise<void> {
  const theirs = ({ metadata: { name } }: Listed) => name !== 'default' && !name.startsWith('kube-');
  for (const { metadata } of (await client.list('/api/v1/namespaces')).filter(theirs)) {
    // From now on nothing can be made in it; the controllers do the rest, in nobody's way.
    await client.must('DELETE', `/api/v1/namespaces/${metadata.name}`, {});
    await client.must('DELETE', `/api/v1/namespaces/${metadata.name}/pods`, FORCED);
  }
}

/** Nobody is left who would take the finalizers off. */
async function releaseAll(client: Client, { spec }: Listed): Promise<void> {
  const version = spec?.versions?.find(({ served }) => served)?.name;
  const group = `/apis/${spec?.group}/${version}`;
  const { status, text } = await client.call('GET', `${group}/${spec?.names?.plural}`);
  if (status !== 200) return;
  const { items }: { items: Listed[] } = JSON.parse(text);
  for (const { metadata } of items.filter((item) => (item.metadata.finalizers?.length ?? 0) > 0)) {
    const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
    const path = `${group}${place}/${spec?.names?.plural}/${metadata.name}`;
    await client.call('PATCH', path, { metadata: { finalizers: null } });
  }
}

class Client {
  readonly #server: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(server: string, token: string, ca: string) {
    this.#server = server;
    this.#token = token;
    // A handshake costs as much as what is asked.
    this.#agent = new Agent({ ca, keepAlive: true });
  }

  call(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const sent = body === undefined ? '' : JSON.stringify(body);
    const asked = request(`${this.#server}${path}`, {
      method,
      agent: this.#agent,
      headers: {
        authorization: `Bearer ${this.#token}`,
        // Node sends the body of a DELETE without it, and nobody reads that.
        'content-length': Buffer.byteLength(sent),
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    asked.once('error', reject).once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.once('error', reject).once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.end(sent);
    return promise;
  }

  /** Done, or gone already. */
  async must(method: string, path: string, body?: unknown): Promise<string> {
    const { status, text } = await this.call(method, path, body);
    if (status < 300 || (method === 'DELETE' && (status === 404 || status === 409))) return text;
    throw new Error(`${method} ${path} was answered with ${status}: ${text.slice(0, 500)}`);
  }

  async list(path: string): Promise<readonly Listed[]> {
    const { items }: { items: Listed[] } = JSON.parse(await this.must('GET', path));
    return items;
  }
}
