// Flaw: finds the late orders, then cancels them one by one without looking again: two who look at once both take the units back.
// Seen in: https://stackoverflow.com/q/58041459, and every "SELECT … then UPDATE" in a cron job that two servers run
// Caught by: an order that nobody pays gives its unit back once, however many look
export * from '../src/index.ts';

import { OrderBook as Sound } from '../src/index.ts';

export class OrderBook extends Sound {
  override async expire(): Promise<number> {
    const { rows } = await this.run((tx) =>
      tx.query<{ id: string; sku: string }>(
        "SELECT id, sku FROM seckill_orders WHERE state = 'pending' AND due <= clock_timestamp()",
      ),
    );
    for (const { id, sku } of rows) {
      await this.run(async (tx) => {
        await tx.query("UPDATE seckill_orders SET state = 'cancelled' WHERE id = $1", [id]);
        await tx.query('UPDATE seckill_items SET stock = stock + 1 WHERE sku = $1', [sku]);
      });
    }
    return rows.length;
  }
}
