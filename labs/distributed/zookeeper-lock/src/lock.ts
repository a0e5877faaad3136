import { SessionExpiredError } from './errors.ts';
import type { Session } from './session.ts';

/**
 * `released`: our place was still there, so nobody else was in until now. `lost`: it had gone before. `unconfirmed`:
 * ZooKeeper can't be reached, or refuses; the place goes when it can, or with the session.
 */
export type ReleaseOutcome = 'released' | 'lost' | 'unconfirmed';

/** A granted lock. */
export interface Lock extends AsyncDisposable {
  /** The node that is our place in the queue. */
  readonly node: string;
  /**
   * The fencing token: the number of the transaction that made our node (czxid). It grows from holder to holder, even
   * when the lock's path is deleted in between. A store that has seen a greater one has to refuse this one.
   */
  readonly fence: bigint;
  /**
   * Aborts with a SessionSuspendedError when ZooKeeper has been silent for two thirds of the session timeout or the
   * connection broke: before anybody else can have the lock. With a SessionExpiredError or SessionClosedError when the
   * session ends. A process that stood still hears of it too late: only the fence protects what it writes then.
   */
  readonly signal: AbortSignal;
  /** Gives the lock up. Never rejects; a second call has the outcome of the first and sends nothing. */
  release(): Promise<ReleaseOutcome>;
}

export class HeldLock implements Lock {
  readonly node: string;
  readonly fence: bigint;
  readonly #lost = new AbortController();
  readonly #session: Session;
  readonly #leave: () => Promise<boolean>;
  readonly #callOff: () => void;
  #released: Promise<ReleaseOutcome> | undefined;

  /** @param leave Deletes the node, however long it takes; false if there was none. */
  constructor(session: Session, node: string, fence: bigint, leave: () => Promise<boolean>) {
    this.#session = session;
    this.node = node;
    this.fence = fence;
    this.#leave = leave;
    this.#callOff = this.watchOver(session, (error) => this.#lost.abort(error));
  }

  get signal(): AbortSignal {
    // A process that stood still has not had its timers yet: to ask for the state is to look at the clock.
    void this.#session.state;
    return this.#lost.signal;
  }

  release(): Promise<ReleaseOutcome> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Tells the holder when the lock may be lost; returns how to stop that. */
  protected watchOver(session: Session, tell: (error: Error) => void): () => void {
    return session.onTrouble(tell);
  }

  async #release(): Promise<ReleaseOutcome> {
    const broken = Promise.withResolvers<ReleaseOutcome>();
    const callOff = this.#session.onTrouble((error) =>
      broken.resolve(error instanceof SessionExpiredError ? 'lost' : 'unconfirmed'),
    );
    const { state } = this.#session;
    if (state === 'suspended') broken.resolve('unconfirmed');
    const left = this.#leave().then(
      (was) => (was ? 'released' : 'lost'),
      (error: unknown) => (error instanceof SessionExpiredError ? 'lost' : 'unconfirmed'),
    );
    const outcome = await Promise.race([broken.promise, left]);
    callOff();
    this.#callOff();
    return outcome;
  }
}
