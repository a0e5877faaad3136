import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** The far end of all connections that plugins open: it counts what is left of them. */
export async function farEnd() {
  const open = new Set<Socket>();
  let ever = 0;
  const server = createServer((socket) => {
    ever++;
    open.add(socket.resume());
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    dial: async (): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    },
    hangUp: async (socket: Socket): Promise<void> => {
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
    },
    /** How many are open, and how many have been, when what was sent has arrived. */
    count: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { open: open.size, ever };
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
