// Flaw: `--import` and a list of instrumentations, without the hook for ESM: what `import` loads is not patched, without a word.
// Seen in: https://github.com/open-telemetry/opentelemetry-js-contrib/issues/1692
// Caught by: one waybill goes through three processes, over HTTP, gRPC, a queue and Postgres
import { flushAtTheEnd, instrument, provide, type StartOptions, type Tracing } from '../src/index.ts';

export * from '../src/index.ts';

export async function start(options: StartOptions): Promise<Tracing> {
  const tracing = provide(options);
  instrument(options.modules ?? {});
  flushAtTheEnd(tracing);
  return tracing;
}
