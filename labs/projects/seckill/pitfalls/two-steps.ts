// Flaw: reads what is left, and takes one in a second step.
// Seen in: https://github.com/qiurunze123/miaosha/issues/145, and in most first tries: GET, compare, DECR
// Caught by: many buy at once: as many as there are get one, and nobody else
export * from '../src/index.ts';

import { type BuyOutcome, orderIdOf, Gate as Sound } from '../src/index.ts';

export class Gate extends Sound {
  override async buy(user: string, sku: string, requestId: string): Promise<BuyOutcome> {
    const { item, buyers, orders } = this.keys(sku);
    const [stock, generation] = await this.redis.hmget(item, 'stock', 'generation');
    if (Number(stock) < 1) return { outcome: 'sold_out' };
    const orderId = orderIdOf(sku, user, requestId);
    const entry = ['user', user, 'order', orderId, 'generation', generation ?? ''];
    await this.redis
      .multi()
      .hincrby(item, 'stock', -1)
      .hset(buyers, user, orderId)
      .xadd(orders, '*', ...entry)
      .exec();
    return { outcome: 'ok', orderId };
  }
}
