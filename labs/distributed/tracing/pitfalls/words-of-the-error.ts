// Flaw: the message of an error is taken for a harmless text. It quotes what was wrong: a mail address, a card, a whole row.
// Seen in: https://github.com/open-telemetry/opentelemetry-java-instrumentation/issues/3039
// Caught by: what people typed is not on the waybill
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { redact as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function redact(span: ReadableSpan): ReadableSpan {
  return Object.create(reference(span), {
    spanContext: { value: () => span.spanContext() },
    status: { value: span.status },
    events: { value: span.events },
  });
}
