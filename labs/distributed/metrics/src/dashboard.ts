import { InvalidArgumentError } from './errors.ts';
import { durationChecked, type QueryOptions, queries } from './queries.ts';

/** One dial on the wall. */
export interface PanelOptions {
  readonly title: string;
  readonly kind: 'timeseries' | 'stat' | 'barchart' | 'gauge';
  /** A unit of Grafana's: `s`, `reqps`, `percentunit`, `short`, `masskg`. */
  readonly unit: string;
  /** PromQL, and how its series are called: `{{route}}`. */
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
  /** Colours from a value on, the lowest first; the first one also holds below. */
  readonly colors?: readonly { readonly from: number; readonly color: 'green' | 'orange' | 'red' }[];
}

export interface DashboardOptions {
  readonly title: string;
  /** Its address in Grafana, `/d/UID`: 1 to 40 of letters, digits, `-` and `_`. */
  readonly uid: string;
  readonly panels: readonly PanelOptions[];
}

/** Whoever opens the dashboard has a Prometheus under some id; the variable stands for it. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholder
const datasource = { type: 'prometheus', uid: '${datasource}' };

/** Grafana's dashboard model (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/). */
export type Dashboard = ReturnType<typeof dashboard>;

/**
 * A dashboard as code: `JSON.stringify` it into the folder that Grafana is provisioned from, or import it. A line across all panels
 * marks each release.
 *
 * @throws InvalidArgumentError
 */
export function dashboard({ title, uid, panels }: DashboardOptions) {
  if (!/^[\w-]{1,40}$/.test(uid)) {
    throw new InvalidArgumentError(`A uid is 1 to 40 letters, digits, - and _, not ${JSON.stringify(uid)}.`);
  }
  return {
    title,
    uid,
    schemaVersion: 39,
    editable: false,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus', current: {}, hide: 0 },
      ],
    },
    annotations: {
      list: [
        {
          name: 'Releases',
          datasource,
          enable: true,
          iconColor: 'purple',
          expr: 'min by (job, version) (app_release_timestamp_seconds) * 1000',
          useValueForTime: 'on',
          titleFormat: '{{job}} {{version}}',
        },
      ],
    },
    panels: panels.map((panel, index) => ({
      id: index + 1,
      title: panel.title,
      type: panel.kind,
      datasource,
      gridPos: { x: (index % 3) * 8, y: Math.floor(index / 3) * 8, w: 8, h: 8 },
      fieldConfig: {
        defaults: {
          unit: panel.unit,
          ...(panel.colors && {
            color: { mode: 'thresholds' },
            thresholds: {
              mode: 'absolute',
              steps: panel.colors.map(({ from, color }, step) => ({ color, value: step === 0 ? null : from })),
            },
          }),
        },
        overrides: [],
      },
      options: {},
      targets: panel.queries.map(({ expr, legend }, query) => ({
        refId: String.fromCharCode(65 + query),
        datasource,
        expr,
        legendFormat: legend,
      })),
    })),
  };
}

/** The panels that any service has: RED, then what its resources are at. */
export function servicePanels(options: QueryOptions): PanelOptions[] {
  const ask = queries(options);
  const late = [
    { from: 0, color: 'green' },
    { from: 0.05, color: 'red' },
  ] as const;
  return [
    { title: 'Requests', kind: 'timeseries', unit: 'reqps', queries: [{ expr: ask.requestRate, legend: '{{route}}' }] },
    {
      title: 'Duration',
      kind: 'timeseries',
      unit: 's',
      queries: [
        ...[0.5, 0.99].map((q) => ({ expr: ask.quantile(q), legend: `p${q * 100}` })),
        { expr: ask.mean, legend: 'mean' },
      ],
    },
    {
      title: 'Not as promised',
      kind: 'stat',
      unit: 'percentunit',
      colors: late,
      queries: [
        { expr: ask.slowRatio, legend: 'late' },
        { expr: ask.errorRatio, legend: 'failed' },
      ],
    },
    {
      title: 'Answered by the cache',
      kind: 'timeseries',
      unit: 'percentunit',
      queries: [{ expr: ask.hitRatio, legend: '{{cache}} {{version}}' }],
    },
    { title: 'Pools', kind: 'timeseries', unit: 'percentunit', queries: [{ expr: ask.poolUse, legend: '{{pool}}' }] },
    {
      title: 'Waiting',
      kind: 'timeseries',
      unit: 'short',
      queries: [{ expr: 'max by (job, pool) (pool_waiting)', legend: '{{pool}}' }],
    },
    {
      title: 'Event loop',
      kind: 'timeseries',
      unit: 'percentunit',
      queries: [{ expr: ask.eventLoopUse, legend: '{{job}}' }],
    },
    {
      title: 'Instances that answer',
      kind: 'stat',
      unit: 'short',
      queries: [{ expr: 'sum by (job) (up)', legend: '{{job}}' }],
    },
  ];
}

export interface ProvisioningOptions {
  /** Where Grafana reaches Prometheus. */
  readonly prometheusUrl: string;
  /** Prometheus' `scrape_interval`: `$__rate_interval` is four of them, and Grafana can't know it. */
  readonly scrapeInterval: string;
  /** The folder of the dashboards' JSON, as Grafana sees it. */
  readonly dashboards: string;
}

/**
 * What Grafana reads when it starts, by the path under its `provisioning` folder (https://grafana.com/docs/grafana/latest/administration/provisioning/):
 * nobody has to click anything together. `JSON.stringify` each, since YAML reads JSON.
 *
 * @throws InvalidArgumentError
 */
export function provisioning({ prometheusUrl, scrapeInterval, dashboards }: ProvisioningOptions) {
  const jsonData = { timeInterval: durationChecked(scrapeInterval) };
  return {
    'datasources/prometheus.yml': {
      apiVersion: 1,
      datasources: [
        { name: 'Prometheus', type: 'prometheus', url: prometheusUrl, access: 'proxy', isDefault: true, jsonData },
      ],
    },
    'dashboards/files.yml': {
      apiVersion: 1,
      providers: [{ name: 'files', type: 'file', options: { path: dashboards } }],
    },
  };
}
