import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Pool, PoolClient } from 'pg';
import { type Build, Builds } from './builds.ts';
import { CqrsError, InvalidArgumentError, PoisonEventError } from './errors.ts';
import type { Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
import type { Projection } from './projection.ts';
import { checkedWhole } from './text.ts';
import { inTransaction, isPassing } from './transaction.ts';

export interface ProjectorOptions {
  /** What the tables' names begin with; the same for `Queries`. Default "shop". */
  readonly prefix?: string;
  /** Events a transaction. Default 500. */
  readonly batch?: number;
  /** Milliseconds between looks when there is nothing to do, and after an error. Default 20. */
  readonly idleMs?: number;
  /** Milliseconds for which an instance may stand still within a batch; then another takes over. Default 10,000. */
  readonly idleInTransactionMs?: number;
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
  #stopping = new AbortController();
  #running: Promise<void> | undefined;

  /** @param pool The database of the read model. @throws InvalidArgumentError */
  constructor(pool: Pool, log: Log<E>, projection: NoInfer<Projection<E>>, options: ProjectorOptions = {}) {
    const { prefix = 'shop', batch = 500, idleMs = 20, idleInTransactionMs = 10_000, onError = () => {} } = options;
    checkedWhole('batch', batch, 1);
    checkedWhole('idleMs', idleMs, 0);
    checkedWhole('idleInTransactionMs', idleInTransactionMs, 1);
    checkedWhole(`the version of ${projection.name}`, projection.version, 0);
    this.pool = pool;
    this.log = log;
    this.projection = projection;
    this.options = { prefix, batch, idleMs, idleInTransactionMs, onError };
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

  /** Works until `stop()`; called while it stops, it goes on after that. */
  start(): void {
    if (this.#running && !this.#stopping.signal.aborted) return;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.#running = Promise.resolve(this.#running).then(() => this.#work(signal));
  }

  /** Ends after the batch in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const running = this.#running;
    await running;
    // Whoever has started it anew meanwhile keeps it.
    if (this.#running === running) this.#running = undefined;
  }

  /** How far behind the live read model is. A paused one falls behind more and more: alarm on this. */
  async lag(): Promise<Lag> {
    const { position, paused } = await this.builds.find(this.pool, 'live');
    return { ...(await this.log.backlog(position)), paused };
  }

  /** Goes on after a poison event, with code that can apply it. @throws InvalidArgumentError where other code is live */
  async resume(): Promise<void> {
    const { name, version } = this.projection;
    if (await this.builds.resume(this.pool, version)) return;
    throw new InvalidArgumentError(
      `${name} is not live in version ${version}, which is this code's: nothing was resumed.`,
    );
  }

  /**
   * Builds the read model anew in a table of its own, while the live one is served and kept up to date, and then
   * switches. Called again after a crash, or by a second instance, it goes on where it was. Overtaken by a later rebuild it
   * leaves that one live.
   *
   * @param options.signal Ends it after the batch in hand, as a crash would. Default: it goes on to its end.
   * @throws PoisonEventError when an event can't be applied: the live read model stays. @throws the signal's reason
   */
  async rebuild({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    signal?.throwIfAborted();
    const build = await this.builds.open(this.pool, this.projection);
    // Where orders never stop coming no batch is empty: two that are not full are at the log's heels, and `switchTo` takes
    // the last steps. One alone may have ended before a poison event, which the next one tells of.
    for (let short = 0; short < 2; signal?.throwIfAborted()) {
      const applied = await this.attempt(build);
      if (applied === 0) short = 2;
      else short = applied < this.options.batch && (await this.nearEnd(build)) ? short + 1 : 0;
    }
    await this.builds.analyze(this.pool, build);
    await this.switchTo(build);
    await this.builds.dropOld(this.pool);
  }

  /** Whether less than a batch is left. A log may have pages of its own: that it gave few events doesn't say that few are left. */
  protected async nearEnd(build: number): Promise<boolean> {
    const seen = await this.builds.find(this.pool, build);
    return !seen || (await this.log.backlog(seen.position)).events < this.options.batch;
  }

  /** One batch of one build. What comes before a poison event is applied; then the live one is paused. */
  protected async attempt(which: 'live' | number): Promise<number> {
    for (let below: bigint | undefined; ; ) {
      try {
        const applied = await this.advance(which, below);
        if (applied > 0 || below === undefined) return applied;
        // Another instance has applied what came before: the poison event is next.
        below = undefined;
      } catch (error) {
        if (!(error instanceof PoisonEventError)) throw error;
        if (error.before === 0) return this.poisoned(which, error);
        below = error.position;
      }
    }
  }

  /** The verdict is about the build that was tried, whichever is live by now. Who rebuilds is told by the error itself. */
  protected async poisoned(which: 'live' | number, error: PoisonEventError): Promise<number> {
    if (which !== 'live') throw error;
    if (await this.builds.pause(this.pool, error, this.projection.version)) this.tell(error);
    return 0;
  }

  /** Whoever listens can't stop the work by an error of his own. */
  protected tell(error: unknown): void {
    const told = async () => this.options.onError(error);
    told().catch((own: unknown) =>
      process.emitWarning(`onError of ${this.projection.name} has thrown ${inspect(own)}`),
    );
  }

  /** @param below Events from here on are left for later. */
  protected async advance(which: 'live' | number, below?: bigint): Promise<number> {
    const seen = await this.builds.find(this.pool, which);
    if (seen?.version !== this.projection.version || seen.paused !== undefined) return 0;
    // Read before the transaction: the log may be far away. If another instance is faster, `apply` passes over these.
    const read = await this.log.readAll(seen.position, this.options.batch);
    const events = below === undefined ? read : read.filter(({ position }) => position < below);
    return events.length === 0 ? 0 : this.commit(which, events);
  }

  /** The read model and its checkpoint in one transaction: a crash leaves both, or neither. */
  protected async commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    return this.inTransaction(async (tx) => {
      const build = await this.builds.claim(tx, which, this.projection.version);
      if (!build || build.paused !== undefined) return 0;
      await this.apply(tx, build, events);
      return events.length;
    });
  }

  protected inTransaction<T>(body: (tx: PoolClient) => Promise<T>): Promise<T> {
    return inTransaction(this.pool, body, { idleMs: this.options.idleInTransactionMs });
  }

  /** Applies what lies beyond the checkpoint, in order, and moves it. */
  protected async apply(tx: PoolClient, build: Build, events: readonly Recorded<E>[]): Promise<void> {
    let reached = build.position;
    let before = 0;
    let last: Recorded<E> | undefined;
    for (const event of events.toSorted((a, b) => Number(a.position - b.position))) {
      // At least once is what a log promises. The second time is stopped here.
      if (event.position <= reached) continue;
      await this.handle(tx, build, event, before++);
      reached = event.position;
      last = event;
    }
    // A handler that swallows the error of a statement leaves a transaction in which nothing more can be done; and what is
    // to be checked at the commit is the handler's failure too.
    if (last)
      await this.orPoison(build, last, before - 1, async () => {
        await tx.query('SET CONSTRAINTS ALL IMMEDIATE');
        await this.builds.advance(tx, build.build, reached);
      });
  }

  protected async handle(tx: PoolClient, build: Build, event: Recorded<E>, before: number): Promise<void> {
    const on: { readonly [type: string]: Handler<E> | undefined } = this.projection.on;
    // The type comes from the log: `constructor` is something that every object has. The handlers may be those of a class.
    if (event.type in Object.prototype && !Object.hasOwn(on, event.type)) return;
    await this.orPoison(build, event, before, async () => on[event.type]?.(tx, build.table, event));
  }

  /** A database that went away will be back; an event that can't be applied stays so. */
  protected async orPoison(
    build: Build,
    event: Recorded<E>,
    before: number,
    step: () => Promise<unknown>,
  ): Promise<void> {
    try {
      await step();
    } catch (cause) {
      if (isPassing(cause)) throw cause;
      throw new PoisonEventError(this.projection.name, { build: build.build, event, before, cause });
    }
  }

  /** Neither build moves while the new one takes the last steps: it must not be behind what has been shown. */
  protected async switchTo(build: number): Promise<void> {
    await this.inTransaction(async (tx) => {
      await this.builds.serialise(tx);
      const { live, next } = await this.builds.hold(tx, build);
      if (!next || (live && live.build >= build)) return;
      await this.catchUp(tx, next, live?.position ?? 0n);
      await this.builds.switchTo(tx, build);
    });
  }

  protected async catchUp(tx: PoolClient, next: Build, to: bigint): Promise<void> {
    const events: Recorded<E>[] = [];
    for (let position = next.position; position < to; ) {
      const page = await this.log.readAll(position, this.options.batch);
      if (page.length === 0)
        throw new CqrsError(`The log ends before ${to}, where the live build is: is it the same log?`);
      for (const event of page) {
        events.push(event);
        if (event.position > position) position = event.position;
      }
    }
    // At once, as any batch: what is to be right only in its end is asked then.
    await this.apply(tx, next, events);
  }

  async #work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const applied = await this.round().catch((error: unknown) => {
        this.tell(error);
        return 0;
      });
      if (applied === 0) await delay(this.options.idleMs, undefined, { signal: stop }).catch(() => {});
    }
  }
}
