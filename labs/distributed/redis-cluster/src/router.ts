import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Redis, RedisOptions } from 'ioredis';
import {
  CommandError,
  InvalidArgumentError,
  OutcomeUnknownError,
  PartialWriteError,
  RouterClosedError,
  SlotUnavailableError,
  TooManyRedirectionsError,
  UnderReplicatedError,
  UnreachableError,
} from './errors.ts';
import { assertText, bySlot } from './key-slot.ts';
import { drop, NodePool } from './nodes.ts';
import { type Argument, assertCallOptions, isAddress, isReply, type Request, requestOf, wholeFrom } from './request.ts';
import { ownersIn, type Redirection, redirectionIn, SlotMap } from './slot-map.ts';
import { unlessAborted } from './waiting.ts';

export interface RouterOptions {
  /**
   * Milliseconds for which a call looks for a node that serves its slot. Default 5,000. To outlast a failover it needs some
   * seconds more than the cluster's `cluster-node-timeout`, which is 15,000 unless somebody has set it.
   */
  readonly timeoutMs?: number;
  /** Milliseconds after which a node that owes an answer is given up. Default 1,000. */
  readonly silentMs?: number;
  /** The `host:port` to connect to, of the one that the cluster says. Default: the same. */
  readonly translate?: (address: string) => string;
  readonly connection?: Pick<RedisOptions, 'username' | 'password' | 'tls'>;
}

export interface CallOptions {
  /** Who aborts gets his own reason at once; a command that was sent may have been carried out. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReplicationOptions extends CallOptions {
  /** How many replicas should confirm the write. */
  readonly replicas: number;
  /** Milliseconds to wait for them. */
  readonly withinMs: number;
}

/** How often one command is sent on before the nodes are thought to disagree. */
const MAX_REDIRECTIONS = 5;

const mayHaveRun = (error: unknown) => error instanceof OutcomeUnknownError || error instanceof RouterClosedError;

/**
 * Sends commands to the node that serves their slot. Redis Cluster specification, "Redirection and resharding".
 *
 * - MOVED is for good: the map learns it. ASK is for this command alone: the map stays.
 * - What was surely not carried out (no connection, CLUSTERDOWN, TRYAGAIN) is tried again until `timeoutMs` has passed. What
 *   was sent and not answered never is: `OutcomeUnknownError`.
 */
export class ClusterRouter {
  protected readonly nodes: NodePool;
  protected readonly map = new SlotMap();
  protected readonly seeds: readonly string[];
  protected readonly timeoutMs: number;
  protected readonly silentMs: number;
  #refreshing: Promise<void> | undefined;
  #closed = false;
  #login: readonly string[] = [];

  /**
   * @param seeds `host:port` of some nodes; the others are found through them. Nothing is sent before the first call.
   * @throws InvalidArgumentError
   */
  constructor(seeds: readonly string[], options: RouterOptions = {}) {
    if (!Array.isArray(seeds) || seeds.length === 0 || !seeds.every(isAddress)) {
      throw new InvalidArgumentError(`seeds must be addresses as "127.0.0.1:7000": they are ${inspect(seeds)}.`);
    }
    assertCallOptions(options);
    this.seeds = [...seeds];
    this.timeoutMs = wholeFrom('timeoutMs', options.timeoutMs ?? 5_000, 1);
    this.silentMs = wholeFrom('silentMs', options.silentMs ?? 1_000, 1);
    const { translate = (address) => address, connection = {} } = options;
    assertCallOptions(connection);
    if (typeof translate !== 'function') {
      throw new InvalidArgumentError(`translate must be a function: it is ${inspect(translate)}.`);
    }
    this.nodes = new NodePool({ silentMs: this.silentMs, translate, connection: { ...connection } });
    const { username, password } = connection;
    if (password) this.#login = username ? ['AUTH2', username, password] : ['AUTH', password];
  }

  /**
   * Sends one command: `call('SET', ['cart:7', 'milk'])`. A script says its keys: `call('EVAL', [lua, 1, 'cart:7'])`.
   *
   * @throws InvalidArgumentError without a key, or for a command that would hold or change the shared connection
   * @throws CrossSlotError, CommandError, TooManyRedirectionsError, SlotUnavailableError: not carried out
   * @throws OutcomeUnknownError, RouterClosedError, or the signal's reason: nobody knows
   */
  async call(command: string, args: readonly Argument[], options: CallOptions = {}): Promise<unknown> {
    assertCallOptions(options);
    const { signal } = options;
    const request = requestOf(command, args);
    return this.route(request, signal, async (address, asking) => {
      const node = await this.nodes.link(address);
      signal?.throwIfAborted();
      return this.exchange(node, request, asking);
    });
  }

  /** The values of keys in any slots, in the order asked, null where there is none: one MGET a slot, all at once. */
  async mgetAcross(keys: readonly string[], options: CallOptions = {}): Promise<(string | null)[]> {
    if (!Array.isArray(keys)) throw new InvalidArgumentError(`Keys must be a list: they are ${inspect(keys)}.`);
    const values: (string | null)[] = keys.map(() => null);
    await Promise.all(
      this.groups(keys).map(async (places) => {
        const wanted = places.map((place) => keys[place] ?? '');
        const found = await this.call('MGET', wanted, options);
        if (!Array.isArray(found)) throw new InvalidArgumentError(`MGET answered ${inspect(found)}.`);
        for (const [index, place] of places.entries()) values[place] = found[index] ?? null;
      }),
    );
    return values;
  }

  /**
   * Writes keys in any slots: one MSET a slot, all at once, each for itself. A reader may see some and not the others.
   * @throws PartialWriteError when a slot failed: what was written stays
   */
  async msetAcross(entries: Iterable<readonly [key: string, value: string]>, options: CallOptions = {}): Promise<void> {
    assertCallOptions(options);
    const all = pairsOf(entries);
    const groups = this.groups(all.map(([key]) => key)).map((places) =>
      places.flatMap((place) => [all[place] ?? ['', '']]),
    );
    const results = await Promise.allSettled(groups.map((group) => this.call('MSET', group.flat(), options)));
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    options.signal?.throwIfAborted();
    if (errors.length === 0) return;
    const parts: Record<'written' | 'notWritten' | 'unknown', string[]> = { written: [], notWritten: [], unknown: [] };
    for (const [index, result] of results.entries()) {
      const keys = (groups[index] ?? []).map(([key]) => key);
      if (result.status === 'fulfilled') parts.written.push(...keys);
      else if (mayHaveRun(result.reason)) parts.unknown.push(...keys);
      else parts.notWritten.push(...keys);
    }
    throw new PartialWriteError(parts, errors);
  }

  /**
   * Sends a write, and waits until replicas confirm that they have it in memory. Each call in flight has a connection of
   * its own: WAIT speaks of the writes of its connection, and holds it meanwhile.
   *
   * @throws UnderReplicatedError when fewer did: the write is done all the same. The rest as `call`.
   */
  async waitReplicated(command: string, args: readonly Argument[], options: ReplicationOptions) {
    assertCallOptions(options);
    const request = requestOf(command, args);
    const replicas = wholeFrom('replicas', options.replicas, 1);
    const withinMs = wholeFrom('withinMs', options.withinMs, 1);
    const { reply, confirmed } = await this.route(request, options.signal, (address, asking) =>
      this.confirmed(address, request, asking, { replicas, withinMs, signal: options.signal }),
    );
    if (confirmed < replicas) throw new UnderReplicatedError(request.command, reply, replicas, confirmed, withinMs);
    return { reply, replicas: confirmed };
  }

  /**
   * The keys that match a pattern, from every primary: SCAN knows the keys of its node alone. As SCAN itself, it may name a
   * key twice; and it may miss one whose slot moves meanwhile.
   */
  async *keysAcross(match = '*', options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    assertText('A pattern', match);
    assertCallOptions(options);
    const { signal } = options;
    for (const address of await this.scanned()) {
      const node = await this.nodes.link(address);
      for (let cursor = '0'; ; ) {
        signal?.throwIfAborted();
        const page = node.scan(cursor, 'MATCH', match, 'COUNT', 1_000);
        const [next, keys] = await page.catch((error: unknown) => {
          if (this.#closed) throw new RouterClosedError();
          throw isReply(error) ? new CommandError('SCAN', address, error) : new UnreachableError(address, error);
        });
        yield* keys;
        cursor = next;
        if (cursor === '0') break;
      }
    }
  }

  /** Who has each slot, as far as is known: `host:port`, or undefined. */
  owners(): (string | undefined)[] {
    return this.map.owners();
  }

  /** Asks the cluster for the owners of all slots. @throws UnreachableError when nobody answers, RouterClosedError */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#askAround().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** The connection to one node, for CLUSTER commands. @throws UnreachableError */
  node(address: string): Promise<Redis> {
    return this.nodes.link(address);
  }

  /** What MIGRATE needs to log in at the target, which has the login of the whole cluster. */
  get login(): readonly string[] {
    return this.#login;
  }

  /** Ends all connections. Calls in flight end with RouterClosedError. */
  close(): void {
    this.#closed = true;
    this.nodes.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Places of `keys`, those together that one command may have. */
  protected groups(keys: readonly string[]): number[][] {
    return [...bySlot(keys).values()];
  }

  /** Sends one command, after ASKING where the node is to serve a slot that is on its way to it. */
  protected exchange(node: Redis, { command, args }: Request, asking: boolean): Promise<unknown> {
    // Both in one go: of several commands on a connection, the first one after ASKING takes the permission.
    if (asking) node.asking().catch(() => {});
    return node.call(command, ...args);
  }

  /** Sends a write to a node, and how many of its replicas confirm it in time. */
  protected async confirmed(
    address: string,
    request: Request,
    asking: boolean,
    { replicas, withinMs, signal }: ReplicationOptions,
  ): Promise<{ reply: unknown; confirmed: number }> {
    const node = await this.nodes.lend(address);
    const hung = setTimeout(() => drop(node), withinMs + this.silentMs);
    try {
      signal?.throwIfAborted();
      const written = this.exchange(node, request, asking);
      const waited = node.wait(replicas, withinMs);
      // Both are over before the connection is lent again.
      await Promise.allSettled([written, waited]);
      const reply = await written;
      const confirmed = await waited.catch((error: unknown) => {
        if (!isReply(error)) throw error;
        throw new UnderReplicatedError(request.command, reply, replicas, 0, withinMs, { cause: error });
      });
      return { reply, confirmed };
    } finally {
      clearTimeout(hung);
      this.nodes.giveBack(address, node);
    }
  }

  protected async scanned(): Promise<string[]> {
    await this.refresh();
    return this.map.primaries();
  }

  protected noteRedirection({ kind, slot, to }: Redirection): void {
    if (kind === 'ASK') return;
    this.map.note(slot, to);
    // A slot that moved is seldom alone: after a failover thousands have.
    this.refresh().catch(() => {});
  }

  protected async route<T>(
    request: Request,
    signal: AbortSignal | undefined,
    attempt: (address: string, asking: boolean) => Promise<T>,
  ): Promise<T> {
    const { command, slot } = request;
    const deadline = performance.now() + this.timeoutMs;
    const inTime = <R>(promise: Promise<R>) => (signal ? unlessAborted(promise, signal) : promise);
    /** Whatever else is true by then. */
    const throwIfOver = () => {
      signal?.throwIfAborted();
      if (this.#closed) throw new RouterClosedError();
    };
    if (this.map.ownerOf(slot) === undefined) await inTime(this.refresh().catch(() => {}));
    let trail: string[] = [];
    let sent: Redirection | undefined;
    for (;;) {
      throwIfOver();
      const address = sent?.to ?? this.map.ownerOf(slot);
      let cause: unknown;
      if (address === undefined) {
        cause = new UnreachableError(`The owner of slot ${slot}`, `${this.seeds.join(', ')} don't say who it is`);
      } else {
        try {
          return await inTime(attempt(address, sent?.kind === 'ASK'));
        } catch (error) {
          throwIfOver();
          const redirection = isReply(error) ? redirectionIn(error, address) : undefined;
          // One about another slot is a script's own word.
          if (redirection?.slot === slot) {
            trail.push(`${redirection.kind} ${redirection.to}`);
            if (trail.length > MAX_REDIRECTIONS) throw new TooManyRedirectionsError(command, slot, trail);
            this.noteRedirection(redirection);
            sent = redirection;
            continue;
          }
          cause = this.judge(error, request, address);
        }
      }
      if (performance.now() >= deadline) throw new SlotUnavailableError(command, slot, this.timeoutMs, cause);
      trail = [];
      sent = undefined;
      await inTime(delay(25 + 50 * Math.random()));
      await inTime(this.refresh().catch(() => {}));
    }
  }

  /** What is returned was surely not carried out, and passes. @throws the error for everything else */
  protected judge(error: unknown, { command }: Request, address: string): Error {
    if (error instanceof UnreachableError) return error;
    if (error instanceof UnderReplicatedError) throw error;
    if (!isReply(error)) throw new OutcomeUnknownError(command, address, error);
    // A script may say anything, after it has done something: of it only the server's own words pass.
    if ((/^(EVAL|FCALL)/.test(command) ? SERVERS_OWN : PASSING).test(error.message)) return error;
    throw new CommandError(command, address, error);
  }

  async #askAround(): Promise<void> {
    const known = [...new Set([...this.map.primaries(), ...this.seeds])];
    // The first answer of three: one of them may be down or hang.
    const some = shuffled(known).slice(0, 3);
    const answers = some.map(async (address) => {
      const node = await this.nodes.link(address);
      return ownersIn(await node.cluster('SLOTS'), address);
    });
    this.map.replace(
      await Promise.any(answers).catch((error: unknown) => {
        if (this.#closed) throw new RouterClosedError();
        const causes: unknown[] = error instanceof AggregateError ? error.errors : [error];
        throw new UnreachableError(some.join(', '), causes.map(String).join('; '));
      }),
    );
  }
}

/** @throws InvalidArgumentError unless each is a key with its value, both well-formed texts. */
function pairsOf(entries: unknown): (readonly [string, string])[] {
  const list = typeof entries === 'object' && entries !== null && Symbol.iterator in entries ? entries : undefined;
  if (list === undefined) throw new InvalidArgumentError(`Entries must be iterable: they are ${inspect(entries)}.`);
  return Array.from(list as Iterable<unknown>, (entry) => {
    const [key, value]: unknown[] = Array.isArray(entry) ? entry : [];
    assertText('A key', key);
    assertText('A value', value);
    return [key, value] as const;
  });
}

const PASSING = /^(CLUSTERDOWN|TRYAGAIN|LOADING) /;
const SERVERS_OWN =
  /^(CLUSTERDOWN (Hash slot not served|The cluster is down)|TRYAGAIN Multiple keys request during rehashing|LOADING Redis is loading)/;

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
