import type { Clock } from './clock.ts';
import { LeaseLostError, LeaseReleasedError, QuorumUnreachableError } from './errors.ts';
import type { Ballot } from './poll.ts';

/** What a lease asks of the lock that granted it. */
export interface Keeper {
  readonly clock: Clock;
  readonly quorum: number;
  /**
   * End of the validity, on the monotonic clock, of a TTL whose first request left at `start`.
   * @throws InvalidArgumentError on a TTL that `acquire` would refuse.
   */
  validUntil(start: number, ttlMs: number): number;
  /** `number` is that of the extension, from 1 on: a node that has heard of a later one refuses it. */
  extendAll(lease: Lease, ttlMs: number, number: number): Promise<Ballot>;
  releaseAll(lease: Lease): Promise<Ballot>;
}

/**
 * `released`: a majority of nodes confirmed that our key is gone. `expired`: the lease had ended before, and somebody
 * else may have held the lock since. `unconfirmed`: too few nodes answered. Where a connection broke, the
 * node is asked again in the background; the TTL frees what is left.
 */
export type ReleaseOutcome = 'released' | 'expired' | 'unconfirmed';

/** A granted lock. It is worth what `remaining()` says, and no more: a lease is a promise with an end. */
export interface Lease extends AsyncDisposable {
  readonly resources: readonly string[];
  /** The random value that marks the keys as ours. It proves ownership; it does not order holders (see fencing). */
  readonly token: string;
  /** Monotonic milliseconds (`performance.now()`) at which the lease ends. */
  readonly validUntil: number;
  /**
   * Aborts with a `LeaseLostError` when the lease can't be kept, a tenth of the TTL (at most 500 ms) before its end, so
   * that there's time to stop; from then on the lease counts as ended. A stalled process hears of it too late: only
   * fencing protects what it writes then.
   */
  readonly signal: AbortSignal;
  /** Milliseconds that are left of the lease; 0 once it is lost or released. */
  remaining(): number;
  /** @throws LeaseLostError when the lease has ended, LeaseReleasedError after `release()`. */
  throwIfEnded(): void;
  /**
   * Starts the TTL anew, from now, on a majority of the nodes; a shorter one shortens the lease. Extensions of one
   * lease run one after the other, and a node that has heard of a later one refuses an earlier one that comes late.
   *
   * @throws InvalidArgumentError on a TTL that `acquire` would refuse.
   * @throws LeaseLostError when the lease has ended or a majority no longer has our token.
   * @throws LeaseReleasedError after `release()`.
   * @throws QuorumUnreachableError when too few nodes answered: the lease is then valid until its former end, or the new one
   *   if that comes sooner.
   */
  extend(ttlMs: number): Promise<void>;
  /** Frees the lock. Never throws; a second call has the outcome of the first and sends nothing. */
  release(): Promise<ReleaseOutcome>;
}

export class GrantedLease implements Lease {
  readonly resources: readonly string[];
  readonly token: string;
  protected readonly keeper: Keeper;
  protected until: number;
  #cancelAlarm: () => void = () => {};
  #lost: AbortController | undefined;
  #released: Promise<ReleaseOutcome> | undefined;
  #extended: Promise<unknown> = Promise.resolve();
  #extensions = 0;

  constructor(keeper: Keeper, resources: readonly string[], token: string, ttlMs: number, validUntil: number) {
    this.keeper = keeper;
    this.resources = resources;
    this.token = token;
    this.until = validUntil;
    this.moveEnd(validUntil, ttlMs);
  }

  get validUntil(): number {
    return this.until;
  }

  get signal(): AbortSignal {
    return this.#ending().signal;
  }

  remaining(): number {
    if (this.#released || this.#lost?.signal.aborted) return 0;
    return Math.max(0, this.until - this.keeper.clock.mono());
  }

  throwIfEnded(): void {
    if (this.#released) throw new LeaseReleasedError(`The lease on ${this.resources.join(', ')} was released.`);
    // The alarm is a timer, and a timer is late when the process was stalled.
    if (this.remaining() <= 0) this.#lose('its TTL has ended');
    this.#lost?.signal.throwIfAborted();
  }

  async extend(ttlMs: number): Promise<void> {
    return this.inTurn(() => this.#extend(ttlMs));
  }

  /**
   * As `extend`, unless the lease lasts longer when it is its turn: what others have asked for is not taken back. Then
   * its alarm alone moves: a tenth of a long TTL may be more than the whole of `ttlMs`, and come before the next `keep`.
   */
  async keep(ttlMs: number): Promise<void> {
    return this.inTurn(async () => {
      if (this.remaining() > ttlMs) return this.moveEnd(this.until, ttlMs);
      await this.#extend(ttlMs);
    });
  }

  release(): Promise<ReleaseOutcome> {
    this.#released ??= this.#release(this.remaining() > 0);
    return this.#released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  // Two steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** One extension after the other: the answer to an earlier one must not undo what a later one has shortened. */
  protected inTurn(extension: () => Promise<void>): Promise<void> {
    const turn = this.#extended.then(extension);
    this.#extended = turn.catch(() => {});
    return turn;
  }

  /** The alarm moves with the end, whether the nodes have confirmed it or not. */
  protected moveEnd(until: number, ttlMs: number): void {
    this.until = until;
    this.#cancelAlarm();
    const early = Math.min(ttlMs / 10, 500);
    const ms = Math.max(0, until - this.keeper.clock.mono() - early);
    this.#cancelAlarm = this.keeper.clock.after(ms, () => this.#lose('its TTL ends'), 'background');
  }

  async #extend(ttlMs: number): Promise<void> {
    this.throwIfEnded();
    const until = this.keeper.validUntil(this.keeper.clock.mono(), ttlMs);
    // A node that shortens the TTL and whose answer is lost would otherwise expire before we think it does.
    if (until < this.until) this.moveEnd(until, ttlMs);
    const { yes, no, votes } = await this.keeper.extendAll(this, ttlMs, ++this.#extensions);
    this.throwIfEnded();
    if (yes >= this.keeper.quorum) return this.moveEnd(until, ttlMs);
    if (no <= votes.length - this.keeper.quorum) throw new QuorumUnreachableError(this.resources, 1, votes);
    this.#lose('a majority of nodes no longer has our token');
    this.throwIfEnded();
  }

  async #release(valid: boolean): Promise<ReleaseOutcome> {
    this.#cancelAlarm();
    const { yes, no, votes } = await this.keeper.releaseAll(this);
    if (valid && no <= votes.length - this.keeper.quorum) {
      return yes >= this.keeper.quorum ? 'released' : 'unconfirmed';
    }
    this.#lose('it had ended before its release');
    return 'expired';
  }

  /** Made when it is first needed: most leases end before anybody has asked for their signal. */
  #ending(): AbortController {
    this.#lost ??= new AbortController();
    return this.#lost;
  }

  #lose(why: string): void {
    this.#cancelAlarm();
    this.#ending().abort(new LeaseLostError(`The lease on ${this.resources.join(', ')} is lost: ${why}.`));
  }
}
