// Flaw: baggage that is too long is cut at the limit, in the middle of an entry: half a value arrives, and passes for a whole one.
// Seen in: https://github.com/DataDog/dd-trace-rb/pull/5672
// Caught by: baggage arrives as it was; an entry that is too much stays behind whole
import { type Context, context, propagation } from '@opentelemetry/api';
import { type Carrier, inject as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function inject(from: Context = context.active()): Carrier {
  const entries = propagation.getBaggage(from)?.getAllEntries() ?? [];
  const pairs = entries.filter(([key, { value }]) => /^[\w-]+$/.test(key) && value.isWellFormed());
  const baggage = pairs
    .slice(0, 64)
    .map(([key, { value }]) => `${key}=${encodeURIComponent(value)}`)
    .join(',')
    .slice(0, 8_192);
  return { ...reference(from), ...(baggage && { baggage }) };
}
