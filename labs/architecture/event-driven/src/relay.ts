import type { Pool, PoolClient } from 'pg';
import { assertCount, type Bus } from './bus.ts';
import { inform, pause } from './dispatcher.ts';
import { ConnectionLostError, InvalidArgumentError, UnroutableError } from './errors.ts';
import { transaction } from './inbox.ts';
import { identifier, type Outbox, type Waiting } from './outbox.ts';

export interface RelayOptions {
  /** Events a round. Default 100. Half as many after one that had no answer in time, one more after each that carried any. */
  readonly batch?: number;
  /** Milliseconds between looks at an empty outbox, and after an error. Default 50. */
  readonly idleMs?: number;
  /**
   * Milliseconds that a round may take, the broker's answer included; then its connection is given up, and with it its
   * lock. As long may pass until another relay takes over from one whose connection is dead. Default 30,000.
   */
  readonly roundMs?: number;
  /**
   * Milliseconds until a key is tried again whose event the broker refused while others wait, counted from when it takes
   * one of those, or has refused them all; a batch of such keys at a time, at most. Default 5000.
   */
  readonly refusedMs?: number;
  /** Hears of each failed round, and of each event that was refused. Default: nobody does; both are tried again. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Carries the outbox to the bus: publish, and once the broker has confirmed, mark. A crash in between publishes twice,
 * never not at all: the inbox makes that harmless. Of several relays of one outbox one works, the others stand by, since
 * two would overtake each other.
 */
export class Relay {
  readonly #pool: Pool;
  protected readonly outbox: Pick<Outbox, 'name' | 'waiting' | 'mark'>;
  protected readonly bus: Pick<Bus, 'publish'>;
  protected readonly options: Required<RelayOptions>;
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** Events that the next round takes. */
  #batch: number;
  /** Key → when it is tried again, on the monotonic clock. Not before the others have been: thousands would never be. */
  readonly #refused = new Map<string, number>();
  /** So many of them are tried again until the others have had a turn: with all, that would be as far off as at first. */
  #again = 0;
  /** What `#again` begins with: few after a refusal that ended its round, since each would cost a round; then twice as many. */
  #most: number;

  /** @throws InvalidArgumentError */
  constructor(
    pool: Pool,
    outbox: Pick<Outbox, 'name' | 'waiting' | 'mark'>,
    bus: Pick<Bus, 'publish'>,
    options: RelayOptions = {},
  ) {
    const { batch = 100, idleMs = 50, roundMs = 30_000, refusedMs = 5000, onError = () => {} } = options;
    assertCount('batch', batch);
    assertCount('roundMs', roundMs);
    for (const [name, ms] of Object.entries({ idleMs, refusedMs })) {
      if (!(ms >= 0)) throw new InvalidArgumentError(`${name} is ${ms}: give milliseconds, at least 0`);
    }
    this.#pool = pool;
    this.outbox = outbox;
    this.bus = bus;
    this.#batch = batch;
    this.#most = batch;
    this.options = { batch, idleMs, roundMs, refusedMs, onError };
  }

  /**
   * One round. @returns how many were published: 0 when nothing waits or another relay is at work
   * @throws ConnectionLostError after `roundMs`, or what the database or the bus throws
   */
  async round(): Promise<number> {
    const { roundMs, batch } = this.options;
    // One transaction, so that the lock ends with it, however it ends. Read committed, whatever the database's default is: it
    // sees what was marked before it had the lock, and what it has read is no conflict with who writes meanwhile. Read write:
    // a standby refuses at once, not after each publication, when nothing can be marked.
    const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE';
    const carry = async (tx: PoolClient) => ((await this.lock(tx)) ? this.carry(tx) : 0);
    try {
      const carried = await transaction(this.#pool, carry, roundMs, begin);
      // Who carried nothing has learned nothing: it may have waited for the lock of a round that was too large.
      if (carried > 0) this.#batch = Math.min(this.#batch + 1, batch);
      return carried;
    } catch (error) {
      // It may have been more than fits into its time: as large again, it would be published again and again, and never marked.
      if (error instanceof ConnectionLostError) this.#batch = Math.ceil(this.#batch / 2);
      throw error;
    }
  }

  /** Works until `stop()`; after that, once more. */
  start(): void {
    if (this.#running && !this.#stopping.signal.aborted) return;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.#running = (this.#running ?? Promise.resolve()).then(() => this.#work(signal));
  }

  /** Finishes the round in hand: in `roundMs`, and in twice that where Postgres doesn't even let it in. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  protected async carry(client: PoolClient): Promise<number> {
    const waiting = await this.outbox.waiting(client, this.#batch, this.#held());
    const until = performance.now() + this.options.roundMs / 2;
    if (waiting.length === 0) {
      this.#letBack();
      return 0;
    }
    try {
      await this.bus.publish(waiting.map(({ event }) => event));
    } catch (error) {
      return await this.#oneByOne(client, waiting, error, until);
    }
    await this.outbox.mark(client, waiting);
    this.#letBack();
    return waiting.length;
  }

  /** The keys whose oldest event was refused a moment ago: the others go on without them. */
  #held(): string[] {
    const now = performance.now();
    for (const [key, until] of this.#refused) {
      if (until <= now && this.#again > 0 && this.#refused.delete(key)) this.#again--;
    }
    return [...this.#refused.keys()];
  }

  #letBack(): void {
    const grown = this.#again < this.#most ? this.#most * 2 : this.#most;
    this.#most = Math.min(grown, this.#batch);
    this.#again = this.#most;
    const until = performance.now() + this.options.refusedMs;
    for (const [key, at] of this.#refused) if (at === Number.POSITIVE_INFINITY) this.#refused.set(key, until);
  }

  /**
   * A batch failed: which of it? Each alone, so that one event that nobody takes holds up its own key and no other, and
   * what was taken is not published again in every round. Where nothing was taken, the error is thrown. What is left at
   * half time is the next round's: one that outlasted `roundMs` would have carried nothing.
   */
  async #oneByOne(client: PoolClient, waiting: readonly Waiting[], error: unknown, until: number): Promise<number> {
    const taken: Waiting[] = [];
    const refused = new Map<string, unknown>();
    for (const each of waiting) {
      const { key } = each.event;
      if (refused.has(key)) continue;
      try {
        await this.bus.publish([each.event]);
        taken.push(each);
      } catch (cause) {
        // Without a broker there is no verdict on any event.
        if (cause instanceof ConnectionLostError) break;
        refused.set(key, cause);
        // The event, or the broker? The next round asks with another.
        if (!(cause instanceof UnroutableError) && taken.length === 0) {
          this.#most = 1;
          this.#again = 0;
          break;
        }
      }
      if (performance.now() > until) break;
    }
    if (taken.length > 0) await this.outbox.mark(client, taken);
    // Where nothing else waits, nothing is held up. Behind a full batch there may be more.
    const alone = waiting.length < this.#batch && waiting.every(({ event }) => refused.has(event.key));
    for (const [key, cause] of alone ? [] : refused) {
      this.#refused.set(key, Number.POSITIVE_INFINITY);
      inform(this.options.onError, cause);
    }
    if (taken.length > 0 || alone) this.#letBack();
    if (taken.length === 0) throw error;
    return taken.length;
  }

  protected async lock(client: PoolClient): Promise<boolean> {
    // A connection that dies without a word is one that Postgres would wait for, lock in hand, for hours.
    const { rows } = await client.query<{ mine: boolean }>(
      `SELECT set_config('idle_in_transaction_session_timeout', $1, true),
         pg_try_advisory_xact_lock(-1, $2::regclass::oid::int) AS mine`,
      [String(this.options.roundMs), identifier(this.outbox.name)],
    );
    return rows[0]?.mine ?? false;
  }

  async #work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const carried = await this.round().catch((error: unknown) => {
        inform(this.options.onError, error);
        return 0;
      });
      if (carried === 0) await pause(this.options.idleMs, stop);
    }
  }
}
