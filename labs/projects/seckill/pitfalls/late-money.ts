// Flaw: whoever pays has paid, though his order is cancelled and its unit sold to another.
// Seen in: payment callbacks that set `paid` by the order's id alone
// Caught by: payment and deadline race: one of them wins, and what is paid too late or twice is owed back
export * from '../src/index.ts';

import { OrderBook as Sound } from '../src/index.ts';

export class OrderBook extends Sound {
  override async pay(orderId: string, paymentId: string): Promise<'paid' | 'refunded' | 'unknown'> {
    await this.run((tx) =>
      tx.query("UPDATE seckill_orders SET state = 'paid', payment = $2 WHERE id = $1", [orderId, paymentId]),
    );
    return 'paid';
  }
}
