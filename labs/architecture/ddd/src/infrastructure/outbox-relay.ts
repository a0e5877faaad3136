import type { Pool, PoolClient } from 'pg';
import type { Subscriber } from '../application/payment-policy.ts';
import { frozen } from '../domain/aggregate.ts';
import type { DomainEvent } from '../domain/events.ts';
import { borrow } from './postgres.ts';

type Waiting = { readonly id: string; readonly aggregateId: string; readonly event: DomainEvent };

/** Of this outbox: a second one, in another schema, has its own. */
const lock = "hashtext('outbox relay'), 'outbox'::regclass::oid::int";

/** The outcome of a round. `failed`: what subscribers threw; their events stay in the outbox for the next round. */
export type Round = { readonly delivered: number; readonly failed: readonly unknown[] };

/**
 * Tells subscribers what has been committed: at least once, each aggregate's events in their order. One relay works at
 * a time (an advisory lock), so that two of them don't overtake each other; another one's round ends with 0 delivered.
 * The pool needs a connection for the relay beside those of the subscribers.
 */
export class OutboxRelay {
  protected readonly pool: Pool;
  protected readonly subscribers: readonly Subscriber[];

  constructor(pool: Pool, subscribers: readonly Subscriber[]) {
    this.pool = pool;
    this.subscribers = subscribers;
  }

  /**
   * Delivers until nothing is left that can be delivered now, events recorded meanwhile included. After a failure, what
   * is recorded from then on is left to the next round, which begins with the event that failed.
   * @throws what PostgreSQL throws, and when the lock is lost on the way. An event that it could not mark is told again.
   */
  drain(): Promise<Round> {
    return borrow(this.pool, async (client, spoil) => {
      let mine = true;
      try {
        const { rows } = await client.query<{ mine: boolean }>(`SELECT pg_try_advisory_lock(${lock}) AS mine`);
        mine = rows[0]?.mine === true;
        return mine ? await this.#round(client) : { delivered: 0, failed: [] };
      } finally {
        // A connection that may still have the lock is closed, and the lock is gone with it.
        if (mine) await client.query(`SELECT pg_advisory_unlock(${lock})`).catch(spoil);
      }
    });
  }

  protected async tell(waiting: Waiting, client: PoolClient): Promise<void> {
    // One object for all of them: what one does to it must not be what the next is told.
    const event = frozen(waiting.event);
    for (const [index, subscriber] of this.subscribers.entries()) {
      // Who was told before may have taken long enough for the lock to be lost: as in #next.
      if (index > 0) await client.query('SELECT 1');
      await subscriber(event);
    }
  }

  /** On the connection that it has: a pool that is small, busy or closing may have no other, and all would be told again. */
  protected async mark({ id }: Waiting, client: PoolClient): Promise<void> {
    await client.query('UPDATE outbox SET delivered_at = now() WHERE id = $1', [id]);
  }

  async #round(client: PoolClient): Promise<Round> {
    const failed: unknown[] = [];
    const stuck: string[] = [];
    let last: string | undefined;
    for (let delivered = 0; ; ) {
      const waiting = await this.#next(client, stuck, last);
      if (!waiting) return { delivered, failed };
      try {
        await this.tell(waiting, client);
      } catch (error) {
        failed.push(error);
        stuck.push(waiting.aggregateId);
        // Where events never stop coming, neither would the round, and what failed would never be told again.
        last ??= await this.#newest(client);
        continue;
      }
      // Told first and marked afterwards: a crash in between means once more, not never. Where one mark fails (the disk is
      // full), others will: the round ends, or each round would tell all that waits again.
      await this.mark(waiting, client);
      delivered += 1;
    }
  }

  /**
   * The oldest event that waits. An aggregate whose event failed waits as a whole: its later events come later. Asked on
   * the connection that has the lock: who has lost one has lost the other, and another relay may be at work. Asked with a
   * write of nothing: a standby, or a table that a migration holds, refuses that before anybody is told.
   */
  async #next(client: PoolClient, stuck: readonly string[], last?: string): Promise<Waiting | undefined> {
    const { rows } = await client.query<Waiting>(
      `WITH markable AS (UPDATE outbox SET delivered_at = now() WHERE false)
       SELECT id, aggregate_id AS "aggregateId", event FROM outbox
       WHERE delivered_at IS NULL AND NOT aggregate_id = ANY ($1::uuid[]) AND ($2::bigint IS NULL OR id <= $2)
       ORDER BY id LIMIT 1`,
      [stuck, last],
    );
    return rows[0];
  }

  async #newest(client: PoolClient): Promise<string | undefined> {
    const { rows } = await client.query<{ last: string }>('SELECT max(id) AS last FROM outbox');
    return rows[0]?.last;
  }
}
