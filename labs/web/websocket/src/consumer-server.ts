import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { type WebSocket, WebSocketServer } from 'ws';
import { BEARER, Connection, type Consumer } from './consumer.ts';
import { InvalidArgumentError, refuseBadNumbers, reportTo } from './errors.ts';
import type { JsonValue } from './message.ts';

export interface ConsumerServerOptions<User> {
  /** It stays yours, to listen and to close. */
  readonly server: Server;
  /** Of the URL that is upgraded, as `/chat`. */
  readonly path: string;
  /** Whose pages may connect, as `https://example.org`. Who sends no Origin is no browser, and has no cookies of a victim. */
  readonly origins: readonly string[];
  /** Whose connection it is; undefined or null if that can't be said. Asked before there is a socket. */
  readonly authenticate: (request: IncomingMessage) => Maybe<User> | Promise<Maybe<User>>;
  readonly consumer: (connection: Connection<User>) => Consumer;
  /** A longer message closes its connection with 1009. Default 64 KiB. */
  readonly maxPayloadBytes?: number;
  /**
   * What may wait for a client that reads slowly; with more it is closed with 1013. Default 4 MiB. A frame that is longer than
   * this closes whoever it is sent to, and again when he comes back for it: what is sent to a group has to be shorter.
   */
  readonly maxBufferedBytes?: number;
  /** Milliseconds between two pings; who hasn't answered the last one is gone. Default 30,000. */
  readonly heartbeatMs?: number;
  /** Milliseconds for `authenticate`, and then for a client to answer a close. Default 2000. */
  readonly patienceMs?: number;
  /** Told of what a consumer or `authenticate` throws. */
  readonly onError: (error: unknown) => void;
}

type Maybe<User> = User | undefined | null;

/** What becomes of a request to upgrade. */
export type Admission<User> = { readonly user: User } | { readonly status: 401 | 403 | 500 | 503 };

/** Messages that wait for one consumer, until no more is read from its socket. */
const MAX_WAITING = 16;

/** Sockets on an HTTP server, each with a consumer of its own. */
export class ConsumerServer<User> {
  readonly connections: ReadonlySet<Connection<User>>;
  protected readonly origins: ReadonlySet<string>;
  protected readonly maxBufferedBytes: number;
  readonly #options: ConsumerServerOptions<User>;
  readonly #connections = new Set<Connection<User>>();
  readonly #sockets: WebSocketServer;
  readonly #patienceMs: number;
  readonly #timer: NodeJS.Timeout;
  /** For each connection that is or was: ended when its consumer has. */
  readonly #ends = new Set<Promise<void>>();
  #closing = false;

  constructor(options: ConsumerServerOptions<User>) {
    const { maxPayloadBytes = 65_536, maxBufferedBytes = 4_194_304, heartbeatMs = 30_000, patienceMs = 2000 } = options;
    refuseBadNumbers({ maxPayloadBytes, maxBufferedBytes, heartbeatMs, patienceMs });
    for (const origin of options.origins) {
      if (URL.parse(origin)?.origin === origin && origin !== 'null') continue;
      throw new InvalidArgumentError(
        `${inspect(origin)} is no origin: give scheme, host and port, as https://example.org.`,
      );
    }
    this.connections = this.#connections;
    this.origins = new Set(options.origins);
    this.maxBufferedBytes = maxBufferedBytes;
    this.#options = options;
    this.#patienceMs = patienceMs;
    const settings = {
      noServer: true,
      clientTracking: false,
      maxPayload: maxPayloadBytes,
      // The answer names one of those that were offered; a token would stand in it for all to read.
      handleProtocols: (offered: Set<string>) => [...offered].find((each) => !each.startsWith(BEARER)) ?? false,
      // Also for those who close by themselves, or by what they do wrong, and then stay. The types don't know it yet.
      closeTimeout: patienceMs,
    };
    this.#sockets = new WebSocketServer(settings);
    options.server.on('upgrade', this.#onUpgrade);
    // After the answers that have come in meanwhile: a server that was busy has not read them yet.
    this.#timer = setInterval(() => setImmediate(() => this.beat()), heartbeatMs);
    this.#timer.unref();
  }

  /** Closes all connections with `code`, 1012 for a restart, and waits until their consumers have ended: not for ever. */
  async close(code: 1001 | 1012 = 1012): Promise<void> {
    this.#closing = true;
    this.#options.server.off('upgrade', this.#onUpgrade);
    clearInterval(this.#timer);
    for (const connection of this.#connections) this.hangUp(connection, code, 'the server goes away');
    const late = new AbortController();
    const patience = delay(2 * this.#patienceMs, undefined, { signal: late.signal }).catch(() => {});
    await Promise.race([Promise.all(this.#ends), patience]);
    late.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Decides before there is a socket. A page of another site sends its visitor's cookies along, and its own Origin. */
  protected async admit(request: IncomingMessage): Promise<Admission<User>> {
    const { origin } = request.headers;
    if (origin !== undefined && !this.origins.has(origin)) return { status: 403 };
    const user = await this.authenticate(request);
    return user === undefined ? { status: 401 } : { user };
  }

  protected async authenticate(request: IncomingMessage): Promise<User | undefined> {
    return (await this.#options.authenticate(request)) ?? undefined;
  }

  /** @returns what was sent, in an object of its own; or undefined, once the connection that sent something else is closed */
  protected parse(connection: Connection<User>, data: string, isBinary: boolean): { content: JsonValue } | undefined {
    if (isBinary) {
      this.hangUp(connection, 1003, 'send text');
      return undefined;
    }
    try {
      return { content: JSON.parse(data) };
    } catch {
      this.hangUp(connection, 1007, 'send JSON');
      return undefined;
    }
  }

  /** What the client doesn't read waits in this process's memory. */
  protected write(connection: Connection<User>, frame: Buffer): void {
    if (!connection.open) return;
    if (connection.socket.bufferedAmount + frame.length > this.maxBufferedBytes) {
      this.hangUp(connection, 1013, 'you read too slowly');
      return;
    }
    connection.socket.send(frame, { binary: false });
  }

  /** Every `heartbeatMs`. TCP doesn't say that a machine has vanished: only an answer that fails to come does. */
  protected beat(): void {
    for (const connection of this.#connections) {
      // We don't read from it: its answer may wait for us.
      if (connection.socket.isPaused) {
        connection.answered = true;
        continue;
      }
      if (!connection.answered) {
        connection.socket.terminate();
        continue;
      }
      connection.answered = false;
      connection.socket.ping();
    }
  }

  /** Says goodbye; a client that doesn't answer in time is cut off, and what waits for it is given up. */
  protected hangUp({ socket }: Connection<User>, code: number, reason: string): void {
    if (socket.readyState !== socket.OPEN) return;
    socket.close(code, reason);
    // One that is paused would never read the answer.
    socket.resume();
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Who goes away while we ask is nobody's error.
    socket.on('error', ignore);
    if (request.url?.split('?')[0] !== this.#options.path) {
      // Another one's, if there is another one, and if it answers.
      if (this.#options.server.listenerCount('upgrade') === 1) refuse(socket, 404);
      else setTimeout(refuseUnlessAnswered, 2 * this.#patienceMs, socket).unref();
      return;
    }
    void this.#decide(request).then((admission) => {
      socket.off('error', ignore);
      if ('status' in admission) refuse(socket, admission.status);
      else this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#open(ws, socket, admission.user));
    });
  };

  async #decide(request: IncomingMessage): Promise<Admission<User>> {
    const late = new AbortController();
    const tooLate: Admission<User> = { status: 503 };
    try {
      const patience = delay(this.#patienceMs, tooLate, { signal: late.signal });
      const admission = await Promise.race([this.admit(request), patience]);
      return this.#closing ? tooLate : admission;
    } catch (error) {
      void reportTo(this.#options.onError, 'Who wants to connect could not be said.', error);
      return { status: 500 };
    } finally {
      late.abort();
    }
  }

  #open(socket: WebSocket, line: Duplex, user: User): void {
    const connection: Connection<User> = new Connection(
      user,
      socket,
      (frame) => this.write(connection, frame),
      (code, reason) => this.hangUp(connection, code, reason),
    );
    this.#connections.add(connection);
    // A pong, or a part of a long message: who sends is there.
    line.on('data', () => {
      connection.answered = true;
    });
    // What the client does wrong is its own affair; without a listener it would end the process.
    socket.on('error', ignore);
    let consumer: Consumer | undefined;
    let waiting = 0;
    let turn = Promise.resolve();
    const inTurn = (work: () => void | Promise<void>): Promise<void> => {
      turn = turn.then(work).catch((error: unknown) => {
        this.hangUp(connection, 1011, 'the server has failed');
        void reportTo(this.#options.onError, 'A consumer has thrown.', error);
      });
      return turn;
    };
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.on('message', (data: Buffer, isBinary) => {
      const parsed = connection.open ? this.parse(connection, isBinary ? '' : String(data), isBinary) : undefined;
      if (!parsed) return;
      // One piece of what is read can have thousands in it.
      if (++waiting >= MAX_WAITING) socket.pause();
      void inTurn(async () => {
        try {
          if (connection.open) await consumer?.receive(parsed.content);
        } finally {
          if (--waiting < MAX_WAITING) socket.resume();
        }
      });
    });
    void inTurn(() => {
      consumer = this.#options.consumer(connection);
      return consumer.connect?.();
    });
    const end = closed.then((code) => {
      this.#connections.delete(connection);
      return inTurn(() => consumer?.disconnect?.(code));
    });
    this.#ends.add(end);
    void end.then(() => this.#ends.delete(end));
  }
}

const ignore = (): void => {};

function refuseUnlessAnswered(socket: Duplex): void {
  if (socket instanceof Socket && socket.bytesWritten === 0) refuse(socket, 404);
}

function refuse(socket: Duplex, status: number): void {
  socket.on('error', ignore);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
