import { once } from 'node:events';
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import { createServer as createListener, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Code, ConnectError, type ConnectRouter, type Interceptor } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { BadRpcOptionError, countWithin, LONGEST_WAIT_MS, numberWithin } from './errors.ts';
import { Health as HealthService } from './grpc/health/v1/health_pb.ts';
import { Health } from './health.ts';
import { SayableResponse, sayable } from './sayable.ts';

/** What gRPC reads at most unless told otherwise. Connect's own default is 4 GiB: one request fills the memory. */
export const DEFAULT_READ_MAX_BYTES = 4 * 1024 * 1024;

const sayableToo: ServerOptions = { Http2ServerResponse: SayableResponse };

/** Milliseconds in which a call that is cut off can still say so to its client. */
const LAST_WORDS_MS = 100;
/** Of HTTP/2: there is none behind it. */
const LAST_STREAM = 2 ** 31 - 1;

export interface ServeOptions {
  /** Default '127.0.0.1'. */
  readonly host?: string;
  /** Default 0: one that is free. */
  readonly port?: number;
  /** A message beyond it ends its call with RESOURCE_EXHAUSTED. Default 4 MiB. */
  readonly readMaxBytes?: number;
  readonly interceptors?: Interceptor[];
}

export interface DrainOptions {
  /** Milliseconds between "not serving" and the closing of connections: for balancers to look away. Default 0. */
  readonly lameDuckMs?: number;
  /** Milliseconds that calls under way have to end. Then their signals abort. Default 10 000. */
  readonly limitMs?: number;
  /** Milliseconds that a GOAWAY may need to reach its client. Default 250. */
  readonly lingerMs?: number;
}

/** A gRPC server on cleartext HTTP/2, with the health service, that can leave without losing a call. */
export class RpcServer implements AsyncDisposable {
  readonly health = new Health();
  protected readonly sessions = new Set<ServerHttp2Session>();
  protected readonly listener: Server;
  readonly #shutdown = new AbortController();
  #calls = 0;
  #drained: Promise<number> | undefined;
  #cut: number | undefined;

  /**
   * Listens, and is serving. For secrets on an open network put TLS in front, or `createSecureServer` in here.
   * @throws BadRpcOptionError; what listening throws: EADDRINUSE, EACCES.
   */
  static async serve(routes: (router: ConnectRouter) => void, options: ServeOptions = {}): Promise<RpcServer> {
    const port = countWithin('port', options.port ?? 0, 0, 65_535);
    const server = new this(routes, options);
    server.listener.listen(port, options.host ?? '127.0.0.1');
    await once(server.listener, 'listening');
    return server;
  }

  protected constructor(routes: (router: ConnectRouter) => void, options: ServeOptions) {
    const readMaxBytes = options.readMaxBytes ?? DEFAULT_READ_MAX_BYTES;
    const adapter = connectNodeAdapter({
      routes: (router) => {
        const made: unknown = routes(router.service(HealthService, this.health.service));
        // What it would add after its first await is never served.
        if (made instanceof Promise) throw new BadRpcOptionError('routes', made, 'a function that is not async');
      },
      connect: false,
      grpcWeb: false,
      readMaxBytes: countWithin('readMaxBytes', readMaxBytes, 1, 2 ** 32 - 1),
      interceptors: [sayable, ...(options.interceptors ?? [])],
      shutdownSignal: this.#shutdown.signal,
    });
    const http2 = createServer(sayableToo, (request, response) => {
      capTimeout(request.headers);
      adapter(request, response);
    });
    http2.on('session', (session) => {
      this.sessions.add(session);
      session.once('close', () => this.sessions.delete(session));
      session.on('error', () => {});
      session.on('stream', (stream) => {
        this.#calls++;
        stream.once('close', () => this.#calls--);
      });
    });
    // A listener of its own: Http2Server.close() would close the connections too, and at once.
    this.listener = createListener((socket) => http2.emit('connection', socket));
  }

  get port(): number {
    const address = this.listener.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  /** Whether new connections are taken. */
  get listening(): boolean {
    return this.listener.listening;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /**
   * Leaves: says NOT_SERVING, and serves on for `lameDuckMs`; then takes no new connection, tells every client to use
   * another one (GOAWAY), and ends when their calls have ended and they have hung up, or had `lingerMs` to. After `limitMs` the signals of calls
   * that are still under way abort with UNAVAILABLE, and the connections are cut.
   * A second call has the outcome of the first.
   *
   * @returns the number of calls that had to be cut off.
   * @throws BadRpcOptionError on times that are no times.
   */
  async drain(options: DrainOptions = {}): Promise<number> {
    const lameDuckMs = numberWithin('lameDuckMs', options.lameDuckMs ?? 0, 0, LONGEST_WAIT_MS);
    const limitMs = numberWithin('limitMs', options.limitMs ?? 10_000, 0, LONGEST_WAIT_MS);
    const lingerMs = numberWithin('lingerMs', options.lingerMs ?? 250, 0, LONGEST_WAIT_MS);
    this.#drained ??= this.leave(lameDuckMs, limitMs, lingerMs);
    return this.#drained;
  }

  /** Leaves at once: calls under way are cut off. */
  async close(): Promise<void> {
    const over = this.cutOff();
    this.#drained ??= over;
    await over;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected async leave(lameDuckMs: number, limitMs: number, lingerMs: number): Promise<number> {
    this.health.shutDown();
    await this.within(lameDuckMs, () => false);
    this.listener.close();
    // A call that was sent before its client has read the GOAWAY is refused unread, and known to be. Were the connection
    // closed by then, nobody could say what became of it. Clients hang up themselves; Node's don't where they are idle.
    // Node looks for the last call when it is told to send a GOAWAY, takes calls until it has sent it, and none behind it: so the
    // first one names no call, and the second, when nothing more is taken, the last (RFC 9113, 6.8).
    this.goAway(LAST_STREAM);
    const unsent = new Set([...this.sessions].filter((session) => !session.destroyed));
    for (const session of unsent) session.ping(() => unsent.delete(session));
    await this.within(lingerMs, () => unsent.size === 0);
    this.goAway();
    const end = performance.now() + lingerMs;
    const quiet = () => this.sessions.size === 0 || performance.now() >= end;
    await this.within(limitMs, () => this.calls === 0 && quiet());
    return this.cutOff();
  }

  protected goAway(lastStream?: number): void {
    for (const session of this.sessions) if (!session.destroyed) session.goaway(constants.NGHTTP2_NO_ERROR, lastStream);
  }

  /** Polls until `done`, the limit has passed, or the server has been closed. */
  protected async within(limitMs: number, done: () => boolean): Promise<void> {
    const end = performance.now() + limitMs;
    const { signal } = this.#shutdown;
    while (!done() && !signal.aborted && performance.now() < end) await delay(Math.min(5, limitMs));
  }

  protected async cutOff(): Promise<number> {
    // A drain that is overtaken by close() counts the calls that close() cut.
    this.#cut ??= this.#calls;
    const cut = this.#cut;
    this.health.shutDown();
    this.listener.close();
    this.#shutdown.abort(new ConnectError('The server has been shut down.', Code.Unavailable));
    // The last words of handlers that heed their signal.
    const end = performance.now() + LAST_WORDS_MS;
    while (this.#calls > 0 && performance.now() < end) await delay(5);
    for (const session of this.sessions) session.destroy();
    return cut;
  }
}

/** A timer can't hold a deadline beyond 24 days: it would fire at once. So long a wait is cut to what one can. */
function capTimeout(headers: IncomingHttpHeaders): void {
  const [, amount, unit] = /^(\d{1,8})([HMS])$/.exec(String(headers['grpc-timeout'])) ?? [];
  const unitMs = unit === 'H' ? 3_600_000 : unit === 'M' ? 60_000 : 1_000;
  if (Number(amount) * unitMs > LONGEST_WAIT_MS) headers['grpc-timeout'] = `${Math.floor(LONGEST_WAIT_MS / 1_000)}S`;
}
