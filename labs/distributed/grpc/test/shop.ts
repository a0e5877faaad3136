import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { type ConnectRouter, createClient, type ServiceImpl } from '@connectrpc/connect';
import { type Channel, openChannel, type PropagateOptions, propagate, RpcServer } from '#lab';
import { OrderService, PriceService, StockService } from './shop/v1/shop_pb.ts';

export type Desk = Partial<ServiceImpl<typeof PriceService>>;
type Lab = {
  readonly RpcServer: Pick<typeof RpcServer, 'serve'>;
  readonly openChannel: typeof openChannel;
  readonly propagate: typeof propagate;
};

/** What the price desk does, as routes. */
export const desk =
  (service: Desk) =>
  (router: ConnectRouter): void =>
    void router.service(PriceService, service);

/** Where it answers. */
export const urlOf = ({ port }: { readonly port: number }): string => `http://127.0.0.1:${port}`;

/** A customer's order goes to the counter, its question to the stockroom, and the stockroom's to the price desk. */
export async function openShop(
  service: Desk,
  options: PropagateOptions = {},
  lab: Lab = { RpcServer, openChannel, propagate },
) {
  await using bin = new AsyncDisposableStack();
  /** What each of them was told of the caller's time, in milliseconds. */
  const left: Record<'counter' | 'stockroom', (number | undefined)[]> = { counter: [], stockroom: [] };
  const open = (server: RpcServer): Channel => bin.use(lab.openChannel(urlOf(server)));
  const priceDesk = bin.use(await lab.RpcServer.serve(desk(service)));
  const prices = createClient(PriceService, open(priceDesk).transport);
  const stockroom = bin.use(
    await lab.RpcServer.serve((router) => {
      router.service(StockService, {
        async reserve({ sku }, context) {
          left.stockroom.push(context.timeoutMs());
          const { cents } = await prices.getPrice({ sku }, lab.propagate(context, options));
          return { cents };
        },
      });
    }),
  );
  const stock = createClient(StockService, open(stockroom).transport);
  const counter = bin.use(
    await lab.RpcServer.serve((router) => {
      router.service(OrderService, {
        async placeOrder({ orderId, sku }, context) {
          left.counter.push(context.timeoutMs());
          const { cents } = await stock.reserve({ orderId, sku }, lab.propagate(context, options));
          return { cents };
        },
      });
    }),
  );
  const orders = createClient(OrderService, open(counter).transport);
  const held = bin.move();
  return { orders, left, servers: { counter, stockroom, priceDesk }, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** A balancer on TCP: each new connection goes to where `to` points at that moment. Answers can be held up on their way. */
export async function startBalancer(to: () => number) {
  const sockets = new Set<Socket>();
  let held = Promise.resolve();
  let asked = 0;
  const balancer = createServer((near) => {
    const far = dial(to(), '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => sockets.delete(one));
    }
    // As TCP does: bytes for who has closed are answered by a reset, and what was under way is lost.
    near.on('data', (bytes) => {
      asked += bytes.length;
      if (far.writable) far.write(bytes);
      else near.resetAndDestroy();
    });
    near.on('end', () => far.end());
    far.on('data', (bytes) => void held.then(() => near.write(bytes)));
    far.on('end', () => void held.then(() => near.end()));
  }).listen(0, '127.0.0.1');
  await once(balancer, 'listening');
  const address = balancer.address();
  const port = address && typeof address === 'object' ? address.port : 0;
  const close = () => {
    balancer.close();
    for (const socket of sockets) socket.destroy();
  };
  /** Every connection dies as when a cable is cut and a router says so. */
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  /** From now on no answer comes through, until the function that it returns is called. */
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    return resolve;
  };
  /** Bytes that clients have sent. */
  const sent = () => asked;
  return { port, reset, hold, sent, [Symbol.dispose]: close };
}
