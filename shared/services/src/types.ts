/** Where a server comes from: a URL of the user's, the compose file's containers, or a process of our own. */
export type Origin = 'url' | 'compose' | 'embedded';

/** A running server (or several of one kind). Disposing ends what we started and removes what we created, only that. */
export interface Servers extends AsyncDisposable {
  readonly service: string;
  readonly origin: Origin;
  /** One line for the person at the terminal: `redis ×5: embedded 7.0.15`. */
  readonly banner: string;
  /** Commands to paste into a shell to look inside: `redis-cli -p 21521`. */
  readonly inspect: readonly string[];
  /** Whether kill, restart, pause and resume work here. A proxy always does. */
  readonly faults: boolean;
  /** Ours alone in this run: the key prefix `labs:<random>:`, or the database's name. */
  readonly namespace: string;
}

/** One server, and the faults that can befall it. */
export interface Node {
  readonly index: number;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly state: 'up' | 'paused' | 'down';
  /** Power cut (SIGKILL). Resolves once the process is gone. */
  kill(): Promise<void>;
  /** Same port, same folder. Kills first if it runs. Resolves once the server answers again. */
  restart(): Promise<void>;
  /** A long GC pause, a hung host (SIGSTOP): the port still accepts, nothing answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** A network of its own in front of this node: connect to `proxy.url` instead of `node.url`. */
  proxy(): Promise<NetworkProxy>;
}

/** A TCP proxy that plays the network. Each setting holds for open and for new connections. */
export interface NetworkProxy extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Delays every byte by `ms` in each direction (a round trip takes 2 × `ms` longer). Order is kept. */
  latency(ms: number): void;
  /**
   * Lets nothing through: `up` is client → server, `down` server → client, `both` (the default).
   * Connections stay open; what was sent meanwhile arrives after `heal()`, as TCP's retransmission would have it.
   */
  partition(direction?: 'up' | 'down' | 'both'): void;
  /** Breaks every open connection with a TCP RST. */
  reset(): void;
  /** Ends latency and partition. */
  heal(): void;
}
