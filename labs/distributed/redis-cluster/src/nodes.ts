import { inspect } from 'node:util';
import { Redis, type RedisOptions } from 'ioredis';
import { RouterClosedError, UnreachableError } from './errors.ts';
import { isAddress } from './request.ts';
import { hostOf } from './slot-map.ts';

/** Connections to one node that wait for the next `lend`: what a burst needed more is closed behind it. */
const MOST_IDLE = 8;

export interface NodeOptions {
  /** Milliseconds after which a node that owes an answer is given up. */
  readonly silentMs: number;
  /** The address to connect to, of the one that the cluster says: for a NAT, a tunnel, a container. */
  readonly translate: (address: string) => string;
  readonly connection: Pick<RedisOptions, 'username' | 'password' | 'tls'>;
}

/** Plain connections to single nodes. None reconnects or sends anything again by itself: the router decides that. */
export class NodePool {
  readonly #options: NodeOptions;
  readonly #shared = new Map<string, Promise<Redis>>();
  readonly #idle = new Map<string, Redis[]>();
  readonly #open = new Set<Redis>();
  #closed = false;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  /** The connection to a node that all calls share. @throws UnreachableError */
  async link(address: string): Promise<Redis> {
    for (;;) {
      const pending = this.#shared.get(address) ?? this.#share(address);
      const node = await pending;
      if (isUsable(node)) return node;
      if (this.#shared.get(address) === pending) this.#shared.delete(address);
    }
  }

  /** A connection for one caller, until `giveBack`: for what blocks its connection. @throws UnreachableError */
  async lend(address: string): Promise<Redis> {
    const idle = this.#idle.get(address)?.pop();
    return idle && isUsable(idle) ? idle : this.#connect(address);
  }

  giveBack(address: string, node: Redis): void {
    if (this.#closed || !isUsable(node)) return;
    const idle = this.#idle.get(address) ?? [];
    if (idle.length < MOST_IDLE) this.#idle.set(address, [...idle, node]);
    else drop(node);
  }

  close(): void {
    this.#closed = true;
    for (const node of this.#open) drop(node);
  }

  #share(address: string): Promise<Redis> {
    const pending = this.#connect(address);
    const forget = () => {
      if (this.#shared.get(address) === pending) this.#shared.delete(address);
    };
    pending.then((node) => {
      dropWhenSilent(node, this.#options.silentMs);
      // Nodes come and go, each with an address of its own.
      node.once('end', forget);
    }, forget);
    this.#shared.set(address, pending);
    return pending;
  }

  #forgetIdle(address: string, node: Redis): void {
    const others = this.#idle.get(address)?.filter((each) => each !== node) ?? [];
    if (others.length > 0) this.#idle.set(address, others);
    else this.#idle.delete(address);
  }

  async #connect(address: string): Promise<Redis> {
    if (this.#closed) throw new RouterClosedError();
    const { silentMs, translate, connection } = this.#options;
    const place = placeOf(address, translate);
    const node = new Redis({
      ...connection,
      // IPv6 in brackets, as in a URL: Node wants it bare.
      host: hostOf(place).replace(/^\[(.*)\]$/, '$1'),
      port: Number(place.slice(hostOf(place).length + 1)),
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => null,
      connectTimeout: silentMs,
    });
    let cause: unknown;
    node.on('error', (error: Error) => {
      cause = error;
    });
    this.#open.add(node);
    node.once('end', () => {
      this.#open.delete(node);
      this.#forgetIdle(address, node);
    });
    // A hung process still accepts connections: it's the first answer that counts.
    const timer = setTimeout(() => {
      cause = new Error(`no answer in ${silentMs} ms`);
      drop(node);
    }, silentMs);
    try {
      await node.connect();
      return node;
    } catch (error) {
      drop(node);
      if (this.#closed) throw new RouterClosedError();
      throw new UnreachableError(address, cause ?? error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** @throws UnreachableError when the user's function throws, or gives what is no address */
function placeOf(address: string, translate: (address: string) => string): string {
  let cause: unknown;
  try {
    const place = translate(address);
    if (isAddress(place)) return place;
    cause = `translate gave ${inspect(place)}`;
  } catch (error) {
    cause = error;
  }
  throw new UnreachableError(address, cause);
}

/**
 * Drops a connection on which nothing comes for `silentMs` while an answer is due. ioredis' `socketTimeout` would break one
 * whose answers lie in the socket because our own event loop stood still, and leave everybody in doubt.
 */
function dropWhenSilent(node: Redis, silentMs: number): void {
  const ask = () => {
    let due = true;
    const answered = () => {
      due = false;
    };
    node.ping().then(answered, answered);
    let read = node.stream.bytesRead;
    const look = () => {
      if (!due) return;
      const now = node.stream.bytesRead;
      if (now === read) return drop(node);
      read = now;
      later();
    };
    // Behind the timers of a turn comes what has arrived meanwhile.
    const later = () => setTimeout(setImmediate, silentMs, look).unref();
    later();
  };
  const beat = setInterval(ask, Math.ceil(silentMs / 2)).unref();
  node.once('end', () => clearInterval(beat));
}

const isUsable = (node: Redis) => node.status === 'ready' && node.stream.writable;

/** At once: `disconnect` alone would wait for a peer that hangs to say goodbye. */
export function drop(node: Redis): void {
  node.disconnect();
  node.stream?.destroy();
}
