import { setTimeout as delay } from 'node:timers/promises';
import {
  KubeConfig,
  type KubernetesObject,
  PatchStrategy,
  type V1ConfigMap,
  type V1Pod,
  type V1PodDisruptionBudget,
} from '@kubernetes/client-node';
import { startKubernetes } from '@shared/services';
import { tell } from '@shared/story';
import { outcome, until } from '@shared/testkit';
import { applyFenced as applyUnfenced } from './pitfalls/unfenced.ts';
import {
  applyFenced,
  Candidate,
  Cluster,
  control,
  DrainBlockedError,
  drainNode,
  type FerryLine,
  ferryLineDefinition,
  ferryLines,
  lintManifests,
  objectsOf,
  reconcileFerryLine,
} from './src/index.ts';
import { Front } from './test/front.ts';
import { Landing } from './test/kubelet/landing.ts';
import { Kubelet } from './test/kubelet/node.ts';
import { apply, Passengers, sailing } from './test/kubelet/sailing.ts';

const options = {
  title: 'Kubernetes 集群管理',
  subtitle: 'The harbour master: he hears no news, he counts the ships',
  dir: import.meta.dirname,
};
const PATIENT = { timeoutMs: 60_000, intervalMs: 10 };
const policy = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' };
/** As many of its words as have room. */
const short = (text: string, room: number) =>
  text.length <= room ? text : `${text.slice(0, text.lastIndexOf(' ', room))} …`;
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

const MANIFESTS = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ferry }
spec:
  replicas: 2
  selector: { matchLabels: { app: ferry } }
  template:
    metadata: { labels: { app: ferry } }
    spec:
      containers:
        - { name: ferry, image: ferry, ports: [{ containerPort: 80 }], livenessProb: {} }
---
apiVersion: v1
kind: Service
metadata: { name: ferry }
spec: { selector: { app: fery }, ports: [{ port: 80 }] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: ferry }
spec: { minAvailable: 2, selector: { matchLabels: { app: ferry } } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: ferry }
spec: { maxReplicas: 9, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: ferry } }
`;

await tell(options, async (story) => {
  const k8s = await story.use(startKubernetes());
  const { namespace } = k8s;
  const config = new KubeConfig();
  config.loadFromString(k8s.kubeconfig);
  const cluster = new Cluster(config);
  await using bin = new AsyncDisposableStack();
  const addresses = new Map<string, number>();
  const landing = bin.use(new Landing(cluster, addresses, namespace));
  const node = async (name: string) => bin.use(await Kubelet.start(cluster, name, addresses));
  const onOurs = async (title: string, body: () => Promise<void>) => {
    if (k8s.ours) await story.scene(title, body);
    else story.skip(title, 'nodes and kinds of our own belong into a cluster of our own');
  };
  /** Without those that are on their way down. */
  const podsOf = async (line: string, where?: string) => {
    const { items } = await cluster.list<V1Pod>('v1', 'Pod', namespace);
    return items.filter(
      ({ metadata, spec }) =>
        metadata?.labels?.['app.kubernetes.io/name'] === line &&
        metadata.deletionTimestamp === undefined &&
        (where === undefined || spec?.nodeName === where),
    );
  };
  let islands: Kubelet[] = [];
  const FERRIES = { ferries: 2 };
  const careless = (VERSION: string) =>
    sailing('careless', namespace, { VERSION, START_MS: '300' }, { ...FERRIES, probed: false });
  const careful = (VERSION: string) =>
    sailing('careful', namespace, { VERSION, START_MS: '300', DRAIN: '1500' }, FERRIES);

  await onOurs('A new timetable, and passengers on the quay', async () => {
    islands = await Promise.all(['island-1', 'island-2', 'island-3'].map(node));
    cluster.create(ferryLineDefinition).catch(() => {});
    story.say(
      'Two lines of two ferries get a new version while passengers come. A ferry needs 300 ms to be ready. The first line has ' +
        'no readiness probe, and its ferries go down at SIGTERM; the second has one, and its ferries stay until the news has spread.',
    );
    await Promise.all([apply(cluster, careless('v1')), apply(cluster, careful('v1'))]);
    await until(() => landing.count('careless') === 2 && landing.count('careful') === 2, PATIENT);
    await delay(400);
    const queues = [new Passengers(landing, 'careless', 20), new Passengers(landing, 'careful', 20)] as const;
    await Promise.all([apply(cluster, careless('v2')), apply(cluster, careful('v2'))]);
    await until(() => queues.every((queue) => queue.areAllOn('v2')) && landing.count('careful') === 2, PATIENT);
    const [bad, good] = [await queues[0].end(), await queues[1].end()];
    const perTenth = (queue: Passengers) => {
      const counts = new Map<number, number>();
      for (const { at, answer } of queue.all) {
        const tenth = Math.floor(at / 200) * 200;
        counts.set(tenth, (counts.get(tenth) ?? 0) + (answer === undefined ? 1 : 0));
      }
      return [...counts].sort(([a], [b]) => a - b);
    };
    story.lines({
      title: 'Passengers left on the quay, in each fifth of a second of a rollout',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'lost' },
      series: [
        { label: 'no probe, gone at SIGTERM', points: perTenth(queues[0]), tone: 'bad' },
        { label: 'probed, drained', points: perTenth(queues[1]), tone: 'good' },
      ],
      picture: true,
    });
    story.verdict('A rollout without readiness and draining loses requests', `${bad.lost} of ${bad.of}`, bad.lost > 0);
    story.code('src/drain-server.ts', { from: 'prependListener', to: 'closeIdleConnections' });
    story.verdict('With both, none', `${good.lost} of ${good.of}`, good.lost === 0);
  });

  let [first, second]: [Kubelet?, Kubelet?] = [];
  let dark = 0;
  let moved: Promise<number> | undefined;
  await onOurs('A ferry sinks, and an island goes dark', async () => {
    // Those of the old timetable are still on their way down.
    await until(() => islands.reduce((sum, { pods }) => sum + pods.size, 0) === 4, PATIENT);
    const berths = (await podsOf('careful')).map(({ spec }) => spec?.nodeName);
    second = islands.find(({ name }) => name === berths[0]);
    first =
      islands.find(({ name }) => name === berths[1] && name !== berths[0]) ?? islands.find((each) => each !== second);
    const [pid] = [...(first?.pods.values() ?? [])];
    const restarts = async () =>
      [...(await podsOf('careless')), ...(await podsOf('careful'))].some(({ status }) => {
        const ferry = status?.containerStatuses?.[0];
        return ferry?.ready === true && ferry.restartCount > 0;
      });
    const sunk = performance.now();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await until(restarts, PATIENT);
    const back = performance.now() - sunk;
    story.verdict('A process that dies is begun again by its node', `after ${back.toFixed(0)} ms`, pid !== undefined);
    const lost = (await podsOf('careful', second?.name)).length;
    dark = performance.now();
    await second?.crash();
    moved = until(async () => {
      const pods = (await podsOf('careful')).filter(({ spec }) => spec?.nodeName !== second?.name);
      return (
        pods.filter(({ status }) => status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True'))
          .length === 2
      );
    }, PATIENT).then(() => performance.now() - dark);
    moved.catch(() => {});
    story.say(
      `${second?.name} has lost its power, with ${lost} of the careful line's ferries. Nobody tells the harbour master: he waits ` +
        'until the island has been silent for four seconds, and its ferries for two more. Meanwhile, other things happen.',
    );
  });

  await onOurs(
    'A budget that stops a drain, a request that finds no berth, an autoscaler that counts nothing',
    async () => {
      story.say('Three requests that the control plane accepts without a word, and what comes of them.');
      const scaler = {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name: 'careful', namespace },
        spec: { maxReplicas: 9, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'careful' } },
      };
      const whale = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'whale', namespace },
        spec: { containers: [{ name: 'whale', image: 'whale', resources: { requests: { cpu: '64' } } }] },
      };
      await apply(cluster, [scaler, whale]);
      for (const name of ['careless', 'careful']) {
        const metadata = { name, namespace };
        const strict: V1PodDisruptionBudget = { ...policy, metadata, spec: { maxUnavailable: 0 } };
        await cluster.patch(strict, undefined, undefined, 'captain', undefined, PatchStrategy.MergePatch);
      }
      const { error } = await outcome(drainNode(cluster, first?.name ?? '', { timeoutMs: 300, retryMs: 100 }), 5000);
      const kept =
        error instanceof DrainBlockedError ? [...error.left.values()].filter((why) => why.includes('budget')) : [];
      story.verdict(
        'With maxUnavailable: 0 an island can never be emptied for its maintenance',
        `${kept.length} of its pods may not leave: ${kept[0] ?? ''}`,
        kept.length > 0,
      );
      type Conditions = KubernetesObject & {
        status?: { conditions?: { type: string; status: string; message?: string }[] };
      };
      const said = (of: { apiVersion: string; kind: string; metadata: { name: string } }, type: string) =>
        until(async () => {
          const found = await cluster.find<Conditions>({ ...of, metadata: { ...of.metadata, namespace } });
          const condition = found?.status?.conditions?.find((each) => each.type === type && each.status === 'False');
          return condition?.message ?? '';
        }, PATIENT);
      const berth = await said(whale, 'PodScheduled');
      story.verdict(
        'A pod that requests 64 cores waits',
        berth.replace(/\. .*/, ''),
        berth.includes('Insufficient cpu'),
      );
      const counts = await said(scaler, 'ScalingActive');
      story.verdict(
        'An autoscaler without metrics scales nothing, and only its status says so',
        short(counts.replace(/^.*?: /, ''), 90),
        counts !== '',
      );
    },
  );

  await story.scene('Two harbour masters', async () => {
    story.say(
      'The old one reads the board, falls asleep, is replaced, wakes up, and writes. His lease is over; he does not know it.',
    );
    const gate = bin.use(await Front.open(k8s.kubeconfig));
    const asleep = new Cluster(gate.config);
    const owner = await cluster.create<V1ConfigMap>({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'board', namespace },
    });
    const author = (fence: bigint) => ({
      manager: 'master',
      fence,
      owner: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'board', namespace, uid: owner.metadata?.uid ?? '' },
      },
    });
    const overslept = async (name: string, how: typeof applyFenced) => {
      const map = (at: string) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace },
        data: { at },
      });
      await how(cluster, map('pier 1'), author(1n));
      const [reached, woken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      gate.fate = async ({ method }): Promise<'pass'> => {
        if (method === 'GET') return 'pass';
        reached.resolve();
        await woken.promise;
        return 'pass';
      };
      const late = outcome(how(asleep, map('pier 2'), author(1n)), 5000);
      await reached.promise;
      await how(cluster, map('pier 3'), author(2n));
      woken.resolve();
      const { error } = await late;
      const found = await cluster.find<V1ConfigMap>(map(''));
      return { at: found?.data?.['at'] ?? '', refused: error !== undefined };
    };
    const without = await overslept('unfenced', applyUnfenced);
    story.verdict(
      'Without a fence he undoes what his successor has done',
      `the ferry lies at ${without.at}`,
      without.at === 'pier 2',
    );
    story.code('src/fence.ts', { from: 'const seen', to: 'if (seen > fence)' });
    const fenced = await overslept('fenced', applyFenced);
    story.verdict('With one he is refused', `the ferry lies at ${fenced.at}`, fenced.at === 'pier 3' && fenced.refused);
  });

  await onOurs('He counts', async () => {
    story.say(
      'A FerryLine is a kind of our own. Our controller makes its Deployment, Service and budget, and somebody deletes them.',
    );
    const stop = new AbortController();
    const of = { namespace };
    const kinds = objectsOf({
      ...ferryLines,
      metadata: { name: 'night', namespace },
      spec: { ferries: 1, image: 'ferry', command: ['node'], port: 80 },
    });
    const primary = { ...ferryLines, ...of };
    await until(() => cluster.list(primary.apiVersion, primary.kind, namespace), PATIENT);
    const ruling = new Candidate(cluster, { ...of, name: 'master' }).run(
      (term) =>
        control<FerryLine>(
          {
            cluster,
            primary,
            owned: kinds.map(({ apiVersion, kind }) => ({ apiVersion, kind, ...of })),
            reconcile: (line, { fence }) => reconcileFerryLine(cluster, line, { fence }),
          },
          term,
        ),
      stop.signal,
    );
    const night: FerryLine = {
      ...ferryLines,
      metadata: { name: 'night', namespace },
      spec: { ferries: 1, image: 'ferry', command: ['node'], port: 80 },
    };
    await cluster.create(night);
    const uids = () => Promise.all(kinds.map(async (each) => (await cluster.find(each))?.metadata?.uid));
    await until(async () => (await uids()).every((uid) => uid !== undefined), PATIENT);
    const before = await uids();
    const deleted = performance.now();
    await Promise.all(kinds.map((each) => cluster.delete(each)));
    await until(async () => (await uids()).every((uid, index) => uid !== undefined && uid !== before[index]), PATIENT);
    const again = performance.now() - deleted;
    story.verdict('All three are there again', `after ${again.toFixed(0)} ms`, true);
    stop.abort();
    await ruling;
    const after = await (moved ?? Promise.resolve(Number.NaN));
    story.verdict(
      'And the dark island’s ferries sail from others',
      `${seconds(after)} after its power cut`,
      after > 4000,
    );
  });

  await story.scene('Before anybody sails', async () => {
    story.say('Four objects, each of them fine for a check of values. Together:');
    const { findings } = await lintManifests([{ file: 'ferry.yaml', text: MANIFESTS }]);
    story.table({
      columns: ['line', 'rule', 'finding'],
      rows: findings.map(({ span, rule, message }) => [span.start.line, rule, short(message, 38)]),
    });
    story.verdict(
      'What no object shows by itself is found between them',
      `${findings.length} findings`,
      findings.length >= 5,
    );
  });
  story.next(['`pnpm lab learn kubernetes`: write the controller yourself, one law at a time']);
});
