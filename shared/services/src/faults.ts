import { FaultUnavailableError } from './errors.ts';
import type { NetworkProxy, Node } from './types.ts';

/** What can be done to a server: by signals to a process of ours, or by `docker compose` to a container. */
export interface Lever {
  start(): Promise<void>;
  kill(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** false when it is known to have died by itself. */
  alive?(): boolean;
}

/** A lever that keeps `voters`: who is dead or stands still has no vote. */
export function voting<Id>(server: Required<Lever>, voters: Set<Id>, id: Id): Lever {
  const lost = (how: () => Promise<void>): Promise<void> => {
    voters.delete(id);
    return how();
  };
  const back = async (how: () => Promise<void>): Promise<void> => {
    await how();
    voters.add(id);
  };
  return {
    start: () => back(() => server.start()),
    kill: () => lost(() => server.kill()),
    pause: () => lost(() => server.pause()),
    resume: () => back(() => server.resume()),
    alive: () => server.alive(),
  };
}

/** The fault vocabulary of one node. Faults on one node happen in the order in which they were called. */
export class FaultyNode implements Node {
  readonly service: string;
  readonly index: number;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly #lever: Lever | string;
  readonly #proxies = new Set<NetworkProxy>();
  #state: Node['state'] = 'up';
  #last: Promise<unknown> = Promise.resolve();

  /** @param o.lever how to inject faults, or why it cannot be done */
  constructor(o: { service: string; index: number; url: string; defaultPort: number; lever: Lever | string }) {
    const { hostname, port } = new URL(o.url);
    this.service = o.service;
    this.index = o.index;
    this.url = o.url;
    this.host = hostname.replace(/^\[|\]$/g, '');
    this.port = port === '' ? o.defaultPort : Number(port);
    this.#lever = o.lever;
  }

  get state(): Node['state'] {
    if (typeof this.#lever !== 'string' && this.#lever.alive?.() === false) return 'down';
    return this.#state;
  }

  kill(): Promise<void> {
    return this.turn('kill', async (lever) => {
      await lever.kill();
      this.#state = 'down';
    });
  }

  restart(): Promise<void> {
    return this.turn('restart', async (lever) => {
      if (this.state !== 'down') await lever.kill();
      this.#state = 'down';
      await lever.start();
      this.#state = 'up';
    });
  }

  pause(): Promise<void> {
    return this.turn('pause', async (lever) => {
      this.#mustRun('pause');
      if (this.state === 'up') await lever.pause();
      this.#state = 'paused';
    });
  }

  resume(): Promise<void> {
    return this.turn('resume', async (lever) => {
      this.#mustRun('resume');
      if (this.state === 'paused') await lever.resume();
      this.#state = 'up';
    });
  }

  async proxy(): Promise<NetworkProxy> {
    const { openProxy } = await import('./proxy.ts');
    const proxy = await openProxy(this);
    this.#proxies.add(proxy);
    return proxy;
  }

  /** Closes the proxies, once no fault is under way. With `heal` the server is left as it was found. */
  async close(o: { heal: boolean }): Promise<void> {
    await this.#last;
    await Promise.all([...this.#proxies].map((proxy) => proxy[Symbol.asyncDispose]()));
    if (!o.heal || typeof this.#lever === 'string') return;
    if (this.#state === 'paused') await this.resume();
    if (this.#state === 'down') await this.restart();
  }

  #mustRun(fault: string): void {
    if (this.state === 'down') {
      throw new FaultUnavailableError(this.service, fault, `node ${this.index} is down; restart() it first.`);
    }
  }

  /** Whatever else is done to the node waits for `act`. */
  protected async turn(fault: string, act: (lever: Lever) => Promise<void>): Promise<void> {
    const lever = this.#lever;
    if (typeof lever === 'string') throw new FaultUnavailableError(this.service, fault, lever);
    const mine = this.#last.then(() => act(lever));
    this.#last = mine.catch(() => {});
    await mine;
  }
}
