import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError, StartTimeoutError } from './errors.ts';
import { FaultyNode } from './faults.ts';
import { freePort } from './ports.ts';
import { ask } from './redis-wire.ts';
import type { Node } from './types.ts';

/** One node of a Redis Cluster. Which part it plays now, and for which slots, CLUSTER NODES says: parts change. */
export interface ClusterNode extends Node {
  /** As CLUSTER NODES names it, in this run. */
  readonly id: string;
}

const NAME = 'redis';
const SLOTS = 16_384;
const PRIMARIES = 3;
const NODES = 2 * PRIMARIES;
/** Redis 6 knows no other place for a node's bus. */
const BUS_OFFSET = 10_000;
/** For an answer of a node that runs, beside whatever else does. */
const ASK_MS = 20_000;
/** It takes 2.2 s: a primary waits for 2 s after its start before it serves slots, whatever the timeout. */
const FORM_MS = 60_000;
/** Longer, and another cluster is as quick. */
const RENEW_MS = 2000;

export class ClusterFaultyNode extends FaultyNode implements ClusterNode {
  readonly id: string;

  constructor({ id, ...o }: ConstructorParameters<typeof FaultyNode>[0] & { id: string }) {
    super(o);
    this.id = id;
  }
}

/** One for each node; its bus has another, `BUS_OFFSET` above, which was free too. */
export function clusterPorts(): Promise<number[]> {
  return Promise.all(Array.from({ length: NODES }, () => freePort({ and: BUS_OFFSET })));
}

export function clusterSettings(nodeTimeoutMs: number): string[] {
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': nodeTimeoutMs,
    'cluster-announce-ip': '127.0.0.1',
    // A replica has its first copy at once, not 5 s later: nobody else will want the same stream.
    'repl-diskless-sync-delay': 0,
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/**
 * Makes one cluster of six empty nodes: the first three are primaries of a third of the slots each, and each of the others
 * is the replica of the one three before it. Resolves once every node serves, and knows who is who, and every replica is
 * in step.
 * @returns the nodes' ids
 * @throws StartTimeoutError, ServiceError where a node refuses or falls silent, or the signal's reason
 */
export async function formCluster(ports: readonly number[], signal: AbortSignal | undefined): Promise<string[]> {
  const deadline = performance.now() + FORM_MS;
  const ids = await idsOf(ports);
  await Promise.all(
    ports.map(async (port, index) => {
      // Epochs first: primaries that meet under the same one would have to settle it between themselves.
      const commands = [`CLUSTER SET-CONFIG-EPOCH ${index + 1}`];
      if (index < PRIMARIES) commands.push(`CLUSTER ADDSLOTS ${slotsOf(index).join(' ')}`);
      await tell(port, commands);
    }),
  );
  const meet = (port: number) => `CLUSTER MEET 127.0.0.1 ${port}`;
  // All of all: gossip would take its time.
  for (const [index, port] of ports.entries()) await tell(port, ports.slice(index + 1).map(meet));
  const everywhere = async (ready: (port: number, index: number) => Promise<boolean>): Promise<void> => {
    for (const [index, port] of ports.entries()) {
      while (!(await ready(port, index).catch(() => false))) {
        signal?.throwIfAborted();
        if (performance.now() > deadline) throw new StartTimeoutError(NAME, FORM_MS, await view(port).catch(String));
        await sleep(10);
      }
    }
  };
  await everywhere(async (port) => {
    const seen = await view(port);
    return ids.every((id) => seen.includes(id)) && !seen.includes('handshake');
  });
  const primaryOf = (index: number) => ids[index - PRIMARIES];
  await Promise.all(
    ports.map(async (port, index) => {
      const primary = primaryOf(index);
      if (primary !== undefined) await tell(port, [`CLUSTER REPLICATE ${primary}`]);
    }),
  );
  await everywhere(async (port, index) => {
    const said = await tell(port, ['CLUSTER INFO', 'CLUSTER NODES', 'INFO replication']);
    const serves = said.includes('cluster_state:ok') && said.includes(`cluster_slots_ok:${SLOTS}`);
    const known = ids.every((id, at) => {
      const line = said.split('\n').find((one) => one.startsWith(`${id} `)) ?? '';
      const primary = primaryOf(at);
      return primary === undefined ? /[ ,]master [^\n]* connected \d+-\d+/.test(line) : line.includes(` ${primary} `);
    });
    return serves && known && (index < PRIMARIES || said.includes('master_link_status:up'));
  });
  return ids;
}

/** What can be set in each node, as it is set now. */
export function configOf(ports: readonly number[]): Promise<string[]> {
  return Promise.all(ports.map((port) => ask('127.0.0.1', port, 'CONFIG GET *\r\nPING', '+PONG', ASK_MS)));
}

/**
 * Makes a cluster that was lent as `formCluster` leaves it: no key, no script, no other client, each slot at home, no count
 * of errors.
 * @param config as `configOf` said it at first
 * @returns false where it cannot be vouched for: a part or a setting has changed, or the nodes do not agree in time
 */
export async function renewCluster(
  ports: readonly number[],
  ids: readonly string[],
  config: readonly string[],
): Promise<boolean> {
  const lineOf = (text: string, id: string) => text.split(/\r?\n/).find((line) => line.startsWith(`${id} `)) ?? '';
  const inPart = (text: string, at: number) => {
    const [, , flags = '', primary = ''] = lineOf(text, ids[at] ?? '').split(' ');
    return at < PRIMARIES
      ? /^(myself,)?master$/.test(flags)
      : /^(myself,)?slave$/.test(flags) && primary === ids[at - PRIMARIES];
  };
  const views = await Promise.all(ports.map(view));
  if (!views.every((text) => ids.every((_, at) => inPart(text, at)))) return false;
  const settings = await configOf(ports);
  if (settings.some((text, at) => text !== config[at])) return false;
  const primaries = ports.slice(0, PRIMARIES);
  await Promise.all(ports.map((port) => tell(port, ['CLIENT KILL TYPE normal SKIPME yes', 'CLIENT KILL TYPE pubsub'])));
  await Promise.all(
    primaries.map((port) => tell(port, ['FLUSHALL', 'SCRIPT FLUSH', 'CONFIG RESETSTAT', 'WAIT 1 5000'])),
  );
  const homes = primaries.map((_, at) => slotsOf(at));
  for (const [at, port] of primaries.entries()) {
    const [, , , , , , , , ...slots] = lineOf(views[at] ?? '', ids[at] ?? '').split(' ');
    for (const part of slots) {
      const open = /^\[(\d+)-/.exec(part)?.[1];
      if (open !== undefined) await tell(port, [`CLUSTER SETSLOT ${open} STABLE`]);
      const [from, to = from] = open === undefined ? part.split('-').map(Number) : [];
      for (let slot = from ?? 1, last = to ?? 0; slot <= last; slot += 1) {
        const home = homes.findIndex((own) => slot >= (own[0] ?? 0) && slot <= (own.at(-1) ?? 0));
        const [homePort, homeId] = [primaries[home], ids[home]];
        if (home === at || homePort === undefined) continue;
        await tell(homePort, [`CLUSTER SETSLOT ${slot} IMPORTING ${ids[at]}`]);
        for (const each of [homePort, ...primaries]) await tell(each, [`CLUSTER SETSLOT ${slot} NODE ${homeId}`]);
      }
    }
  }
  const agreed = (text: string) =>
    text.includes('cluster_state:ok') &&
    homes.every((own, at) => lineOf(text, ids[at] ?? '').endsWith(` connected ${own[0]}-${own.at(-1)}`));
  const deadline = performance.now() + RENEW_MS;
  for (const port of ports) {
    while (!agreed(await tell(port, ['CLUSTER INFO', 'CLUSTER NODES']))) {
      if (performance.now() > deadline) return false;
      await sleep(10);
    }
  }
  return true;
}

/** @throws ServiceError where one does not say it */
export function idsOf(ports: readonly number[]): Promise<string[]> {
  return Promise.all(
    ports.map(async (port) => {
      const id = /^[0-9a-f]{40}/m.exec(await tell(port, ['CLUSTER MYID']))?.[0];
      if (id === undefined) throw new ServiceError(NAME, 'NO_CLUSTER', `the node at ${port} says no id.`);
      return id;
    }),
  );
}

function slotsOf(primary: number): number[] {
  const from = Math.round((primary * SLOTS) / PRIMARIES);
  const to = Math.round(((primary + 1) * SLOTS) / PRIMARIES);
  return Array.from({ length: to - from }, (_, i) => from + i);
}

const view = (port: number) => tell(port, ['CLUSTER NODES']);

async function tell(port: number, commands: readonly string[]): Promise<string> {
  const asked = ask('127.0.0.1', port, [...commands, 'PING'].join('\r\n'), '+PONG', ASK_MS);
  const reply = await asked.catch((error: unknown) => {
    const words = error instanceof Error ? error.message : String(error);
    throw new ServiceError(NAME, 'NO_CLUSTER', `the node at ${port} does not speak: ${words}.`, { cause: error });
  });
  const refused = /^-.*/m.exec(reply)?.[0];
  if (refused !== undefined) throw new ServiceError(NAME, 'NO_CLUSTER', `the node at ${port} says ${refused}`);
  return reply;
}
