import type { Server } from 'node:http';
import { type Socket, Server as TcpServer } from 'node:net';

/** The connections of a server, and since when each has had nothing to do. Node doesn't count those that have never asked as idle. */
export class Connections {
  readonly #server: Server;
  /** Milliseconds of `performance.now()`; undefined while a request is at work on it. */
  readonly #idleSince = new Map<Socket, number | undefined>();

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#idleSince.set(socket, performance.now());
      socket.once('close', () => this.#idleSince.delete(socket));
    });
    server.on('request', ({ socket }, response) => {
      this.#idleSince.set(socket, undefined);
      response.once('close', () => {
        if (this.#idleSince.has(socket)) this.#idleSince.set(socket, performance.now());
      });
    });
  }

  get size(): number {
    return this.#idleSince.size;
  }

  /** No new ones. http.Server's own close() would at once cut connections on which a request is under way to us. */
  refuseNew(): void {
    if (this.#server.listening) TcpServer.prototype.close.call(this.#server);
  }

  /** Closes those that have had nothing to do for `ms`. */
  closeIdle(ms: number): void {
    const now = performance.now();
    for (const [socket, since] of this.#idleSince) if (since !== undefined && now - since >= ms) socket.destroy();
  }

  closeAll(): void {
    for (const socket of this.#idleSince.keys()) socket.destroy();
  }
}
