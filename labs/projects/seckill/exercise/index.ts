import { type Entry, OrderBook as GivenBook, Gate as GivenGate, type Load, type Placed } from '../src/index.ts';
import { scripts } from '../src/scripts.ts';

// What is not the idea is given: arguments that are checked, keys, connections, the loop of the workers, HTTP and the page.
// What is here sells one unit to one user while nothing goes wrong, and has the flaws that its comments name. Make it sell what
// there is, once. `h` in `pnpm lab learn seckill` gives a hint. The classes that are extended here have solutions of what is
// yours: don't call `super` for it. The tables are those of ../src/schema.ts, which is no solution: read it.
export * from '../src/index.ts';

/**
 * KEYS: 1 the item, a hash with `stock`, `startsAt` (ms since the epoch) and `generation`; 2 the buyers, a hash from user to
 * order; 3 the stream of orders; 4 the user's tries, for a counter; 5 a set of the orders that were cancelled (for a hardening law,
 * which wants {'cancelled'}).
 * ARGV: 1 user, 2 order id, 3 how many tries, 4 within how many ms.
 * Returns {'ok'}, {'sold_out'}, {'duplicate'}, {'not_started', tostring(ms until it opens)} or {'busy'}: too many tries, or no
 * item at all, as in a Redis that has lost everything. An entry of the stream has, in this order, `user`, `order` and the
 * item's `generation`.
 * Its flaws: it knows neither how many there are, nor who has one, nor when it starts, and sends no order on its way.
 */
const BUY = `
redis.call('HINCRBY', KEYS[1], 'stock', -1)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return {'ok'}`;

/**
 * KEYS: 1 the item, 2 the buyers, 3 the cancelled orders. ARGV: 1 user, 2 order id, 3 how many units go back on sale (1, or 0 for
 * none), 4 '1' for an order that was cancelled. Returns 1, or 0 where nothing was to be done. Its flaw: it does so each time.
 */
const GIVE_BACK = `
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'stock', ARGV[3])
return 1`;

export class Gate extends GivenGate {
  protected override readonly scripts = { ...scripts, buy: BUY, giveBack: GIVE_BACK };
}

export class OrderBook extends GivenBook {
  /**
   * Takes a unit and writes the order (`seckill_items.stock`, a row of `seckill_orders` with `due` in `this.payWithinMs` ms), both or
   * neither. `this.run(async (tx) => …)` is a transaction. Says `placed` where the order stands there, `stale` where the entry's
   * generation isn't the item's, `duplicate` where the user has another one that is not cancelled, `sold_out` where none is left.
   * (`cancelled`, where the order stands there and was not paid in time, is for a hardening law.)
   * Its flaw: it does what it is told, each time.
   */
  override place({ sku, user, orderId }: Entry): Promise<Placed> {
    return this.run(async (tx): Promise<Placed> => {
      await tx.query('UPDATE seckill_items SET stock = stock - 1 WHERE sku = $1', [sku]);
      await tx.query(
        `INSERT INTO seckill_orders (id, sku, buyer, due)
          VALUES ($1, $2, $3, clock_timestamp() + $4::integer * interval '1 ms')`,
        [orderId, sku, user, this.payWithinMs],
      );
      return 'placed';
    });
  }

  /**
   * `paid` by this payment, now or before; `refunded` where the money is owed back: a row of `seckill_refunds`; `unknown` where there
   * is no such order. Money is late once `due` is over, also when nobody has cancelled the order yet. Its flaw: it takes all money.
   */
  override async pay(orderId: string, paymentId: string): Promise<'paid' | 'refunded' | 'unknown'> {
    await this.run((tx) =>
      tx.query("UPDATE seckill_orders SET state = 'paid', payment = $2 WHERE id = $1", [orderId, paymentId]),
    );
    return 'paid';
  }

  /** Cancels the orders whose `due` is over, and takes each one's unit back once. @returns how many. Its flaw: it doesn't. */
  override async expire(_limit = 1_000): Promise<number> {
    return 0;
  }

  /**
   * Tells `load` what there is to sell: the stock that is left, `startsAt`, a generation later than all before (it is the
   * item's from then on), and who has an order that is not cancelled. What `load` answers (false: the gate knows something
   * later) is for whoever gave it; where it throws, nothing has changed. Its flaws: it tells what there was at first, under
   * the same generation, and whatever happens meanwhile is not in it. (The options are for hardening laws.)
   */
  override async count(
    sku: string,
    load: (count: Load) => Promise<boolean>,
    _o: { seen?: number; above?: number } = {},
  ): Promise<void> {
    const { rows } = await this.run((tx) =>
      tx.query<{ initial: number; starts_at: Date }>('SELECT initial, starts_at FROM seckill_items WHERE sku = $1', [
        sku,
      ]),
    );
    const [item] = rows;
    if (item === undefined) return;
    await load({ stock: item.initial, startsAt: item.starts_at.getTime(), generation: 0, buyers: new Map() });
  }
}
