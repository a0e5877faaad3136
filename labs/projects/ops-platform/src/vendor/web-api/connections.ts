import type { Server } from 'node:http';
import { type Socket, Server as TcpServer } from 'node:net';

/** The connections of a server, and since when each has had nothing to do. Node doesn't count those that have never asked as idle. */
export class Connections {
  readonly #server: Server;
  /** Answers that a connection owes: several, if its requests are pipelined. And since when it owes none, by `performance.now()`. */
  readonly #open = new Map<Socket, { owed: number; idleSince: number }>();

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#open.set(socket, { owed: 0, idleSince: performance.now() });
      socket.once('close', () => this.#open.delete(socket));
    });
    server.on('request', ({ socket }, response) => {
      const it = this.#open.get(socket);
      if (!it) return;
      it.owed++;
      response.once('close', () => {
        it.owed--;
        it.idleSince = performance.now();
      });
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** No new ones. http.Server's own close() would at once cut connections on which a request is under way to us. */
  refuseNew(): void {
    if (this.#server.listening) TcpServer.prototype.close.call(this.#server);
  }

  /** Closes those that have had nothing to do for `ms`. */
  closeIdle(ms: number): void {
    const now = performance.now();
    for (const [socket, { owed, idleSince }] of this.#open) if (owed === 0 && now - idleSince >= ms) socket.destroy();
  }

  closeAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }
}
