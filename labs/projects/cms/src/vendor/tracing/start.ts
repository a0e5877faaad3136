import { inspect } from 'node:util';
import { context, propagation, type Tracer, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { AlreadyStartedError, InvalidArgumentError } from './errors.ts';
import { assertPatched, hookImports, instrument, type Modules } from './modules.ts';
import { BoundedProcessor, type Counts, type QueueOptions } from './processor.ts';
import { waybill } from './propagation.ts';
import { sampleTraces } from './sampling.ts';

export interface StartOptions extends QueueOptions {
  /** The name of this process on every span. */
  readonly service: string;
  /** What this process talks with. Default none: only spans made by hand. */
  readonly modules?: Modules;
  /** Share of the traces begun here that are kept, 0 to 1. Default 1. */
  readonly ratio?: number;
  /** Default: OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, or http://localhost:4318. */
  readonly exporter?: SpanExporter;
}

/** The tracing of this process. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
  readonly counts: Counts;
  flush(): Promise<void>;
  /** Sends what waits, for 2 s at most; then no more spans are taken. */
  close(): Promise<void>;
}

/**
 * Traces this process. Call it before anything else is loaded: in a file of its own, `node --import ./tracing.ts app.ts`.
 * SIGTERM and SIGINT send what waits, and then end the process as they would have, unless the application listens too:
 * then it has the last word, and calls `close()`. So it is when a process has nothing more to do ('beforeExit').
 *
 * @throws NotPatchedError when a module of `modules` is not patched: a trace with holes would lie.
 * @throws AlreadyStartedError the second time.
 * @throws InvalidArgumentError on an empty service name, an unknown module, a bad ratio or limit.
 */
export async function start(options: StartOptions): Promise<Tracing> {
  const { modules = {} } = options;
  const tracing = provide(options);
  hookImports(modules);
  instrument(modules);
  await assertPatched(modules);
  flushAtTheEnd(tracing);
  return tracing;
}

/** The tracer of this process, without anything that is patched. */
export function provide(options: StartOptions): Tracing {
  const { service, ratio = 1, exporter = new OTLPTraceExporter() } = options;
  if (typeof service !== 'string' || service.trim() === '' || !service.isWellFormed()) {
    throw new InvalidArgumentError(`service must be the name of this process; it is ${inspect(service)}.`);
  }
  const sampler = sampleTraces(ratio);
  const queue = new BoundedProcessor(exporter, options);
  const resource = defaultResource().merge(resourceFromAttributes({ 'service.name': service }));
  const provider = new TracerProvider({ resource, sampler, spanProcessors: [queue] });
  if (!trace.setGlobalTracerProvider(provider)) throw new AlreadyStartedError(`${service}: tracing has been started.`);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(waybill);
  const close = () => queue.shutdown();
  return {
    tracer: provider.getTracer(service),
    get counts() {
      return queue.counts;
    },
    flush: () => queue.forceFlush(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the last requests did is what one wants to know of a process that ended. */
export function flushAtTheEnd(tracing: Tracing): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const onSignal = () => {
      process.off(signal, onSignal);
      // The application's own listener ends the process, in its own time and with its own spans.
      if (process.listenerCount(signal) > 0) void tracing.flush();
      else void tracing.close().finally(() => process.kill(process.pid, signal));
    };
    // First, since a listener that asked to be called `once` has left by the time it is called.
    process.prependListener(signal, onSignal);
  }
  process.prependListener('beforeExit', () => {
    if (tracing.counts.waiting === 0) return;
    if (process.listenerCount('beforeExit') > 1) void tracing.flush();
    // Requests that a silent collector took, and the exporter's next attempts, would keep the process for as long as they like.
    else void tracing.close().finally(() => process.exit());
  });
}
