import type { KubernetesObject, V1CustomResourceDefinition, V1Deployment, V1ObjectMeta } from '@kubernetes/client-node';
import type { Cluster } from './cluster.ts';
import { applyFenced, type Desired } from './fence.ts';
import type { Term } from './leader.ts';

const GROUP = 'harbour.labs';
export const ferryLines = { apiVersion: `${GROUP}/v1`, kind: 'FerryLine' } as const;
const MANAGER = 'harbour-master';

/** A line of ferries: so many are to run, each of them a pod that answers on `port`. */
export interface FerryLine extends KubernetesObject {
  readonly metadata: V1ObjectMeta & { readonly name: string };
  readonly spec: {
    readonly ferries: number;
    readonly image: string;
    readonly command: readonly string[];
    readonly port: number;
  };
  readonly status?: { readonly observedGeneration?: number; readonly ready?: number };
}

/** Tells the API server of FerryLines, and what one may look like. */
export const ferryLineDefinition: V1CustomResourceDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `ferrylines.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { kind: 'FerryLine', plural: 'ferrylines', singular: 'ferryline' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['ferries', 'image', 'command', 'port'],
                properties: {
                  ferries: { type: 'integer', minimum: 0, maximum: 100 },
                  image: { type: 'string', minLength: 1 },
                  command: { type: 'array', minItems: 1, items: { type: 'string' } },
                  port: { type: 'integer', minimum: 1, maximum: 65_535 },
                },
              },
              status: {
                type: 'object',
                properties: { observedGeneration: { type: 'integer' }, ready: { type: 'integer' } },
              },
            },
          },
        },
      },
    ],
  },
};

/** What a line needs: ferries that can be told when they are ready, a landing that finds them, and a number that must stay. */
export function objectsOf({ metadata: { name, namespace = 'default' }, spec }: FerryLine): Desired[] {
  const labels = { 'app.kubernetes.io/name': name };
  const metadata = { name, namespace };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: spec.ferries,
      selector: { matchLabels: labels },
      // A new ferry takes over before an old one leaves.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 10,
          containers: [
            {
              name: 'ferry',
              image: spec.image,
              command: [...spec.command],
              ports: [{ name: 'http', containerPort: spec.port }],
              readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 1, failureThreshold: 1 },
              resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '256Mi' } },
            },
          ],
        },
      },
    },
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  };
  const budget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata,
    spec: { maxUnavailable: 1, selector: { matchLabels: labels } },
  };
  return [deployment, service, budget];
}

/** Counts, and puts right. Doing it twice is doing it once. */
export async function reconcileFerryLine(
  cluster: Cluster,
  line: FerryLine,
  { fence }: Pick<Term, 'fence'>,
): Promise<void> {
  // It is going, and takes its objects along: to make them again would keep it for ever.
  if (line.metadata.deletionTimestamp !== undefined) return;
  for (const desired of objectsOf(line)) {
    await applyFenced(cluster, desired, { manager: MANAGER, fence, owner: { ...ferryLines, metadata: line.metadata } });
  }
  const deployment = await cluster.find<V1Deployment>({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: line.metadata,
  });
  const status = { observedGeneration: line.metadata.generation ?? 0, ready: deployment?.status?.readyReplicas ?? 0 };
  const { observedGeneration, ready } = line.status ?? {};
  if (observedGeneration === status.observedGeneration && ready === status.ready) return;
  const { resourceVersion } = line.metadata;
  await cluster.subresource('status', { ...ferryLines, metadata: line.metadata }, 'PATCH', {
    metadata: { resourceVersion },
    status,
  });
}
