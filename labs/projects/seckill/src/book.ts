import { DatabaseError, type Pool } from 'pg';
import { checkId, checkWhole, InvalidArgumentError, StoreUnavailableError, UnknownItemError } from './errors.ts';
import { checkDate, type Load } from './gate.ts';
import { ConnectionLostError, type Db, LockTimeoutError, runTransaction } from './vendor/optimistic-lock/index.ts';

export interface Entry {
  readonly sku: string;
  readonly user: string;
  readonly orderId: string;
  readonly generation: number;
}

export type Placed =
  /** It stands in the book, by this call or by an earlier one. */
  | 'placed'
  /** It stood in the book, and was not paid in time. */
  | 'cancelled'
  /** Reserved before the gate was loaded anew: the reservation isn't in the count any more. */
  | 'stale'
  /** The book has none left, whatever the gate believes. */
  | 'sold_out'
  /** The user has another order that is not cancelled. */
  | 'duplicate';

export type OrderState = 'pending' | 'paid' | 'cancelled';

/** A cancelled order whose unit may not be at the gate yet. */
export interface Owed {
  readonly orderId: string;
  readonly sku: string;
  readonly user: string;
}

/** One moment of the book. */
export interface BookState {
  readonly initial: number;
  readonly stock: number;
  readonly generation: number;
  /** Of the orders that are not cancelled. */
  readonly buyers: ReadonlyMap<string, string>;
  readonly paid: number;
}

export interface BookOptions {
  readonly pool: Pool;
  /** Milliseconds for which an unpaid order holds its unit, by the clock of Postgres. Default 900,000. */
  readonly payWithinMs?: number;
}

/** The truth: what is ordered, paid and left. It decides, and the gate spares it all those who get nothing. */
export class OrderBook {
  readonly #pool: Pool;
  protected readonly payWithinMs: number;

  /** @throws InvalidArgumentError */
  constructor({ pool, payWithinMs = 900_000 }: BookOptions) {
    checkWhole('payWithinMs', payWithinMs, 1);
    this.#pool = pool;
    this.payWithinMs = payWithinMs;
  }

  /** Puts an item on sale; one that is on sale already stays as it is. @throws InvalidArgumentError, StoreUnavailableError */
  async offer(sku: string, stock: number, startsAt: Date): Promise<void> {
    checkId('sku', sku);
    checkWhole('stock', stock, 0);
    checkDate('startsAt', startsAt);
    await this.run((tx) =>
      tx.query('INSERT INTO seckill_items VALUES ($1, $2, $2, $3) ON CONFLICT DO NOTHING', [sku, stock, startsAt]),
    );
  }

  /**
   * Takes a unit and writes the order, both or neither; the same entry again changes nothing.
   * @throws InvalidArgumentError, StoreUnavailableError, UnknownItemError
   */
  async place({ sku, user, orderId, generation }: Entry): Promise<Placed> {
    checkId('sku', sku);
    checkId('user', user);
    checkId('orderId', orderId);
    return this.run(async (tx) => {
      // Whoever has this row is alone with the item: other workers, the deadline's restock and a new count wait.
      const item = await lockItem(tx, sku);
      const known = await tx.query<{ id: string; state: OrderState }>(
        "SELECT id, state FROM seckill_orders WHERE id = $1 OR (sku = $2 AND buyer = $3 AND state <> 'cancelled')",
        [orderId, sku, user],
      );
      const same = known.rows.find(({ id }) => id === orderId);
      if (same) return same.state === 'cancelled' ? 'cancelled' : 'placed';
      if (Number(item.generation) !== generation) return 'stale';
      if (known.rows.length > 0) return 'duplicate';
      if (item.stock < 1) return 'sold_out';
      await tx.query('UPDATE seckill_items SET stock = stock - 1 WHERE sku = $1', [sku]);
      const due = `clock_timestamp() + $4::integer * interval '1 ms'`;
      await tx.query(`INSERT INTO seckill_orders (id, sku, buyer, due) VALUES ($1, $2, $3, ${due})`, [
        orderId,
        sku,
        user,
        this.payWithinMs,
      ]);
      return 'placed';
    });
  }

  /**
   * Books a payment that has been received. Late ones, and second ones, are owed back, and stand in `seckill_refunds`.
   * @param paymentId the provider's own: a notice that comes twice is one payment
   * @returns 'unknown' where there is no such order, perhaps not yet: have the provider tell again
   * @throws InvalidArgumentError when the payment was made for another order, StoreUnavailableError
   */
  async pay(orderId: string, paymentId: string): Promise<'paid' | 'refunded' | 'unknown'> {
    checkId('orderId', orderId);
    checkId('paymentId', paymentId);
    return this.run(async (tx) => {
      const { rows } = await tx.query<{ state: OrderState; payment: string | null; late: boolean }>(
        'SELECT state, payment, due <= clock_timestamp() AS late FROM seckill_orders WHERE id = $1 FOR UPDATE',
        [orderId],
      );
      const [order] = rows;
      if (order === undefined) return 'unknown';
      // Paid or owed back: whose money it is does not change any more. The update of nothing has the row told.
      const booked = await tx.query<{ order_id: string }>(
        `INSERT INTO seckill_payments AS p VALUES ($1, $2)
          ON CONFLICT (payment) DO UPDATE SET order_id = p.order_id RETURNING order_id`,
        [paymentId, orderId],
      );
      if (booked.rows[0]?.order_id !== orderId) {
        throw new InvalidArgumentError('paymentId', paymentId, 'a payment that was not made for another order');
      }
      if (order.payment === paymentId) return 'paid';
      if (order.state === 'pending' && !order.late) {
        await tx.query("UPDATE seckill_orders SET state = 'paid', payment = $2 WHERE id = $1", [orderId, paymentId]);
        return 'paid';
      }
      await tx.query('INSERT INTO seckill_refunds VALUES ($1, $2) ON CONFLICT DO NOTHING', [paymentId, orderId]);
      return 'refunded';
    });
  }

  /** Cancels orders whose time to pay is over, and takes each one's unit back once. @returns how many */
  async expire(limit = 1_000): Promise<number> {
    checkWhole('limit', limit, 1);
    return this.run(async (tx) => {
      // The items first, as `place` does: two locks in two orders would wait for each other.
      const late = "state = 'pending' AND due <= clock_timestamp()";
      const items = await tx.query<{ sku: string }>(
        `SELECT sku FROM seckill_items WHERE sku IN (SELECT sku FROM seckill_orders WHERE ${late}) ORDER BY sku FOR UPDATE`,
      );
      const { rows } = await tx.query<{ sku: string; units: number }>(
        `WITH late AS (
          SELECT id FROM seckill_orders WHERE ${late} AND sku = ANY($2) ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
        ), cancelled AS (
          UPDATE seckill_orders o SET state = 'cancelled' FROM late WHERE o.id = late.id RETURNING o.sku
        ) SELECT sku, count(*)::integer AS units FROM cancelled GROUP BY sku`,
        [limit, items.rows.map(({ sku }) => sku)],
      );
      for (const { sku, units } of rows) {
        await tx.query('UPDATE seckill_items SET stock = stock + $2 WHERE sku = $1', [sku, units]);
      }
      return rows.reduce((sum, { units }) => sum + units, 0);
    });
  }

  /** Whose units the gate may not have yet. */
  async owed(limit = 1_000): Promise<readonly Owed[]> {
    checkWhole('limit', limit, 1);
    const { rows } = await this.#query<Owed>(
      `SELECT id AS "orderId", sku, buyer AS "user" FROM seckill_orders
        WHERE state = 'cancelled' AND NOT given_back LIMIT $1`,
      [limit],
    );
    return rows;
  }

  async settled(orderId: string): Promise<void> {
    await this.#query('UPDATE seckill_orders SET given_back = true WHERE id = $1', [orderId]);
  }

  /** @returns undefined where there is none, perhaps not yet */
  async order(orderId: string): Promise<{ readonly state: OrderState; readonly due: Date } | undefined> {
    checkId('orderId', orderId);
    const { rows } = await this.#query<{ state: OrderState; due: Date }>(
      'SELECT state, due FROM seckill_orders WHERE id = $1',
      [orderId],
    );
    return rows[0];
  }

  /** All items on sale. */
  async items(): Promise<readonly string[]> {
    const { rows } = await this.#query<{ sku: string }>('SELECT sku FROM seckill_items ORDER BY sku', []);
    return rows.map(({ sku }) => sku);
  }

  /** @throws InvalidArgumentError, UnknownItemError, StoreUnavailableError */
  async state(sku: string): Promise<BookState> {
    checkId('sku', sku);
    // One statement sees one moment.
    const { rows } = await this.#query<{
      initial: number;
      stock: number;
      generation: string;
      buyers: Record<string, string>;
      paid: number;
    }>(
      `SELECT i.initial, i.stock, i.generation, count(o.id) FILTER (WHERE o.state = 'paid')::integer AS paid,
          coalesce(json_object_agg(o.buyer, o.id) FILTER (WHERE o.id IS NOT NULL), '{}') AS buyers
        FROM seckill_items i LEFT JOIN seckill_orders o ON o.sku = i.sku AND o.state <> 'cancelled'
        WHERE i.sku = $1 GROUP BY i.sku`,
      [sku],
    );
    const [row] = rows;
    if (row === undefined) throw new UnknownItemError(sku);
    return { ...row, generation: Number(row.generation), buyers: new Map(Object.entries(row.buyers)) };
  }

  /**
   * Counts anew, under a new generation: nothing is placed, cancelled or counted meanwhile, and what was reserved before is
   * stale from then on.
   * @param load is given the count while the item is held, so that it cannot be an old one when it arrives
   * @param o.seen the generation that was found wanting: if there is another by now, somebody has counted, and nothing is done
   * @param o.above the gate's generation, which one of a book that was restored from a backup may have to pass
   */
  async count(
    sku: string,
    load: (count: Load) => Promise<boolean>,
    { seen, above = 0 }: { seen?: number; above?: number } = {},
  ): Promise<void> {
    await this.run(async (tx) => {
      const { stock, starts_at, generation: last } = await lockItem(tx, sku);
      if (seen !== undefined && Number(last) !== seen) return;
      // A sequence, since whoever was held up and lost the row must not come with the number of his successor.
      const next = await tx.query<{ generation: string }>("SELECT nextval('seckill_generations') AS generation");
      let generation = Number(next.rows[0]?.generation);
      if (generation <= above) {
        await tx.query("SELECT pg_advisory_xact_lock(hashtext('seckill generations'))");
        const higher = await tx.query<{ generation: string }>(
          `SELECT setval('seckill_generations', greatest($1, last_value) + 1) AS generation FROM seckill_generations`,
          [above],
        );
        generation = Number(higher.rows[0]?.generation);
      }
      const { rows } = await tx.query<{ buyer: string; id: string }>(
        "SELECT buyer, id FROM seckill_orders WHERE sku = $1 AND state <> 'cancelled'",
        [sku],
      );
      await tx.query('UPDATE seckill_items SET generation = $2 WHERE sku = $1', [sku, generation]);
      const buyers = new Map(rows.map(({ buyer, id }) => [buyer, id]));
      await load({ stock, startsAt: starts_at.getTime(), generation, buyers });
    });
  }

  async #query<R extends object>(text: string, values: unknown[]): Promise<{ rows: R[] }> {
    return this.run((tx) => tx.query<R & Record<string, unknown>>(text, values));
  }

  protected async run<T>(body: (tx: Db) => Promise<T>): Promise<T> {
    try {
      return await runTransaction(this.#pool, body);
    } catch (error) {
      const silent = error instanceof ConnectionLostError || error instanceof LockTimeoutError;
      const passing = error instanceof DatabaseError && PASSING.test(error.code ?? '');
      throw silent || passing ? new StoreUnavailableError('Postgres', error) : error;
    }
  }
}

/** Rolled back, out of room, locked, cancelled by a time limit or an operator; and a server that only reads since a failover. */
const PASSING = /^(?:40|53|55|57)...$|^25006$/;

/** Whoever has this row is alone with the item. @throws UnknownItemError */
async function lockItem(tx: Db, sku: string): Promise<{ stock: number; generation: string; starts_at: Date }> {
  const { rows } = await tx.query<{ stock: number; generation: string; starts_at: Date }>(
    'SELECT stock, generation, starts_at FROM seckill_items WHERE sku = $1 FOR UPDATE',
    [sku],
  );
  const [item] = rows;
  if (item === undefined) throw new UnknownItemError(sku);
  return item;
}
