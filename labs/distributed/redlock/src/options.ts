import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { InvalidArgumentError } from './errors.ts';

/** Queue politely, don't kick the door: wait `delayMs` plus a random part of `jitterMs` between attempts. */
export interface RetryOptions {
  /** Longest time to wait for the lock, in milliseconds; 0 tries once. Default 5,000. */
  readonly maxMs?: number;
  /** Default 100 ms. */
  readonly delayMs?: number;
  /** Default 100 ms. Without it, those who collided once collide again. */
  readonly jitterMs?: number;
}

export interface LockOptions {
  readonly retry?: RetryOptions;
  /** How long a node may take before its vote is missing, in milliseconds. Default: a quarter of the TTL, from 1 to 50. */
  readonly nodeTimeoutMs?: number;
  /** Allowance for clocks that run at different speeds: this share of the TTL, plus 2 ms. Default 0.01. */
  readonly driftFactor?: number;
}

export interface AcquireOptions extends LockOptions {
  /** Gives up at once, also while nodes are asked; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What is asked of one `acquire`: checked, complete, and a copy that no caller can change. */
export interface Plan {
  readonly resources: readonly string[];
  readonly ttlMs: number;
  readonly driftFactor: number;
  readonly nodeTimeoutMs: number;
  readonly maxMs: number;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/** @throws InvalidArgumentError on what no lock can be made from. */
export function planOf(resources: readonly string[], ttlMs: number, given: LockOptions, own: LockOptions): Plan {
  const driftFactor = within('driftFactor', own.driftFactor ?? given.driftFactor ?? 0.01, 0, 0.5);
  assertTtl(ttlMs, driftFactor);
  if (!Array.isArray(resources) || resources.length === 0) {
    throw new InvalidArgumentError('Give a list of resources to lock, with one name at least.');
  }
  const names = new Set<string>();
  for (const resource of resources) {
    assertName('A resource', resource);
    if (names.has(resource)) throw new InvalidArgumentError(`The resource ${resource} is named twice.`);
    names.add(resource);
  }
  const nodeTimeoutMs = own.nodeTimeoutMs ?? given.nodeTimeoutMs ?? Math.max(1, Math.min(50, ttlMs / 4));
  const retry = (name: keyof RetryOptions, otherwise: number, to = LONGEST_TIMER_MS) =>
    within(`retry.${name}`, own.retry?.[name] ?? given.retry?.[name] ?? otherwise, 0, to);
  const delayMs = retry('delayMs', 100);
  return {
    resources: Object.freeze([...names]),
    ttlMs,
    driftFactor,
    nodeTimeoutMs: within('nodeTimeoutMs', nodeTimeoutMs, 1, ttlMs),
    maxMs: retry('maxMs', 5_000, Number.POSITIVE_INFINITY),
    delayMs,
    // Together they are one timer.
    jitterMs: retry('jitterMs', Math.min(100, LONGEST_TIMER_MS - delayMs), LONGEST_TIMER_MS - delayMs),
  };
}

/** Node fires a timer beyond this at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError on a TTL that isn't a whole number above the drift allowance. */
export function assertTtl(ttlMs: number, driftFactor: number): void {
  if (Number.isInteger(ttlMs) && ttlMs > ttlMs * driftFactor + 2 && ttlMs <= LONGEST_TIMER_MS) return;
  throw new InvalidArgumentError(
    `The TTL must be a whole number of milliseconds, more than the drift allowance (2 ms and ${driftFactor * 100} % of it) ` +
      `and at most ${LONGEST_TIMER_MS}; it is ${inspect(ttlMs)}.`,
  );
}

/** An index entry of PostgreSQL has 2,704 bytes at most. */
const LONGEST_NAME = 2_000;

/** A name that Redis and PostgreSQL keep as it is: half a surrogate pair is "�" in UTF-8, whatever half it was. */
export function assertName(what: string, name: string): void {
  const text = typeof name === 'string' && name !== '' && name.isWellFormed() && !name.includes('\0');
  if (text && Buffer.byteLength(name) <= LONGEST_NAME) return;
  throw new InvalidArgumentError(
    `${what} must have a name of 1 to ${LONGEST_NAME} bytes of well-formed Unicode without U+0000; it is ` +
      `${inspect(name, { maxStringLength: 100 })}.`,
  );
}

/** @throws InvalidArgumentError without nodes, on what is no client of one server, or when two are one server. */
export function votersOf(nodes: readonly Redis[]): readonly Redis[] {
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new InvalidArgumentError('Redlock needs a list of nodes, one at least.');
  }
  const servers = nodes.map(addressOf);
  const twice = servers.find((server, index) => servers.indexOf(server) !== index);
  if (twice) throw new InvalidArgumentError(`${twice} was given twice: one server must not have two votes.`);
  return [...nodes];
}

function addressOf(node: Partial<Redis> | undefined, index: number): string {
  const { isCluster, options } = node ?? {};
  if (isCluster || options?.sentinels) {
    throw new InvalidArgumentError(
      `Node ${index} is a Cluster or a replica set, whose promoted replica may not know the lock: give single servers.`,
    );
  }
  if (!options) throw new InvalidArgumentError(`Node ${index} is no client of ioredis.`);
  const { path, host = 'localhost', port } = options;
  const name = host.toLowerCase();
  return path ?? `${name === 'localhost' || name === '::1' ? '127.0.0.1' : name}:${port}`;
}

/** @throws InvalidArgumentError on what is no number in this range. */
export function within(name: string, value: number, from: number, to: number): number {
  if (typeof value === 'number' && value >= from && value <= to) return value;
  throw new InvalidArgumentError(`${name} must be a number from ${from} to ${to}; it is ${inspect(value)}.`);
}
