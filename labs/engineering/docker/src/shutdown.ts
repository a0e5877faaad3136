import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { checked, type DrainOptions } from './drain-options.ts';

/** How it went. */
export interface Drained {
  /** The signal, or what `drain` was told. */
  readonly reason: string;
  /** Requests that were answered in full after the signal. */
  readonly finished: number;
  /** Requests and upgraded connections that were cut off at the end of the grace time. Not 0: tell somebody. */
  readonly cut: number;
  /** Milliseconds. */
  readonly took: number;
}

/**
 * Stops an HTTP server without losing a request: on SIGTERM it says that it isn't ready, then accepts no more, answers
 * what is in flight, and cuts off what outlasts the grace time. It doesn't end the process:
 * `await drain.drained`, close your pools, `process.exit()`.
 *
 * A second signal, while it drains, ends the grace time at once: somebody is impatient.
 */
export class Drain implements Disposable {
  protected readonly server: Server;
  protected readonly options: Required<DrainOptions>;
  protected readonly inFlight = new Set<ServerResponse>();
  protected readonly sockets = new Set<Socket>();
  /** Of each connection the request that came last. */
  protected readonly newest = new WeakMap<Socket, ServerResponse>();
  /** Settles when the server has stopped. Never rejects. */
  readonly drained: Promise<Drained>;
  readonly #settle: (outcome: Drained) => void;
  readonly #began = new AbortController();
  readonly #hurry = Promise.withResolvers<void>();
  #finished = 0;

  /** Call it before the server listens: requests and connections from before aren't known. @throws InvalidDrainOptionError */
  constructor(server: Server, options: DrainOptions = {}) {
    this.server = server;
    this.options = checked(options);
    const { promise, resolve } = Promise.withResolvers<Drained>();
    [this.drained, this.#settle] = [promise, resolve];
    server.on('connection', this.#connect).prependListener('request', this.#enter);
    for (const signal of this.options.signals) process.on(signal, this.#onSignal);
  }

  /** False from the signal on: what the readiness page says. Liveness stays true, or somebody restarts what is leaving. */
  get ready(): boolean {
    return !this.#began.signal.aborted;
  }

  /** Aborts when the stop begins: say goodbye to WebSockets and event streams, take no new job from a queue. */
  get signal(): AbortSignal {
    return this.#began.signal;
  }

  /** Begins the stop, once, however often it is called. */
  drain(reason = 'drain()'): Promise<Drained> {
    if (this.ready) {
      this.#began.abort(new Error(`the server stops: ${reason}`));
      void this.#stop(reason, performance.now());
    }
    return this.drained;
  }

  /** Takes its listeners off the process and the server. The server goes on. */
  [Symbol.dispose](): void {
    for (const signal of this.options.signals) process.off(signal, this.#onSignal);
    this.server.off('connection', this.#connect).off('request', this.#enter);
  }

  async #stop(reason: string, start: number): Promise<void> {
    const { lameDuckMs, graceMs } = this.options;
    using grace = timer(graceMs);
    using lame = timer(lameDuckMs);
    const end = Promise.race([grace.promise, this.#hurry.promise]);
    for (const response of this.inFlight) this.sayGoodbye(response);
    await Promise.race([lame.promise, end]);
    await Promise.race([this.stopAccepting(), end]);
    const cut = this.cutOff();
    this[Symbol.dispose]();
    this.#settle({ reason, finished: this.#finished, cut, took: performance.now() - start });
  }

  /** Resolves when the last connection has ended. */
  protected stopAccepting(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // The server's own `close` also hangs up on those whose answer is only half read.
    NetServer.prototype.close.call(this.server, () => resolve());
    this.hangUp();
    return promise;
  }

  /** Ends the connections that wait for a next request, and those that never asked (a browser opens some in advance). */
  protected hangUp(): void {
    // Node takes a connection for idle once `end` was called, also while the client still reads.
    const leaving = [...this.inFlight].some((each) => each.writableEnded && !each.writableFinished);
    if (!leaving) this.server.closeIdleConnections();
    for (const socket of this.sockets) if (socket.bytesRead === 0) socket.destroy();
  }

  /** "This was the last one on this connection": the client opens the next elsewhere instead of finding it closed. */
  protected sayGoodbye(response: ServerResponse): void {
    // Of several in flight on one connection (pipelining) it would end those behind it, too.
    const isLast = this.newest.get(response.req.socket) === response;
    if (isLast && !response.headersSent) response.setHeader('connection', 'close');
  }

  /** @returns how many were still at work */
  protected cutOff(): number {
    const working = [...this.inFlight].map(({ req }) => req.socket);
    for (const socket of working) socket.destroy();
    this.server.closeIdleConnections();
    const others = [...this.sockets].filter((socket) => !socket.destroyed && !working.includes(socket));
    for (const socket of this.sockets) socket.destroy();
    return working.length + others.length;
  }

  readonly #onSignal = (signal: NodeJS.Signals) => {
    if (this.ready) void this.drain(signal);
    else this.#hurry.resolve();
  };

  readonly #connect = (socket: Socket) => {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  };

  readonly #enter = ({ socket }: IncomingMessage, response: ServerResponse) => {
    const before = this.newest.get(socket);
    this.inFlight.add(response);
    this.newest.set(socket, response);
    if (!this.ready) {
      if (before?.headersSent === false) before.removeHeader('connection');
      this.sayGoodbye(response);
    }
    response.once('close', () => {
      this.inFlight.delete(response);
      if (this.ready) return;
      if (response.writableFinished) this.#finished += 1;
      // Its headers were sent before the signal: nobody has told the client to leave.
      if (!this.server.listening) this.hangUp();
    });
  };
}

function timer(ms: number): Disposable & { promise: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const handle = setTimeout(resolve, ms);
  return { promise, [Symbol.dispose]: () => clearTimeout(handle) };
}
