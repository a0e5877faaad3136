import { context, SpanKind, trace } from '@opentelemetry/api';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { extract } from '#lab';
import { settings, tell } from './settings.ts';

const tracer = trace.getTracer('courier');
const pool = new Pool({ connectionString: settings.postgres, max: 4 });
const connection = new Redis(settings.redis, { maxRetriesPerRequest: null });

const worker = new Worker(
  'parcels',
  (job) =>
    context.with(extract(job.data.trace), () =>
      tracer.startActiveSpan('process parcels', { kind: SpanKind.CONSUMER }, async (span) => {
        const scans = [];
        for (const depot of ['Beijing', 'Wuhan', 'Guangzhou']) {
          await tracer.startActiveSpan(`scan ${depot}`, async (scan) => {
            await pool.query('SELECT pg_sleep($1), $2::text', [settings.slowMs / 16_000, job.data.order]);
            scans.push(depot);
            scan.end();
          });
        }
        span.end();
        return { traceId: span.spanContext().traceId };
      }),
    ),
  { connection, prefix: settings.prefix },
);
worker.on('completed', (job, { traceId }) => tell({ delivered: job.data.order, traceId }));
await worker.waitUntilReady();
tell({ url: 'ready' });
