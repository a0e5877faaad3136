// Flaw: takes a unit for each delivery of an entry; only the order is written once.
// Seen in: workers with INSERT … ON CONFLICT DO NOTHING behind an unconditional UPDATE
// Caught by: an entry that comes again, to two workers at once too, is one order and one unit
export * from '../src/index.ts';

import { type Entry, type Placed, OrderBook as Sound } from '../src/index.ts';

export class OrderBook extends Sound {
  override place({ sku, user, orderId }: Entry): Promise<Placed> {
    return this.run(async (tx): Promise<Placed> => {
      await tx.query('UPDATE seckill_items SET stock = stock - 1 WHERE sku = $1', [sku]);
      await tx.query(
        `INSERT INTO seckill_orders (id, sku, buyer, due) VALUES ($1, $2, $3, now() + $4::integer * interval '1 ms')
          ON CONFLICT DO NOTHING`,
        [orderId, sku, user, this.payWithinMs],
      );
      return 'placed';
    });
  }
}
