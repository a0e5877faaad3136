import { describe, expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { ferryLines, lintManifests, manifestRules, objectsOf } from '#lab';

const GOOD = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ferry }
spec:
  replicas: 3
  selector: { matchLabels: { app: ferry } }
  template:
    metadata: { labels: { app: ferry, tier: sea } }
    spec:
      containers:
        - name: ferry
          image: ferry:1
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /ready, port: http } }
          resources: { requests: { cpu: 100m } }
---
apiVersion: v1
kind: Service
metadata: { name: ferry }
spec:
  selector: { app: ferry }
  ports: [{ port: 80, targetPort: http }]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: ferry }
spec: { maxUnavailable: 1, selector: { matchLabels: { app: ferry } } }
`;
const SCALER = `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: ferry }
spec:
  maxReplicas: 9
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: ferry }
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 70 } } }]
`;

const lint = async (text: string, file = 'ferry.yaml') => lintManifests([{ file, text }]);
/** Findings as `line rule`. */
const found = async (text: string) => (await lint(text)).findings.map(({ rule, span }) => `${span.start.line} ${rule}`);
const rules = async (text: string) => (await lint(text)).findings.map(({ rule }) => rule);
const changed = (from: string | RegExp, to: string, text = GOOD) => {
  const result = text.replace(from, to);
  expect(result, `${from} is in the manifests`).not.toBe(text);
  return result;
};

describe('lint', () => {
  test('a misspelt field is found where it stands, however deep', async () => {
    expect(await lint(GOOD)).toEqual({ findings: [], suppressed: [] });
    expect(await found(changed('readinessProbe', 'livenessProb'))).toEqual([
      '12 readiness-missing',
      '15 field-unknown',
    ]);
    const { findings } = await lint(changed('path: /ready', 'pfad: /ready'));
    expect(findings.map(({ rule, span }) => [rule, span.start])).toEqual([['field-unknown', { line: 15, column: 40 }]]);
    expect(await rules(changed('replicas', 'replica'))).toEqual(['field-unknown']);
    expect(await rules(changed('requests: {', 'request: {'))).toEqual(['field-unknown']);
    expect(await rules(changed('targetPort: http', 'targetport: 8080'))).toContain('field-unknown');
    // Labels and the like may have any name.
    expect(await rules(changed('tier: sea', 'livenessProb: sea, toString: a'))).toEqual([]);
  });

  test('what one object expects of another is checked: labels, ports, budgets, requests', async () => {
    const cases: [what: string, text: string, expected: string[]][] = [
      [
        'a selector that is not among its labels',
        changed('matchLabels: { app: ferry } }\n  template', 'matchLabels: { app: fery } }\n  template'),
        ['selector-labels'],
      ],
      [
        'a Service for nobody',
        changed('selector: { app: ferry }\n', 'selector: { app: tug }\n'),
        ['service-without-pods'],
      ],
      [
        'a Service in another namespace',
        changed('kind: Service\nmetadata: { name: ferry }', 'kind: Service\nmetadata: { name: ferry, namespace: sea }'),
        ['service-without-pods'],
      ],
      ['a port by a name that nobody has', changed('targetPort: http', 'targetPort: web'), ['service-port']],
      ['a port by a number that nobody has', changed('targetPort: http', 'targetPort: 8081'), ['service-port']],
      ['a target that is the port itself', changed(', targetPort: http', ''), ['service-port']],
      ['a port by its number', changed('targetPort: http', 'targetPort: 8080'), []],
      ['a Service without a selector', changed('selector: { app: ferry }\n', 'clusterIP: None\n'), []],
      ['no readiness probe', changed(/ *readinessProbe.*\n/, ''), ['readiness-missing']],
      ['a budget of all of them', changed('maxUnavailable: 1', 'minAvailable: 3'), ['budget-blocks']],
      ['a budget of nearly all', changed('maxUnavailable: 1', 'minAvailable: 2'), []],
      ['a share that is rounded up to all', changed('maxUnavailable: 1', 'minAvailable: 70%'), ['budget-blocks']],
      ['a share that leaves one', changed('maxUnavailable: 1', 'minAvailable: 60%'), []],
      ['none may be missing', changed('maxUnavailable: 1', 'maxUnavailable: 0'), ['budget-blocks']],
      [
        'one replica, by default',
        changed(/ *replicas: 3\n/, '').replace('maxUnavailable: 1', 'minAvailable: 1'),
        ['budget-blocks'],
      ],
      ['nobody runs', changed('replicas: 3', 'replicas: 0').replace('maxUnavailable: 1', 'minAvailable: 0'), []],
      [
        'a budget for nobody',
        changed('matchLabels: { app: ferry } } }', 'matchLabels: { app: tug } } }'),
        ['budget-without-pods'],
      ],
      ['an autoscaler and a number', GOOD + SCALER, ['autoscaler-and-replicas']],
      ['an autoscaler alone', changed(/ *replicas: 3\n/, '') + SCALER, []],
      [
        'an autoscaler without requests',
        changed(/ *resources.*\n/, '', changed(/ *replicas: 3\n/, '') + SCALER),
        ['autoscaler-without-requests'],
      ],
      [
        'an autoscaler with requests for something else',
        changed('{ cpu: 100m }', '{ memory: 1Gi }', changed(/ *replicas: 3\n/, '') + SCALER),
        ['autoscaler-without-requests'],
      ],
      [
        'a limit is a request too',
        changed('requests: { cpu: 100m }', 'limits: { cpu: 1 }', changed(/ *replicas: 3\n/, '') + SCALER),
        [],
      ],
      [
        'an autoscaler of nothing',
        GOOD + changed('kind: Deployment, name: ferry', 'kind: Deployment, name: tug', SCALER),
        ['autoscaler-without-target'],
      ],
      [
        'an autoscaler that counts something absolute',
        changed(
          / *resources.*\n/,
          '',
          changed(/ *replicas: 3\n/, '') +
            changed('type: Utilization, averageUtilization: 70', 'type: AverageValue, averageValue: 1', SCALER),
        ),
        [],
      ],
    ];
    for (const [what, text, expected] of cases) expect(await rules(text), what).toEqual(expected);
  });

  test('any text is read: what is malformed is a finding, and nothing throws', async () => {
    const cases: [what: string, text: string, expected: string[]][] = [
      ['nothing', '', []],
      ['comments', '# nothing\n---\n# nothing either\n', []],
      ['a bracket that is not closed', 'metadata: { name: a', ['1 yaml-malformed']],
      ['a key twice', `${GOOD.trim()}\nspec: {}\n`, ['28 yaml-malformed']],
      ['no object', '- a\n- b\n', ['1 yaml-malformed']],
      ['no name', 'apiVersion: v1\nkind: Pod\nmetadata: {}\n', ['1 yaml-malformed']],
      ['a name that is a number', 'apiVersion: v1\nkind: Pod\nmetadata: { name: 7 }\n', ['1 yaml-malformed']],
      ['a second document only', `${GOOD}---\nkind: [\n`, ['31 yaml-malformed']],
      [
        'a bomb of aliases',
        `a: &a [x, x, x]\n${['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefghi'[index]}`).join(', ')}]`).join('\n')}\n`,
        ['1 yaml-malformed'],
      ],
      [
        '__proto__',
        'apiVersion: v1\nkind: Pod\nmetadata: { name: a, __proto__: { x: 1 } }\nspec: { containers: [{ name: a, image: b }] }\n',
        ['3 field-unknown'],
      ],
    ];
    for (const [what, text, expected] of cases) {
      const at = await found(text);
      expect(
        at.filter((each, index) => at.indexOf(each) === index),
        what,
      ).toEqual(expected);
    }
  });

  test('manifests are read as kubectl reads them, from wherever they come', async () => {
    const one = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n';
    const pod = 'apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec:\n';
    const job = 'spec: { template: { spec: { restartPolicy: Never, containers: [{ name: a, image: b }] } } }\n';
    const cases: [what: string, text: string, expected: string[]][] = [
      ['Windows', changed('replicas', 'replica').replaceAll('\n', '\r\n'), ['6 field-unknown']],
      ['a byte order mark', `\ufeff${GOOD}`, []],
      ['JSON with tabs', JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }, null, '\t'), []],
      ['YAML with tabs', 'apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a\n', ['4 yaml-malformed']],
      ['what Helm leaves empty', `# Source: a\n---\n# nothing\n---\n${one}data:\nimmutable: null\n`, []],
      ['a name that is made', `apiVersion: batch/v1\nkind: Job\nmetadata: { generateName: a- }\n${job}`, []],
      ['a kustomization', 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n', []],
      ['a custom resource of a group of its friends', one.replace('v1', 'gateway.networking.k8s.io/v1'), []],
      ['a list of one kind', 'apiVersion: v1\nkind: ConfigMapList\nitems: [{ kind: a }]\n', ['3 yaml-malformed']],
      ['an empty list', 'apiVersion: v1\nkind: List\nitems:\n', []],
      [
        'a custom resource named like a list',
        'apiVersion: a.b/v1\nkind: PassList\nmetadata: { name: a }\nitems: [a]\n',
        [],
      ],
      ['merged', `${pod}  containers:\n    - &c { name: a, image: b }\n    - { <<: *c, name: d }\n`, []],
      ['a yes that is no text', `${one}data: { a: yes }\n`, ['4 value-invalid']],
      ['what looks like a date or a time', `${one}data: { a: 2026-01-01, b: 12:30, 80: c, on: d }\n`, []],
    ];
    for (const [what, text, expected] of cases) expect(await found(text), what).toEqual(expected);
  });

  test('a selector means what its expressions say; pods are as many as their autoscaler keeps, and as it can be seen from here', async () => {
    const blocking = changed('maxUnavailable: 1', 'minAvailable: 3');
    const expressed = (operator: string, values = ', key: app') =>
      changed(
        'minAvailable: 3, selector: { matchLabels: { app: ferry } }',
        `minAvailable: 3, selector: { matchExpressions: [{ operator: ${operator}${values} }] }`,
        blocking,
      );
    for (const [operator, values] of [
      ['In', ', key: app, values: [tug, ferry]'],
      ['NotIn', ', key: app, values: [tug]'],
      ['Exists'],
      ['DoesNotExist', ', key: nothing'],
    ] as const)
      expect(await rules(expressed(operator, values)), operator).toEqual(['budget-blocks']);
    for (const [operator, values] of [
      ['In', ', key: app, values: [tug]'],
      ['NotIn', ', key: app, values: [ferry]'],
      ['DoesNotExist'],
      ['Exists', ', key: nothing'],
    ] as const)
      expect(await rules(expressed(operator, values)), `${operator}, of others`).toEqual(['budget-without-pods']);
    const all = changed(', selector: { matchLabels: { app: ferry } }', ', selector: {}', blocking);
    expect(await rules(all), 'an empty selector').toEqual(['budget-blocks']);
    expect(await rules(changed(', selector: {}', '', all)), 'no selector').toEqual(['budget-without-pods']);
    const own = 'matchExpressions: [{ key: app, operator: In, values: [tug] }] }\n  template';
    expect(await rules(changed('matchLabels: { app: ferry } }\n  template', own))).toEqual(['selector-labels']);

    const scaled = changed(/ *replicas: 3\n/, '', blocking);
    const keeps = changed('  maxReplicas', '  minReplicas: 4\n  maxReplicas', SCALER);
    expect(await rules(scaled + keeps), 'four at least').toEqual([]);
    expect(await rules(scaled + SCALER), 'one, if nobody says more').toEqual(['budget-blocks']);
    const rollout = changed('apps/v1, kind: Deployment', 'argoproj.io/v1alpha1, kind: Rollout', SCALER);
    expect(await rules(GOOD + rollout), 'an autoscaler of a custom resource').toEqual([]);
    const sidecar =
      '      initContainers: [{ name: a, image: b, restartPolicy: Always, readinessProbe: {}, ports: [{ name: side, containerPort: 9 }] }]\n---\napiVersion: v1\nkind: Service';
    const beside = changed(
      '---\napiVersion: v1\nkind: Service',
      sidecar,
      changed('targetPort: http', 'targetPort: side'),
    );
    expect(await rules(beside), 'a port of a sidecar').toEqual([]);
    expect(await rules(changed('restartPolicy: Always, ', '', beside)), 'of what ends first').toEqual(['service-port']);
  });

  test('a value that Kubernetes would refuse, and a kind that it does not have, are found; kinds of others are left alone', async () => {
    expect(await found(changed('replicas: 3', 'replicas: three'))).toEqual(['6 value-invalid']);
    expect(await found(changed('- name: ferry\n          image', '- image'))).toEqual(['12 value-invalid']);
    expect(await rules(changed('kind: Service\n', 'kind: Servce\n'))).toEqual(['value-invalid']);
    expect(await rules(changed('apiVersion: policy/v1\n', 'apiVersion: policy/v9\n'))).toContain('value-invalid');
    expect(
      await rules('apiVersion: harbour.labs/v1\nkind: FerryLine\nmetadata: { name: a }\nspec: { anything: goes }\n'),
    ).toEqual([]);
    expect(await found(changed('{ httpGet: { path: /ready, port: http } }', 'soon')), 'a text for an object').toEqual([
      '15 value-invalid',
    ]);
    expect(await rules("apiVersion: '../../x'\nkind: FerryLine\nmetadata: { name: a }\n")).toEqual([]);
  });

  test('whatever makes pods counts: a Pod by itself, and a CronJob through the Jobs that it makes', async () => {
    const labels = 'metadata: { name: ferry, labels: { app: ferry } }\n';
    const pod = '{ restartPolicy: Never, containers: [{ name: a, image: b, ports: [{ containerPort: 80 }] }] }';
    const service =
      'apiVersion: v1\nkind: Service\nmetadata: { name: ferry }\nspec: { selector: { app: ferry }, ports: [{ port: 80 }] }\n';
    const alone = `apiVersion: v1\nkind: Pod\n${labels}spec: ${pod}\n---\n${service}`;
    expect(await found(alone), 'a Pod').toEqual(['4 readiness-missing']);
    const template = `{ metadata: { labels: { app: ferry } }, spec: ${pod} }`;
    const nightly = `apiVersion: batch/v1\nkind: CronJob\n${labels}spec: { schedule: '0 3 * * *', jobTemplate: { spec: { template: ${template} } } }\n---\n${service}`;
    expect(await found(nightly), 'a CronJob').toEqual(['4 readiness-missing']);
    expect(await found(changed('{ app: ferry } }, spec', '{ app: tug } }, spec', nightly))).toEqual([
      '9 service-without-pods',
    ]);
  });

  test('a fault that is meant is excused by its rule and a reason; what excuses nothing is told', async () => {
    const excused = changed('maxUnavailable: 1,', 'maxUnavailable: 0,').replace(
      'spec: { maxUnavailable',
      '# lint-ignore budget-blocks: a singleton, moved by hand\nspec: { maxUnavailable',
    );
    const judged = await lint(excused);
    expect(judged.findings).toEqual([]);
    expect(judged.suppressed.map(({ finding, reason }) => [finding.rule, reason])).toEqual([
      ['budget-blocks', 'a singleton, moved by hand'],
    ]);
    const same = changed('kind: Service\n', 'kind: Servce # lint-ignore value-invalid: ours\n');
    expect(await rules(same)).toEqual([]);
    expect(await rules(excused.replace(': a singleton, moved by hand', ''))).toEqual([
      'suppression-bare',
      'budget-blocks',
    ]);
    expect(await rules(excused.replace('budget-blocks:', ':'))).toEqual(['suppression-bare', 'budget-blocks']);
    expect(await rules(excused.replace('budget-blocks', 'budget-block'))).toEqual([
      'suppression-unused',
      'budget-blocks',
    ]);
    expect(await rules(changed('tier: sea', "tier: '# lint-ignore'")), 'in a text').toEqual([]);
  });

  test('objects of several files and of a List are seen together, each finding at its place', async () => {
    const [deployment = '', service = '', budget = ''] = GOOD.split('---\n');
    const files = [
      { file: 'b.yaml', text: changed('targetPort: http', 'targetPort: web', service) },
      { file: 'a.yaml', text: budget.replace('maxUnavailable: 1', 'maxUnavailable: 0') },
      { file: 'c.yaml', text: deployment },
    ];
    const { findings } = await lintManifests(files);
    expect(findings.map(({ file, rule, span }) => `${file}:${span.start.line}:${span.start.column} ${rule}`)).toEqual([
      'a.yaml:4:9 budget-blocks',
      'b.yaml:6:23 service-port',
    ]);
    const items = parseAllDocuments(changed('targetPort: http', 'targetPort: web')).map((document) => document.toJS());
    const list = stringify({ apiVersion: 'v1', kind: 'List', items });
    const line = 1 + list.split('\n').findIndex((each) => each.includes('targetPort'));
    expect(await found(list)).toEqual([`${line} service-port`]);
  });

  test('what the controller writes has no fault, and every rule is told in full', async () => {
    const line = {
      ...ferryLines,
      metadata: { name: 'island', namespace: 'sea' },
      spec: { ferries: 2, image: 'ferry:1', command: ['ferry'], port: 8080 },
    };
    const text = objectsOf(line)
      .map((object) => stringify(object))
      .join('---\n');
    expect((await lint(text)).findings).toEqual([]);
    expect(new Set(manifestRules.map(({ id }) => id)).size).toBe(manifestRules.length);
    const { findings } = await lint(changed('readinessProbe', 'livenessProb'));
    for (const { rule: id, severity, confidence } of findings)
      expect(manifestRules, 'a finding is as grave as its rule').toContainEqual(
        expect.objectContaining({ id, severity, confidence }),
      );
    expect(new Set(findings.map(({ severity }) => severity)).size, 'one is graver than the other').toBe(2);
  });
});
