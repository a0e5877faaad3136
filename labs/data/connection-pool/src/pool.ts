import { AcquireTimeoutError, ConnectError, OpenTransactionError, PoolClosedError, QueueFullError } from './errors.ts';
import { Lease, Member } from './lease.ts';
import { faultOf, type PoolOptions, settingsOf } from './options.ts';
import { transact } from './transaction.ts';

export interface AcquireOptions {
  /** Leaves the queue; the caller gets the signal's reason. */
  readonly signal?: AbortSignal;
  /** Default: the pool's `acquireTimeoutMs`. */
  readonly timeoutMs?: number;
}

interface Waiter {
  readonly taken: { readonly stack?: string };
  settle(outcome: Lease | { readonly error: unknown }): void;
}

/** Connections to one Postgres, each lent to one caller at a time. */
export class ConnectionPool implements AsyncDisposable {
  protected readonly settings: ReturnType<typeof settingsOf>;
  /** Lent from the end, where the last one came back: those beyond the need grow old at the beginning. */
  protected readonly idle: Member[] = [];
  protected readonly lent = new Set<Lease>();
  protected readonly queue = new Set<Waiter>();
  /** Connections being made or looked at, for whoever is first in the queue then. */
  protected coming = 0;
  /** Of these, the idle ones that are looked at. */
  #looking = 0;
  readonly #sweeper: NodeJS.Timeout;
  readonly #drained = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #closed = false;

  /** @throws InvalidArgumentError */
  constructor(options: PoolOptions) {
    this.settings = settingsOf(options);
    const { idleMs, leakAfterMs } = this.settings;
    this.#sweeper = setInterval(() => this.sweep(), Math.min(idleMs / 4, (leakAfterMs || idleMs) / 4, 1_000)).unref();
  }

  /** Makes `min` connections, so that the first callers find them. @throws ConnectError, PoolClosedError */
  async open(): Promise<this> {
    if (this.#closing) throw new PoolClosedError('the pool is closed');
    await Promise.all(this.#refill());
    return this;
  }

  get stats() {
    return { size: this.size, idle: this.idle.length, lent: this.lent.size, waiting: this.queue.size };
  }

  /**
   * A connection, in the order of asking. It has to be given back: prefer `withClient`.
   * @throws InvalidArgumentError, QueueFullError, AcquireTimeoutError, ConnectError, PoolClosedError, or the signal's reason
   */
  async acquire({ signal, timeoutMs = this.settings.acquireTimeoutMs }: AcquireOptions = {}): Promise<Lease> {
    if (this.#closing) throw new PoolClosedError('the pool is closed');
    const fault = faultOf('timeoutMs', timeoutMs);
    if (fault) throw fault;
    signal?.throwIfAborted();
    const taken: { stack?: string } = {};
    if (this.settings.leakAfterMs > 0) Error.captureStackTrace(taken, this.acquire);
    const last = this.queue.size === 0 ? this.idle.at(-1) : undefined;
    if (last && this.isFresh(last)) {
      this.idle.pop();
      return this.#lend(last, taken);
    }
    if (!this.mayWait()) throw new QueueFullError(`all ${this.size} connections are lent, ${this.queue.size} wait`);
    return this.#wait(taken, timeoutMs, signal);
  }

  /** Lends a connection to `body`, and takes it back whatever happens. @throws OpenTransactionError, and as `acquire` */
  async withClient<T>(body: (client: Lease) => Promise<T>, o?: AcquireOptions): Promise<T> {
    using lease = await this.acquire(o);
    const result = await body(lease);
    if (lease.status === 'I' || lease.member.broken || lease.released) return result;
    throw new OpenTransactionError('a transaction was begun and not ended, so it is rolled back: use withTx');
  }

  /**
   * Runs `body` in a transaction; whatever it throws, it throws after a ROLLBACK. What is slow has no place in it.
   * @throws RolledBackError, TransactionEndedError, ConnectionLostError, and as `acquire`
   */
  withTx<T>(body: (tx: Lease) => Promise<T>, o?: AcquireOptions): Promise<T> {
    return this.withClient((client) => transact(client, body), o);
  }

  /** Serves those that wait, nobody new, and closes what comes back; all of it after `graceMs` (default 5000). */
  close({ graceMs = 5_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    const fault = faultOf('graceMs', graceMs);
    if (fault) return Promise.reject(fault);
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected get size(): number {
    return this.idle.length + this.lent.size + this.coming;
  }

  /** Whether one is idle, one more may be made, or the queue has room. */
  protected mayWait(): boolean {
    const { max, maxQueue } = this.settings;
    return this.idle.length > 0 || this.size < max || this.queue.size - this.coming < maxQueue;
  }

  /** Whether it was heard of so lately that it needn't be asked. */
  protected isFresh(member: Member): boolean {
    return performance.now() - member.idleSince < this.settings.validateAfterMs;
  }

  /** Whether a connection that comes back may be lent again. */
  protected isFit({ member, pending, status }: Lease): boolean {
    return member.broken === undefined && pending === 0 && status === 'I';
  }

  /** Gives those who wait what is idle, and makes new ones for the rest. */
  protected serve(): void {
    if (this.#closed) return;
    // What is being made may take long, or never come: it keeps nobody from one who is there.
    while (this.queue.size > this.#looking) {
      const member = this.idle.pop();
      if (member === undefined) break;
      if (this.isFresh(member)) this.arrive(member);
      else this.#examine(member);
    }
    while (this.queue.size > this.coming && this.size < this.settings.max) this.#hire().catch(() => {});
    if (this.#closing && this.size === this.idle.length && this.queue.size === 0) this.#drained.resolve();
  }

  /** One that is well: for the first in the queue, or for later. */
  protected arrive(member: Member): void {
    const [first] = this.queue;
    member.idleSince = performance.now();
    if (this.#closed) member.end();
    else if (first) first.settle(this.#lend(member, first.taken));
    else this.idle.push(member);
  }

  protected takeBack(lease: Lease): void {
    this.lent.delete(lease);
    if (this.isFit(lease)) this.arrive(lease.member);
    else lease.member.end();
    this.serve();
  }

  /** An idle one whose end is heard of is lent to nobody. */
  protected died(member: Member): void {
    const index = this.idle.indexOf(member);
    if (index === -1) return;
    this.idle.splice(index, 1);
    this.sweep();
  }

  /** Sends home who is idle for too long or too old; reports leaks; sees to it that `min` are there. */
  protected sweep(): void {
    const now = performance.now();
    const { min, idleMs, maxAgeMs, leakAfterMs, onLeak } = this.settings;
    for (const member of [...this.idle]) {
      const unneeded = now - member.idleSince >= idleMs && this.size > min;
      if (!unneeded && now - member.bornAt < maxAgeMs) continue;
      this.idle.splice(this.idle.indexOf(member), 1);
      member.end();
    }
    for (const made of this.#refill()) made.catch(() => {});
    for (const lease of this.lent) {
      if (leakAfterMs === 0 || lease.reported || now - lease.since < leakAfterMs) continue;
      lease.reported = true;
      Promise.try(onLeak, lease.holder).catch((error: unknown) => process.emitWarning(`onLeak has thrown: ${error}`));
    }
  }

  #refill(): Promise<void>[] {
    const missing = this.#closing ? 0 : Math.max(0, this.settings.min - this.size);
    return Array.from({ length: missing }, () => this.#hire());
  }

  #lend(member: Member, taken: Waiter['taken']): Lease {
    const lease = new Lease(member, taken, (back) => this.takeBack(back));
    this.lent.add(lease);
    return lease;
  }

  #wait(taken: Waiter['taken'], timeoutMs: number, signal: AbortSignal | undefined): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const settle: Waiter['settle'] = (outcome) => {
        this.queue.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        if (outcome instanceof Lease) resolve(outcome);
        else reject(outcome.error);
        this.serve();
      };
      const waiter: Waiter = { taken, settle };
      const aborted = () => settle({ error: signal?.reason });
      // In the order of lending, so the longest is the first.
      const holders = () => [...this.lent].map(({ holder }) => holder);
      const timer = setTimeout(() => settle({ error: new AcquireTimeoutError(timeoutMs, holders()) }), timeoutMs);
      signal?.addEventListener('abort', aborted);
      this.queue.add(waiter);
      this.serve();
    });
  }

  /** One more; if whoever it was made for is gone by then, it is for the next, or for later. */
  async #hire(): Promise<void> {
    this.coming++;
    try {
      const member = await this.connect().finally(() => this.coming--);
      this.arrive(member);
    } catch (error) {
      const [first] = this.queue;
      // Unless another is on its way.
      if (this.queue.size > this.coming) first?.settle({ error });
      throw error;
    } finally {
      this.serve();
    }
  }

  protected async connect(): Promise<Member> {
    let member: Member | undefined;
    try {
      member = new Member(this.settings.connection, (dead) => this.died(dead));
      await member.client.connect();
      // It may have been ended in the same breath that greeted it.
      if (member.broken) throw member.broken;
      return member;
    } catch (cause) {
      member?.end();
      throw new ConnectError(`no connection: ${cause}`, { cause });
    }
  }

  async #examine(member: Member): Promise<void> {
    this.coming++;
    this.#looking++;
    const look = { text: 'SELECT 1', query_timeout: this.settings.answerMs };
    await member.client.query(look).catch((error: unknown) => member.explain(error));
    this.coming--;
    this.#looking--;
    if (member.broken) member.end();
    else this.arrive(member);
    this.serve();
  }

  async #close(graceMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    const timer = setTimeout(this.#drained.resolve, graceMs);
    queueMicrotask(() => this.serve());
    await this.#drained.promise;
    clearTimeout(timer);
    this.#closed = true;
    for (const waiter of this.queue) waiter.settle({ error: new PoolClosedError('the pool was closed meanwhile') });
    const members = [...this.idle.splice(0), ...[...this.lent].map(({ member }) => member)];
    await Promise.all(members.map((member) => member.end()));
  }
}
