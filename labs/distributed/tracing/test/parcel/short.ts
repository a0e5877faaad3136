import * as http from 'node:http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { start } from '#lab';

const [collector, how] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
// Whoever has bound `http.request` before start() keeps the one that makes no spans.
const modules = { http: how === 'early' ? async () => http : () => import('node:http') };
const options = { service: how === 'well' ? 'short' : `short ${how}`, modules, exporter, delayMs: 60_000 };
// Registered first: by the time that a later listener looks, this one has been called and is gone.
if (how === 'once') process.once('SIGTERM', () => setTimeout(() => process.exit(4), 300));
const tracing = await start(options);
const again = await start(options).catch((error: unknown) => error);
if (!(again instanceof Error) || again.name !== 'AlreadyStartedError') throw new Error('started twice');
tracing.tracer.startSpan('brief').end();
if (how === 'once') {
  setTimeout(() => {}, 10_000);
  process.kill(process.pid, 'SIGTERM');
}
if (how === 'silent') {
  const endedAt = performance.now();
  process.exitCode = 3;
  process.on('exit', () => process.stderr.write(String(performance.now() - endedAt)));
}
