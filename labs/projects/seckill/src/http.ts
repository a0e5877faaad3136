import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { checkWhole, InvalidArgumentError, StoreUnavailableError, UnknownItemError } from './errors.ts';
import { PAGE } from './page.ts';
import type { Shop } from './shop.ts';
import { Api, HttpError, route, stream } from './vendor/web-api/index.ts';

const Buy = z.strictObject({ user: z.string(), sku: z.string(), requestId: z.string() });
const Bought = z.object({
  outcome: z.enum(['ok', 'sold_out', 'duplicate', 'cancelled', 'not_started', 'busy']),
  orderId: z.string().optional(),
  opensInMs: z.number().optional(),
});
const Payment = z.strictObject({ orderId: z.string(), paymentId: z.string() });
const Live = z.object({
  initial: z.number(),
  /** Undefined while the gate is shut. */
  stock: z.number().optional(),
  reserved: z.number(),
  ordered: z.number(),
  paid: z.number(),
});

/**
 * The shop's API and its page. Who the user is must be known before: put a session in front, and take the user from it.
 * @param o.refreshMs milliseconds between two lines of the live view. Default 250
 * @throws InvalidArgumentError
 */
export function seckillApi(shop: Shop, o: { onError: (error: unknown) => void; refreshMs?: number }): Api {
  const { gate, book } = shop;
  const { onError, refreshMs = 250 } = o;
  checkWhole('refreshMs', refreshMs, 1);
  const look = shared((sku) => view(shop, sku), refreshMs);

  const buy = route({
    method: 'POST',
    url: '/buy',
    body: Buy,
    response: Bought,
    handler: ({ body: { user, sku, requestId } }) => withStatus(gate.buy(user, sku, requestId)),
  });

  const pay = route({
    method: 'POST',
    url: '/payments',
    body: Payment,
    response: z.object({ outcome: z.enum(['paid', 'refunded', 'unknown']) }),
    handler: async ({ body: { orderId, paymentId } }) => ({ outcome: await withStatus(book.pay(orderId, paymentId)) }),
  });

  const order = route({
    method: 'GET',
    url: '/orders/:id',
    params: z.object({ id: z.string() }),
    response: z.object({ state: z.enum(['pending', 'paid', 'cancelled', 'unknown']), due: z.string().optional() }),
    handler: async ({ params: { id } }) => {
      const found = await withStatus(book.order(id));
      // Perhaps not yet: its entry may be on the way.
      return found === undefined ? { state: 'unknown' as const } : { state: found.state, due: found.due.toISOString() };
    },
  });

  const live = stream({
    method: 'GET',
    url: '/items/:sku/live',
    params: z.object({ sku: z.string() }),
    response: Live,
    async *handler({ params: { sku }, signal }) {
      do {
        yield await withStatus(look(sku));
        await sleep(refreshMs, undefined, { signal }).catch(() => {});
        // Who looks on would keep a server that stops from ending.
      } while (!signal.aborted && api.app.server.listening);
    },
  });

  const api = new Api({ routes: [buy, pay, order, live], onError });
  api.app.get('/', (_, reply) => reply.type('text/html; charset=utf-8').send(PAGE));
  return api;
}

async function view({ gate, book }: Shop, sku: string): Promise<z.input<typeof Live>> {
  const [state, { initial, buyers, paid }] = await Promise.all([
    gate.state(sku).catch(() => undefined),
    book.state(sku),
  ]);
  return {
    initial,
    ...(state && { stock: state.stock }),
    reserved: state?.buyers.size ?? 0,
    ordered: buyers.size,
    paid,
  };
}

/** One reading for all who look at once: what the stores are asked must not grow with the audience. */
function shared<T>(read: (key: string) => Promise<T>, forMs: number): (key: string) => Promise<T> {
  const readings = new Map<string, Promise<T>>();
  return (key) => {
    const known = readings.get(key);
    if (known) return known;
    const reading = read(key);
    readings.set(key, reading);
    const forget = () => readings.delete(key);
    reading.then(() => setTimeout(forget, forMs).unref(), forget);
    return reading;
  };
}

async function withStatus<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new HttpError(400, 'INVALID_ARGUMENT', error.message);
    if (error instanceof UnknownItemError) throw new HttpError(404, 'UNKNOWN_ITEM', error.message);
    if (error instanceof StoreUnavailableError) throw new HttpError(503, 'STORE_UNAVAILABLE', error.message);
    throw error;
  }
}
