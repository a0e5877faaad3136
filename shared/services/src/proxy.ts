import { createServer, Socket } from 'node:net';
import type { NetworkProxy, Node } from './types.ts';

/** What the network does at the moment. One object for all connections of a proxy. */
interface Weather {
  latencyMs: number;
  up: boolean;
  down: boolean;
}

// Above this much held data we stop reading, so that the sender feels the backpressure of a network that is stuck.
const HELD_BYTES = 1 << 20;

/** Opens a TCP proxy on 127.0.0.1 in front of `node`, which need not be up. @param at its port: default a free one */
export async function openProxy(node: Pick<Node, 'url' | 'host' | 'port'>, at = 0): Promise<NetworkProxy> {
  const weather: Weather = { latencyMs: 0, up: true, down: true };
  const links = new Set<Link>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const link = new Link(client, node, weather, () => links.delete(link));
    links.add(link);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(at, '127.0.0.1', resolve);
  await promise;
  server.unref();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');

  const change = (next: Partial<Weather>) => {
    Object.assign(weather, next);
    for (const link of links) link.weatherChanged();
  };
  const reset = () => {
    for (const link of links) link.reset();
  };
  return {
    port: address.port,
    url: through(node.url, address.port),
    latency: (ms) => change({ latencyMs: ms }),
    partition: (direction = 'both') => change({ up: direction === 'down', down: direction === 'up' }),
    reset,
    heal: () => change({ latencyMs: 0, up: true, down: true }),
    [Symbol.asyncDispose]: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      reset();
      await closed.promise;
    },
  };
}

function through(url: string, port: number): string {
  const copy = new URL(url);
  copy.hostname = '127.0.0.1';
  copy.port = String(port);
  return copy.href;
}

/** One client's connection and its twin to the server. */
class Link {
  readonly #client: Socket;
  readonly #server = new Socket({ allowHalfOpen: true });
  readonly #target: { host: string; port: number };
  readonly #weather: Weather;
  readonly #up: Lane;
  readonly #down: Lane;
  #dialled = false;

  constructor(client: Socket, target: { host: string; port: number }, weather: Weather, gone: () => void) {
    this.#client = client;
    this.#target = target;
    this.#weather = weather;
    this.#up = new Lane(client, this.#server, () => weather.up, weather);
    this.#down = new Lane(this.#server, client, () => weather.down, weather);
    for (const socket of [client, this.#server]) {
      socket.on('close', () => {
        if (client.destroyed && this.#server.destroyed) gone();
      });
      // Whoever uses the proxy keeps its own end of the connection alive: ours need not.
      socket.unref();
    }
    this.weatherChanged();
  }

  weatherChanged(): void {
    // A new connection does not get through a partition either: it is accepted here, and dialled when the way is open.
    if (!this.#dialled && this.#weather.up) {
      this.#dialled = true;
      this.#server.connect(this.#target).setNoDelay();
      this.#server.unref();
    }
    this.#up.weatherChanged();
    this.#down.weatherChanged();
  }

  reset(): void {
    this.#up.clear();
    this.#down.clear();
    breakOff(this.#client);
    breakOff(this.#server);
  }
}

/** One direction of a connection: a queue of what is on its way, in order: bytes, a FIN (`end`) or an RST (`reset`). */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #open: () => boolean;
  readonly #weather: Weather;
  #queue: { due: number; what: Buffer | 'end' | 'reset' }[] = [];
  #held = 0;
  #congested = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, open: () => boolean, weather: Weather) {
    this.#from = from;
    this.#to = to;
    this.#open = open;
    this.#weather = weather;
    from.on('data', (chunk: Buffer) => this.#send(chunk));
    from.on('end', () => this.#send('end'));
    from.on('error', () => this.#send('reset'));
    to.on('drain', () => {
      this.#congested = false;
      this.#flush();
    });
  }

  weatherChanged(): void {
    const latest = performance.now() + this.#weather.latencyMs;
    for (const item of this.#queue) item.due = Math.min(item.due, latest);
    this.#flush();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #send(what: Buffer | 'end' | 'reset'): void {
    this.#queue.push({ due: performance.now() + this.#weather.latencyMs, what });
    if (typeof what !== 'string') this.#held += what.length;
    if (this.#held > HELD_BYTES) this.#from.pause();
    this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (!this.#open() || this.#congested) return;
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#flush(), Math.ceil(wait)).unref();
        return;
      }
      this.#queue.shift();
      this.#deliver(next.what);
    }
  }

  #deliver(what: Buffer | 'end' | 'reset'): void {
    if (what === 'reset') breakOff(this.#to);
    else if (this.#to.destroyed) return;
    else if (what === 'end') this.#to.end();
    else {
      this.#congested = !this.#to.write(what);
      this.#held -= what.length;
      if (this.#held <= HELD_BYTES && this.#from.isPaused()) this.#from.resume();
    }
  }
}

function breakOff(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.readyState === 'open') socket.resetAndDestroy();
  else socket.destroy();
}
