import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { endsOf } from '../src/ends.ts';
import type {
  CallOptions,
  Redirection,
  ReplicationOptions,
  ReshardOptions,
  RouterOptions,
  SlotMove,
} from '../src/index.ts';
import {
  CommandError,
  InvalidArgumentError,
  ReshardError,
  RouterClosedError,
  UnderReplicatedError,
  UnreachableError,
} from '../src/index.ts';
import { NodePool } from '../src/nodes.ts';
import { type Argument, assertCallOptions, isAddress, type Request, requestOf, wholeFrom } from '../src/request.ts';
import { ownersIn, SlotMap } from '../src/slot-map.ts';

// What is not the idea is given: connections, the table of slots, arguments and errors. Which key is where, who is asked, and
// what an answer means is yours. Add to the imports what you need: errors, `redirectionIn` and SLOTS of src/index.ts, `isReply`
// of src/request.ts (a node said so, and the connection is fine). A Redirection is `{ kind: 'MOVED' | 'ASK', slot, to }`, a
// SlotMove `{ slot, from, to }`; `to` and `from` are addresses, `host:port`. `h` in `pnpm lab learn redis-cluster` gives a
// hint. src/ holds the solutions in key-slot.ts, slot-map.ts (planMoves), router.ts and reshard.ts.
export type {
  CallOptions,
  Redirection,
  ReplicationOptions,
  ReshardOptions,
  RouterOptions,
  SlotMove,
} from '../src/index.ts';
export {
  ClusterError,
  CommandError,
  CrossSlotError,
  InvalidArgumentError,
  OutcomeUnknownError,
  ownersIn,
  PartialWriteError,
  ReshardError,
  RouterClosedError,
  redirectionIn,
  SLOTS,
  SlotUnavailableError,
  TooManyRedirectionsError,
  taggedKey,
  UnderReplicatedError,
  UnreachableError,
} from '../src/index.ts';

/** CRC16/XMODEM of bytes: polynomial 0x1021, start 0, the high bit first. */
export function crc16(_bytes: Uint8Array): number {
  return todo('crc16');
}

/** The part of a key that decides its slot. */
export function hashTag(key: string): string {
  return key;
}

/** The slot of a key, from 0 to SLOTS - 1. (`assertText` of src/key-slot.ts refuses what no key can be.) */
export function keySlot(_key: string): number {
  return todo('keySlot');
}

/** For each slot the places of its keys in `keys`. */
export function bySlot(_keys: readonly string[]): Map<number, number[]> {
  return todo('bySlot');
}

/**
 * The moves after which `nodes` have an equal share of the slots, give or take one; as few as can be.
 * @param owners the owner of each slot; one who is not among `nodes` gives all that he has
 */
export function planMoves(owners: readonly (string | undefined)[], nodes: readonly string[]): SlotMove[] {
  if (nodes.length === 0 || new Set(nodes).size < nodes.length || owners.includes(undefined)) {
    throw new InvalidArgumentError(`Each slot needs an owner, and nodes must be given once: ${inspect(nodes)}.`);
  }
  return todo('planMoves');
}

/** Sends commands to the node that serves their slot. */
export class ClusterRouter {
  /** `link(address)`: the connection to a node that all calls share. `lend`, `giveBack`: one for a single caller. */
  protected readonly nodes: NodePool;
  /** `ownerOf(slot)`, `note(slot, address)`: who has which slot, as far as is known. */
  protected readonly map = new SlotMap();
  protected readonly seeds: readonly string[];
  protected readonly timeoutMs: number;
  protected readonly silentMs: number;
  protected closed = false;
  #login: readonly string[] = [];

  constructor(seeds: readonly string[], options: RouterOptions = {}) {
    if (!Array.isArray(seeds) || seeds.length === 0 || !seeds.every(isAddress)) {
      throw new InvalidArgumentError(`seeds must be addresses as "127.0.0.1:7000": they are ${inspect(seeds)}.`);
    }
    this.seeds = [...seeds];
    this.timeoutMs = wholeFrom('timeoutMs', options.timeoutMs ?? 5_000, 1);
    this.silentMs = wholeFrom('silentMs', options.silentMs ?? 1_000, 1);
    const { translate = (address) => address, connection = {} } = options;
    this.nodes = new NodePool({ silentMs: this.silentMs, translate, connection });
    const { username, password } = connection;
    if (password) this.#login = username ? ['AUTH2', username, password] : ['AUTH', password];
  }

  /** Given: one command, by `route`. */
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

  /**
   * Finds the node for a request, and answers what `attempt` answers there.
   *
   * Its flaw: it asks once. `redirectionIn(error, address)` reads what an error says: MOVED or ASK, the slot, and to whom. Send
   * one command on five times at most, then throw `TooManyRedirectionsError(command, slot, trail)`.
   * @param attempt sends it to the node at `address`, after ASKING where that is true
   */
  protected async route<T>(
    request: Request,
    _signal: AbortSignal | undefined,
    attempt: (address: string, asking: boolean) => Promise<T>,
  ): Promise<T> {
    if (this.closed) throw new RouterClosedError();
    if (this.map.ownerOf(request.slot) === undefined) await this.refresh();
    const address = this.map.ownerOf(request.slot) ?? this.seeds[0] ?? '';
    try {
      return await attempt(address, false);
    } catch (error) {
      throw this.judge(error, request, address);
    }
  }

  /** What an error means that is no redirection. Its flaw: it never says that nobody knows. */
  protected judge(error: unknown, { command }: Request, address: string): Error {
    return new CommandError(command, address, error instanceof Error ? error : new Error(String(error)));
  }

  /** What the map learns from a redirection. */
  protected noteRedirection(_redirection: Redirection): void {}

  /** Sends one command on `node`: after ASKING, where that is true. */
  protected exchange(node: Redis, { command, args }: Request, _asking: boolean): Promise<unknown> {
    return node.call(command, ...args);
  }

  /** The values of keys in any slots, in the order asked, null where there is none: one MGET a slot, all at once. */
  async mgetAcross(_keys: readonly string[], _options: CallOptions = {}): Promise<(string | null)[]> {
    return todo('mgetAcross');
  }

  /** Writes keys in any slots: one MSET a slot. (A hardening law wants a `PartialWriteError` when a slot fails.) */
  async msetAcross(
    _entries: Iterable<readonly [key: string, value: string]>,
    _options: CallOptions = {},
  ): Promise<void> {
    return todo('msetAcross');
  }

  /** Given: a write, and how many replicas confirmed it. Yours: `confirmed`. */
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

  /** Sends a write to a node, by `exchange`, and asks by `node.wait(replicas, withinMs)` how many replicas confirm it. */
  protected async confirmed(
    _address: string,
    _request: Request,
    _asking: boolean,
    _options: ReplicationOptions,
  ): Promise<{ reply: unknown; confirmed: number }> {
    return todo('confirmed');
  }

  /** The keys that match a pattern, from every primary. */
  // biome-ignore lint/correctness/useYield: it is not written yet
  async *keysAcross(_match = '*', _options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    return todo('keysAcross');
  }

  /** Given: who has each slot, as far as is known. */
  owners(): (string | undefined)[] {
    return this.map.owners();
  }

  /** Given: asks the cluster for the owners of all slots. @throws UnreachableError */
  async refresh(): Promise<void> {
    const known = [...new Set([...this.map.primaries(), ...this.seeds])];
    const answers = known.map(async (address) => {
      const node = await this.nodes.link(address);
      return ownersIn(await node.cluster('SLOTS'), address);
    });
    this.map.replace(
      await Promise.any(answers).catch((error: unknown) => {
        throw this.closed ? new RouterClosedError() : new UnreachableError(known.join(', '), error);
      }),
    );
  }

  /** Given: the connection to one node, for CLUSTER commands. @throws UnreachableError */
  node(address: string): Promise<Redis> {
    return this.nodes.link(address);
  }

  /** Given: what MIGRATE needs before KEYS to log in at the target. (For a hardening law.) */
  get login(): readonly string[] {
    return this.#login;
  }

  /** Given: ends all connections. */
  close(): void {
    this.closed = true;
    this.nodes.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Moves a slot and its keys to another primary while it is used.
 *
 * Given: `source` and `target` are connections to both ends, `sourceId` and `targetId` what CLUSTER calls them, `primaries`
 * the addresses of all. `step(name, work)` makes a ReshardError of what fails, and stops when the signal aborts.
 */
export async function reshard(
  router: ClusterRouter,
  slot: number,
  to: string,
  options: ReshardOptions = {},
): Promise<{ from: string; keys: number }> {
  assertCallOptions(options);
  const { batch = 100, signal } = options;
  wholeFrom('batch', batch, 1);
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      throw new ReshardError(slot, name, error);
    }
  };
  const { from, source, target, sourceId, targetId, primaries } = await endsOf(router, slot, to, step);
  const keys = 0;
  if (from === to) return { from, keys };
  return todo(`reshard ${[source, target, sourceId, targetId, primaries].length}`);
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
