import type { Redis } from 'ioredis';
import type { Pool, PoolClient } from 'pg';
import { sleep, systemClock } from '../src/clock.ts';
import { notAcquired } from '../src/errors.ts';
import type { AcquireOptions, Clock, Lease, LockOptions, ReleaseOutcome, Vote } from '../src/index.ts';
import { type Plan, planOf, votersOf } from '../src/options.ts';

// What is not the idea is given: arguments are checked, retries wait, errors have their words, nodes are connected.
// The lock is yours. `h` in `pnpm lab learn redlock` gives a hint. Begin with `attempt` and `free`: the first law needs
// both. An error that you throw is exported by src/errors.ts: add it to the import above. The other files of src/ hold
// solutions.
export type { AcquireOptions, Clock, Lease, LockOptions, ReleaseOutcome, RetryOptions, Vote } from '../src/index.ts';
export {
  connectNodes,
  InvalidArgumentError,
  LeaseLostError,
  LeaseReleasedError,
  LockHeldError,
  NotAcquiredError,
  QuorumUnreachableError,
  RedlockError,
  TooLateError,
  WriteRolledBackError,
} from '../src/index.ts';

/** A request to one node. True: it did what was asked. False: the key is somebody else's, or nobody's. */
type Request = (node: Redis) => Promise<boolean>;

const count = (votes: readonly Vote[], answer: Vote['answer']) => votes.filter((vote) => vote.answer === answer).length;

/** A lock on N independent Redis nodes, held by whoever has a majority of them. */
export class Redlock {
  protected readonly nodes: readonly Redis[];
  protected readonly clock: Clock;
  protected readonly options: LockOptions;

  constructor(nodes: readonly Redis[], options: LockOptions & { readonly clock?: Clock } = {}) {
    this.nodes = votersOf(nodes);
    this.clock = options.clock ?? systemClock;
    this.options = { ...options, retry: { ...options.retry } };
  }

  /** Given: attempts, with a pause between two, until `retry.maxMs` has passed or the signal aborts. */
  async acquire(resources: readonly string[], ttlMs: number, options: AcquireOptions = {}): Promise<Lease> {
    const { signal } = options;
    const plan = planOf(resources, ttlMs, this.options, options);
    const deadline = this.clock.mono() + plan.maxMs;
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const granted = await this.attempt(plan, signal);
      if (granted instanceof HeldLease) return granted;
      signal?.throwIfAborted();
      const wait = plan.delayMs + Math.random() * plan.jitterMs;
      if (this.clock.mono() + wait > deadline) throw notAcquired(plan.resources, attempt, granted, this.quorum);
      await sleep(this.clock, wait, signal);
    }
  }

  /**
   * Asks all nodes once for `plan.resources` (the core laws lock one resource at a time).
   * Returns `this.grant(…)` when enough of them said yes, else the votes.
   */
  protected attempt(_plan: Plan, _signal?: AbortSignal): Promise<HeldLease | readonly Vote[]> {
    return todo('attempt');
  }

  /** Votes that make a lock. Is it wise to need them all? */
  protected get quorum(): number {
    return this.nodes.length;
  }

  /**
   * The votes of all nodes; one that hasn't answered within `timeoutMs` is 'silent'. (The reference stops earlier, when
   * the rest can't change the outcome: those are 'unheard'. Here you needn't.) Its flaw: it waits for each of them,
   * however long.
   */
  protected ask(_timeoutMs: number, request: Request): Promise<readonly Vote[]> {
    const vote = (node: number, answer: Vote['answer']): Vote => ({ node, answer });
    return Promise.all(
      this.nodes.map((node, index) =>
        request(node).then(
          (yes) => vote(index, yes ? 'yes' : 'no'),
          (error: Error) => ({ ...vote(index, 'error'), error }),
        ),
      ),
    );
  }

  /** Given: the lease of a lock that `token` has taken, good until `validUntil` on `this.clock`. */
  protected grant(plan: Plan, token: string, validUntil: number): HeldLease {
    const { clock, quorum } = this;
    return new HeldLease({ ...plan, token, validUntil, clock, quorum, ask: (it) => this.ask(plan.nodeTimeoutMs, it) });
  }

  /**
   * Runs `routine` while holding `resources`, extending the lease at half of its TTL for as long as the routine runs.
   * Releases in the end, and throws the reason of `lease.signal` when the lock was lost while the routine ran.
   */
  using<T>(
    _resources: readonly string[],
    _ttlMs: number,
    _routine: (signal: AbortSignal, lease: Lease) => T | Promise<T>,
    _options: AcquireOptions = {},
  ): Promise<T> {
    return todo('using');
  }
}

interface Granted extends Plan {
  readonly token: string;
  readonly validUntil: number;
  readonly clock: Clock;
  readonly quorum: number;
  /** Asks the nodes that have granted the lock. */
  ask(request: Request): Promise<readonly Vote[]>;
}

/** The lock, while we have it. */
class HeldLease implements Lease {
  readonly resources: readonly string[];
  readonly token: string;
  protected readonly granted: Granted;
  protected readonly lost = new AbortController();
  protected until: number;
  protected released: Promise<ReleaseOutcome> | undefined;

  constructor(granted: Granted) {
    this.granted = granted;
    this.resources = granted.resources;
    this.token = granted.token;
    this.until = granted.validUntil;
  }

  get validUntil(): number {
    return this.until;
  }

  /** Aborts with a `LeaseLostError`, a tenth of the TTL (at most 500 ms) before the end, or when the lock is gone. */
  get signal(): AbortSignal {
    return this.lost.signal;
  }

  remaining(): number {
    if (this.released || this.lost.signal.aborted) return 0;
    return Math.max(0, this.until - this.granted.clock.mono());
  }

  /** @throws LeaseLostError when the lease has ended, LeaseReleasedError after `release()`. */
  throwIfEnded(): void {
    throw new Error('throwIfEnded is not written yet.');
  }

  /**
   * Starts the TTL anew, from now, on a majority of the nodes; a shorter one shortens the lease.
   *
   * @throws LeaseLostError when the lease has ended or a majority no longer has our token; LeaseReleasedError.
   * @throws QuorumUnreachableError when too few nodes answered: the lease is then valid until its former end, or the new
   *   one if that comes sooner.
   */
  extend(_ttlMs: number): Promise<void> {
    return todo('extend');
  }

  /** Given: the outcome. Yours: `free`. */
  release(): Promise<ReleaseOutcome> {
    this.released ??= this.#release(this.remaining() > 0);
    return this.released;
  }

  async #release(valid: boolean): Promise<ReleaseOutcome> {
    const { quorum, ask } = this.granted;
    const votes = await ask((node) => this.free(node));
    if (!valid || count(votes, 'no') > votes.length - quorum) return 'expired';
    return count(votes, 'yes') >= quorum ? 'released' : 'unconfirmed';
  }

  /** Frees the lock on one node. True: our key was there, and is gone. */
  protected free(_node: Redis): Promise<boolean> {
    return todo('free');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** Fencing: a number that grows with each holder, and a store that refuses a number older than one it has seen. */
export class Fencing {
  protected readonly pool: Pool;
  protected readonly name: string;

  constructor(pool: Pool, name = 'fencing') {
    this.pool = pool;
    this.name = name;
  }

  /** Given: a sequence `<name>_token`, and a table `<name>_mark` (resource text primary key, fence bigint). */
  async migrate(): Promise<void> {
    await this.pool.query(`
      CREATE SEQUENCE IF NOT EXISTS ${this.name}_token CACHE 1;
      CREATE TABLE IF NOT EXISTS ${this.name}_mark (resource text PRIMARY KEY, fence bigint NOT NULL)`);
  }

  /** The next fencing token, for the holder of `lease`. @throws LeaseLostError when the lease has ended by then. */
  take(_lease: Pick<Lease, 'throwIfEnded'>): Promise<bigint> {
    return todo('take');
  }

  /** Given: runs `write` in a transaction, if `admit` lets it pass. */
  async write(resource: string, fence: bigint, write: (tx: PoolClient) => Promise<unknown>): Promise<'ok' | 'stale'> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const admitted = await this.admit(client, resource, fence);
      if (admitted) await write(client);
      await client.query(admitted ? 'COMMIT' : 'ROLLBACK');
      return admitted ? 'ok' : 'stale';
    } finally {
      client.release();
    }
  }

  /** Notes `fence` as the newest token of `resource`; false when a newer one is there. */
  protected admit(_tx: PoolClient, _resource: string, _fence: bigint): Promise<boolean> {
    return todo('admit');
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
