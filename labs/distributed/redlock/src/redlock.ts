import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type Clock, sleep, systemClock } from './clock.ts';
import { notAcquired, QuorumUnreachableError } from './errors.ts';
import { GrantedLease, type Keeper, type Lease } from './lease.ts';
import { extendNode, isAway, isBroken, isUndone, lockNode, NotAskedError, unlockNode } from './nodes.ts';
import { type AcquireOptions, assertTtl, type LockOptions, type Plan, planOf, votersOf } from './options.ts';
import { type Ballot, poll, type Vote } from './poll.ts';

const FREE_AGAIN_MS = 100;
const LOOK_MS = 500;

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
  /**
   * Nodes that were silent and have yet to answer, with the connection on which they were asked and how long they had. Another
   * request would wait behind that one, and be cleaned up too: after an outage of all nodes nobody would get through for what
   * has piled up.
   */
  readonly #hung = new WeakMap<Redis, { readonly stream: unknown; readonly forMs: number }>();

  /** @throws InvalidArgumentError without nodes, on a Cluster or a replica set, or when two nodes are one server. */
  constructor(nodes: readonly Redis[], options: LockOptions & { readonly clock?: Clock } = {}) {
    this.nodes = votersOf(nodes);
    this.clock = options.clock ?? systemClock;
    this.#options = { ...options, retry: { ...options.retry } };
  }

  /** Votes that make a majority: ⌊N/2⌋ + 1. */
  protected get quorum(): number {
    return Math.floor(this.nodes.length / 2) + 1;
  }

  /**
   * Takes all `resources` together, or none, for `ttlMs` milliseconds.
   *
   * @throws InvalidArgumentError on a TTL that isn't a whole number above the drift allowance; on no resource, or one
   *   that is named twice or has a name that Redis or PostgreSQL would change.
   * @throws LockHeldError, QuorumUnreachableError or TooLateError when `retry.maxMs` has passed.
   * @throws the reason of `options.signal` when it aborts.
   */
  acquire(resources: readonly string[], ttlMs: number, options: AcquireOptions = {}): Promise<Lease> {
    return this.#acquire(resources, ttlMs, options);
  }

  async #acquire(resources: readonly string[], ttlMs: number, options: AcquireOptions): Promise<GrantedLease> {
    const { signal } = options;
    const plan = planOf(resources, ttlMs, this.#options, options);
    const deadline = this.clock.mono() + plan.maxMs;
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const granted = await this.#attempt(plan, signal);
      if (granted instanceof GrantedLease) return granted;
      signal?.throwIfAborted();
      const wait = plan.delayMs + Math.random() * plan.jitterMs;
      if (this.clock.mono() + wait > deadline) throw notAcquired(plan.resources, attempt, granted, this.quorum);
      await sleep(this.clock, wait, signal);
    }
  }

  /**
   * Asks for the lock once, all nodes but those that still owe an answer to somebody who waited as long as this one would. The
   * lease, or the votes that did not make a majority in time.
   */
  async #attempt(plan: Plan, signal: AbortSignal | undefined): Promise<GrantedLease | readonly Vote[]> {
    const { resources, ttlMs } = plan;
    const token = this.newToken();
    // The TTLs run from here at the latest: the time spent asking is not ours.
    const start = this.clock.mono();
    const end = start + ttlMs;
    const asked = this.nodes.map(({ stream }) => stream);
    const waiting = new Set<Redis>();
    const request = (node: Redis) => {
      const hung = this.#hung.get(node);
      if (hung && hung.stream === node.stream && hung.forMs >= plan.nodeTimeoutMs)
        return Promise.reject(new NotAskedError('still to answer an earlier request'));
      const answer = this.lock(node, resources, token, ttlMs);
      const heard = () => waiting.delete(node) && this.#hung.delete(node);
      waiting.add(node);
      answer.then(heard, heard);
      return answer;
    };
    const ballot = await this.ask(plan.nodeTimeoutMs, request, signal);
    // Who leaves says nothing about the nodes.
    for (const node of signal?.aborted ? [] : waiting) {
      const index = this.nodes.indexOf(node);
      if (ballot.votes[index]?.answer === 'silent')
        this.#hung.set(node, { stream: asked[index], forMs: plan.nodeTimeoutMs });
    }
    const validUntil = this.validUntil(start, ttlMs, plan.driftFactor);
    const elected = ballot.yes >= this.quorum;
    const inTime = validUntil > this.clock.mono();
    if (elected && inTime && !signal?.aborted)
      return this.grant(this.#keeper(plan, ballot, asked, end), plan, token, validUntil);
    this.cleanUp(resources, token, ballot, end);
    return ballot.votes;
  }

  /**
   * Runs `routine` while holding `resources`, extending the lease at half of its TTL for as long as the routine runs.
   * `signal` aborts when the lock can't be kept or `options.signal` aborts: stop, or write under a fencing token.
   * The routine may release its lease itself, or extend it for longer than `ttlMs`; one that shortens it below six tenths
   * of `ttlMs` may have it end.
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
    await using lease = await this.#acquire(resources, ttlMs, options);
    // Not AbortSignal.any: what a routine leaves on that signal stays for as long as `options.signal` lives.
    const told = new AbortController();
    const sources = [lease.signal, ...(options.signal ? [options.signal] : [])];
    const tell = () => told.abort(sources.find(({ aborted }) => aborted)?.reason);
    for (const source of sources) source.addEventListener('abort', tell);
    const ended = new AbortController();
    void this.keepAlive(lease, ttlMs, ended.signal);
    try {
      if (options.signal?.aborted) tell();
      const result = await routine(told.signal, lease);
      await lease.release();
      lease.signal.throwIfAborted();
      return result;
    } finally {
      ended.abort();
      for (const source of sources) source.removeEventListener('abort', tell);
    }
  }

  // The steps of the algorithm, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** 122 random bits, no `#`, new for each attempt: a late answer to an old attempt can't be taken for this one. */
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
  protected ask(timeoutMs: number, ask: (node: Redis) => Promise<boolean>, signal?: AbortSignal): Promise<Ballot> {
    return poll({ clock: this.clock, nodes: this.nodes, quorum: this.quorum, timeoutMs, ask, signal });
  }

  /** End of the validity: start + TTL − drift, where drift = TTL · factor + 2 ms. */
  protected validUntil(start: number, ttlMs: number, driftFactor: number): number {
    return start + ttlMs - (ttlMs * driftFactor + 2);
  }

  /**
   * Frees every node that has not said no, the silent ones too: their yes may be on its way, and a key left behind
   * blocks everybody, ourselves first, for a whole TTL. Nobody waits for it: each connection keeps its order.
   */
  protected cleanUp(resources: readonly string[], token: string, ballot: Ballot, until: number): void {
    for (const [index, node] of this.nodes.entries()) {
      const vote = ballot.votes[index];
      if (!mayHave(vote)) continue;
      const broken = isBroken(node) || (vote?.answer === 'error' && vote.error?.name !== 'ReplyError');
      void this.#free(node, resources, token, until, broken ? FREE_AGAIN_MS : 0);
    }
  }

  /**
   * A connection that breaks loses what was sent, or the network delivers it after what the next one brings: a node that
   * then has nothing to free is asked again, after `pauseMs` and ever longer pauses, until the TTL has passed.
   */
  #free(node: Redis, resources: readonly string[], token: string, until: number, pauseMs: number): Promise<boolean> {
    const again = (ms: number) => {
      const look = () => {
        if (node.status === 'end' || this.clock.mono() > until) return;
        if (!isAway(node)) return void this.#free(node, resources, token, until, 2 * ms);
        // Thousands may wait for one node: not all at once.
        this.clock.after((1 + Math.random()) * LOOK_MS, look, 'background');
      };
      this.clock.after(ms, look, 'background');
    };
    const freeing = this.unlock(node, resources, token);
    freeing.then(
      (freed) => !freed && pauseMs > 0 && again(pauseMs),
      // A connection that broke is soon back. Other errors last, and a request that timed out stays in the queue.
      () => again(isAway(node) ? FREE_AGAIN_MS : Math.max(pauseMs, FREE_AGAIN_MS)),
    );
    return freeing;
  }

  /** Extends `lease` until `ended` aborts or the lease is lost; a failed extension is tried again while there's time. */
  protected async keepAlive(lease: GrantedLease, ttlMs: number, ended: AbortSignal): Promise<void> {
    try {
      for (;;) {
        // A lease that lasts longer may be shortened before its half.
        const left = Math.min(lease.remaining(), ttlMs);
        await sleep(this.clock, Math.max(left - ttlMs / 2, ttlMs / 20), ended);
        await lease.keep(ttlMs).catch((error: unknown) => {
          if (!(error instanceof QuorumUnreachableError)) throw error;
        });
      }
    } catch {
      // The routine has ended, or the lease's signal has already said that it is lost.
    }
  }

  protected grant(keeper: Keeper, { resources, ttlMs }: Plan, token: string, validUntil: number): GrantedLease {
    return new GrantedLease(keeper, resources, token, ttlMs, validUntil);
  }

  /**
   * `asked` has the sockets that the request for the lock went to. `end` is that of the keys, and not of the lease: an
   * extension without an answer keeps them for longer.
   */
  #keeper(plan: Plan, granted: Ballot, asked: readonly unknown[], end: number): Keeper {
    return {
      clock: this.clock,
      quorum: this.quorum,
      validUntil: (start, ttlMs) => {
        assertTtl(ttlMs, plan.driftFactor);
        return this.validUntil(start, ttlMs, plan.driftFactor);
      },
      extendAll: (lease, ttlMs, number) => {
        end = Math.max(end, this.clock.mono() + ttlMs);
        return this.ask(plan.nodeTimeoutMs, (node) => extendNode(node, lease.resources, lease.token, ttlMs, number));
      },
      releaseAll: ({ resources, token }) =>
        this.ask(plan.nodeTimeoutMs, (node) => {
          const index = this.nodes.indexOf(node);
          if (!mayHave(granted.votes[index])) return this.unlock(node, resources, token);
          const same = node.status === 'ready' && node.stream === asked[index];
          return this.#free(node, resources, token, end, same ? 0 : FREE_AGAIN_MS);
        }),
    };
  }
}

/** Whether a node with this vote may have the key, now or later. */
const mayHave = (vote?: Vote): boolean => vote?.answer !== 'no' && !isUndone(vote?.error);
