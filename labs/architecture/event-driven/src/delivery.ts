import type { Pool, PoolClient } from 'pg';
import type { Bus, SubscribeOptions } from './bus.ts';
import { Catalogue, type Envelope } from './event.ts';
import { transaction } from './inbox.ts';
import { identifier, MIGRATING } from './outbox.ts';

/** What happens on a food delivery platform. */
export interface DeliveryEvents {
  OrderPlaced: { readonly dish: string; readonly cents: number };
  OrderPaid: { readonly dish: string; readonly cents: number };
  MealReady: { readonly cents: number };
  OrderRefused: { readonly reason: string; readonly cents: number };
  OrderRefunded: { readonly cents: number };
  OrderDelivered: { readonly cents: number };
}

export const delivery = new Catalogue<DeliveryEvents>({
  // Version 1 had yuan.
  OrderPlaced: {
    version: 2,
    upcast: { 1: (old: { dish: string; yuan: number }) => ({ dish: old.dish, cents: Math.round(old.yuan * 100) }) },
  },
  OrderPaid: {},
  MealReady: {},
  OrderRefused: {},
  OrderRefunded: {},
  OrderDelivered: {},
});

export interface PlatformParts {
  readonly pool: Pool;
  readonly bus: Bus;
  readonly outbox: { add(tx: PoolClient, event: Envelope): Promise<void> };
  readonly inbox: {
    once(consumer: string, event: Envelope, effect: (tx: PoolClient) => Promise<unknown>): Promise<unknown>;
  };
  /** Prefix of the tables. Default "delivery". */
  readonly name?: string;
  /** What the kitchen refuses. Default: no dish. */
  readonly refuses?: (dish: string) => boolean;
}

/**
 * The services of the platform. None knows another: each knows events. The saga is the row in `orders` and its two ways:
 * placed → paid → ready → delivered, or placed → paid → refused → refunded, the compensation.
 */
export class Platform {
  readonly #parts: PlatformParts;
  readonly #orders: string;
  readonly #effects: string;

  constructor(parts: PlatformParts) {
    this.#parts = parts;
    this.#orders = identifier(`${parts.name ?? 'delivery'}_orders`);
    this.#effects = identifier(`${parts.name ?? 'delivery'}_effects`);
  }

  /** Creates the tables where they are missing. `effects` has no unique key on purpose: duplicates can be counted. */
  async migrate(): Promise<void> {
    await this.#parts.pool.query(`${MIGRATING}
      CREATE TABLE IF NOT EXISTS ${this.#orders} (id text PRIMARY KEY, state text NOT NULL);
      CREATE TABLE IF NOT EXISTS ${this.#effects} (order_id text NOT NULL, effect text NOT NULL)`);
  }

  /** Places an order: the row and its event, both or neither. The same id again is the same order. */
  async place(id: string, dish: string, cents: number): Promise<void> {
    await transaction(this.#parts.pool, async (tx) => {
      const { rowCount } = await tx.query(`INSERT INTO ${this.#orders} VALUES ($1, 'placed') ON CONFLICT DO NOTHING`, [
        id,
      ]);
      if (rowCount === 1) await this.#parts.outbox.add(tx, delivery.create('OrderPlaced', id, { dish, cents }));
    });
  }

  /** Opens the services for business. */
  async open(options: SubscribeOptions = {}): Promise<void> {
    const { bus, refuses = () => false } = this.#parts;
    const payments = delivery.reader({
      OrderPlaced: (event) =>
        this.#once('payments', event, 'charged', (tx) => this.#emit(tx, event, 'OrderPaid', event.data)),
    });
    const kitchen = delivery.reader({
      OrderPaid: (event) =>
        refuses(event.data.dish)
          ? this.#once('kitchen', event, 'refused', (tx) =>
              this.#emit(tx, event, 'OrderRefused', { reason: `no ${event.data.dish} today`, cents: event.data.cents }),
            )
          : this.#once('kitchen', event, 'cooked', (tx) => this.#emit(tx, event, 'MealReady', event.data)),
    });
    const riders = delivery.reader({
      MealReady: (event) =>
        this.#once('riders', event, 'carried', (tx) => this.#emit(tx, event, 'OrderDelivered', event.data)),
    });
    const saga = delivery.reader({
      OrderPaid: (event) => this.#once('saga', event, undefined, (tx) => this.#turn(tx, event, 'placed', 'paid')),
      OrderDelivered: (event) =>
        this.#once('saga', event, undefined, (tx) => this.#turn(tx, event, 'paid', 'delivered')),
      OrderRefused: (event) =>
        this.#once('saga', event, 'refunded', async (tx) => {
          await this.#turn(tx, event, 'paid', 'refunded');
          await this.#emit(tx, event, 'OrderRefunded', { cents: event.data.cents });
        }),
    });
    const finance = delivery.reader({
      OrderDelivered: (event) => this.#once('finance', event, 'split', async () => {}),
    });
    const sms = delivery.reader({
      OrderPlaced: (event) => this.#once('sms', event, 'sms: placed', async () => {}),
      MealReady: (event) => this.#once('sms', event, 'sms: on its way', async () => {}),
      OrderDelivered: (event) => this.#once('sms', event, 'sms: enjoy', async () => {}),
      OrderRefunded: (event) => this.#once('sms', event, 'sms: refunded', async () => {}),
    });
    const services = { payments, kitchen, riders, saga, finance, sms };
    for (const [group, reader] of Object.entries(services)) await bus.subscribe(group, reader, options);
  }

  /** How often each effect of an order was had. */
  async effects(id: string): Promise<Record<string, number>> {
    const { rows } = await this.#parts.pool.query<{ effect: string; times: number }>(
      `SELECT effect, count(*)::int AS times FROM ${this.#effects} WHERE order_id = $1 GROUP BY effect ORDER BY effect`,
      [id],
    );
    return Object.fromEntries(rows.map(({ effect, times }) => [effect, times]));
  }

  /** The saga's state of an order. */
  async state(id: string): Promise<string | undefined> {
    const { rows } = await this.#parts.pool.query<{ state: string }>(
      `SELECT state FROM ${this.#orders} WHERE id = $1`,
      [id],
    );
    return rows[0]?.state;
  }

  #once(consumer: string, event: Envelope, effect: string | undefined, work: (tx: PoolClient) => Promise<unknown>) {
    return this.#parts.inbox.once(consumer, event, async (tx) => {
      if (effect !== undefined) {
        await tx.query(`INSERT INTO ${this.#effects} VALUES ($1, $2)`, [event.key, effect]);
      }
      await work(tx);
    });
  }

  #emit<Type extends keyof DeliveryEvents>(tx: PoolClient, cause: Envelope, type: Type, data: DeliveryEvents[Type]) {
    return this.#parts.outbox.add(tx, delivery.create(type, cause.key, data, cause));
  }

  async #turn(tx: PoolClient, { key }: Envelope, from: string, to: string): Promise<void> {
    const { rowCount } = await tx.query(`UPDATE ${this.#orders} SET state = $3 WHERE id = $1 AND state = $2`, [
      key,
      from,
      to,
    ]);
    // Events of one order come in order: this can't be, unless one is a dead letter. Then this one has to wait for it.
    if (rowCount !== 1) throw new Error(`order ${key} is not ${from}: an event before this one is missing`);
  }
}
