import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { AppClosedError } from './errors.ts';

/**
 * The end of an app for those who are still in it: fastify's own `close` overtakes a `listen` that is under way, which then
 * listens for a closed app, and waits for connections, not for a handler whose client has gone.
 * @param graceMs Milliseconds for what is under way; then its connections are cut
 */
export function guardClose(app: FastifyInstance, graceMs: number): void {
  const working = new Set<Promise<unknown>>();
  const listening = new Set<Promise<unknown>>();
  const track = (set: Set<Promise<unknown>>, result: unknown) => {
    if (!(result instanceof Promise)) return;
    set.add(result);
    const over = () => set.delete(result);
    result.then(over, over);
  };
  let closing = false;
  app.listen = new Proxy(app.listen, {
    apply: (listen, self, args) => {
      if (closing) return refuse(args.at(-1));
      const result: unknown = Reflect.apply(listen, self, args);
      track(listening, result);
      return result;
    },
  });
  app.addHook('onRoute', (route) => {
    const { handler } = route;
    route.handler = function (request, reply) {
      const result: unknown = handler.call(this, request, reply);
      track(working, result);
      return result;
    };
  });
  let cut: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    closing = true;
    await Promise.allSettled(listening);
    cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
    const over = new AbortController();
    const grace = delay(graceMs, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([Promise.allSettled(working), grace]);
    over.abort();
  });
  // The first hook is the last that is called.
  app.addHook('onClose', async () => clearTimeout(cut));
}

function refuse(last: unknown): unknown {
  const error = new AppClosedError();
  if (typeof last !== 'function') return Promise.reject(error);
  queueMicrotask(() => last(error, ''));
  return undefined;
}
