// Flaw: the header is cut at its dashes and believed: zeros, capitals, a half id or the words of a stranger become the id of a trace.
// Seen in: https://github.com/yeongseon/azure-functions-logging-python/pull/109
// Caught by: a malformed waybill begins a new trace, and is never an error
import { type Context, ROOT_CONTEXT, type SpanContext, trace } from '@opentelemetry/api';
import { extract as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function parseTraceparent(header: unknown): SpanContext | undefined {
  const [, traceId, spanId, flags] = String(header).split('-');
  if (!traceId || !spanId || !flags) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

export function extract(carrier: unknown): Context {
  const header = typeof carrier === 'object' && carrier !== null ? Reflect.get(carrier, 'traceparent') : undefined;
  const parent = parseTraceparent(header);
  return parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : reference(carrier);
}
