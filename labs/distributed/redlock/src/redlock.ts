import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type Clock, sleep, systemClock } from './clock.ts';
import {
  ForeignLeaseError,
  InvalidArgumentError,
  LockHeldError,
  QuorumUnreachableError,
  TooLateError,
} from './errors.ts';
import { GrantedLease, type Keeper, type Lease, type ReleaseOutcome } from './lease.ts';
import { extendNode, lockNode, unlockNode } from './nodes.ts';
import { type Ballot, poll } from './poll.ts';

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
  /** How long a node may take before its vote is missing, in milliseconds. Default: a quarter of the TTL, at most 50. */
  readonly nodeTimeoutMs?: number;
  /** Allowance for clocks that run at different speeds: this share of the TTL, plus 2 ms. Default 0.01. */
  readonly driftFactor?: number;
}

export interface AcquireOptions extends LockOptions {
  /** Gives up the wait; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

interface Plan {
  readonly ttlMs: number;
  readonly driftFactor: number;
  readonly nodeTimeoutMs: number;
  readonly maxMs: number;
  readonly delayMs: number;
  readonly jitterMs: number;
}

/**
 * A lock on N independent Redis nodes, held by whoever has a majority of them.
 *
 * The nodes must not replicate each other: five machines that fail one by one, not one machine with four copies.
 * Source: Salvatore Sanfilippo, "Distributed Locks with Redis", https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
 * Where its promise ends: Martin Kleppmann, "How to do distributed locking",
 * https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
 */
export class Redlock {
  protected readonly nodes: readonly Redis[];
  protected readonly clock: Clock;
  readonly #options: LockOptions;
  readonly #granted = new WeakSet<Lease>();

  /** @throws InvalidArgumentError without nodes, or when two of them are one server. */
  constructor(nodes: readonly Redis[], options: LockOptions & { readonly clock?: Clock } = {}) {
    if (nodes.length === 0) throw new InvalidArgumentError('Redlock needs at least one node; it got none.');
    const servers = nodes.map(({ options: { path, host, port } }) => path ?? `${host}:${port}`);
    const twice = servers.find((server, index) => servers.indexOf(server) !== index);
    if (twice) throw new InvalidArgumentError(`${twice} was given twice: one server must not have two votes.`);
    this.nodes = nodes;
    this.clock = options.clock ?? systemClock;
    this.#options = options;
  }

  /** Votes that make a majority: ⌊N/2⌋ + 1. */
  protected get quorum(): number {
    return Math.floor(this.nodes.length / 2) + 1;
  }

  /**
   * Takes all `resources` together, or none, for `ttlMs` milliseconds.
   *
   * @throws InvalidArgumentError on a TTL that isn't a whole number above the drift allowance, on no, empty or duplicate resources.
   * @throws LockHeldError, QuorumUnreachableError or TooLateError when `retry.maxMs` has passed.
   */
  async acquire(resources: readonly string[], ttlMs: number, options: AcquireOptions = {}): Promise<Lease> {
    const plan = this.#plan(resources, ttlMs, options);
    const deadline = this.clock.mono() + plan.maxMs;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      const token = this.newToken();
      const request = (node: Redis) => this.lock(node, resources, token, ttlMs);
      // The TTLs run from here at the latest: the time spent asking is not ours.
      const start = this.clock.mono();
      const ballot = await this.ask(plan.nodeTimeoutMs, request);
      const validUntil = this.validUntil(start, ttlMs, plan.driftFactor);
      const elected = ballot.yes >= this.quorum;
      const inTime = validUntil > this.clock.mono();
      if (elected && inTime && !options.signal?.aborted) {
        return this.#grant(plan, resources, token, validUntil);
      }
      this.cleanUp(resources, token, ballot);
      const wait = plan.delayMs + Math.random() * plan.jitterMs;
      if (this.clock.mono() + wait > deadline) {
        if (elected) throw new TooLateError(resources, attempt, ballot.votes);
        if (ballot.missing > this.nodes.length - this.quorum) {
          throw new QuorumUnreachableError(resources, attempt, ballot.votes);
        }
        throw new LockHeldError(resources, attempt, ballot.votes);
      }
      await sleep(this.clock, wait, options.signal);
    }
  }

  /**
   * Runs `routine` while holding `resources`, extending the lease at half of its TTL for as long as the routine runs.
   * `signal` aborts when the lock can't be kept or `options.signal` aborts: stop, or write under a fencing token.
   *
   * @throws what `acquire` throws; what the routine throws; LeaseLostError when the routine returned but the lock was
   *   lost while it ran, since what it did may have met another holder.
   */
  async using<T>(
    resources: readonly string[],
    ttlMs: number,
    routine: (signal: AbortSignal, lease: Lease) => T | Promise<T>,
    options: AcquireOptions = {},
  ): Promise<T> {
    await using lease = await this.acquire(resources, ttlMs, options);
    const ended = new AbortController();
    void this.keepAlive(lease, ttlMs, ended.signal);
    try {
      const signal = options.signal ? AbortSignal.any([options.signal, lease.signal]) : lease.signal;
      const result = await routine(signal, lease);
      lease.throwIfEnded();
      return result;
    } finally {
      ended.abort();
    }
  }

  /** `lease.release()`, for a lease of this lock. @throws ForeignLeaseError for any other. */
  async release(lease: Lease): Promise<ReleaseOutcome> {
    return this.#own(lease).release();
  }

  /** `lease.extend(ttlMs)`, for a lease of this lock. @throws ForeignLeaseError for any other; else see `Lease.extend`. */
  async extend(lease: Lease, ttlMs: number): Promise<void> {
    return this.#own(lease).extend(ttlMs);
  }

  // The steps of the algorithm, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** 122 random bits, new for each attempt: a late answer to an old attempt can't be taken for this one. */
  protected newToken(): string {
    return randomUUID();
  }

  protected lock(node: Redis, resources: readonly string[], token: string, ttlMs: number): Promise<boolean> {
    return lockNode(node, resources, token, ttlMs);
  }

  protected unlock(node: Redis, resources: readonly string[], token: string): Promise<boolean> {
    return unlockNode(node, resources, token);
  }

  /** Asks all nodes; who hasn't answered after `timeoutMs` has no vote. */
  protected ask(timeoutMs: number, request: (node: Redis) => Promise<boolean>): Promise<Ballot> {
    return poll({ clock: this.clock, nodes: this.nodes, quorum: this.quorum, timeoutMs, ask: request });
  }

  /** End of the validity: start + TTL − drift, where drift = TTL · factor + 2 ms. */
  protected validUntil(start: number, ttlMs: number, driftFactor: number): number {
    return start + ttlMs - (ttlMs * driftFactor + 2);
  }

  /**
   * Frees every node that has not said no, the silent ones too: their yes may be on its way, and a key left behind
   * blocks everybody, ourselves first, for a whole TTL. Nobody waits for it: each connection keeps its order.
   */
  protected cleanUp(resources: readonly string[], token: string, ballot: Ballot): void {
    for (const [index, node] of this.nodes.entries()) {
      if (ballot.votes[index]?.answer !== 'no') this.unlock(node, resources, token).catch(() => {});
    }
  }

  /** Extends `lease` until `ended` aborts or the lease is lost; a failed extension is tried again while there's time. */
  protected async keepAlive(lease: Lease, ttlMs: number, ended: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await sleep(this.clock, Math.max(lease.remaining() - ttlMs / 2, ttlMs / 20), ended);
        await lease.extend(ttlMs).catch((error: unknown) => {
          if (!(error instanceof QuorumUnreachableError)) throw error;
        });
      }
    } catch {
      // The routine has ended, or the lease's signal has already said that it is lost.
    }
  }

  #grant(plan: Plan, resources: readonly string[], token: string, validUntil: number): Lease {
    const keeper: Keeper = {
      clock: this.clock,
      quorum: this.quorum,
      validUntil: (start, ttlMs) => {
        assertTtl(ttlMs, plan.driftFactor);
        return this.validUntil(start, ttlMs, plan.driftFactor);
      },
      extendAll: (lease, ttlMs) =>
        this.ask(plan.nodeTimeoutMs, (node) => extendNode(node, lease.resources, lease.token, ttlMs)),
      releaseAll: (lease) => this.ask(plan.nodeTimeoutMs, (node) => this.unlock(node, lease.resources, lease.token)),
    };
    const lease = new GrantedLease(keeper, [...resources], token, plan.ttlMs, validUntil);
    this.#granted.add(lease);
    return lease;
  }

  #own(lease: Lease): Lease {
    if (this.#granted.has(lease)) return lease;
    throw new ForeignLeaseError('This lease was granted by another Redlock: release and extend it there.');
  }

  #plan(resources: readonly string[], ttlMs: number, options: AcquireOptions): Plan {
    const merged = { ...this.#options, ...options };
    const retry = { ...this.#options.retry, ...options.retry };
    const driftFactor = within('driftFactor', merged.driftFactor ?? 0.01, 0, 0.5);
    assertTtl(ttlMs, driftFactor);
    if (resources.length === 0) throw new InvalidArgumentError('Name at least one resource to lock.');
    if (resources.includes('')) throw new InvalidArgumentError('A resource has an empty name.');
    const twice = resources.find((resource, index) => resources.indexOf(resource) !== index);
    if (twice !== undefined) throw new InvalidArgumentError(`The resource ${twice} is named twice.`);
    return {
      ttlMs,
      driftFactor,
      nodeTimeoutMs: within('nodeTimeoutMs', merged.nodeTimeoutMs ?? Math.min(50, ttlMs / 4), 1, ttlMs),
      maxMs: within('retry.maxMs', retry.maxMs ?? 5_000, 0, Number.POSITIVE_INFINITY),
      delayMs: within('retry.delayMs', retry.delayMs ?? 100, 0, LONGEST_TIMER_MS),
      jitterMs: within('retry.jitterMs', retry.jitterMs ?? 100, 0, LONGEST_TIMER_MS),
    };
  }
}

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function assertTtl(ttlMs: number, driftFactor: number): void {
  const drift = ttlMs * driftFactor + 2;
  if (Number.isInteger(ttlMs) && ttlMs > drift && ttlMs <= LONGEST_TIMER_MS) return;
  throw new InvalidArgumentError(
    `The TTL must be a whole number of milliseconds, more than the drift allowance (2 ms and ${driftFactor * 100} % of it) ` +
      `and at most ${LONGEST_TIMER_MS}; it is ${ttlMs}.`,
  );
}

function within(name: string, value: number, from: number, to: number): number {
  if (value >= from && value <= to) return value;
  throw new InvalidArgumentError(`${name} must be from ${from} to ${to}; it is ${value}.`);
}
