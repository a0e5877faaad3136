// Flaw: the job carries the header that the request came with, so the worker's span hangs on the caller's, not on the span that sent it.
// Seen in: https://github.com/open-telemetry/opentelemetry-js-contrib/issues/2134
// Caught by: a job carries the waybill of the span that sent it
import type { Context } from '@opentelemetry/api';
import { type Carrier, inject as reference } from '../src/index.ts';

export * from '../src/index.ts';

/** Kept where the first request of all left it. */
let arrived: string | undefined;

export function inject(from?: Context): Carrier {
  const carrier = reference(from);
  arrived ??= carrier.traceparent;
  return { ...carrier, ...(carrier.traceparent && arrived && { traceparent: arrived }) };
}
