import { randomBytes } from 'node:crypto';
import { readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Alertmanager, alertmanager, startAlertmanager } from './alertmanager.ts';
import { exists } from './cache.ts';
import { chooseOwn } from './choose.ts';
import { ConfigRefusedError, FaultUnavailableError, redact } from './errors.ts';
import { FaultyNode } from './faults.ts';
import { EmbeddedServer, type Program, temporaryFolder } from './process.ts';
import { makeHome, movable, versionOf } from './prometheus-program.ts';
import { handle, pageOf } from './servers.ts';
import { onPath, oursAlone, type Service } from './service.ts';
import type { Node, Servers } from './types.ts';

/** A Prometheus of our own. */
export interface PrometheusServers extends Servers {
  /** The API is at `url/api/v1/`, the page that draws graphs at `url/graph`. */
  readonly url: string;
  readonly node: Node;
  /** The program that checks and tests rules (`promtool test rules FILE`), where it came along. */
  readonly promtool?: string;
  /** The Alertmanager's API is at `alertmanagerUrl/api/v2/`. */
  readonly alertmanagerUrl?: string;
  readonly alertmanager?: Node;
  /**
   * Scrapes these from now on, and no others. The first scrape of a new one comes within 5 s, or 10 on a busy machine:
   * Prometheus looks every 5 s. (A server that restarts on its old port needs no call: the next scrape finds it.)
   * @throws RangeError, FaultUnavailableError while the node is not up
   */
  setTargets(targets: readonly ScrapeJob[]): Promise<void>;
  /**
   * Evaluates these rules from now on, and no others.
   * @param yaml a file of rule groups; '' for none
   * @throws ConfigRefusedError with Prometheus' words: the rules before stay; FaultUnavailableError while the node is not up
   */
  setRules(yaml: string): Promise<void>;
}

/** The program that checks and tests rules, where it came along with Prometheus. */
export interface Promtool extends AsyncDisposable {
  readonly path?: string;
}

/** One with an Alertmanager behind it. */
export interface AlertingPrometheus extends PrometheusServers {
  readonly alertmanagerUrl: string;
  readonly alertmanager: Node;
}

/** What is scraped under one `job` label. */
export interface ScrapeJob {
  readonly job: string;
  /** `http://127.0.0.1:3000/metrics`; without a path `/metrics` is meant. */
  readonly urls: readonly string[];
}

export interface PrometheusOptions {
  /** The first scrape comes 5 s after the start: Prometheus itself waits as long. May be empty. */
  readonly targets: readonly ScrapeJob[];
  /** A file of rule groups, as YAML. Default: none. Groups without an interval are evaluated as often as targets are scraped. */
  readonly rules?: string;
  /** Default 250 ms. A target that takes longer to answer is down. */
  readonly scrapeIntervalMs?: number;
  /**
   * Starts an Alertmanager too. `webhook` is the URL that it POSTs alerts to: all of one name together, 50 ms after the
   * first, and again within 250 ms of a change. Default false.
   */
  readonly alertmanager?: boolean | { readonly webhook: string };
  /** Ends the start; what was begun is cleaned up. */
  readonly signal?: AbortSignal;
}

const NAME = 'prometheus';
const DEFAULT_PORT = 9090;
/** 0.1 s alone. */
const START_MS = 60_000;
const RELOAD_MS = 20_000;
const localUrl = (port: number) => `http://127.0.0.1:${port}`;

export const prometheus: Service = {
  name: NAME,
  // None: rules and targets of our own have no place in a Prometheus of the user's.
  ...oursAlone('http', DEFAULT_PORT),
  find: async () => {
    const path = await onPath('prometheus');
    return path === undefined ? undefined : { path };
  },
  apt: {
    packages: ['prometheus'],
    // With it, its page's libraries: a tenth of the download.
    only: /^(prometheus$|libjs-|fonts-glyphicons)/,
    program: 'usr/bin/prometheus',
    relocate: async (tree) => {
      await movable(join(tree, 'usr/bin/prometheus'));
      // The page reads one of its files; the others are 200 MB.
      const zones = join(tree, 'usr/share/javascript/moment-timezone');
      for (const name of await readdir(zones).catch(() => [])) {
        if (name !== 'moment-timezone-with-data.min.js') await rm(join(zones, name), { recursive: true });
      }
    },
  },
  version: versionOf,
  install: {
    apt: 'sudo apt install prometheus',
    dnf: 'sudo dnf install golang-github-prometheus',
    apk: 'sudo apk add prometheus',
    pacman: 'sudo pacman -S prometheus',
    brew: 'brew install prometheus',
  },
};

/**
 * Starts a Prometheus of our own, and with `alertmanager` an Alertmanager that it tells its alerts.
 * @throws MissingServerError, ServerDiedError, StartTimeoutError, BadSettingError, ConfigRefusedError for rules that
 *   Prometheus does not take, RangeError for targets that are none, or the signal's reason
 */
export async function startPrometheus(
  o: PrometheusOptions & { readonly alertmanager: true | { readonly webhook: string } },
): Promise<AlertingPrometheus>;
export async function startPrometheus(o: PrometheusOptions): Promise<PrometheusServers>;
export async function startPrometheus(o: PrometheusOptions): Promise<PrometheusServers> {
  const { signal, scrapeIntervalMs = 250, rules = '', alertmanager: alerting = false } = o;
  signal?.throwIfAborted();
  if (!Number.isSafeInteger(scrapeIntervalMs) || scrapeIntervalMs < 1) {
    throw new RangeError(`scrapeIntervalMs is ${scrapeIntervalMs}: it can be 1 or more whole milliseconds`);
  }
  const jobs = scrapeConfigs(o.targets);
  const webhook = typeof alerting === 'object' ? alerting.webhook : undefined;
  if (webhook !== undefined) httpUrl('webhook', webhook);
  const program = await chooseOwn(prometheus, 1, { signal });
  const folder = await temporaryFolder(NAME);
  let behind: Alertmanager | undefined;
  try {
    const version = await versionOf(program);
    if (alerting !== false) {
      const home = join(folder.path, 'alertmanager');
      behind = await startAlertmanager({
        program: await chooseOwn(alertmanager, 1, { signal }),
        home,
        signal,
        webhook,
      });
    }
    const home = join(folder.path, NAME);
    const config: Config = { home, scrapeIntervalMs, alertmanager: behind?.node };
    const server = await startServer(program, config, jobs, signal);
    const url = localUrl(server.port);
    const node = new PrometheusNode(url, server, config);
    // Like later ones, so that they are refused like those.
    if (rules !== '') await node.write('rules.yml', rules);
    const promtool = await promtoolOf(program);
    const common = handle({
      service: NAME,
      origin: 'embedded',
      version: behind === undefined ? version : `${version}, alertmanager ${behind.version}`,
      count: 1,
      inspect: [`open ${url}/graph`, ...(behind === undefined ? [] : [`curl ${behind.node.url}/api/v2/alerts`])],
      faults: true,
      namespace: `labs-${randomBytes(4).toString('hex')}`,
      close: async () => {
        await Promise.all([node.close({ heal: false }), behind?.node.close({ heal: false })]);
        await folder.settle();
      },
    });
    return {
      ...common,
      url,
      node,
      ...(promtool !== undefined && { promtool }),
      ...(behind !== undefined && { alertmanagerUrl: behind.node.url, alertmanager: behind.node }),
      setTargets: async (targets) => node.write('prometheus.yml', settings(config, scrapeConfigs(targets))),
      setRules: (yaml) => node.write('rules.yml', yaml),
    };
  } catch (error) {
    await folder.settle();
    throw error;
  }
}

/** Prometheus' own engine as a program: nothing runs, and there is nothing to end. */
export async function findPromtool(): Promise<Promtool> {
  const path = await promtoolOf(await chooseOwn(prometheus, 1, {}));
  return { ...(path !== undefined && { path }), [Symbol.asyncDispose]: async () => {} };
}

async function promtoolOf({ path }: Program): Promise<string | undefined> {
  const beside = join(dirname(await realpath(path)), 'promtool');
  return (await exists(beside)) ? beside : onPath('promtool');
}

interface Config {
  readonly home: string;
  readonly scrapeIntervalMs: number;
  readonly alertmanager: Node | undefined;
}

async function startServer(
  program: Program,
  config: Config,
  jobs: readonly object[],
  signal: AbortSignal | undefined,
): Promise<EmbeddedServer> {
  const { home } = config;
  await makeHome(home, program);
  const file = join(home, 'prometheus.yml');
  await writeFile(file, settings(config, jobs));
  await writeFile(join(home, 'rules.yml'), '');
  return EmbeddedServer.start({
    service: NAME,
    program,
    folder: home,
    args: (port) => [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(home, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      // Where its alerts say they come from.
      `--web.external-url=${localUrl(port)}/`,
      '--web.enable-lifecycle',
      // An Alertmanager that was away hears of what still fires within a second; of a Prometheus that is gone, four later,
      // that nothing fires any more.
      '--rules.alert.resend-delay=1s',
      '--log.level=warn',
    ],
    signal,
    timeoutMs: START_MS,
    ready: async ({ port }) => {
      // It says so once its database is open; no stranger has our file.
      const ours = await flags(port).then(
        (said) => said.includes(JSON.stringify(file)),
        () => false,
      );
      if (!ours) await sleep(10);
      return ours;
    },
  });
}

async function flags(port: number): Promise<string> {
  const at = localUrl(port);
  return (await pageOf(`${at}/-/ready`)) === '' ? '' : pageOf(`${at}/api/v1/status/flags`);
}

/** One whose settings change in turn with its faults. */
class PrometheusNode extends FaultyNode {
  readonly #home: string;

  constructor(url: string, server: EmbeddedServer, config: Config) {
    super({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server });
    this.#home = config.home;
  }

  /** Has it read `name` anew; what it does not take is taken back. */
  write(name: 'prometheus.yml' | 'rules.yml', text: string): Promise<void> {
    return this.turn('configure', async () => {
      if (this.state !== 'up') {
        const remedy = this.state === 'down' ? 'restart() it first.' : 'resume() it first.';
        throw new FaultUnavailableError(NAME, 'configure', `node 0 is ${this.state}; ${remedy}`);
      }
      const file = join(this.#home, name);
      const before = await readFile(file, 'utf8');
      const log = join(this.#home, 'server.log');
      const { size } = await stat(log);
      await writeFile(file, text);
      const refusal = await this.#reload();
      if (refusal === undefined) return;
      const words = (await readFile(log)).subarray(size).toString('utf8').trim();
      await writeFile(file, before);
      await this.#reload();
      throw new ConfigRefusedError(NAME, name, causeIn(words) ?? refusal);
    });
  }

  /** Prometheus' answer when it refuses. */
  async #reload(): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(RELOAD_MS);
      const response = await fetch(`${this.url}/-/reload`, { method: 'POST', signal });
      const text = await response.text();
      return response.ok ? undefined : text;
    } catch (error) {
      return error instanceof Error ? `no answer: ${error.message}` : String(error);
    }
  }
}

/** What the first complaint in the log says: ` err="rules.yml: …" `. */
function causeIn(log: string): string | undefined {
  const quoted = / err=("(?:[^"\\]|\\.)*")/.exec(log)?.[1];
  if (quoted === undefined) return undefined;
  // Go's escapes are JSON's, but for those of bytes that are no text.
  return quoted.includes('\\x') ? quoted : String(JSON.parse(quoted));
}

/** The settings' file. JSON is YAML. */
function settings({ scrapeIntervalMs, alertmanager }: Config, jobs: readonly object[]): string {
  const interval = `${scrapeIntervalMs}ms`;
  return JSON.stringify({
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: ['rules.yml'],
    scrape_configs: jobs,
    ...(alertmanager !== undefined && {
      alerting: {
        alertmanagers: [{ static_configs: [{ targets: [`${alertmanager.host}:${alertmanager.port}`] }] }],
      },
    }),
  });
}

/** @throws RangeError */
function scrapeConfigs(targets: readonly ScrapeJob[]): object[] {
  const jobs = new Set<string>();
  return targets.map(({ job, urls }) => {
    if (job === '' || !job.isWellFormed()) throw new RangeError(`a job is ${JSON.stringify(job)}: it needs a name`);
    if (jobs.has(job)) throw new RangeError(`the job "${job}" is there twice: list all its URLs in one`);
    jobs.add(job);
    const configs = urls.map((given) => {
      const url = httpUrl(`a URL of the job "${job}"`, given);
      if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
        throw new RangeError(
          `a URL of the job "${job}" is "${redact(given)}": leave out its login, query and fragment`,
        );
      }
      const labels = {
        __scheme__: url.protocol.slice(0, -1),
        __metrics_path__: url.pathname === '/' ? '/metrics' : url.pathname,
      };
      return { targets: [url.host], labels };
    });
    return { job_name: job, static_configs: configs };
  });
}

/** @throws RangeError */
function httpUrl(what: string, given: string): URL {
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RangeError(`${what} is "${given}": it must be a URL such as http://127.0.0.1:3000/metrics`);
  }
  return url;
}
