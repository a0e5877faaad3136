import { createServer } from 'node:net';
import { PortTakenError } from './errors.ts';

// Below every system's ephemeral range. A port inside it can be taken by an outgoing connection while a killed
// node is down; a client that keeps retrying can even connect to itself there, and the node never comes back.
const LOWEST = 20_000;
const HIGHEST = 32_000;

const promised = new Set<number>();

/**
 * A port on 127.0.0.1 that is free now and promised to nobody else in this process.
 * @param o.and the port so far above it must be free as well, and is promised with it
 */
export async function freePort({ and = 0 }: { and?: number } = {}): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - and));
    const ports = new Set([port, port + and]);
    if ([...ports].some((one) => promised.has(one))) continue;
    for (const one of ports) promised.add(one);
    if ((await Promise.all([...ports].map(isFree))).every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}

const ATTEMPTS = 5;

/**
 * Starts what is told its ports beforehand: between our look at one and its bind somebody else may take it.
 * @throws what `start` throws
 */
export async function onFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === ATTEMPTS) throw error;
    }
  }
}
