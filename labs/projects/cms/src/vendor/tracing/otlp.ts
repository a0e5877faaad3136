export type Kind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** A span as a collector has it. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly service: string;
  readonly name: string;
  readonly kind: Kind;
  /** Milliseconds since 1970, by the clock of the machine that made the span. */
  readonly startMs: number;
  readonly endMs: number;
  readonly error: boolean;
  readonly attributes: Readonly<Record<string, string>>;
}

const KINDS: readonly Kind[] = ['internal', 'internal', 'server', 'client', 'producer', 'consumer'];

/**
 * The spans of an OTLP/HTTP request in JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp), as a collector gets it
 * or its file exporter writes it. What is no span is passed over.
 */
export function readOtlp(request: unknown): SpanRecord[] {
  return list(request, 'resourceSpans').flatMap((group) => {
    const service = attributesOf(field(group, 'resource')).get('service.name') ?? 'unknown_service';
    return list(group, 'scopeSpans')
      .flatMap((scope) => list(scope, 'spans'))
      .flatMap((span) => recordOf(span, service) ?? []);
  });
}

function recordOf(span: unknown, service: string): SpanRecord | undefined {
  const traceId = field(span, 'traceId');
  const spanId = field(span, 'spanId');
  const parentSpanId = field(span, 'parentSpanId');
  const startMs = millis(field(span, 'startTimeUnixNano'));
  const endMs = millis(field(span, 'endTimeUnixNano'));
  if (typeof traceId !== 'string' || typeof spanId !== 'string' || startMs === undefined || endMs === undefined) {
    return undefined;
  }
  return {
    traceId,
    spanId,
    ...(typeof parentSpanId === 'string' && parentSpanId !== '' && { parentSpanId }),
    service,
    name: text(field(span, 'name')) ?? '',
    kind: KINDS.find((_, kind) => kind === field(span, 'kind')) ?? 'internal',
    startMs,
    endMs,
    error: field(field(span, 'status'), 'code') === 2,
    attributes: Object.fromEntries(attributesOf(span)),
  };
}

/** Nanoseconds since 1970 don't fit into a number; microseconds do. */
function millis(nanos: unknown): number | undefined {
  const digits = text(nanos) ?? '';
  return /^\d{1,20}$/.test(digits) ? Number(BigInt(digits) / 1_000n) / 1_000 : undefined;
}

/** JSON can hold an object that `String` throws on: `{"toString":1,"valueOf":1}`. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? `${value}` : undefined;
}

function attributesOf(owner: unknown): Map<string, string> {
  const pairs = list(owner, 'attributes').map((each): [string, string] => {
    const value = field(each, 'value');
    const [scalar] = typeof value === 'object' && value !== null ? Object.values(value) : [];
    return [text(field(each, 'key')) ?? '', text(scalar) ?? JSON.stringify(scalar) ?? ''];
  });
  return new Map(pairs);
}

function field(owner: unknown, key: string): unknown {
  return typeof owner === 'object' && owner !== null && Object.hasOwn(owner, key) ? Reflect.get(owner, key) : undefined;
}

function list(owner: unknown, key: string): readonly unknown[] {
  const found = field(owner, key);
  return Array.isArray(found) ? found : [];
}
