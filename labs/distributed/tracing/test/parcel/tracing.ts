// `node --import ./parcel/tracing.ts parcel/shop.ts`: what traces a process is loaded before what it traces.

import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { ZipkinExporter } from '@opentelemetry/exporter-zipkin';
import { flushAtTheEnd, instrument, type Modules, provide, start } from '#lab';
import { settings } from './settings.ts';

const { service, collector, zipkin, ratio, hook, delayMs } = settings;
const all = {
  http: () => import('node:http'),
  pg: () => import('pg'),
  ioredis: () => import('ioredis'),
  '@grpc/grpc-js': () => import('@grpc/grpc-js'),
};
const uses: Record<typeof service, Modules> = {
  shop: all,
  payment: { pg: all.pg, '@grpc/grpc-js': all['@grpc/grpc-js'] },
  courier: { pg: all.pg, ioredis: all.ioredis },
};
const exporter = zipkin
  ? new ZipkinExporter({ url: `${zipkin}/api/v2/spans` })
  : new OTLPTraceExporter({ url: `${collector}/v1/traces`, timeoutMillis: 3_000 });
const options = { service, modules: uses[service], ratio, exporter, delayMs };

if (hook) await start(options);
else {
  // As most guides have it: an SDK and its instrumentations, with --import.
  flushAtTheEnd(provide(options));
  instrument(options.modules);
}
