import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a Redis whose INFO says that it still loads its data: a server of ours is ready too soon to be met like that. */
export interface StillLoading extends AsyncDisposable {
  readonly url: string;
}

/** All else goes through as it is, so a client that asks nevertheless is answered. */
export async function stillLoading(redis: string): Promise<StillLoading> {
  const url = new URL(redis);
  const [host, port] = [url.hostname, Number(url.port)];
  const open = new Set<Socket>();
  const link = createServer((client) => {
    const server = connect(port, host);
    open.add(client);
    server.on('error', () => {}).on('close', () => client.destroy());
    server.on('data', (data) => client.write(data.toString('latin1').replace('\nloading:0', '\nloading:1'), 'latin1'));
    client
      .on('error', () => {})
      .on('close', () => {
        open.delete(client);
        server.destroy();
      });
    client.pipe(server);
  });
  await once(link.listen(0, '127.0.0.1'), 'listening');
  const address = link.address();
  if (typeof address !== 'object' || address === null) throw new Error('a port was expected');
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      const closed = once(link, 'close');
      link.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
