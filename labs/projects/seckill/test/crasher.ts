// Sells as fast as it can, with a gate that reserves first and sends the order on its way in a second step. To be killed.
import { Redis } from 'ioredis';
import { Gate } from '../pitfalls/reserve-then-enqueue.ts';

const [redisUrl = '', prefix = '', sku = ''] = process.argv.slice(2);
const gate = new Gate({ redis: new Redis(redisUrl), prefix, tries: 1_000_000 });
let next = 0;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (;;) if ((await gate.buy(`u${next++}`, sku, 'r')).outcome === 'sold_out') return;
  }),
);
