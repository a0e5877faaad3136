import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FaultUnavailableError } from './errors.ts';
import type { Lever } from './faults.ts';
import { onPath } from './service.ts';

/** One service of docker-compose.yml, published on 127.0.0.1:`port`. */
export interface Container {
  /** Its name in docker-compose.yml. */
  readonly name: string;
  readonly port: number;
}

/** The compose file's Kafka has no login; it is known by the cluster id that it was formatted with. */
export const COMPOSE_KAFKA_CLUSTER = 'Y29uY2VwdC1sYWJzLWthZg';

/** Nor has its OpenSearch: it is known by its cluster's name. */
export const COMPOSE_OPENSEARCH_CLUSTER = 'concept-labs';

/** User, password and database of every compose server that has any. */
export const COMPOSE_LOGIN = { user: 'labs', password: 'labs', database: 'labs' } as const;

const numbered = (name: string, from: number, count: number): Container[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${name}-${i + 1}`, port: from + i }));

/**
 * docker-compose.yml's services and ports: the one list. A server on such a port is taken for the compose file's only if
 * it lets the user `labs` in with the password `labs` (redis.conf: `user labs on >labs ~* &* +@all`), or, a Kafka or an
 * OpenSearch, has our cluster's id or name, unless LABS_SERVICES=compose says so.
 */
export const containers = {
  redis: numbered('redis', 46379, 5),
  redisCluster: numbered('redis-cluster', 46391, 6),
  postgres: [{ name: 'postgres', port: 45432 }],
  postgresReplica: [{ name: 'postgres-replica', port: 45433 }],
  mongo: numbered('mongo', 47017, 3),
  rabbitmq: [{ name: 'rabbitmq', port: 45672 }],
  rabbitmqManagement: [{ name: 'rabbitmq', port: 45673 }],
  kafka: [{ name: 'kafka', port: 49092 }],
  opensearch: [{ name: 'opensearch', port: 49200 }],
} as const satisfies Record<string, readonly Container[]>;

const COMPOSE_FILE = fileURLToPath(new URL('../../../docker-compose.yml', import.meta.url));

/** Whether anything listens on 127.0.0.1:`port`. A closed port of the loopback answers within a millisecond. */
export function listens(port: number, timeoutMs = 200): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: '127.0.0.1', port });
  socket.setTimeout(timeoutMs, () => resolve(false));
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/**
 * For a recipe's `ready`: looks at a server only once it listens, which takes it seconds. To knock is a fifth of what a
 * request costs. A look that fails is a no.
 */
export async function onceItListens(port: number, look: () => Promise<boolean>): Promise<boolean> {
  if ((await listens(port)) && (await look().catch(() => false))) return true;
  await sleep(25);
  return false;
}

/**
 * Faults on a container, by docker's own client; or why there can be none.
 * @param ready resolves once the server answers again
 */
export async function composeLever(
  service: string,
  container: Container,
  ready: () => Promise<void>,
): Promise<Lever | string> {
  const docker = await onPath('docker');
  if (docker === undefined) {
    return 'the docker client is not on PATH. Install it, or set LABS_SERVICES=embedded to use a process of our own.';
  }
  const compose = async (...args: string[]) => {
    try {
      const { stdout } = await promisify(execFile)(docker, ['compose', '-f', COMPOSE_FILE, ...args, container.name]);
      return stdout.trim();
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new FaultUnavailableError(service, args[0] ?? '', `docker compose failed. ${words.trim()}`, {
        cause: error,
      });
    }
  };
  const id = await compose('ps', '--quiet').catch(() => '');
  if (id === '') {
    return `docker compose shows no container "${container.name}" here (is the engine up?). Run \`docker compose --profile ${service} up --detach --wait\`, or set LABS_SERVICES=embedded.`;
  }
  return {
    start: async () => {
      await compose('start');
      await ready();
    },
    kill: async () => {
      await compose('kill');
      // docker has sent the signal; the container's port closes a moment later.
      for (const deadline = performance.now() + 5000; performance.now() < deadline; await sleep(5)) {
        if (!(await listens(container.port))) return;
      }
    },
    pause: async () => {
      await compose('pause');
    },
    resume: async () => {
      await compose('unpause');
    },
  };
}
