import { connect, createServer, type Socket } from 'node:net';
import { until } from '@shared/testkit';

/** A network in front of a MongoDB that carries all requests, and can lose the answers to a kind of command. */
export interface LossyLink extends AsyncDisposable {
  /** A URL through it. */
  readonly url: string;
  /** How many answers were lost so far. */
  readonly lost: number;
  /**
   * The server carries out the next `times` commands of this name; their answers are lost, and so is the connection.
   * @param also what else befalls the network as soon as an answer is lost
   */
  lose(command: string, times: number, also?: () => void): void;
  /** Nobody gets through any more, or again. */
  cut(): void;
  mend(): void;
}

const OP_MSG = 2013;

/** Cuts a stream into the messages of MongoDB's wire protocol: length, id, answer to, kind, then the body. */
class Messages {
  #rest = Buffer.alloc(0);

  *of(data: Buffer): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, data]);
    while (this.#rest.length >= 16 && this.#rest.length >= this.#rest.readInt32LE(0)) {
      const size = this.#rest.readInt32LE(0);
      yield this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(size);
    }
  }
}

/** The first field of the body is the command: after the header, flags, a section's kind, its length and a type. */
function commandOf(message: Buffer): string {
  return message.readInt32LE(12) === OP_MSG ? message.toString('utf8', 26, message.indexOf(0, 26)) : '';
}

export async function lossyLink(target: {
  readonly url: string;
  readonly host: string;
  readonly port: number;
}): Promise<LossyLink> {
  let losing: { command: string; times: number; also: () => void } = { command: '', times: 0, also: () => {} };
  let lost = 0;
  let isCut = false;
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    client.on('error', () => {});
    if (isCut) return void client.destroy();
    clients.add(client);
    const upstream = connect(target.port, target.host);
    upstream.on('error', () => {});
    upstream.on('close', () => client.destroy());
    client.on('close', () => {
      clients.delete(client);
      upstream.destroy();
    });
    const [asked, answered] = [new Messages(), new Messages()];
    const doomed = new Set<number>();
    client.on('data', (data) => {
      for (const message of asked.of(data)) {
        if (losing.times > 0 && commandOf(message) === losing.command) {
          losing.times--;
          doomed.add(message.readInt32LE(4));
        }
        upstream.write(message);
      }
    });
    upstream.on('data', (data) => {
      for (const message of answered.of(data)) {
        if (!doomed.has(message.readInt32LE(8))) client.write(message);
        else {
          lost++;
          losing.also();
          return void client.resetAndDestroy();
        }
      }
    });
  });
  server.listen(0, '127.0.0.1');
  const address = await until(() => server.address(), { what: 'the link to listen' });
  if (typeof address === 'string') throw new TypeError('a TCP server has a port');
  const url = new URL(target.url);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  // A client that asks who is in the set would go past us.
  url.searchParams.set('directConnection', 'true');
  server.unref();
  const cut = () => {
    isCut = true;
    for (const client of clients) client.destroy();
  };
  return {
    url: url.href,
    get lost() {
      return lost;
    },
    lose: (command, times, also = () => {}) => {
      losing = { command, times, also };
    },
    cut,
    mend: () => {
      isCut = false;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      cut();
      await closed.promise;
    },
  };
}
