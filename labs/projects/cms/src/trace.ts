import type { Interceptor } from '@connectrpc/connect';
import {
  type Attributes,
  type Context,
  context,
  type Link,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { type Carrier, extract, inject } from './vendor/tracing/propagation.ts';

interface SpanOptions {
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
  /** The context that it came with. Default: where we are. */
  readonly from?: Context;
  readonly links?: Link[];
}

/** Runs `body` as a span of this process' trace. Without tracing (see `main.ts`) it only runs it. */
export async function spanned<T>(
  name: string,
  body: (span: Span) => Promise<T>,
  options: SpanOptions = {},
): Promise<T> {
  const { kind = SpanKind.INTERNAL, attributes = {}, links = [], from = context.active() } = options;
  return trace.getTracer('cms').startActiveSpan(name, { kind, attributes, links }, from, async (span) => {
    try {
      return await body(span);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'not an error' });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Runs `body` as a step of whatever request it belongs to. What belongs to none, as a look at an empty outbox, is no trace. */
export const step = <T>(name: string, body: () => Promise<T>): Promise<T> =>
  trace.getActiveSpan() === undefined ? body() : spanned(name, body);

/** The trace as a row of the outbox keeps it: who carries the row goes on with it. */
export const traceNow = (): Carrier => inject();

/** Where a row of the outbox, or a request from outside, goes on. */
export const traceOf = (carrier: unknown): Context => extract(carrier);

/** For the calls of a client: a span each, and its number in the headers. */
export const traceCalls: Interceptor = (next) => (request) =>
  spanned(
    `call ${request.method.name}`,
    () => {
      for (const [key, value] of Object.entries(inject())) request.header.set(key, value);
      return next(request);
    },
    { kind: SpanKind.CLIENT, attributes: { 'rpc.system': 'grpc', 'rpc.service': request.service.typeName } },
  );

/** For a server: goes on with the caller's trace. */
export const traceServed: Interceptor = (next) => (request) => {
  const from = extract(Object.fromEntries(request.header));
  return spanned(request.method.name, () => next(request), {
    kind: SpanKind.SERVER,
    attributes: { 'rpc.system': 'grpc', 'rpc.service': request.service.typeName },
    from,
  });
};
