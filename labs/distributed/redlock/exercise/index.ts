import type { Redis } from 'ioredis';
import type { Pool, PoolClient } from 'pg';
import type { AcquireOptions, Clock, Lease, LockOptions, ReleaseOutcome } from '../src/index.ts';

// The words of the subject are given: what a lease can do, the options with their defaults, the errors, and the clients.
// src/clock.ts has `systemClock` and `sleep`. The lock is yours. `h` in `pnpm lab learn redlock` gives a hint.
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
} from '../src/index.ts';

/**
 * A lock on N independent Redis nodes, held by whoever has a majority of them.
 *
 * Begin with one node: take the key only if nobody has it, with an end; give it back only if it is still yours.
 * Then ask all nodes at once, and count.
 */
export class Redlock {
  protected readonly nodes: readonly Redis[];
  protected readonly options: LockOptions & { readonly clock?: Clock };

  /** @throws InvalidArgumentError without nodes, or when two of them are one server (`node.options` has host and port). */
  constructor(nodes: readonly Redis[], options: LockOptions & { readonly clock?: Clock } = {}) {
    this.nodes = nodes;
    this.options = options;
  }

  /**
   * Takes all `resources` together, or none, for `ttlMs` milliseconds; tries again until `retry.maxMs` has passed.
   *
   * 1. A new random token. 2. The time, on the monotonic clock. 3. All nodes at once, none for longer than
   * `nodeTimeoutMs`. 4. Yours when ⌊N/2⌋ + 1 said yes and TTL − time spent − drift is above zero, where drift is
   * TTL · driftFactor + 2 ms. 5. If not: free every node, wait with jitter, try again.
   *
   * The lease that you return keeps its promises by itself: read the interface `Lease` in src/lease.ts.
   *
   * @throws InvalidArgumentError on a TTL that isn't a whole number above the drift allowance, on no, empty or duplicate resources.
   * @throws LockHeldError, QuorumUnreachableError or TooLateError when `retry.maxMs` has passed.
   */
  acquire(_resources: readonly string[], _ttlMs: number, _options: AcquireOptions = {}): Promise<Lease> {
    return todo('acquire');
  }

  /**
   * Runs `routine` while holding `resources`, extending the lease at half of its TTL for as long as the routine runs.
   * `signal` aborts when the lock can't be kept or `options.signal` aborts.
   *
   * @throws what `acquire` throws; what the routine throws; LeaseLostError when the routine returned but the lock was
   *   lost while it ran.
   */
  using<T>(
    _resources: readonly string[],
    _ttlMs: number,
    _routine: (signal: AbortSignal, lease: Lease) => T | Promise<T>,
    _options: AcquireOptions = {},
  ): Promise<T> {
    return todo('using');
  }

  /** `lease.release()`, for a lease of this lock. @throws ForeignLeaseError for any other. */
  release(_lease: Lease): Promise<ReleaseOutcome> {
    return todo('release');
  }

  /** `lease.extend(ttlMs)`, for a lease of this lock. @throws ForeignLeaseError for any other; else see `Lease.extend`. */
  extend(_lease: Lease, _ttlMs: number): Promise<void> {
    return todo('extend');
  }
}

/**
 * Fencing: a number that grows with each holder, and a store that refuses a number older than one it has seen.
 */
export class Fencing {
  protected readonly pool: Pool;
  protected readonly name: string;

  /** `name` is the prefix of whatever you create in the database. Default "fencing". */
  constructor(pool: Pool, name = 'fencing') {
    this.pool = pool;
    this.name = name;
  }

  /** Creates what is missing in the database: a counter, and a place for the newest number seen of each resource. */
  migrate(): Promise<void> {
    return todo('migrate');
  }

  /**
   * The next fencing token, for the holder of `lease`. @throws LeaseLostError when the lease has ended by then.
   */
  take(_lease: Pick<Lease, 'throwIfEnded'>): Promise<bigint> {
    return todo('take');
  }

  /**
   * Runs `write` in a transaction, unless a write to `resource` under a newer token has been committed: then nothing
   * is written and the outcome is `stale`.
   */
  write(_resource: string, _fence: bigint, _write: (tx: PoolClient) => Promise<unknown>): Promise<'ok' | 'stale'> {
    return todo('write');
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
