import { inspect } from 'node:util';
import { ClusterError, InvalidArgumentError } from './errors.ts';
import { SLOTS } from './key-slot.ts';

/** A primary's `host:port` for each slot, as far as is known. */
export class SlotMap {
  #owners: (string | undefined)[] = new Array(SLOTS);

  ownerOf(slot: number): string | undefined {
    return this.#owners[slot];
  }

  note(slot: number, address: string): void {
    this.#owners[slot] = address;
  }

  /** Takes what CLUSTER SLOTS says in place of all that was known. */
  replace(owners: readonly (string | undefined)[]): void {
    this.#owners = [...owners];
  }

  /** For each slot its owner, or undefined where it has none. */
  owners(): (string | undefined)[] {
    return [...this.#owners];
  }

  primaries(): string[] {
    return [...new Set(this.#owners)].filter((address) => address !== undefined);
  }
}

/**
 * The owners of all slots, from the reply of CLUSTER SLOTS.
 * @param asked the `host:port` that answered: a node that doesn't know its own host leaves it out.
 */
export function ownersIn(reply: unknown, asked: string): (string | undefined)[] {
  const owners: (string | undefined)[] = new Array(SLOTS);
  // A node that has left its cluster knows of no slots: its word must not wipe out what is known.
  if (!Array.isArray(reply) || reply.length === 0) throw new MalformedReplyError(reply);
  for (const range of reply) {
    const [from, to, primary] = Array.isArray(range) ? range : [];
    const [host, port] = Array.isArray(primary) ? primary : [];
    if (typeof from !== 'number' || typeof to !== 'number' || typeof port !== 'number') {
      throw new MalformedReplyError(range);
    }
    owners.fill(typeof host === 'string' && host !== '' ? `${host}:${port}` : `${hostOf(asked)}:${port}`, from, to + 1);
  }
  return owners;
}

export interface Redirection {
  readonly kind: 'MOVED' | 'ASK';
  readonly slot: number;
  /** `host:port` */
  readonly to: string;
}

/**
 * What `MOVED 3999 127.0.0.1:6381` or `ASK …` says; undefined for any other error.
 * @param asked the `host:port` that answered: without a host (`MOVED 3999 :6381`) the same one is meant.
 */
export function redirectionIn(error: Error, asked: string): Redirection | undefined {
  const [, kind, slot, host, port] = /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(error.message) ?? [];
  if (kind !== 'MOVED' && kind !== 'ASK') return undefined;
  return { kind, slot: Number(slot), to: `${host || hostOf(asked)}:${port}` };
}

export interface SlotMove {
  readonly slot: number;
  readonly from: string;
  readonly to: string;
}

/**
 * The fewest moves after which `nodes` have an equal share of the slots, give or take one. Nothing moves between two nodes
 * that both stay within their share.
 *
 * @param owners the owner of each slot; an owner who is not among `nodes` gives all that he has
 * @throws InvalidArgumentError without nodes, on one that is named twice, or when a slot has no owner
 */
export function planMoves(owners: readonly (string | undefined)[], nodes: readonly string[]): SlotMove[] {
  if (nodes.length === 0 || new Set(nodes).size < nodes.length) {
    throw new InvalidArgumentError(`Slots need one node at least, and each one once: they are ${inspect(nodes)}.`);
  }
  const has = new Map(nodes.map((node) => [node, 0]));
  for (const owner of owners) {
    if (owner === undefined) throw new InvalidArgumentError('A slot without an owner has no node to move it from.');
    if (has.has(owner)) has.set(owner, (has.get(owner) ?? 0) + 1);
  }
  // Shares differ by one where they don't come out even: who has most keeps the one.
  const byWealth = nodes.toSorted((a, b) => (has.get(b) ?? 0) - (has.get(a) ?? 0));
  const share = new Map(
    byWealth.map((node, rank) => [
      node,
      Math.floor(owners.length / nodes.length) + Number(rank < owners.length % nodes.length),
    ]),
  );
  const lacks = (node: string) => (share.get(node) ?? 0) - (has.get(node) ?? 0);
  const moves: SlotMove[] = [];
  const takers = nodes.filter((node) => lacks(node) > 0);
  for (const [slot, from] of owners.entries()) {
    const to = takers.find((node) => lacks(node) > 0);
    if (to === undefined) break;
    if (from === undefined || (has.has(from) && lacks(from) >= 0)) continue;
    moves.push({ slot, from, to });
    has.set(to, (has.get(to) ?? 0) + 1);
    if (has.has(from)) has.set(from, (has.get(from) ?? 0) - 1);
  }
  return moves;
}

export const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

class MalformedReplyError extends ClusterError {
  constructor(reply: unknown) {
    super(`CLUSTER SLOTS answered ${inspect(reply, { depth: 3 })}: is this a Redis Cluster?`);
  }
}
