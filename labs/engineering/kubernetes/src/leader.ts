import { randomUUID } from 'node:crypto';
import { type V1Lease, V1MicroTime } from '@kubernetes/client-node';
import { type Clock, rest, systemClock, unharmedBy } from './clock.ts';
import { type Cluster, statusOf } from './cluster.ts';
import { InvalidArgumentError, LeadershipLostError } from './errors.ts';

export interface LeaderOptions {
  readonly namespace: string;
  /** Of the Lease that all candidates meet at. */
  readonly name: string;
  /** Default: a new UUID. Two candidates of one name would both lead. */
  readonly identity?: string;
  /** How long the others wait for a leader that is silent: whole seconds. Default 15. */
  readonly leaseSeconds?: number;
  /** Hears why the Lease could not be read or written; it is tried again. What it throws is ignored. Default: nobody hears. */
  readonly onError?: (error: unknown) => void;
  readonly clock?: Clock;
}

/** A time of leadership. */
export interface Term {
  /** Greater than that of every leader before, also after the Lease was deleted: for `applyFenced`. */
  readonly fence: bigint;
  /** Aborts with a LeadershipLostError a third of the lease before anybody else may begin, or when the Lease is found to be another's. */
  readonly signal: AbortSignal;
}

/** The share of the lease that a leader believes in. The rest is for clocks that run apart, and for ending its work. */
const BELIEVED = 2 / 3;
const RENEWALS = 5;

/**
 * Candidates for one leadership, by a Lease. Nobody's wall clock is asked: a candidate takes over when it has seen the Lease
 * unchanged for as long as it lasts, on its own monotonic clock. A paused leader can still believe in a term that is over:
 * what it writes needs the fence.
 */
export class Candidate {
  protected readonly cluster: Cluster;
  protected readonly options: Required<LeaderOptions>;
  protected seen: { readonly version: string | undefined; readonly at: number } | undefined;

  constructor(cluster: Cluster, options: LeaderOptions) {
    this.cluster = cluster;
    const onError = unharmedBy(options.onError ?? (() => {}));
    this.options = { identity: randomUUID(), leaseSeconds: 15, clock: systemClock, ...options, onError };
    const { leaseSeconds, identity } = this.options;
    if (!Number.isSafeInteger(leaseSeconds) || leaseSeconds < 1 || leaseSeconds > 86_400) {
      throw new InvalidArgumentError(`leaseSeconds is ${leaseSeconds}: a Lease counts whole seconds, 1 to 86,400`);
    }
    if (identity === '') throw new InvalidArgumentError('identity is empty, which in a Lease means that nobody leads');
  }

  /**
   * Leads whenever it can, until the signal aborts. `routine` runs once a term, and has to end soon when its signal aborts;
   * nothing else is begun before it has ended. A routine that ends by itself ends the term, and the next one may lead.
   *
   * @throws what `routine` throws, unless its term was over
   */
  async run(routine: (term: Term) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const asked = this.options.clock.mono();
      const lease = await this.attempt().catch(this.options.onError);
      if (lease !== undefined) await this.lead(lease, asked, routine, signal);
      await rest(this.leaseMs / RENEWALS, signal, this.options.clock);
    }
  }

  protected get leaseMs(): number {
    return this.options.leaseSeconds * 1000;
  }

  /** Asks once. @returns the Lease, if it is ours now */
  protected async attempt(): Promise<V1Lease | undefined> {
    const found = await this.cluster.find<V1Lease>(this.address);
    if (found === undefined) return this.write(undefined);
    return this.mayTake(found) ? this.write(found) : undefined;
  }

  /** Whether nobody holds it: it says so, it says our name, or it hasn't changed for as long as it lasts. */
  protected mayTake(lease: V1Lease): boolean {
    const { identity, clock } = this.options;
    const version = lease.metadata?.resourceVersion;
    if (this.seen?.version !== version) this.seen = { version, at: clock.mono() };
    const silentMs = clock.mono() - (this.seen?.at ?? 0);
    const { holderIdentity, leaseDurationSeconds = this.options.leaseSeconds } = lease.spec ?? {};
    return ['', identity].includes(holderIdentity ?? '') || silentMs >= leaseDurationSeconds * 1000;
  }

  /** When a leader stops to believe in a lease that it asked for at `asked`, on the monotonic clock. */
  protected believedUntil(asked: number): number {
    return asked + this.leaseMs * BELIEVED;
  }

  protected get address() {
    const { namespace, name } = this.options;
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } };
  }

  /** The version that was read goes along: of two who write, the second is refused. */
  protected async write(
    found: V1Lease | undefined,
    holderIdentity = this.options.identity,
  ): Promise<V1Lease | undefined> {
    const now = new V1MicroTime();
    const before = found?.spec;
    const same = before?.holderIdentity === holderIdentity;
    const lease: V1Lease = {
      ...this.address,
      metadata: { ...found?.metadata, ...this.address.metadata },
      spec: {
        holderIdentity,
        leaseDurationSeconds: this.options.leaseSeconds,
        renewTime: now,
        acquireTime: (same ? before.acquireTime : undefined) ?? now,
        leaseTransitions: (before?.leaseTransitions ?? 0) + (same || found === undefined ? 0 : 1),
      },
    };
    try {
      return await (found === undefined ? this.cluster.create(lease) : this.cluster.replace(lease));
    } catch (error) {
      if (statusOf(error) === 409) return undefined;
      throw error;
    }
  }

  protected async lead(lease: V1Lease, asked: number, routine: (term: Term) => Promise<void>, outer: AbortSignal) {
    const { clock, name, onError } = this.options;
    const lost = new AbortController();
    const resign = () => lost.abort(outer.reason);
    outer.addEventListener('abort', resign, { once: true });
    if (outer.aborted) resign();
    let held = lease;
    let ended = false;
    let cancel = () => {};
    let until = asked;
    const taken = () => lost.abort(new LeadershipLostError(`${name} was taken away`));
    /** Counted from before the request: when the answer came says nothing of when the others saw it. */
    const believe = (from: number) => {
      cancel();
      until = this.believedUntil(from);
      const left = until - clock.mono();
      const end = () =>
        lost.abort(new LeadershipLostError(`${name} could not be renewed for ${this.leaseMs * BELIEVED} ms`));
      if (left <= 0) end();
      else cancel = clock.after(left, end);
    };
    believe(asked);
    const renewing = (async () => {
      while (!ended && !lost.signal.aborted) {
        // An election that took long has left little time.
        await rest(Math.min(this.leaseMs / RENEWALS, (until - clock.mono()) / 2), lost.signal, clock);
        if (ended || lost.signal.aborted) return;
        const from = clock.mono();
        // An answer that is lost leaves us with the wrong version: then it is read again.
        const renewed = (await this.write(held).catch(onError)) ?? (await this.mine(taken).catch(onError));
        if (renewed !== undefined && !lost.signal.aborted) believe(from);
        held = renewed ?? held;
      }
    })();
    // In the version of the Lease that we won the whole history is counted, deletions included.
    const fence = BigInt(lease.metadata?.resourceVersion ?? 0);
    try {
      if (!lost.signal.aborted) await routine({ fence, signal: lost.signal });
    } catch (error) {
      if (!lost.signal.aborted) throw error;
    } finally {
      ended = true;
      cancel();
      outer.removeEventListener('abort', resign);
      const over = lost.signal.reason instanceof LeadershipLostError;
      lost.abort(outer.reason);
      // What is under way then can only be refused. Else who waits needn't wait for the end of the lease.
      if (!over) await renewing.then(() => this.write(held, '')).catch(() => undefined);
    }
  }

  /** The Lease renewed, if it still says our name. Else `taken` is called: somebody has set it aside by hand. */
  protected async mine(taken: () => void): Promise<V1Lease | undefined> {
    const found = await this.cluster.find<V1Lease>(this.address);
    if (found?.spec?.holderIdentity === this.options.identity) return this.write(found);
    taken();
    return undefined;
  }
}
