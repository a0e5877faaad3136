// A shop of real HTTP services on 127.0.0.1. Orders are written to Postgres within the transaction that waits for the
// payment, as in many a shop; whoever only reads an order takes a connection from the same pool.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { type Policy, RejectedError } from '#lab';

interface Served extends AsyncDisposable {
  readonly url: string;
}

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Promise<Served> {
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.writeHead(500).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has a port.');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A service that can be made ill: it answers after `delayMs`, with `status`; `Infinity` is never. */
export async function startPatient(body: unknown, wellMs: number) {
  const health = { delayMs: wellMs, status: 200 };
  const seen = { received: 0, underWay: 0, mostUnderWay: 0, cancelled: 0 };
  const waiting = new Set<() => void>();
  const served = await serve(async (_request, response) => {
    seen.received++;
    seen.mostUnderWay = Math.max(seen.mostUnderWay, ++seen.underWay);
    await new Promise<void>((resolve) => {
      const timer = health.delayMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, health.delayMs);
      response.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      waiting.add(resolve);
      response.once('close', () => waiting.delete(resolve));
    });
    seen.underWay--;
    if (response.destroyed) seen.cancelled++;
    else response.writeHead(health.status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  return {
    ...served,
    seen,
    fallIll(delayMs: number, status = 200) {
      Object.assign(health, { delayMs, status });
    },
    /** From now on it answers as at first, those who wait too. */
    recover() {
      Object.assign(health, { delayMs: wellMs, status: 200 });
      for (const answer of waiting) answer();
    },
  };
}

/** A request that fails on any status but 200, and ends when its signal says so. */
export async function ask(url: string, signal: AbortSignal, method = 'GET'): Promise<unknown> {
  const response = await fetch(url, { method, signal });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status}`);
  return answer;
}

export interface ShopParts {
  readonly pool: Pool;
  readonly redis: Redis;
  /** Key of the best-sellers, a sorted set. */
  readonly bestSellers: string;
  readonly payment: { readonly url: string };
  readonly recommendations: { readonly url: string };
  /** Around the work on an order. */
  readonly ordering?: Policy;
  /** Around the request to the payment service. */
  readonly pay: Policy;
  /** Around the request for recommendations, with what to show instead. */
  readonly recommend: (
    call: (signal: AbortSignal) => Promise<unknown>,
    fallback: () => Promise<unknown>,
  ) => Promise<unknown>;
}

/** `POST /orders`, `GET /orders` (the newest), `GET /home`. */
export async function startShop(parts: ShopParts) {
  const { pool, redis, payment, recommendations, pay, recommend } = parts;
  const load = { underWay: 0, mostUnderWay: 0 };
  /** Orders in the order in which they got a connection, and the requests to payment that each of them cost. */
  const orders: { readonly at: number; requests: number }[] = [];

  const placeOrder = async () => {
    const connection = await pool.connect();
    const order = { at: performance.now(), requests: 0 };
    orders.push(order);
    try {
      await connection.query('BEGIN');
      const { rows } = await connection.query<{ id: number }>("INSERT INTO orders (state) VALUES ('new') RETURNING id");
      await pay.run((signal) => {
        order.requests++;
        return ask(`${payment.url}/charge`, signal, 'POST');
      });
      await connection.query("UPDATE orders SET state = 'paid' WHERE id = $1", [rows[0]?.id]);
      await connection.query('COMMIT');
      return rows[0];
    } catch (error) {
      await connection.query('ROLLBACK');
      throw error;
    } finally {
      connection.release();
    }
  };
  const routes: Record<string, () => Promise<unknown>> = {
    'POST /orders': () => (parts.ordering ? parts.ordering.run(placeOrder) : placeOrder()),
    'GET /orders': async () =>
      (await pool.query('SELECT id, state FROM orders ORDER BY id DESC LIMIT 1')).rows[0] ?? {},
    'GET /home': () =>
      recommend(
        (signal) => ask(recommendations.url, signal),
        async () => ({ source: 'best-sellers', items: await redis.zrevrange(parts.bestSellers, 0, 2) }),
      ),
  };
  const served = await serve(async (request, response) => {
    load.mostUnderWay = Math.max(load.mostUnderWay, ++load.underWay);
    const reply = (status: number, body: unknown, retryAfter?: number) => {
      response.setHeader('content-type', 'application/json');
      if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
      response.writeHead(status).end(JSON.stringify(body));
    };
    try {
      const route = routes[`${request.method} ${request.url}`];
      if (route) reply(200, await route());
      else reply(404, {});
    } catch (error) {
      if (error instanceof RejectedError) {
        reply(503, { message: 'Payment is busy, please retry later.' }, Math.ceil(error.retryAfterMs / 1_000));
      } else reply(502, { message: String(error) });
    } finally {
      load.underWay--;
    }
  });
  return { ...served, load, orders };
}
