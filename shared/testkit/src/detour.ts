import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a server that leads through a test's hands. */
export interface Detour extends AsyncDisposable {
  readonly port: number;
  /** Every connection so far, the oldest first: the end at the client, and the end at the server. */
  readonly lines: readonly (readonly [near: Socket, far: Socket])[];
  /** The URL of the server as it leads this way. */
  url(ofServer: string): string;
}

export interface DetourOptions {
  /** What the server gets of the bytes that a client sent at once, both as latin1. Default: the same. */
  readonly asked?: (bytes: string) => string;
  /** What the client gets of the bytes that the server sent at once, both as latin1. Default: the same. */
  readonly answered?: (bytes: string) => string;
  /** The address to listen on. Default: 127.0.0.1. */
  readonly host?: string;
}

/**
 * For what `node.proxy()` of the services doesn't play: another server from one connection to the next, other words, a line
 * that is cut or stopped alone. Disposing breaks what is open. @param to asked anew for each connection
 */
export async function detour(
  to: () => { readonly host: string; readonly port: number },
  { asked, answered, host = '127.0.0.1' }: DetourOptions = {},
): Promise<Detour> {
  const lines: (readonly [Socket, Socket])[] = [];
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const { host, port } = to();
    const far = connect({ host, port, noDelay: true, allowHalfOpen: true });
    lines.push([near, far]);
    const ways = [
      [near, far, asked],
      [far, near, answered],
    ] as const;
    for (const [from, into, words] of ways) {
      from.on('error', () => {}).on('close', () => into.destroy());
      if (words === undefined) from.pipe(into);
      else
        from.on('data', (bytes) => into.write(words(bytes.toString('latin1')), 'latin1')).on('end', () => into.end());
    }
  });
  await once(server.listen(0, host), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    port: address.port,
    lines,
    url(ofServer) {
      const url = new URL(ofServer);
      url.hostname = host.includes(':') ? `[${host}]` : host;
      url.port = `${address.port}`;
      return url.href;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const line of lines) for (const end of line) end.destroy();
      await closed;
    },
  };
}
