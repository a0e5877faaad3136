import { type Finding, type Judged, type Rule, type Suppression, suppress, suppressionRules } from './finding.ts';
import { isOfKubernetes, isRecord, type Manifest, readManifests } from './manifest.ts';
import { faultsOfForm, type UnknownField, unknownFields } from './schema.ts';

/** What is read: a file of one or several YAML documents. */
export interface ManifestFile {
  /** As the report shall show it: relative, with `/`. */
  readonly file: string;
  readonly text: string;
}

export const manifestRules = [
  ...suppressionRules,
  {
    id: 'yaml-malformed',
    title: 'A document that cannot be read',
    severity: 'high',
    confidence: 'high',
    why: 'it is not applied, and whatever else it says has not been looked at',
    fix: 'correct the YAML; an object has apiVersion, kind and metadata.name',
  },
  {
    id: 'field-unknown',
    title: 'A field that Kubernetes does not know',
    severity: 'high',
    confidence: 'high',
    why: 'it is dropped, with a warning that nobody reads: a probe that is misspelt is a probe that is not there',
    fix: 'spell it as the API reference does',
  },
  {
    id: 'value-invalid',
    title: 'A value that Kubernetes refuses',
    severity: 'high',
    confidence: 'high',
    why: 'the object is refused as a whole, on the day of the release',
    fix: 'give what the message asks for',
  },
  {
    id: 'selector-labels',
    title: "A selector that does not match its own template's labels",
    severity: 'high',
    confidence: 'high',
    why: 'the API server refuses it',
    fix: 'repeat spec.selector.matchLabels in spec.template.metadata.labels',
  },
  {
    id: 'service-without-pods',
    title: 'A Service that selects no pod of these manifests',
    severity: 'high',
    confidence: 'medium',
    why: 'it has no endpoints: each request is refused',
    fix: "make the Service's selector a part of the pods' labels, in the same namespace",
  },
  {
    id: 'service-port',
    title: 'A Service whose target port no selected container has',
    severity: 'high',
    confidence: 'medium',
    why: 'a name is not found and gives no endpoint; a number leads to a port on which nobody listens',
    fix: 'name the port in containers[].ports, and use its name as the targetPort',
  },
  {
    id: 'budget-without-pods',
    title: 'A disruption budget that selects no pod of these manifests',
    severity: 'medium',
    confidence: 'medium',
    why: 'it protects nobody',
    fix: "make its selector a part of the pods' labels, in the same namespace",
  },
  {
    id: 'budget-blocks',
    title: 'A disruption budget that allows no eviction',
    severity: 'high',
    confidence: 'high',
    why: 'no node with such a pod can ever be drained: upgrades stand still',
    fix: 'maxUnavailable: 1, and two replicas or more',
  },
  {
    id: 'autoscaler-without-requests',
    title: 'An autoscaler that has nothing to count',
    severity: 'high',
    confidence: 'high',
    why: 'utilization is a share of the request: without one it is unknown, and nothing is ever scaled',
    fix: 'give each container resources.requests for what the autoscaler looks at',
  },
  {
    id: 'autoscaler-without-target',
    title: 'An autoscaler whose target is not in these manifests',
    severity: 'high',
    confidence: 'medium',
    why: 'it scales nothing',
    fix: 'give scaleTargetRef the kind and the name of the workload, in the same namespace',
  },
  {
    id: 'autoscaler-and-replicas',
    title: 'A number of replicas beside an autoscaler',
    severity: 'medium',
    confidence: 'high',
    why: 'each release sets the number back to what the file says, under full load too',
    fix: 'leave spec.replicas out',
  },
  {
    id: 'readiness-missing',
    title: 'A container behind a Service without a readiness probe',
    severity: 'medium',
    confidence: 'high',
    why: 'it counts as ready before it listens: a rollout sends it requests that it refuses',
    fix: 'give it a readinessProbe',
  },
] as const satisfies readonly Rule[];

type RuleId = (typeof manifestRules)[number]['id'];

/** Notes that a rule is broken, at the place of a path in a manifest. */
export type Report = (rule: RuleId, manifest: Manifest, path: readonly (string | number)[], message: string) => void;

/**
 * What is wrong with manifests that are applied together: within each object, and between them. A fault that is meant is excused
 * by a comment on its line or the line above: `# lint-ignore RULE: reason`. No input makes it throw.
 */
export const lintManifests = (files: readonly ManifestFile[]): Promise<Judged> => lintWith(checks, files);

/** With rules of one's own: `lintWith({ ...checks, service: () => {} }, files)`. */
export async function lintWith(by: Checks, files: readonly ManifestFile[]): Promise<Judged> {
  const found: Finding[] = [];
  const suppressions: Suppression[] = [];
  const manifests: Manifest[] = [];
  const note = (id: RuleId, file: string, span: Finding['span'], message: string) => {
    const { severity, confidence } = manifestRules.find((rule) => rule.id === id) ?? manifestRules[0];
    found.push({ rule: id, severity, confidence, message, file, span });
  };
  for (const { file, text } of files) {
    const read = readManifests(file, text);
    manifests.push(...read.manifests);
    suppressions.push(...read.suppressions);
    for (const { span, message } of read.faults) note('yaml-malformed', file, span, message);
  }
  const report: Report = (rule, manifest, path, message) => note(rule, manifest.file, manifest.spanOf(path), message);
  for (const manifest of manifests) await faultsOfForm(manifest, by.fields, report);
  const workloads = manifests.flatMap((manifest) => workloadOf(manifest, manifests));
  for (const workload of workloads) by.selector(workload, report);
  for (const manifest of manifests) {
    if (manifest.kind === 'Service') by.service(manifest, workloads, report);
    if (manifest.kind === 'PodDisruptionBudget') by.budget(manifest, workloads, report);
    if (manifest.kind === 'HorizontalPodAutoscaler') by.autoscaler(manifest, workloads, report);
  }
  return suppress(found, suppressions);
}

/** What is checked, besides the form of each object. */
export interface Checks {
  /** Fields that the type `type` of Kubernetes does not have. */
  readonly fields: (value: unknown, type: string) => Iterable<UnknownField>;
  readonly selector: (workload: Workload, report: Report) => void;
  readonly service: AcrossObjects;
  readonly budget: AcrossObjects;
  readonly autoscaler: AcrossObjects;
}

export type AcrossObjects = (manifest: Manifest, workloads: readonly Workload[], report: Report) => void;

interface Container {
  readonly path: readonly (string | number)[];
  readonly at: (...path: string[]) => unknown;
}

/** What makes pods, or is one. */
interface Workload {
  readonly manifest: Manifest;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly replicas: number | undefined;
  readonly containers: readonly Container[];
}

const MAKERS: readonly string[] = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'];

function workloadOf(manifest: Manifest, manifests: readonly Manifest[]): Workload[] {
  const { kind } = manifest;
  const base =
    kind === 'Pod' ? [] : kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template'];
  if (kind !== 'Pod' && kind !== 'CronJob' && !MAKERS.includes(kind)) return [];
  const listed = (field: string): Container[] =>
    listOf(manifest.at(...base, 'spec', field)).map((_, index) => {
      const path = [...base, 'spec', field, index];
      return { path, at: (...rest) => manifest.at(...path, ...rest) };
    });
  // What is begun first and goes on beside the others is one of them.
  const sidecars = listed('initContainers').filter(({ at }) => at('restartPolicy') === 'Always');
  const containers = [...listed('containers'), ...sidecars];
  const scaler = manifests.find((each) => each.kind === 'HorizontalPodAutoscaler' && scales(each, manifest));
  const counted = (scaler === undefined ? manifest.at('spec', 'replicas') : scaler.at('spec', 'minReplicas')) ?? 1;
  const replicas =
    (kind === 'Deployment' || kind === 'StatefulSet' || kind === 'ReplicaSet') && typeof counted === 'number'
      ? counted
      : undefined;
  return [{ manifest, labels: record(manifest.at(...base, 'metadata', 'labels')), replicas, containers }];
}

export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};

/** Each wish of the selector is one of the labels. An empty selector is the caller's business: its meaning differs. */
const covers = (labels: Readonly<Record<string, unknown>>, selector: Readonly<Record<string, unknown>>) =>
  Object.entries(selector).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);

/** Whether a label selector means these labels: all where it is empty, none where there is none. */
function matches(labels: Readonly<Record<string, unknown>>, selector: unknown): boolean {
  if (!isRecord(selector) || !covers(labels, record(selector['matchLabels']))) return false;
  return listOf(selector['matchExpressions'])
    .map(record)
    .every(({ key, operator, values }) => {
      const has = typeof key === 'string' && Object.hasOwn(labels, key);
      if (operator === 'Exists' || operator === 'DoesNotExist') return has === (operator === 'Exists');
      return (has && listOf(values).includes(labels[key])) === (operator === 'In');
    });
}

function checkSelector({ manifest, labels }: Workload, report: Report): void {
  const selector = manifest.at('spec', 'selector');
  if (!isRecord(selector) || matches(labels, selector)) return;
  const path = ['spec', 'selector', 'matchLabels'];
  report('selector-labels', manifest, path, `it does not select the template's labels ${shown(labels)}`);
}

const shown = (labels: Readonly<Record<string, unknown>>) =>
  `{${Object.entries(labels)
    .map(([key, value]) => `${key}: ${String(value)}`)
    .join(', ')}}`;

/** The workloads that a label selector of `manifest` means. */
export const selected = (manifest: Manifest, selector: unknown, workloads: readonly Workload[]) =>
  workloads.filter((each) => each.manifest.namespace === manifest.namespace && matches(each.labels, selector));

function checkService(manifest: Manifest, workloads: readonly Workload[], report: Report): void {
  const selector = record(manifest.at('spec', 'selector'));
  // Without a selector its endpoints are somebody's own.
  if (Object.keys(selector).length === 0) return;
  const pods = selected(manifest, { matchLabels: selector }, workloads);
  if (pods.length === 0) {
    report('service-without-pods', manifest, ['spec', 'selector'], `no pod here has ${shown(selector)}`);
    return;
  }
  const ports = manifest.at('spec', 'ports');
  for (const index of Array.isArray(ports) ? ports.keys() : []) {
    const at = (name: string) => manifest.at('spec', 'ports', index, name);
    const target = at('targetPort') ?? at('port');
    for (const pod of pods) {
      const open = pod.containers.flatMap(({ at: own }) => listOf(own('ports')).map(record));
      const known = open.some(
        ({ name, containerPort }) => target === (typeof target === 'string' ? name : containerPort),
      );
      // A container may listen on a number that it doesn't tell; a name has to be told.
      if (known || (typeof target === 'number' && open.length === 0)) continue;
      const path = ['spec', 'ports', index, at('targetPort') === undefined ? 'port' : 'targetPort'];
      report('service-port', manifest, path, `no container of ${nameOf(pod)} has the port ${String(target)}`);
    }
  }
  for (const pod of pods) {
    for (const { path, at } of pod.containers) {
      if (at('readinessProbe') === undefined && listOf(at('ports')).length > 0) {
        report(
          'readiness-missing',
          pod.manifest,
          path,
          `Service ${manifest.name} sends requests to it as soon as it has started`,
        );
      }
    }
  }
}

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const nameOf = ({ manifest: { kind, name } }: Workload) => `${kind} ${name}`;

function checkBudget(manifest: Manifest, workloads: readonly Workload[], report: Report): void {
  const pods = selected(manifest, manifest.at('spec', 'selector'), workloads);
  if (pods.length === 0) {
    report('budget-without-pods', manifest, ['spec', 'selector'], 'no pod here has its labels');
    return;
  }
  const known = pods.map(({ replicas }) => replicas).filter((count) => count !== undefined);
  if (known.length < pods.length) return;
  const replicas = known.reduce((sum, count) => sum + count, 0);
  for (const field of ['minAvailable', 'maxUnavailable']) {
    const value = manifest.at('spec', field);
    const count = countOf(value, replicas);
    if (count === undefined) continue;
    const spare = field === 'minAvailable' ? replicas - count : count;
    if (spare <= 0 && replicas > 0) {
      report(
        'budget-blocks',
        manifest,
        ['spec', field],
        `${field}: ${String(value)} of ${replicas} replicas allows no eviction`,
      );
    }
  }
}

/** So many of `replicas`, by a number or a percentage. Percentages are rounded up, as the disruption controller does. */
export function countOf(value: unknown, replicas: number): number | undefined {
  if (typeof value === 'number') return value;
  const percent = typeof value === 'string' ? /^(\d{1,3})%$/.exec(value)?.[1] : undefined;
  return percent === undefined ? undefined : Math.ceil((Number(percent) * replicas) / 100);
}

/** Whether an autoscaler's target is this workload. */
function scales(scaler: Manifest, { kind, name, namespace }: Manifest): boolean {
  const target = record(scaler.at('spec', 'scaleTargetRef'));
  return target['kind'] === kind && target['name'] === name && scaler.namespace === namespace;
}

function checkAutoscaler(manifest: Manifest, workloads: readonly Workload[], report: Report): void {
  const target = record(manifest.at('spec', 'scaleTargetRef'));
  const found = workloads.find((each) => scales(manifest, each.manifest));
  if (found === undefined) {
    // What a custom resource makes is not known here.
    if (!isOfKubernetes(String(target['apiVersion']))) return;
    const what = `${String(target['kind'])} ${String(target['name'])} is not here`;
    report('autoscaler-without-target', manifest, ['spec', 'scaleTargetRef'], what);
    return;
  }
  if (found.manifest.at('spec', 'replicas') !== undefined) {
    report(
      'autoscaler-and-replicas',
      found.manifest,
      ['spec', 'replicas'],
      `HorizontalPodAutoscaler ${manifest.name} sets it`,
    );
  }
  const metrics = listOf(manifest.at('spec', 'metrics')).map((metric) => record(record(metric)['resource']));
  const resources = metrics
    .filter(({ target: goal }) => record(goal)['type'] === 'Utilization')
    .map(({ name }) => String(name));
  // autoscaling/v1, and v2 without metrics, look at the CPU.
  for (const resource of manifest.at('spec', 'metrics') === undefined ? ['cpu'] : resources) {
    for (const { path, at } of found.containers) {
      const given = at('resources', 'requests', resource) ?? at('resources', 'limits', resource);
      if (given === undefined) {
        report(
          'autoscaler-without-requests',
          found.manifest,
          path,
          `HorizontalPodAutoscaler ${manifest.name} counts ${resource}, and this container requests none`,
        );
      }
    }
  }
}

/** All that `lintManifests` knows. */
export const checks: Checks = {
  fields: unknownFields,
  selector: checkSelector,
  service: checkService,
  budget: checkBudget,
  autoscaler: checkAutoscaler,
};
