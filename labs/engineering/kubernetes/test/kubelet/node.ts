// A node, as far as the control plane can tell: it registers, says that it lives, runs the commands of the pods that are given to
// it as processes of this machine, probes them, tells how they are, and ends them as asked. What is missing: containers. A
// kubelet's second is a tenth of one here (probes, back-off), not the grace period.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Container, V1Lease, V1Node, V1Pod, V1Probe } from '@kubernetes/client-node';
import { V1MicroTime } from '@kubernetes/client-node';
import { type Cluster, Informer, keyOf } from '../../src/index.ts';

const TENTH = 100;
const RENEW_MS = 1000;

/** Where a pod's address leads: what a network of pods would know. */
export type Addresses = Map<string, number>;

interface Running {
  readonly pod: V1Pod;
  readonly container: V1Container;
  readonly ip: string;
  child: ChildProcess;
  ready: boolean;
  ending: boolean;
  restarts: number;
  readonly stop: AbortController;
}

export class Kubelet implements AsyncDisposable {
  readonly name: string;
  readonly #cluster: Cluster;
  readonly #addresses: Addresses;
  readonly #pods = new Map<string, Running>();
  readonly #informer: Informer<V1Pod>;
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<unknown>>();

  /** A node of `cpu` cores, ready once the scheduler may use it. */
  static async start(cluster: Cluster, name: string, addresses: Addresses, cpu = '4'): Promise<Kubelet> {
    const node: V1Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    };
    await cluster.create(node);
    const size = { cpu, memory: '4Gi', pods: '50' };
    const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: new Date() };
    const address = { apiVersion: 'v1', kind: 'Node', metadata: { name } };
    await cluster.subresource('status', address, 'PATCH', {
      status: { capacity: size, allocatable: size, conditions: [ready] },
    });
    const lease: V1Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: 4, renewTime: new V1MicroTime() },
    };
    return new Kubelet(cluster, name, addresses, await cluster.create(lease));
  }

  private constructor(cluster: Cluster, name: string, addresses: Addresses, lease: V1Lease) {
    this.#cluster = cluster;
    this.name = name;
    this.#addresses = addresses;
    this.#informer = new Informer<V1Pod>(cluster, { apiVersion: 'v1', kind: 'Pod' }, (pod) => this.#see(pod), {
      retryMs: 100,
    });
    this.#do(this.#live(lease));
  }

  /** Pods that run here: their processes' ids by name. */
  get pods(): ReadonlyMap<string, number> {
    return new Map([...this.#pods].map(([key, { child }]) => [key, child.pid ?? 0]));
  }

  /** Power cut: nothing is said any more, and nothing runs any more. */
  async crash(): Promise<void> {
    this.#stop.abort();
    await this.#informer[Symbol.asyncDispose]();
    for (const { child, stop, ip } of this.#pods.values()) {
      stop.abort();
      this.#addresses.delete(ip);
      child.kill('SIGKILL');
    }
    await Promise.allSettled(this.#tasks);
    this.#pods.clear();
  }

  /** Ends what runs here, and takes the node off the cluster. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: this.name } };
    const lease = {
      ...node,
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: this.name, namespace: 'kube-node-lease' },
    };
    await Promise.allSettled([this.#cluster.delete(node), this.#cluster.delete(lease)]);
  }

  #do(task: Promise<unknown>): void {
    const settled = task.catch(() => {}).finally(() => this.#tasks.delete(settled));
    this.#tasks.add(settled);
  }

  async #live(lease: V1Lease): Promise<void> {
    for (let held = lease; ; ) {
      await delay(RENEW_MS, undefined, { signal: this.#stop.signal });
      held = await this.#cluster.replace({ ...held, spec: { ...held.spec, renewTime: new V1MicroTime() } }).catch(
        async () =>
          (await this.#cluster
            .find<V1Lease>({
              apiVersion: 'coordination.k8s.io/v1',
              kind: 'Lease',
              metadata: { name: this.name, namespace: 'kube-node-lease' },
            })
            .catch(() => undefined)) ?? held,
      );
    }
  }

  #see(pod: V1Pod | undefined): void {
    if (pod === undefined || pod.spec?.nodeName !== this.name || this.#stop.signal.aborted) return;
    const running = this.#pods.get(uidOf(pod));
    if (pod.metadata?.deletionTimestamp !== undefined) {
      if (running === undefined) this.#do(this.#remove(pod));
      else if (!running.ending) this.#do(this.#end(running, pod.metadata.deletionGracePeriodSeconds ?? 30));
    } else if (running === undefined && pod.status?.phase === 'Pending') this.#do(this.#begin(pod));
  }

  async #begin(pod: V1Pod): Promise<void> {
    const [container] = pod.spec?.containers ?? [];
    if (container === undefined) return;
    const ip = nextAddress();
    const port = await freePort();
    this.#addresses.set(ip, port);
    const running: Running = {
      pod,
      container,
      ip,
      child: run(container, pod, port),
      ready: false,
      ending: false,
      restarts: 0,
      stop: new AbortController(),
    };
    this.#pods.set(uidOf(pod), running);
    running.ready = container.readinessProbe === undefined;
    this.#watchExit(running, port);
    await this.#tell(running);
    this.#do(
      this.#probe(running, port, container.readinessProbe, async (well) => {
        if (running.ready === well) return;
        running.ready = well;
        await this.#tell(running);
      }),
    );
    this.#do(
      this.#probe(running, port, container.livenessProbe, async (well) => {
        if (!well) running.child.kill('SIGKILL');
      }),
    );
  }

  /** A process that ends is begun again, later each time. */
  #watchExit(running: Running, port: number): void {
    running.child.once('exit', () => {
      if (running.ending || running.stop.signal.aborted) return;
      running.restarts++;
      running.ready = false;
      this.#do(this.#tell(running));
      this.#do(
        delay(TENTH * 2 ** Math.min(running.restarts, 8), undefined, { signal: running.stop.signal }).then(async () => {
          running.child = run(running.container, running.pod, port);
          running.ready = running.container.readinessProbe === undefined;
          this.#watchExit(running, port);
          await this.#tell(running);
        }),
      );
    });
  }

  async #probe(
    running: Running,
    port: number,
    probe: V1Probe | undefined,
    say: (well: boolean) => Promise<void>,
  ): Promise<void> {
    if (probe === undefined) return;
    const { signal } = running.stop;
    for (let failed = 0; !signal.aborted; await delay((probe.periodSeconds ?? 10) * TENTH, undefined, { signal })) {
      failed = (await answers(port, probe.httpGet?.path ?? '/', (probe.timeoutSeconds ?? 1) * 1000)) ? 0 : failed + 1;
      if (failed === 0) await say(true);
      else if (failed >= (probe.failureThreshold ?? 3))
        await say(false).then(() => {
          failed = 0;
        });
    }
  }

  async #end(running: Running, graceSeconds: number): Promise<void> {
    running.ending = true;
    const { child, stop } = running;
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve();
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), graceSeconds * 1000);
    await gone;
    clearTimeout(late);
    stop.abort();
    this.#addresses.delete(running.ip);
    this.#pods.delete(uidOf(running.pod));
    await this.#remove(running.pod);
  }

  async #remove({ metadata }: V1Pod): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { name = '', namespace = '', uid } = metadata ?? {};
    const exactly = { gracePeriodSeconds: 0, preconditions: uid === undefined ? {} : { uid } };
    await this.#cluster.delete(
      { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace } },
      undefined,
      undefined,
      0,
      undefined,
      undefined,
      exactly,
    );
  }

  async #tell({ pod, container, ip, ready, restarts, child, ending }: Running): Promise<void> {
    if (ending || this.#stop.signal.aborted) return;
    const now = new Date().toISOString();
    const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: ready || !type.endsWith('Ready') ? 'True' : 'False',
      lastTransitionTime: now,
    }));
    const up = child.exitCode === null && child.signalCode === null;
    const state = up ? { running: { startedAt: now } } : { waiting: { reason: 'CrashLoopBackOff' } };
    const { name, image } = container;
    const containerStatuses = [{ name, image, imageID: '', ready, restartCount: restarts, started: up, state }];
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], startTime: now, conditions, containerStatuses };
    const { name: own = '', namespace = '' } = pod.metadata ?? {};
    await this.#cluster.subresource(
      'status',
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: own, namespace } },
      'PATCH',
      { status },
    );
  }
}

const uidOf = ({ metadata }: V1Pod) => metadata?.uid ?? keyOf({ metadata: metadata ?? {} });

let addresses = 0;
const nextAddress = () => `10.244.${Math.floor(++addresses / 250)}.${(addresses % 250) + 1}`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The channel is the child's lifeline: when this process is gone, however, it ends too. */
function run({ command = [], args = [], env = [] }: V1Container, { metadata }: V1Pod, port: number): ChildProcess {
  const [program = 'false', ...rest] = [...command, ...args];
  const child = spawn(program === 'node' ? process.execPath : program, rest, {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: {
      ...process.env,
      ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
      PORT: String(port),
      POD: metadata?.name,
    },
  });
  child.on('error', () => {});
  return child;
}

function answers(port: number, path: string, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, timeout, agent: false }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 400);
    });
    asked
      .on('error', () => resolve(false))
      .on('timeout', () => asked.destroy(new Error('no answer')))
      .end();
  });
}
