// A counter in a process of its own, to be stopped under load: `exit` and `close` are what one finds, `drain` is this lab's.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { Api, route } from '../src/index.ts';

const take = route({
  method: 'GET',
  url: '/',
  response: z.string(),
  handler: async () => {
    await delay(20);
    return 'taken';
  },
});
// A connection is given up as idle no sooner than a busy customer asks again.
const api = new Api({ routes: [take], onError: (error) => console.error(error), drain: { idleMs: 2000 } });
const stop: Record<string, () => unknown> = {
  exit: () => process.exit(0),
  close: () => api.app.server.close(),
  drain: () => api.close(),
};
process.once('SIGTERM', () => stop[process.argv[2] ?? '']?.());
process.send?.(await api.app.listen({ host: '127.0.0.1', port: 0 }));
process.disconnect?.();
