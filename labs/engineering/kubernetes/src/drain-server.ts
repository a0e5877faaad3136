import { once } from 'node:events';
import type { Server } from 'node:http';
import { refuseNoTime, rest, systemClock } from './clock.ts';

export interface ServerDrainOptions {
  /** Milliseconds to go on serving: until every proxy has heard that this pod is leaving. Default 5,000. */
  readonly lingerMs?: number;
  /** Milliseconds for the answers that are under way then. Below `terminationGracePeriodSeconds` with the above. Default 20,000. */
  readonly graceMs?: number;
}

/**
 * Ends a pod's server as a Service expects it. SIGTERM comes at the same time as the news that this pod is leaving: for a
 * moment requests still arrive, and are answered. Then nothing new is accepted, and each connection ends with its answer.
 *
 * Asked again meanwhile, as by a second SIGTERM, it gives the same promise.
 *
 * For short answers behind a proxy. It comes too late to know the connections, and Node does not tell them apart: an answer
 * that was ended before and is still being read is cut as if it were idle; one on which nobody has asked yet, as a browser
 * opens some in advance, lasts until the grace is over. The docker lab's `Drain`, made before the server listens, knows them.
 *
 * @returns how many connections were cut, because `graceMs` was over
 * @throws InvalidArgumentError for a time that is none
 */
export function drainServer(server: Server, options: ServerDrainOptions = {}): Promise<number> {
  const draining = drains.get(server) ?? drain(server, options);
  drains.set(server, draining);
  return draining;
}

const drains = new WeakMap<Server, Promise<number>>();

async function drain(server: Server, { lingerMs = 5000, graceMs = 20_000 }: ServerDrainOptions): Promise<number> {
  refuseNoTime({ lingerMs, graceMs });
  if (!server.listening) return 0;
  const closed = once(server, 'close');
  // Whoever keeps a connection open would go on sending on it.
  server.prependListener('request', (_, answer) => {
    answer.setHeader('connection', 'close');
  });
  await rest(lingerMs);
  server.close();
  server.closeIdleConnections();
  let cut = 0;
  const cancel = systemClock.after(graceMs, () => {
    server.getConnections((_, count) => {
      cut = count;
      server.closeAllConnections();
    });
  });
  await closed;
  cancel();
  return cut;
}
