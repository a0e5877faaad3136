import { execFile } from 'node:child_process';
import { connect } from 'node:net';
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

/** User, password and database of every compose server that has any. */
export const COMPOSE_LOGIN = { user: 'labs', password: 'labs', database: 'labs' } as const;

const numbered = (name: string, from: number, count: number): Container[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${name}-${i + 1}`, port: from + i }));

/**
 * docker-compose.yml's services and ports: the one list. A server on such a port is the compose file's only if it also
 * lets the user `labs` in with the password `labs`; Redis: `--user "labs on >labs ~* &* +@all"`.
 */
export const containers = {
  redis: numbered('redis', 46379, 5),
  redisCluster: numbered('redis-cluster', 46391, 6),
  postgres: [{ name: 'postgres', port: 45432 }],
  postgresReplica: [{ name: 'postgres-replica', port: 45433 }],
  mongo: numbered('mongo', 47017, 3),
  rabbitmq: [{ name: 'rabbitmq', port: 45672 }],
  rabbitmqManagement: [{ name: 'rabbitmq', port: 45673 }],
} as const satisfies Record<string, readonly Container[]>;

const COMPOSE_FILE = new URL('../../../docker-compose.yml', import.meta.url).pathname;

/** Whether anything listens on 127.0.0.1:`port`. A closed port of the loopback answers within a millisecond. */
export function listens(port: number, timeoutMs = 200): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: '127.0.0.1', port });
  socket.setTimeout(timeoutMs, () => resolve(false));
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** Faults on a container, by docker's own client. `ready` resolves once the server answers again. */
export function composeLever(service: string, container: Container, ready: () => Promise<void>): Lever {
  const compose = async (verb: 'kill' | 'start' | 'pause' | 'unpause') => {
    const docker = await onPath('docker');
    if (docker === undefined) {
      throw new FaultUnavailableError(
        service,
        verb,
        'the docker client is not on PATH. Install it, or use LABS_SERVICES=embedded.',
      );
    }
    try {
      await promisify(execFile)(docker, ['compose', '-f', COMPOSE_FILE, verb, container.name]);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new FaultUnavailableError(service, verb, `docker compose failed. ${words.trim()}`, { cause: error });
    }
  };
  return {
    start: async () => {
      await compose('start');
      await ready();
    },
    kill: () => compose('kill'),
    pause: () => compose('pause'),
    resume: () => compose('unpause'),
  };
}
