import { Server, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { AppClosedError } from './errors.ts';

/** Where an app's code works for a request, and fastify waits for what it returns. */
const works = new Set<unknown>(
  `onRequest preParsing preValidation preHandler preSerialization onSend onResponse onError onTimeout onRequestAbort
  handler errorHandler`.split(/\s+/),
);

/**
 * The end of an app for those who are still in it. fastify's own `close` overtakes a `listen` that is under way; waits for
 * connections, not for a promise of a handler or a hook whose client has gone, nor for a client that still reads; cuts nobody
 * off; and leaves to itself the second server that it has when `localhost` has two addresses.
 * @param graceMs Milliseconds for what is under way; then its connections are cut
 */
export function guardClose(app: FastifyInstance, graceMs: number): void {
  const [working, listening] = [new Set<Promise<unknown>>(), new Set<Promise<unknown>>()];
  const sockets = new Set<Socket>();
  const track = <T>(set: Set<Promise<unknown>>, result: Promise<T>): Promise<T> => {
    set.add(result);
    const over = () => set.delete(result);
    result.then(over, over);
    return result;
  };
  const admit = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  app.server.on('connection', admit);

  let closing = false;
  app.listen = new Proxy(app.listen, {
    apply: (listen, self, args: unknown[]) => {
      const done = typeof args.at(-1) === 'function' ? args.pop() : undefined;
      const result = closing ? Promise.reject(new AppClosedError()) : Reflect.apply(listen, self, args);
      const heard = track(listening, Promise.resolve(result)).then((address) => {
        for (const other of othersOf(app)) other.on('connection', admit);
        return address;
      });
      if (typeof done !== 'function') return heard;
      heard.then(
        (address) => done(null, address),
        (error) => done(error, ''),
      );
      return undefined;
    },
  });

  const watch = (work: unknown): unknown => {
    if (typeof work !== 'function') return work;
    return new Proxy(work, {
      apply: (run, self, args) => {
        const result: unknown = Reflect.apply(run, self, args);
        // A reply is thenable, too.
        return isPromiseLike(result) && !args.includes(result) ? track(working, Promise.resolve(result)) : result;
      },
    });
  };
  type Setter = (...args: never[]) => unknown;
  const watched = <F extends Setter>(set: F, change: (args: unknown[]) => unknown[] = (args) => args.map(watch)): F =>
    new Proxy(set, { apply: (_, self, args) => Reflect.apply(set, self, change(args)) });
  app.addHook = watched(app.addHook, ([name, hook]) => [name, works.has(name) ? watch(hook) : hook]);
  app.setErrorHandler = watched(app.setErrorHandler);
  app.setNotFoundHandler = watched(app.setNotFoundHandler);
  app.addHook('onRoute', (route) => {
    for (const [name, work] of Object.entries(route)) {
      if (works.has(name)) Object.assign(route, { [name]: Array.isArray(work) ? work.map(watch) : watch(work) });
    }
  });

  app.addHook('onRequest', (_request, { raw }, done) => {
    // Node's `close` takes a connection for idle when its response has an end, sent or not.
    const sent = new Promise((resolve) => raw.once('finish', resolve).once('close', resolve));
    track(working, sent);
    done();
  });

  const grace = Promise.withResolvers<void>();
  let cut: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    closing = true;
    await Promise.allSettled(listening);
    cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
      grace.resolve();
    }, graceMs);
  });
  const idle = async () => {
    // Behind a hook comes the handler.
    while (working.size > 0) await Promise.allSettled(working);
  };
  app.server.close = new Proxy(app.server.close, {
    apply: (close, server, [done]: [((error?: Error) => void)?]) => {
      const others = othersOf(app);
      for (const each of [server, ...others]) Server.prototype.close.call(each);
      const end = async () => {
        await Promise.race([idle(), grace.promise]);
        // Who has never asked, as a browser that connects in advance, is not idle to Node.
        for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
        await Promise.all(others.map((other) => new Promise((resolve) => other.close(resolve))));
        Reflect.apply(close, server, [done]);
      };
      void end();
      return server;
    },
  });
  // The first hook is the last that is called.
  app.addHook('onClose', async () => clearTimeout(cut));
}

const isPromiseLike = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';

/** fastify's servers for the other addresses of `localhost`, which it shows to nobody. */
function othersOf(app: FastifyInstance): Server[] {
  const key = Object.getOwnPropertySymbols(app).find(({ description }) => description === 'fastify.serverBindings');
  const bindings: unknown = key && Reflect.get(app, key);
  return Array.isArray(bindings) ? bindings.filter((each) => each instanceof Server) : [];
}
