import { PatchStrategy, type V1Node, type V1Pod } from '@kubernetes/client-node';
import { refuseNoTime, rest } from './clock.ts';
import { type Cluster, statusOf } from './cluster.ts';
import { DrainBlockedError } from './errors.ts';
import { keyOf } from './informer.ts';

export interface NodeDrainOptions {
  /** Milliseconds until it is given up; the node stays cordoned. Default 300,000. */
  readonly timeoutMs?: number;
  /** Milliseconds between two attempts to evict a pod that a budget keeps. Default 5,000. */
  readonly retryMs?: number;
  /** Whether pods that no controller would start again may go for ever. Default false: then none is evicted. */
  readonly force?: boolean;
}

/**
 * Empties a node for its maintenance: no new pods, and the old ones are asked to leave as fast as their budgets allow. Pods of a
 * DaemonSet stay, and those that the node's kubelet has from its own files. What an `emptyDir` holds is lost.
 *
 * @throws DrainBlockedError at the deadline, with the pods that are left; at once where one has no controller
 * @throws ApiException for what it may not do, InvalidArgumentError for a time that is none
 */
export async function drainNode(cluster: Cluster, name: string, options: NodeDrainOptions = {}): Promise<void> {
  const { timeoutMs = 300_000, retryMs = 5000, force = false } = options;
  refuseNoTime({ timeoutMs, retryMs });
  const node: V1Node & { metadata: { name: string } } = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { unschedulable: true },
  };
  await cluster.patch(node, undefined, undefined, undefined, undefined, PatchStrategy.MergePatch);
  for (const deadline = performance.now() + timeoutMs; ; await rest(retryMs)) {
    const pods = await cluster.list<V1Pod>(
      'v1',
      'Pod',
      undefined,
      undefined,
      undefined,
      undefined,
      `spec.nodeName=${name}`,
    );
    const leaving = pods.items.filter(canLeave);
    const alone = force ? [] : leaving.filter(isAlone);
    if (alone.length > 0) {
      throw new DrainBlockedError(name, new Map(alone.map((pod) => [keyOf(pod), 'nobody would start it again'])));
    }
    const left = new Map(
      await Promise.all(leaving.map(async (pod) => [keyOf(pod), await evict(cluster, pod)] as const)),
    );
    if (left.size === 0) return;
    if (performance.now() + retryMs > deadline) throw new DrainBlockedError(name, left);
  }
}

const canLeave = ({ metadata, status }: V1Pod) =>
  !['Succeeded', 'Failed'].includes(status?.phase ?? '') &&
  // A pod of a node's own files is a mirror: evicted, it is there again.
  !metadata?.ownerReferences?.some(({ kind }) => kind === 'DaemonSet' || kind === 'Node');

const isAlone = ({ metadata }: V1Pod) =>
  metadata?.deletionTimestamp === undefined && !metadata?.ownerReferences?.some(({ controller }) => controller);

/** @returns what keeps the pod */
async function evict(cluster: Cluster, { metadata }: V1Pod): Promise<string> {
  if (metadata?.deletionTimestamp !== undefined) return 'it is ending';
  const address = { name: metadata?.name ?? '', namespace: metadata?.namespace ?? '' };
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: address };
  try {
    await cluster.subresource('eviction', { apiVersion: 'v1', kind: 'Pod', metadata: address }, 'POST', eviction);
    return 'it is ending';
  } catch (error) {
    if (statusOf(error) === 429) return 'its disruption budget has nothing to spare';
    const status = statusOf(error) ?? 500;
    if (status === 404) return 'it has ended';
    if (status < 500) throw error;
    // An API server that is ill, or two budgets for one pod: it may be another way before the deadline.
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
}
