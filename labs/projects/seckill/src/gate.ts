import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { checkId, checkWhole, InvalidArgumentError, StoreUnavailableError } from './errors.ts';
import { type Scripts, scripts } from './scripts.ts';

export type BuyOutcome =
  /** Reserved, and its order is on its way: ask for it by its id. Also said to whoever asks again with the same request. */
  | { readonly outcome: 'ok'; readonly orderId: string }
  | { readonly outcome: 'sold_out' | 'duplicate' }
  /** This request's order was not paid in time: another request may get one. */
  | { readonly outcome: 'cancelled' }
  | { readonly outcome: 'not_started'; readonly opensInMs: number }
  /** Too many tries, or the gate is shut while the stock is counted anew: try again later. */
  | { readonly outcome: 'busy' };

/** What a gate is loaded with: what the order book says. */
export interface Load {
  readonly stock: number;
  /** Milliseconds since the epoch, by the clock of Redis. */
  readonly startsAt: number;
  /** The larger one is the later one; entries of an earlier one are not ordered. */
  readonly generation: number;
  /** Who has an order that is not cancelled, and its id. */
  readonly buyers: ReadonlyMap<string, string>;
}

/** One moment of the gate. */
export interface GateState {
  readonly stock: number;
  readonly generation: number;
  /** Reserved by, and under which order. */
  readonly buyers: ReadonlyMap<string, string>;
  /** The orders of the stream that no worker has done yet. */
  readonly waiting: ReadonlySet<string>;
}

export interface GateOptions {
  /**
   * Connected; with `commandTimeout`, or a silent Redis holds each caller for ever, and with `socketTimeout`: ioredis keeps
   * what has timed out until its answer comes, and on a Redis that hangs until the memory is full. `enableReadyCheck: false`,
   * or it keeps what is asked of a Redis that loads its data, and reserves for whoever has had his error. Keep it in
   * database 0 then: where a Redis that is busy with a script refuses the SELECT of a new connection, ioredis goes on there.
   */
  readonly redis: Redis;
  /** Of all keys. Default 'seckill:'. */
  readonly prefix?: string;
  /** Tries of one user in `windowMs`; more are `busy`. Default 5. */
  readonly tries?: number;
  /** Milliseconds. Default 1,000. */
  readonly windowMs?: number;
}

/** The entrance: says who gets one, by one script in one Redis, so that no two steps can be torn apart. */
export class Gate {
  readonly redis: Redis;
  protected readonly scripts: Scripts = scripts;
  readonly #prefix: string;
  readonly #tries: number;
  readonly #windowMs: number;

  /** @throws InvalidArgumentError */
  constructor({ redis, prefix = 'seckill:', tries = 5, windowMs = 1_000 }: GateOptions) {
    checkWhole('tries', tries, 1);
    checkWhole('windowMs', windowMs, 1);
    this.redis = redis;
    this.#prefix = prefix;
    this.#tries = tries;
    this.#windowMs = windowMs;
  }

  /**
   * One unit for one user, at most once.
   * @param requestId the caller's own, the same when it asks again: it can never get two
   * @throws InvalidArgumentError, StoreUnavailableError
   */
  async buy(user: string, sku: string, requestId: string): Promise<BuyOutcome> {
    checkId('user', user);
    checkId('sku', sku);
    checkId('requestId', requestId);
    const orderId = orderIdOf(sku, user, requestId);
    const { item, buyers, orders, cancelled } = this.keys(sku);
    const keys = [item, buyers, orders, `${item}:tries:${user}`, cancelled];
    const said = await this.ask('buy', keys, [user, orderId, this.#tries, this.#windowMs]);
    const [outcome, opensInMs] = texts(said);
    if (outcome === 'ok') return { outcome, orderId };
    if (outcome === 'not_started') return { outcome, opensInMs: Number(opensInMs) };
    if (outcome === 'sold_out' || outcome === 'duplicate' || outcome === 'cancelled' || outcome === 'busy')
      return { outcome };
    throw new StoreUnavailableError('Redis', `it said ${JSON.stringify(said)}`);
  }

  /** Whether the unit of a cancelled order is on sale again by this call: only the first one of any does. */
  async giveBack(sku: string, user: string, orderId: string): Promise<boolean> {
    const { item, buyers, cancelled } = this.keys(sku);
    return Number(await this.ask('giveBack', [item, buyers, cancelled], [user, orderId, 1, 1])) === 1;
  }

  /** Forgets a reservation that gets no order. @param units 1, or 0 where the order book hasn't got its unit */
  async drop(sku: string, user: string, orderId: string, units: 0 | 1): Promise<void> {
    const { item, buyers, cancelled } = this.keys(sku);
    await this.ask('giveBack', [item, buyers, cancelled], [user, orderId, units, 0]);
  }

  /** Sends an order on its way once more: one that an older generation reserved reserves anew. @returns false when it is too late */
  async requeue(sku: string, user: string, orderId: string): Promise<boolean> {
    const { item, buyers, orders } = this.keys(sku);
    return Number(await this.ask('requeue', [item, buyers, orders], [user, orderId])) === 1;
  }

  /** Replaces all that it knows, but for who waits for an order. @returns false when it knows something later already */
  async load(sku: string, { stock, startsAt, generation, buyers }: Load): Promise<boolean> {
    checkId('sku', sku);
    checkWhole('stock', stock, 0);
    checkWhole('startsAt', startsAt, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    checkWhole('generation', generation, 0, Number.MAX_SAFE_INTEGER);
    const keys = this.keys(sku);
    const pairs = JSON.stringify([...buyers].flat());
    return (
      Number(await this.ask('load', [keys.item, keys.buyers, keys.orders], [stock, startsAt, generation, pairs])) === 1
    );
  }

  /** @returns undefined when Redis has lost it, or never had it */
  async state(sku: string): Promise<GateState | undefined> {
    checkId('sku', sku);
    const { item, buyers, orders } = this.keys(sku);
    const said = await this.ask('snapshot', [item, buyers, orders], []);
    if (!Array.isArray(said)) return undefined;
    const [stock, generation, pairs, waiting] = said;
    const flat = texts(pairs);
    const entries = flat.flatMap((user, n): [string, string][] => (n % 2 === 0 ? [[user, flat[n + 1] ?? '']] : []));
    return {
      stock: Number(stock),
      generation: Number(generation),
      buyers: new Map(entries),
      waiting: new Set(texts(waiting)),
    };
  }

  /** All of an item's in one slot of a Redis Cluster. */
  keys(sku: string): Readonly<Record<'item' | 'buyers' | 'orders' | 'cancelled', string>> {
    const item = `${this.#prefix}{${sku}}`;
    return { item, buyers: `${item}:buyers`, orders: `${item}:orders`, cancelled: `${item}:cancelled` };
  }

  protected async ask(
    script: keyof Scripts,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    try {
      // EVAL and not EVALSHA: a Redis that has lost everything has lost its scripts, too.
      return await this.redis.eval(this.scripts[script], keys.length, ...keys, ...values);
    } catch (error) {
      throw new StoreUnavailableError('Redis', error);
    }
  }
}

/** The same for the same request: whoever asks twice has one order. */
export const orderIdOf = (sku: string, user: string, requestId: string): string =>
  createHash('sha256')
    .update(JSON.stringify([sku, user, requestId]))
    .digest('hex')
    .slice(0, 32);

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

const YEAR_1 = Date.UTC(2000) - 730_119 * 86_400_000;

/** @throws InvalidArgumentError */
export function checkDate(what: string, value: unknown): asserts value is Date {
  // Those of before have no year that every store can keep.
  if (value instanceof Date && value.getTime() >= YEAR_1) return;
  throw new InvalidArgumentError(what, value, 'a date of the common era');
}
