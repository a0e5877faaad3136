// A till in a process of its own, as a deployment runs it: it takes orders, prints its port and each order, and on
// SIGTERM leaves as its argument says: drain, or cut.
import { setTimeout as delay } from 'node:timers/promises';
import { RpcServer } from '#lab';
import { RpcServer as CutAtSigterm } from '../pitfalls/cut-at-sigterm.ts';
import { OrderService } from './shop/v1/shop_pb.ts';

const Server = process.argv[2] === 'cut' ? CutAtSigterm : RpcServer;
const server = await Server.serve((router) => {
  router.service(OrderService, {
    async placeOrder({ orderId }) {
      await delay(150);
      console.log(orderId);
      return { cents: 499n };
    },
  });
});
console.log(server.port);
process.once('SIGTERM', async () => {
  await server.drain();
  process.exit();
});
process.stdin.on('end', () => process.exit()).resume();
