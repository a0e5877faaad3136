import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyNode } from './faults.ts';
import { EmbeddedServer, type Program } from './process.ts';
import { makeHome, movable, versionOf } from './prometheus-program.ts';
import { pageOf } from './servers.ts';
import { onPath, oursAlone, type Service } from './service.ts';

const NAME = 'alertmanager';
const DEFAULT_PORT = 9093;
/** 0.2 s alone. */
const START_MS = 60_000;
const localUrl = (port: number) => `http://127.0.0.1:${port}`;

/** Comes with a Prometheus of ours: `startPrometheus({ alertmanager: true })`. */
export const alertmanager: Service = {
  name: NAME,
  ...oursAlone('http', DEFAULT_PORT),
  find: async () => {
    const path = await onPath('alertmanager', 'prometheus-alertmanager');
    return path === undefined ? undefined : { path };
  },
  apt: {
    packages: ['prometheus-alertmanager'],
    only: /^prometheus-alertmanager$/,
    program: 'usr/bin/prometheus-alertmanager',
    relocate: (tree) => movable(join(tree, 'usr/bin/prometheus-alertmanager')),
  },
  version: versionOf,
  install: {
    apt: 'sudo apt install prometheus-alertmanager',
    dnf: 'sudo dnf install golang-github-prometheus-alertmanager',
    apk: 'sudo apk add alertmanager',
    pacman: 'sudo pacman -S alertmanager',
    brew: 'brew install alertmanager',
  },
};

export interface Alertmanager {
  readonly node: FaultyNode;
  readonly version: string;
}

/** Starts one in `home`, alone: it looks for no peers. */
export async function startAlertmanager(o: {
  program: Program;
  home: string;
  /** Where it POSTs what fires and what is resolved; without one it only answers. */
  webhook: string | undefined;
  signal: AbortSignal | undefined;
}): Promise<Alertmanager> {
  const { program, home, signal, webhook } = o;
  const version = await versionOf(program);
  await makeHome(home, program);
  const file = join(home, 'alertmanager.yml');
  await writeFile(file, settings(webhook));
  const server = await EmbeddedServer.start({
    service: NAME,
    program,
    folder: home,
    args: (port) => [
      `--config.file=${file}`,
      `--storage.path=${join(home, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      `--web.external-url=${localUrl(port)}/`,
      '--cluster.listen-address=',
      '--log.level=warn',
    ],
    signal,
    timeoutMs: START_MS,
    ready: async ({ port }) => {
      // The command that it was started with: no stranger has our folder.
      const ours = await pageOf(`${localUrl(port)}/debug/pprof/cmdline`).then(
        async (command) => command.includes(file) && (await pageOf(`${localUrl(port)}/-/ready`)) !== '',
        () => false,
      );
      if (!ours) await sleep(10);
      return ours;
    },
  });
  const url = localUrl(server.port);
  return { node: new FaultyNode({ service: NAME, index: 0, url, defaultPort: DEFAULT_PORT, lever: server }), version };
}

/** JSON is YAML. */
function settings(webhook: string | undefined): string {
  return JSON.stringify({
    // By default it waits for 30 s for more to say, then 5 minutes, then 4 hours: longer than a scene. One notification
    // for each alert's name, as most have it.
    route: {
      receiver: 'lab',
      group_by: ['alertname'],
      group_wait: '50ms',
      group_interval: '250ms',
      repeat_interval: '10s',
    },
    receivers: [
      { name: 'lab', ...(webhook !== undefined && { webhook_configs: [{ url: webhook, send_resolved: true }] }) },
    ],
  });
}
