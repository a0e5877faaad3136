import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { SpanKind, trace } from '@opentelemetry/api';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { inject } from '#lab';
import { payment } from './payment-service.ts';
import { settings, tell } from './settings.ts';

const { slowMs } = settings;
const tracer = trace.getTracer('shop');
const redis = new Redis(settings.redis, { maxRetriesPerRequest: null });
const queue = new Queue('parcels', { connection: redis, prefix: settings.prefix });
const pool = new Pool({ connectionString: settings.postgres, max: 8 });
const Client = makeGenericClientConstructor(payment, 'Payment');
const bank = new Client(settings.payment, credentials.createInsecure());

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://shop');
  const order = url.searchParams.get('order') ?? '';
  try {
    await choose();
    await tracer.startActiveSpan('pay', async (span) => {
      await pay(order).finally(() => span.end());
    });
    await send(order);
    const traceId = trace.getActiveSpan()?.spanContext().traceId;
    response.end(JSON.stringify({ order, traceId }));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});

/** The product service: three queries, of which one is a join that nobody has looked at. */
async function choose() {
  await pool.query("SELECT 'a parcel for ada@example.org' AS name");
  await pool.query(`SELECT pg_sleep(${slowMs / 1_000}) FROM (VALUES (1)) product JOIN (VALUES (1)) review ON true`);
  await pool.query('SELECT $1::int AS stock', [3]);
}

/** Tries twice, with a pause. */
async function pay(order: string) {
  try {
    await call(order);
  } catch {
    await delay(slowMs / 16);
    await call(order);
  }
}

function call(order: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    bank['pay']?.({ order, card: '4242424242424242' }, (error: Error | null, value: unknown) =>
      error ? reject(error) : resolve(value),
    );
  });
}

/** Nobody waits for the parcel; its waybill goes with it. */
async function send(order: string) {
  await tracer.startActiveSpan('send parcels', { kind: SpanKind.PRODUCER }, async (span) => {
    await queue.add('parcel', { order, ...(settings.waybill && { trace: inject() }) });
    span.end();
  });
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') tell({ url: `http://127.0.0.1:${address?.port}` });
});
