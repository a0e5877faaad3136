// Flaw: SIGTERM closes the door, while proxies that have not heard the news still send guests to it.
// Seen in: https://github.com/zalando/skipper/issues/652
// Caught by: a server that is told to stop answers whatever still reaches it while the news spreads, and what is under way
import type { Server } from 'node:http';
import { drainServer as reference, type ServerDrainOptions } from '../src/index.ts';

export * from '../src/index.ts';

export const drainServer = (server: Server, options?: ServerDrainOptions): Promise<number> =>
  reference(server, { ...options, lingerMs: 0 });
