import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import { type Build, Builds } from './builds.ts';
import { CqrsError, InvalidArgumentError, PoisonEventError } from './errors.ts';
import type { Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
import type { Projection } from './projection.ts';
import { inTransaction } from './transaction.ts';

export interface ProjectorOptions {
  /** What the tables' names begin with; the same for `Queries`. Default "shop". */
  readonly prefix?: string;
  /** Events a transaction. Default 500. */
  readonly batch?: number;
  /** Milliseconds between looks when there is nothing to do, and after an error. Default 20. */
  readonly idleMs?: number;
  /** Hears of each failed round. Default: nobody does; the round is repeated all the same. */
  readonly onError?: (error: unknown) => void;
}

/** How far the read model is behind the log, and why it stands still, if it does. */
export interface Lag extends Backlog {
  readonly paused: string | undefined;
}

/** What a projector needs of the command side: it could be read over a network. */
export type Log<E extends NewEvent> = Pick<EventStore<E>, 'readAll' | 'backlog'>;

/** A method, so that each handler may ask for its own event: it was found by that event's type. */
type Handler<E extends NewEvent> = { on(tx: PoolClient, table: string, event: Recorded<E>): Promise<unknown> }['on'];

/** Copies the book of commands into the book of queries: one projection, by as many instances as you like, one active. */
export class Projector<E extends NewEvent> {
  protected readonly pool: Pool;
  protected readonly log: Log<E>;
  protected readonly projection: Projection<E>;
  protected readonly options: Required<ProjectorOptions>;
  protected readonly builds: Builds<E>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  /** @param pool The database of the read model. @throws InvalidArgumentError */
  constructor(pool: Pool, log: Log<E>, projection: Projection<E>, options: ProjectorOptions = {}) {
    const { prefix = 'shop', batch = 500, idleMs = 20, onError = () => {} } = options;
    if (!Number.isInteger(batch) || batch < 1) {
      throw new InvalidArgumentError(`batch is ${batch}: give a whole number, at least 1.`);
    }
    if (!(idleMs >= 0)) throw new InvalidArgumentError(`idleMs is ${idleMs}: give milliseconds, 0 or more.`);
    this.pool = pool;
    this.log = log;
    this.projection = projection;
    this.options = { prefix, batch, idleMs, onError };
    this.builds = new Builds(projection.name, prefix);
  }

  /** Creates what is missing, the empty read model included. */
  migrate(): Promise<void> {
    return this.builds.migrate(this.pool, this.projection);
  }

  /** One batch. @returns how many events: 0 when there is none, it is paused, or another instance is at work */
  round(): Promise<number> {
    return this.attempt('live');
  }

  /** Works until `stop()`. */
  start(): void {
    this.#running ??= this.#work(this.#stopping.signal);
  }

  /** Ends after the batch in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** How far behind the live read model is. A paused one falls behind more and more: alarm on this. */
  async lag(): Promise<Lag> {
    const live = await this.builds.find(this.pool, 'live');
    return { ...(await this.log.backlog(live?.position ?? 0n)), paused: live?.paused };
  }

  /** Goes on after a poison event, with code that can apply it. */
  async resume(): Promise<void> {
    await this.builds.pause(this.pool, 'live', undefined);
  }

  /**
   * Builds the read model anew in a table of its own, while the live one is served and kept up to date, and then
   * switches. Called again after a crash it goes on where it was.
   *
   * @param options.signal Ends it after the batch in hand, as a crash would. Default: it goes on to its end.
   * @throws PoisonEventError when an event can't be applied: the live read model stays. @throws the signal's reason
   */
  async rebuild({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const build = await this.builds.open(this.pool, this.projection);
    while ((await this.attempt(build)) > 0) signal?.throwIfAborted();
    await this.builds.analyze(this.pool, build);
    await this.switchTo(build);
    await this.builds.dropOld(this.pool);
  }

  /** One batch of one build. What comes before a poison event is applied; then the build is paused. */
  protected async attempt(which: 'live' | number): Promise<number> {
    try {
      return await this.advance(which);
    } catch (error) {
      if (!(error instanceof PoisonEventError)) throw error;
      return error.before === 0 ? this.poisoned(which, error) : this.advance(which, error.position);
    }
  }

  protected async poisoned(which: 'live' | number, error: PoisonEventError): Promise<number> {
    await this.builds.pause(this.pool, which, error.message);
    if (which !== 'live') throw error;
    this.options.onError(error);
    return 0;
  }

  /** @param below Events from here on are left for later. */
  protected async advance(which: 'live' | number, below?: bigint): Promise<number> {
    const seen = await this.builds.find(this.pool, which);
    if (!seen || seen.paused !== undefined) return 0;
    // Read before the transaction: the log may be far away. If another instance is faster, `apply` passes over these.
    const read = await this.log.readAll(seen.position, this.options.batch);
    const events = below === undefined ? read : read.filter(({ position }) => position < below);
    return events.length === 0 ? 0 : this.commit(which, events);
  }

  /** The read model and its checkpoint in one transaction: a crash leaves both, or neither. */
  protected async commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    return inTransaction(this.pool, async (tx) => {
      const build = await this.builds.claim(tx, which, this.projection.version);
      if (!build || build.paused !== undefined) return 0;
      await this.apply(tx, build, events);
      return events.length;
    });
  }

  /** Applies what lies beyond the checkpoint, in order, and moves it. @returns the new checkpoint */
  protected async apply(tx: PoolClient, build: Build, events: readonly Recorded<E>[]): Promise<bigint> {
    let reached = build.position;
    let before = 0;
    for (const event of events.toSorted((a, b) => Number(a.position - b.position))) {
      // At least once is what a log promises. The second time is stopped here.
      if (event.position <= reached) continue;
      await this.handle(tx, build.table, event, before++);
      reached = event.position;
    }
    if (reached > build.position) await this.builds.advance(tx, build.build, reached);
    return reached;
  }

  protected async handle(tx: PoolClient, table: string, event: Recorded<E>, before: number): Promise<void> {
    const on: { readonly [type: string]: Handler<E> | undefined } = this.projection.on;
    try {
      await on[event.type]?.(tx, table, event);
    } catch (error) {
      // A database that went away will be back; an event that can't be applied stays so.
      if (isPassing(error)) throw error;
      throw new PoisonEventError(this.projection.name, event, before, error);
    }
  }

  /** Neither build moves while the new one takes the last steps: it must not be behind what has been shown. */
  protected async switchTo(build: number): Promise<void> {
    await inTransaction(this.pool, async (tx) => {
      await this.builds.serialise(tx);
      const { live, next } = await this.builds.hold(tx, build);
      if (!next || live?.build === build) return;
      await this.catchUp(tx, next, live?.position ?? 0n);
      await this.builds.switchTo(tx, build);
    });
  }

  protected async catchUp(tx: PoolClient, next: Build, to: bigint): Promise<void> {
    for (let position = next.position; position < to; ) {
      const events = await this.log.readAll(position, this.options.batch);
      if (events.length === 0)
        throw new CqrsError(`The log ends before ${to}, where the live build is: is it the same log?`);
      position = await this.apply(tx, { ...next, position }, events);
    }
  }

  async #work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const applied = await this.round().catch((error: unknown) => {
        this.options.onError(error);
        return 0;
      });
      if (applied === 0) await delay(this.options.idleMs, undefined, { signal: stop }).catch(() => {});
    }
  }
}

/** Lost connections, deadlocks, serialisation failures, a server that shuts down: what a second attempt can cure. */
function isPassing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const lost = error instanceof Error && /connection|not queryable/i.test(error.message);
  return lost || /^(08|40|53|55|57|58|ECONN|EPIPE|ETIMEDOUT)/.test(code);
}
