import { connect, createServer, type Socket } from 'node:net';

/** What drivers send on their own, and does not count as a step. */
const IDLE = new Set(['hello', 'ismaster', 'isMaster', 'ping', 'endSessions', 'killCursors']);

export interface Mortal extends AsyncDisposable {
  readonly url: string;
  /** The name of the request after which it died. */
  readonly died: Promise<string>;
  readonly requests: readonly string[];
}

/**
 * A way to the server that ends after the n-th request was carried out: nothing that the client does later arrives, nor
 * does the answer. To the server that is a client killed at this step.
 */
export async function mortal(target: { url: string; host: string; port: number }, n: number): Promise<Mortal> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const death = Promise.withResolvers<string>();
  let last: Socket | undefined;
  const die = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    death.resolve(requests.at(-1) ?? '');
  };
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: target.host, port: target.port, noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    let held = Buffer.alloc(0);
    client.on('data', (data: Buffer) => {
      held = Buffer.concat([held, data]);
      while (held.length >= 4 && held.length >= held.readInt32LE(0)) {
        const message = held.subarray(0, held.readInt32LE(0));
        held = held.subarray(message.length);
        if (last !== undefined) continue;
        const name = commandOf(message);
        if (!IDLE.has(name)) {
          requests.push(name);
          if (requests.length === n) last = upstream;
        }
        upstream.write(message);
      }
    });
    upstream.on('data', (data: Buffer) => {
      if (last === undefined) client.write(data);
      else if (last === upstream) die();
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const address = server.address();
  const url = new URL(target.url);
  url.port = typeof address === 'object' && address !== null ? `${address.port}` : '';
  return { url: url.href, died: death.promise, requests, [Symbol.asyncDispose]: async () => die() };
}

/** OP_MSG: a header of 16 bytes, flags of 4, the kind of the section, a document whose first key is the command. */
function commandOf(message: Buffer): string {
  const begin = 16 + 4 + 1 + 4 + 1;
  return message.readInt32LE(12) === 2013 ? message.toString('utf8', begin, message.indexOf(0, begin)) : 'hello';
}
