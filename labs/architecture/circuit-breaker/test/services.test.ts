import { startPostgres, startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Bulkhead, CircuitBreaker, compose, type Policy, retry } from '#lab';
import { begun } from './hand-clock.ts';
import { startPatient, startShop } from './shop.ts';

const servers = { pg: () => startPostgres(), redis: () => startRedis() };

await describeWith('on real services', servers, ({ pg, redis }) => {
  const pool = new Pool({ connectionString: pg.url, max: 6 });
  const cache = new Redis(redis.nodes[0].url);
  const bestSellers = `${redis.namespace}best-sellers`;

  beforeAll(async () => {
    await pool.query(
      "CREATE TABLE orders (id serial PRIMARY KEY, state text NOT NULL); INSERT INTO orders (state) VALUES ('paid')",
    );
    await cache.zadd(bestSellers, 3, 'umbrella', 9, 'kettle', 5, 'lamp', 1, 'doorstop');
  });
  afterAll(async () => {
    await cache.del(bestSellers);
    cache.disconnect();
    await pool.end();
  });

  const patient = async (body: unknown) => {
    const service = await startPatient(body, 1);
    onTestFinished(() => service[Symbol.asyncDispose]());
    return service;
  };
  const open = async (guards: { pay: Policy; ordering?: Policy; recommend?: CircuitBreaker }) => {
    const payment = await patient({ charged: true });
    const recommendations = await patient({ source: 'for you', items: ['teapot'] });
    const { recommend = new CircuitBreaker(), ...rest } = guards;
    const shop = await startShop({
      pool,
      redis: cache,
      bestSellers,
      payment,
      recommendations,
      recommend: (call, fallback) => recommend.run(call, { fallback }),
      ...rest,
    });
    onTestFinished(() => shop[Symbol.asyncDispose]());
    return { shop, payment, recommendations };
  };

  test('while payment hangs, orders are refused at once and readers are served', async () => {
    const breaker = new CircuitBreaker({
      name: 'payment',
      window: { type: 'count', size: 4 },
      minCalls: 4,
      timeoutMs: 100,
      openMs: 600_000,
    });
    const pay = compose(retry({ attempts: 3, delayMs: 1 }), breaker);
    const ordering = new Bulkhead({ name: 'ordering', concurrent: 4, queue: 100, queueTimeoutMs: 600_000 });
    const { shop, payment } = await open({ pay, ordering });
    payment.fallIll(Number.POSITIVE_INFINITY);
    const order = () => begun(fetch(`${shop.url}/orders`, { method: 'POST' }));
    const orders = Array.from({ length: 30 }, order);
    await until(() => payment.seen.received > 0);
    const read = await fetch(`${shop.url}/orders`);
    expect(await read.json(), 'a reader, while all slots of ordering are taken').toMatchObject({ state: 'paid' });
    const answers = await Promise.all(orders);
    const busy = answers.filter(({ status }) => status === 503).length;
    expect(busy, 'the rest ran into the time limit that opened the circuit').toBeGreaterThan(24);
    expect(answers.filter(({ ok }) => ok)).toEqual([]);
    expect(breaker.state).toBe('open');
    const { received } = payment.seen;
    expect(received, 'requests for 30 orders of 3 attempts each').toBeLessThan(12);
    const next = await order();
    const seconds = Number(next.headers.get('retry-after'));
    expect(seconds, 'what is left of 600 s').toBeGreaterThan(500);
    expect(seconds, 'what is left of 600 s').toBeLessThanOrEqual(600);
    expect(await next.json()).toEqual({ message: 'Payment is busy, please retry later.' });
    expect(payment.seen.received, 'an open circuit sends nothing').toBe(received);
    expect((await pool.query("SELECT FROM orders WHERE state = 'new'")).rowCount, 'half-made orders').toBe(0);
  });

  test('recommendations degrade to the best-sellers, and ordering goes on', async () => {
    const recommend = new CircuitBreaker({ window: { type: 'count', size: 4 }, minCalls: 4, openMs: 600_000 });
    const { shop, recommendations } = await open({ pay: new CircuitBreaker(), recommend });
    const home = async () => (await fetch(`${shop.url}/home`)).json();
    expect(await home()).toEqual({ source: 'for you', items: ['teapot'] });
    recommendations.fallIll(0, 500);
    for (let n = 0; n < 10; n++) {
      expect(await home()).toEqual({ source: 'best-sellers', items: ['kettle', 'lamp', 'umbrella'] });
      expect((await fetch(`${shop.url}/orders`, { method: 'POST' })).status).toBe(200);
    }
    expect(recommend.state).toBe('open');
    expect(recommendations.seen.received, 'for 11 visits').toBeLessThan(6);
  });
});
