import {
  type Baggage,
  type BaggageEntry,
  baggageEntryMetadataFromString,
  type Context,
  context,
  createTraceState,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import { isTracingSuppressed } from '@opentelemetry/core';

/** The waybill number on a job: put it into the payload, as JSON, beside what the job is about. */
export interface Carrier {
  readonly traceparent?: string;
  readonly tracestate?: string;
  readonly baggage?: string;
}

/** W3C Baggage, section 3.3: what every hop must be able to pass on. More than that may be cut by anyone. */
const MOST_ENTRIES = 64;
const MOST_BYTES = 8_192;
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
/** What may stand in a header: a job's payload may hold more, and a request with it would be refused here, by `node:http`. */
const VISIBLE = /^[\t\x20-\x7e]*$/;

/** What a stranger's object says; nothing if it throws. */
function quietly<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/**
 * `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/): version, trace id, span id, flags.
 * Undefined when it isn't well-formed; a version of the future is read as far as this one knows it (section 3.2.4).
 */
export function parseTraceparent(header: unknown): SpanContext | undefined {
  if (typeof header !== 'string') return undefined;
  const [, version, traceId, spanId, flags, rest] =
    /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  const found = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 0b11, isRemote: true };
  return isSpanContextValid(found) ? found : undefined;
}

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0b11).toString(16).padStart(2, '0')}`;
}

/**
 * What the next process needs to go on with this trace. Empty where there is none. Never throws: baggage that can't be
 * written (a key that is no token, a value that is no text, half a surrogate pair) or is beyond the limits stays behind,
 * whole entries of it.
 */
export function inject(from: Context = context.active()): Carrier {
  const span = trace.getSpanContext(from);
  const known = span && isSpanContextValid(span) && !isTracingSuppressed(from) ? span : undefined;
  const state = quietly(() => known?.traceState?.serialize());
  const baggage = formatBaggage(propagation.getBaggage(from));
  return {
    ...(known && { traceparent: formatTraceparent(known) }),
    ...(state && { tracestate: state }),
    ...(baggage && { baggage }),
  };
}

/**
 * The context that a job came with, to run it in: `context.with(extract(job.data.trace), …)`. What is malformed is as if
 * it weren't there: a new trace begins. Never throws, since a bad header must not cost a request. Nothing of the caller's
 * own context is in it.
 */
export function extract(carrier: unknown): Context {
  if (typeof carrier !== 'object' || carrier === null) return ROOT_CONTEXT;
  const read = (key: keyof Carrier) => quietly((): unknown => Reflect.get(carrier, key));
  const parent = parseTraceparent(read('traceparent'));
  const entries = parseBaggage(read('baggage'));
  const base = entries ? propagation.setBaggage(ROOT_CONTEXT, entries) : ROOT_CONTEXT;
  if (!parent) return base;
  const tracestate = read('tracestate');
  const state = typeof tracestate === 'string' ? { traceState: createTraceState(tracestate) } : {};
  return trace.setSpanContext(base, { ...parent, ...state });
}

function formatBaggage(baggage: Baggage | undefined): string {
  let text = '';
  let count = 0;
  for (const [key, entry] of quietly(() => baggage?.getAllEntries()) ?? []) {
    // Types hold nobody back who writes JavaScript: an id that is a number costs its entry, not the request.
    const written = quietly(() => formatEntry(key, entry));
    if (written === undefined) continue;
    const more = `${text === '' ? '' : ','}${written}`;
    if (count === MOST_ENTRIES || Buffer.byteLength(text) + Buffer.byteLength(more) > MOST_BYTES) continue;
    text += more;
    count++;
  }
  return text;
}

function formatEntry(key: string, { value, metadata }: BaggageEntry): string | undefined {
  const properties = metadata ? `;${metadata.toString()}` : '';
  // A line break would be refused by `node:http`; a comma begins another entry.
  if (!TOKEN.test(key) || !value.isWellFormed() || !VISIBLE.test(properties) || properties.includes(','))
    return undefined;
  return `${key}=${encodeURIComponent(value)}${properties}`;
}

export function parseBaggage(header: unknown): Baggage | undefined {
  if (typeof header !== 'string' || Buffer.byteLength(header) > MOST_BYTES) return undefined;
  let baggage: Baggage | undefined;
  for (const member of header.split(',').slice(0, MOST_ENTRIES)) {
    const [pair = '', ...properties] = member.split(';');
    const at = pair.indexOf('=');
    const key = pair.slice(0, at).trim();
    const value = quietly(() => decodeURIComponent(pair.slice(at + 1).trim()));
    if (at < 1 || !TOKEN.test(key) || value === undefined || !VISIBLE.test(member)) continue;
    const metadata = properties.length > 0 ? { metadata: baggageEntryMetadataFromString(properties.join(';')) } : {};
    baggage = (baggage ?? propagation.createBaggage()).setEntry(key, { value, ...metadata });
  }
  return baggage;
}

/** The same two functions for headers: what the instrumentations of HTTP and gRPC call. */
export const waybill: TextMapPropagator = {
  inject(from, carrier, setter) {
    for (const [key, value] of Object.entries(inject(from))) setter.set(carrier, key, value);
  },
  extract(into, carrier, getter) {
    const read = (key: string) => [quietly(() => getter.get(carrier, key)) ?? []].flat();
    // A list of traceparents is none: nobody can say which of them is meant.
    const [traceparent, ...more] = read('traceparent');
    const came = extract({
      traceparent: more.length > 0 ? undefined : traceparent,
      tracestate: read('tracestate').join(','),
      baggage: read('baggage').join(','),
    });
    const span = trace.getSpanContext(came);
    const baggage = propagation.getBaggage(came);
    const withBaggage = baggage ? propagation.setBaggage(into, baggage) : into;
    return span ? trace.setSpanContext(withBaggage, span) : withBaggage;
  },
  fields: () => ['traceparent', 'tracestate', 'baggage'],
};
