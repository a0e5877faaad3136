import * as http from 'node:http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { start } from '#lab';

const [collector, how] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
// Whoever has bound `http.request` before start() keeps the one that makes no spans.
const modules = { http: how === 'early' ? async () => http : () => import('node:http') };
const options = { service: 'short', modules, exporter, delayMs: 60_000 };
const tracing = await start(options);
const again = await start(options).catch((error: unknown) => error);
if (!(again instanceof Error) || again.name !== 'AlreadyStartedError') throw new Error('started twice');
tracing.tracer.startSpan('brief').end();
